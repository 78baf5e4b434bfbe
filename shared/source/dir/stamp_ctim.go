//go:build linux || openbsd || dragonfly || solaris || illumos

package dir

import (
	"io/fs"
	"syscall"
	"time"
)

// stamp is a file's number and when it was last changed in any way; nobody can set that time.
func stamp(info fs.FileInfo) (number int64, changed time.Time) {
	if sys, ok := info.Sys().(*syscall.Stat_t); ok {
		return int64(sys.Ino), time.Unix(sys.Ctim.Unix())
	}
	return 0, info.ModTime()
}
