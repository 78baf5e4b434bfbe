package local

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func ownProgram() (string, error) { return os.Executable() }

// waitExit returns when a child is over, and leaves it to be reaped, so that its id and its group's stay its own.
func waitExit(pid int) {
	for {
		err := watchExit(pid)
		if err == nil || err == syscall.ESRCH { // ESRCH: it is over already
			return
		}
		if err != syscall.EINTR { // no descriptor is free, perhaps
			time.Sleep(20 * time.Millisecond)
		}
	}
}

func watchExit(pid int) error {
	queue, err := syscall.Kqueue()
	if err != nil {
		return err
	}
	defer syscall.Close(queue)
	var watch [1]syscall.Kevent_t
	syscall.SetKevent(&watch[0], pid, syscall.EVFILT_PROC, syscall.EV_ADD)
	watch[0].Fflags = syscall.NOTE_EXIT
	n, err := syscall.Kevent(queue, watch[:], watch[:], nil)
	if err == nil && n == 1 && watch[0].Flags&syscall.EV_ERROR != 0 {
		return syscall.Errno(watch[0].Data)
	}
	return err
}

// identify names a running process for good. The start is a time of day, so that it needs no boot beside it.
func identify(pid int) (process, error) {
	ps := exec.Command("/bin/ps", "-o", "lstart=", "-p", strconv.Itoa(pid))
	ps.Env = []string{"LC_ALL=C", "TZ=UTC"}
	out, err := ps.Output()
	start := strings.TrimSpace(string(out))
	if err == nil && start == "" {
		err = errors.New("ps does not know it")
	}
	if err != nil {
		return process{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return process{PID: pid, Start: start}, nil
}

// leftovers returns what still runs of a run, as targets of signals: the groups whose first process is alive.
func leftovers(runs, run string, marks []mark) (targets []int) {
	for _, m := range marks {
		if p, err := identify(m.PID); err == nil && p == m.process {
			targets = append(targets, -m.PID)
		}
	}
	return targets
}
