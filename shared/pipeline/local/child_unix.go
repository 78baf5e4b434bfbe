//go:build linux || darwin

package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"time"
)

func supported() error { return nil }

// childName in place of the program's name says that it was started to become a step.
const childName = "carillon-step"

// What parent and child say to each other before the command starts.
const (
	reportFD = 3 // the child writes, and closes it by becoming the command
	goFD     = 4 // the parent writes one byte when the mark is there; its end says that the parent is gone

	saysMarked = 'M' // the mark is there
	saysTaken  = 'T' // somebody else's mark is there
	saysFailed = 'E' // followed by the reason
)

// RunChild becomes the command of a step when the program was started for that, and does nothing otherwise. It has
// to be the first call in main, and in TestMain.
//
// The child leaves its mark, which nobody can do twice, then waits for its parent's word, and only then becomes the
// command. So a command runs at most once, and never for a parent that was gone before the mark was there; then the
// mark is taken back, and the step can be begun anew.
func RunChild() {
	if os.Args[0] != childName || len(os.Args) < 4 {
		return
	}
	syscall.CloseOnExec(reportFD)
	syscall.CloseOnExec(goFD)
	begin(os.Args[1], os.Args[2], os.Args[3:])
	os.Exit(1)
}

// begin returns when the child does not become the command.
func begin(mark, program string, argv []string) {
	if orphaned() {
		return
	}
	err := leaveMark(mark)
	switch {
	case errors.Is(err, fs.ErrExist):
		say(saysTaken, "")
		return
	case err != nil:
		say(saysFailed, fmt.Sprintf("its mark could not be left: %v", err))
		return
	}
	say(saysMarked, "")
	var word [1]byte
	if n, _ := syscall.Read(goFD, word[:]); n != 1 {
		os.Remove(mark)
		return
	}
	say(saysFailed, become(program, argv))
}

// orphaned reports whether the parent is gone. It may be gone in the next moment.
func orphaned() bool {
	syscall.SetNonblock(goFD, true)
	defer syscall.SetNonblock(goFD, false)
	var word [1]byte
	n, err := syscall.Read(goFD, word[:])
	return n == 0 && err == nil
}

func say(what byte, text string) { syscall.Write(reportFD, append([]byte{what}, text...)) }

