package local

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// execute does one step of a run and returns how it ended. taken says that an earlier process of Carillon has left
// the step's mark; then nothing was done.
func (t *Target) execute(ctx context.Context, r *run, i int) (s pipeline.Step, taken bool) {
	st := r.request.Steps[i]
	s = pipeline.Step{Name: st.Name, Status: schedule.Running, Started: time.Now().UTC()}
	t.note(r, i, s)
	out := openOutput(t.disk.stepFile(r.request.Name, i, "out"), t.config.OutputLimit)
	c, err := t.start(st, t.disk.stepFile(r.request.Name, i, "mark"), out)
	if err == nil {
		if st.Timeout > 0 {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeoutCause(ctx, time.Duration(st.Timeout)*time.Second, errTimeout)
			defer cancel()
		}
		why := c.await(ctx, t.config.Grace, t.hurry)
		taken, err = c.taken, c.failed
		if err == nil {
			s.Exit = new(c.cmd.ProcessState.ExitCode())
			s.Status, err = judge(c.cmd.ProcessState, why, st)
		}
	}
	if s.Status == schedule.Running {
		s.Status = schedule.Failed
	}
	s.Ended = time.Now().UTC()
	if err != nil {
		s.Error = err.Error()
	}
	if err := out.finish(); err != nil {
		s.Error = strings.TrimPrefix(s.Error+"; "+err.Error(), "; ")
	}
	return s, taken
}

// judge says what became of a step whose process was ended because of why, or ended by itself.
func judge(state *os.ProcessState, why error, st step) (schedule.Status, error) {
	switch {
	case errors.Is(why, errCanceled):
		return schedule.Canceled, nil
	case errors.Is(why, errClosing):
		return schedule.Interrupted, nil
	case errors.Is(why, errTimeout):
		limit := schedule.Duration(time.Duration(st.Timeout) * time.Second)
		return schedule.Failed, fmt.Errorf("took longer than its timeout of %s and was ended", limit)
	case state.Success():
		return schedule.Completed, nil
	case state.ExitCode() < 0:
		return schedule.Failed, fmt.Errorf("was ended from outside (%s)", state)
	}
	return schedule.Failed, fmt.Errorf("ended with exit status %d", state.ExitCode())
}

// start starts the process that becomes the step's command once it has left its mark.
func (t *Target) start(st step, mark string, out *output) (*child, error) {
	if info, err := os.Stat(st.Dir); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("could not start: there is no working folder %s", st.Dir)
	}
	env := append(inherited(), "PWD="+st.Dir, runsVariable+"="+t.disk.root)
	env = append(env, st.Env...)
	program, err := lookPath(st.Command, st.Dir, variableOf(env, "PATH"))
	if err != nil {
		return nil, fmt.Errorf("could not start: %w", err)
	}
	c, err := startChild(program, st, env, mark, out)
	var path *fs.PathError
	if errors.As(err, &path) {
		err = path.Err // without the name of our own program
	}
	if err != nil {
		return nil, fmt.Errorf("could not start: %w", err)
	}
	return c, nil
}

// inherited is the environment of Carillon itself without its settings, keys among them.
func inherited() (env []string) {
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "CARILLON_") {
			env = append(env, v)
		}
	}
	return env
}

func variableOf(env []string, name string) (value string) {
	for _, v := range env {
		if found, ok := strings.CutPrefix(v, name+"="); ok {
			value = found
		}
	}
	return value
}

// lookPath finds the file of a command: in the folders of path, or by its own path. Relative ones are below dir.
func lookPath(command, dir, path string) (string, error) {
	if strings.ContainsRune(command, filepath.Separator) {
		program := below(dir, command)
		_, err := exec.LookPath(program)
		switch {
		case errors.Is(err, fs.ErrPermission):
			return "", fmt.Errorf("%s is not executable (chmod +x makes it so)", program)
		case err != nil:
			return "", fmt.Errorf("there is no command %s", program)
		}
		return program, nil
	}
	for _, folder := range filepath.SplitList(path) {
		program := filepath.Join(below(dir, folder), command)
		if _, err := exec.LookPath(program); err == nil {
			return program, nil
		}
	}
	return "", fmt.Errorf("there is no command %s in PATH (%s)", command, path)
}

// below is path itself when it is absolute, and else what it is below dir.
func below(dir, path string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}
