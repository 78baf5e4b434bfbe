//go:build !linux && !darwin

package local

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"time"
)

var errUnsupported = errors.New("local pipelines need Linux or macOS")

func supported() error { return errUnsupported }

// RunChild becomes the command of a step when the program was started for that, and does nothing otherwise. It has
// to be the first call in main, and in TestMain.
func RunChild() {}

type child struct {
	cmd    *exec.Cmd
	taken  bool
	failed error
}

func startChild(string, step, []string, string, *output) (*child, error) { return nil, errUnsupported }

func (c *child) await(context.Context, time.Duration, <-chan struct{}) error { return errUnsupported }

func leftovers(string, string, []mark) []int { return nil }

func signal(int, bool) {}

func lockFolder(string) (io.Closer, error) { return nil, errUnsupported }