// leaveMark puts the mark in place durably. The error wraps fs.ErrExist when there is one.
func leaveMark(path string) error {
	self, err := identify(os.Getpid())
	if err != nil {
		return err
	}
	data, err := json.Marshal(mark{self, time.Now().UTC()})
	if err != nil {
		return err
	}
	temporary := path + "." + strconv.Itoa(self.PID)
	defer os.Remove(temporary)
	if err := writeFile(temporary, data); err != nil {
		return err
	}
	if err := os.Link(temporary, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// become replaces this process by the program; it returns only to say why it could not. A program that is just
// being written is tried again for a moment.
func become(program string, argv []string) string {
	for try := 0; ; try++ {
		err := syscall.Exec(program, argv, os.Environ())
		switch {
		case err == syscall.ETXTBSY && try < 50:
			time.Sleep(20 * time.Millisecond)
			continue
		case err == syscall.ENOEXEC:
			return fmt.Sprintf("%s is not a program; a script needs a first line such as #!/bin/sh", program)
		case err == syscall.ENOENT:
			return fmt.Sprintf("%s names an interpreter in its first line, or needs a loader, that is not there", program)
		}
		return fmt.Sprintf("%s: %v", program, err)
	}
}

// child is the process of a step, from its start to the end of its group. Three goroutines belong to it: one
// waits, one speaks with it, one keeps its output. All end with await.
type child struct {
	cmd     *exec.Cmd
	report  *os.File
	goAhead *os.File
	output  *os.File

	exited  chan struct{} // the first process is over, and its id still its own
	drained chan struct{} // nobody holds the output any more
	told    chan struct{} // taken and failed are set
	taken   bool          // another process had left the mark
	failed  error         // why it did not become the command
}

// startChild starts our own program as the step's child.
func startChild(program string, st step, env []string, mark string, out *output) (c *child, err error) {
	self, err := ownProgram()
	if err != nil {
		return nil, err
	}
	c = &child{exited: make(chan struct{}), drained: make(chan struct{}), told: make(chan struct{})}
	theirs, err := c.openPipes()
	if err == nil {
		c.cmd = &exec.Cmd{
			Path: self, Args: append([]string{childName, mark, program, st.Command}, st.Args...),
			Env: env, Dir: st.Dir, Stdout: theirs[0], Stderr: theirs[0], ExtraFiles: theirs[1:],
			SysProcAttr: &syscall.SysProcAttr{Setpgid: true},
		}
		err = c.cmd.Start()
	}
	for _, f := range theirs {
		f.Close()
	}
	if err != nil {
		c.closePipes()
		return nil, err
	}
	go func() { defer close(c.exited); waitExit(c.cmd.Process.Pid) }()
	go func() { defer close(c.drained); io.Copy(out, c.output) }()
	go func() { defer close(c.told); c.converse() }()
	return c, nil
}

// openPipes makes the three pipes and returns the child's ends: output, report, go-ahead.
func (c *child) openPipes() (theirs []*os.File, err error) {
	var ends [6]*os.File
	for i := 0; i < len(ends) && err == nil; i += 2 {
		ends[i], ends[i+1], err = os.Pipe()
	}
	c.output, c.report, c.goAhead = ends[0], ends[2], ends[5]
	return []*os.File{ends[1], ends[3], ends[4]}, err
}

func (c *child) closePipes() {
	c.output.Close()
	c.report.Close()
	c.goAhead.Close()
}

// converse gives the child its word, and learns whether it became the command.
func (c *child) converse() {
	var first [1]byte
	n, _ := c.report.Read(first[:])
	if n == 1 && first[0] == saysMarked {
		c.goAhead.Write([]byte{1})
		n, _ = c.report.Read(first[:])
	}
	c.taken = n == 1 && first[0] == saysTaken
	if n == 1 && first[0] == saysFailed {
		reason, _ := io.ReadAll(c.report)
		c.failed = fmt.Errorf("could not start: %s", reason)
	}
}

// await returns when the process is over and its group ended: by itself, or because ctx was done, which it returns
// the cause of. What is left of the group when the first process is over may write for another grace, and is then
// killed.
func (c *child) await(ctx context.Context, grace time.Duration, hurry <-chan struct{}) (why error) {
	if !wait(c.exited, nil, ctx.Done()) && !over(c.exited) {
		why = context.Cause(ctx)
		signal(-c.cmd.Process.Pid, false)
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	if wait(c.exited, timer.C, hurry) {
		wait(c.drained, timer.C, hurry)
	}
	signal(-c.cmd.Process.Pid, true)
	<-c.exited
	<-c.told
	// Who left the group may still hold the output; the last of the others' is read.
	timer.Reset(time.Second)
	wait(c.drained, timer.C, hurry)
	c.closePipes()
	<-c.drained
	c.cmd.Wait()
	return why
}

// wait reports whether something was done before time was over.
func wait(done <-chan struct{}, time <-chan time.Time, hurry <-chan struct{}) bool {
	select {
	case <-done:
		return true
	case <-time:
	case <-hurry:
	}
	return false
}

func over(done <-chan struct{}) bool {
	select {
	case <-done:
		return true
	default:
		return false
	}
}

// signal asks a process, or a group by its negative id, to end, or kills it.
func signal(target int, kill bool) {
	s := syscall.SIGTERM
	if kill {
		s = syscall.SIGKILL
	}
	syscall.Kill(target, s)
}

// lockFolder makes sure that no other process uses the folder, until the lock is closed or the process is gone.
func lockFolder(dir string) (io.Closer, error) {
	path := filepath.Join(dir, "lock")
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	// A process that was killed may take a moment to be gone.
	for try := 0; try < 50; try++ {
		err = syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if err != syscall.EWOULDBLOCK && err != syscall.EINTR {
			break
		}
		time.Sleep(20 * time.Millisecond)
	}
	if err == nil {
		return file, nil
	}
	file.Close()
	if err == syscall.EWOULDBLOCK {
		return nil, fmt.Errorf("%s is in use by another process of Carillon: stop that one, or choose another folder", dir)
	}
	return nil, fmt.Errorf("%s cannot be locked: %w", path, err)
}
