package local

import (
	"bytes"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// ownProgram is this very program, also when its file has been replaced since.
func ownProgram() (string, error) { return "/proc/self/exe", nil }

// waitExit returns when a child is over, and leaves it to be reaped, so that its id and its group's stay its own.
func waitExit(pid int) {
	const byPID = 1
	for {
		_, _, errno := syscall.Syscall6(syscall.SYS_WAITID, byPID, uintptr(pid), 0, syscall.WEXITED|syscall.WNOWAIT, 0, 0)
		if errno == 0 {
			return
		}
		if s, err := readStat(pid); err != nil || s.over() {
			return
		}
		if errno != syscall.EINTR { // some sandboxes lack the call
			time.Sleep(20 * time.Millisecond)
		}
	}
}

// identify names a running process for good.
func identify(pid int) (process, error) {
	s, err := readStat(pid)
	if err != nil {
		return process{}, err
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return process{}, err
	}
	return process{PID: pid, Start: s.start, Boot: strings.TrimSpace(string(boot))}, nil
}

// stat is what /proc/<pid>/stat says; see proc_pid_stat(5).
type stat struct {
	pid   int
	state string // field 3
	group int    // field 5
	start string // field 22, in ticks since the machine's start
}

func readStat(pid int) (stat, error) {
	path := fmt.Sprintf("/proc/%d/stat", pid)
	data, err := os.ReadFile(path)
	if err != nil {
		return stat{}, err
	}
	// Field 2 is the program's name in parentheses, and may hold anything.
	fields := strings.Fields(string(data[bytes.LastIndexByte(data, ')')+1:]))
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("%s is not as expected", path)
	}
	group, err := strconv.Atoi(fields[2])
	return stat{pid: pid, state: fields[0], group: group, start: fields[19]}, err
}

func (s stat) over() bool { return s.state == "Z" || s.state == "X" }

// leftovers returns what still runs of a run that is kept in the folder runs, as targets of signals: the groups of
// its marks, and processes elsewhere that bear both in their environment.
func leftovers(runs, run string, marks []mark) (targets []int) {
	self, err := identify(os.Getpid())
	if err != nil {
		return nil
	}
	marked, ours := map[int]bool{}, map[int]bool{}
	for _, m := range marks {
		if m.Boot != self.Boot {
			continue
		}
		marked[m.PID] = true
		if p, err := identify(m.PID); err == nil && p == m.process {
			ours[m.PID] = true
		}
	}
	if len(marks) > 0 && len(marked) == 0 {
		return nil // the machine has been started anew since
	}
	var living, strays []stat
	for _, s := range processes() {
		if s.pid == self.PID || s.over() {
			continue
		}
		living = append(living, s)
		// A group keeps its id for as long as it has members. So one member of the run's proves that it is the run's.
		if !bears(s.pid, runs, run) {
			continue
		}
		if marked[s.group] {
			ours[s.group] = true
		} else {
			strays = append(strays, s)
		}
	}
	for _, s := range living {
		if ours[s.group] && !slices.Contains(targets, -s.group) {
			targets = append(targets, -s.group)
		}
	}
	for _, s := range strays {
		targets = append(targets, s.pid)
	}
	return targets
}

func processes() (all []stat) {
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil {
			all = append(all, s)
		}
	}
	return all
}

// bears reports whether a process was started in the environment of the run's steps.
func bears(pid int, runs, run string) bool {
	data, err := os.ReadFile(fmt.Sprintf("/proc/%d/environ", pid))
	env := strings.Split(string(data), "\x00")
	return err == nil && slices.Contains(env, runVariable+"="+run) && slices.Contains(env, runsVariable+"="+runs)
}
