// Package dir makes datastores of folders on this machine: it lists them, tells one file's state, and watches them for
// changes. Nothing outside a datastore's folder is ever told of, whatever links lie in it.
//
// Files are regular files and links to such, within the datastore; a link is told of under its own path. Left out are
// names that begin with a dot, those of folders too, names that are not UTF-8, and what a link to a folder leads to.
// Whoever writes slowly does well to write under such a name and to rename the file when it is whole.
package dir

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"
	"unicode/utf8"

	"carillon/shared/schedule"
	"carillon/shared/source"
)

// Settle is how long a file has to be left alone before List calls it settled and Watch tells of it, so that what is
// being written is not taken for whole. Stat does not wait. A writer that pauses for longer makes several changes.
const Settle = 500 * time.Millisecond

// Dir is one folder. It opens it anew for each call. Safe for concurrent use.
type Dir struct {
	root string
	page int
	now  func() time.Time
}

var _ source.Source = (*Dir)(nil)

// New returns the datastore that the folder root is, there or not.
func New(root string) *Dir { return &Dir{root, source.MaxPage, time.Now} }

// Datastores returns every folder (or link to one) in root under the name that it has there, if a datastore may be called
// so. No root: none.
func Datastores(root string) ([]source.Datastore, error) {
	entries, err := os.ReadDir(root)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("the datastores cannot be listed: %w", err)
	}
	var all []source.Datastore
	for _, e := range entries {
		at := filepath.Join(root, e.Name())
		if isDatastore(at) {
			all = append(all, source.Datastore{Name: e.Name(), Source: New(at)})
		}
	}
	return all, nil
}

func isDatastore(at string) bool {
	info, err := os.Stat(at)
	return err == nil && info.IsDir() && schedule.ValidName(filepath.Base(at))
}

// Stat is source.Source's. The ETag tells apart what is written at different ticks of the file system's clock, some
// milliseconds; a change of mode or of the number of links gives another one too.
func (d *Dir) Stat(ctx context.Context, at string) (source.File, error) {
	if err := ctx.Err(); err != nil {
		return source.File{}, err
	}
	root, err := d.open()
	if err != nil {
		return source.File{}, err
	}
	defer root.Close()
	info, err := find(root, at)
	if err != nil {
		return source.File{}, d.failed(at, err)
	}
	return file(at, info), nil
}

// find looks for a file. What is none is fs.ErrNotExist.
func find(root *os.Root, at string) (fs.FileInfo, error) {
	if !fs.ValidPath(at) || !isShown(at) {
		return nil, fs.ErrNotExist
	}
	if err := isFolder(root, path.Dir(at)); err != nil {
		return nil, err
	}
	info, err := root.Lstat(at)
	if err != nil {
		return nil, err
	}
	return regular(root, at, info)
}

// regular follows a link. What is no regular file, or leads out of the datastore, is fs.ErrNotExist.
func regular(root *os.Root, at string, info fs.FileInfo) (fs.FileInfo, error) {
	if info.Mode().Type() == fs.ModeSymlink {
		target, err := root.Stat(at)
		if err != nil {
			return nil, fs.ErrNotExist
		}
		info = target
	}
	if !info.Mode().IsRegular() {
		return nil, fs.ErrNotExist
	}
	return info, nil
}

// isFolder makes sure that a path leads to a folder by folders alone, not by links. What does not is fs.ErrNotExist.
func isFolder(root *os.Root, folder string) error {
	if folder == "." {
		return nil
	}
	for i := range len(folder) + 1 {
		if i < len(folder) && folder[i] != '/' {
			continue
		}
		if info, err := root.Lstat(folder[:i]); err != nil {
			return err
		} else if !info.IsDir() {
			return fs.ErrNotExist
		}
	}
	return nil
}

// isShown reports whether a path is one that is told of.
func isShown(at string) bool {
	return at != "" && at[0] != '.' && !strings.Contains(at, "/.") && !strings.Contains(at, "\x00") && utf8.ValidString(at)
}

func (d *Dir) open() (*os.Root, error) {
	root, err := os.OpenRoot(d.root)
	if err == nil {
		return root, nil
	}
	if info, err := os.Stat(d.root); isGone(err) || err == nil && !info.IsDir() {
		return nil, fmt.Errorf("%s: %w: make the folder", d.root, source.ErrMissing)
	}
	return nil, d.failed("", err)
}

// isGone reports whether an error says that there is nothing of that name, nor can be: a file is on the way, or it is
// too long.
func isGone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) || errors.Is(err, syscall.ENAMETOOLONG)
}

func (d *Dir) failed(at string, err error) error {
	name := filepath.Join(d.root, filepath.FromSlash(at))
	switch {
	case isGone(err):
		return fmt.Errorf("%s: %w", name, source.ErrNotFound)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%s: %w: let the user that Carillon runs as read it", name, source.ErrDenied)
	}
	return fmt.Errorf("%s: %w", name, err)
}

func file(at string, info fs.FileInfo) source.File {
	number, changed := stamp(info)
	modified := info.ModTime().UTC()
	var text []byte
	for _, n := range []int64{number, info.Size(), modified.UnixNano(), changed.UnixNano()} {
		text = binary.BigEndian.AppendUint64(text, uint64(n))
	}
	sum := sha256.Sum256(text)
	if changed.After(modified) { // a file that is moved or copied here may keep the time that it was modified at
		modified = changed.UTC()
	}
	return source.File{Path: at, ETag: hex.EncodeToString(sum[:10]), Modified: modified, Size: info.Size()}
}

// isSettled reports whether a file has been left alone for long enough. A change in the future is none of this
// machine's clock: to wait for it could take for ever.
func isSettled(info fs.FileInfo, now time.Time) bool {
	_, changed := stamp(info)
	age := now.Sub(changed)
	return age >= Settle || age <= -Settle
}
