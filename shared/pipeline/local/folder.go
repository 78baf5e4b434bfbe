package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// format is the version of what lies in the folder of the runs.
const format = "carillon runs 1\n"

var namePattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// folder keeps runs on disk:
//
//	all/ab/<name>/             request.json; of step 01: 01.mark, 01.out, 01.end; end.json
//	active/<name>              empty; there for as long as the run has not ended
//	ended/2026-01-31T15/<name> the same file, moved there by the hour of the run's end
//
// A run is acknowledged when its request and its entry in active are durable, and has ended when end.json is.
// Whatever else is on disk belongs to a submission that was never acknowledged.
type folder struct{ root string }

// request is what a run was asked to do. Written once.
type request struct {
	Name       string            `json:"name"`
	Submitted  time.Time         `json:"submitted"`
	Pipeline   string            `json:"pipeline"`
	Experiment string            `json:"experiment"`
	Schedule   string            `json:"schedule,omitempty"`
	Occurrence string            `json:"occurrence,omitempty"`
	Parameters map[string]string `json:"parameters,omitempty"`
	Continue   bool              `json:"continue_on_step_failure,omitempty"`
	Steps      []step            `json:"steps"`
}

// end is what became of a run. Written once.
type end struct {
	Status  schedule.Status `json:"status"`
	Started time.Time       `json:"started,omitzero"`
	Ended   time.Time       `json:"ended"`
	Error   string          `json:"error,omitempty"`
	Steps   []pipeline.Step `json:"steps"`
}

// mark says which process runs a step. The child leaves it before the command starts.
type mark struct {
	process
	At time.Time `json:"at"`
}

// process names a process for good: its id is given to others when it is gone.
type process struct {
	PID   int    `json:"pid"`
	Start string `json:"start"` // when it started, as the system tells it
	Boot  string `json:"boot"`  // of the machine
}

// openFolder makes what is missing of the folder, and checks that this version can read it.
func openFolder(root string) (folder, error) {
	for _, dir := range []string{"all", "active", "ended"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o700); err != nil {
			return folder{}, fmt.Errorf("the folder of the runs cannot be made: %w", err)
		}
	}
	path := filepath.Join(root, "format")
	found, err := os.ReadFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = writeDurably(path, []byte(format))
	case err == nil && string(found) != format:
		return folder{}, fmt.Errorf("%s says %q and this Carillon reads %q: run the version that wrote it, or choose another folder",
			path, strings.TrimSpace(string(found)), strings.TrimSpace(format))
	}
	return folder{root}, err
}

// run is the folder of one run. Runs are spread, so that no folder grows too large.
func (f folder) run(name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	return filepath.Join(f.root, "all", fmt.Sprintf("%02x", h.Sum32()&0xff), name)
}

func (f folder) activeEntry(name string) string { return filepath.Join(f.root, "active", name) }

// stepFile is a file of the i-th step, counted from 0.
func (f folder) stepFile(name string, i int, suffix string) string {
	return filepath.Join(f.run(name), fmt.Sprintf("%02d.%s", i+1, suffix))
}

// keepRequest makes a run durable. When it fails, the run does not exist, but for what discard cannot remove.
func (f folder) keepRequest(r request) error {
	data, err := json.Marshal(r)
	if err != nil {
		return err
	}
	dir := f.run(r.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	path := filepath.Join(dir, "request.json")
	if err := writeSynced(path, data); err != nil {
		return err
	}
	if err := os.WriteFile(f.activeEntry(r.Name), nil, 0o600); err != nil {
		return err
	}
	for _, d := range []string{dir, filepath.Dir(dir), filepath.Join(f.root, "all"), filepath.Join(f.root, "active")} {
		if err := syncDir(d); err != nil {
			return err
		}
	}
	return nil
}

func (f folder) discard(name string) error {
	return errors.Join(os.RemoveAll(f.activeEntry(name)), os.RemoveAll(f.run(name)))
}

func (f folder) readRequest(name string) (r request, err error) {
	err = readJSON(filepath.Join(f.run(name), "request.json"), &r)
	if err == nil && (r.Name != name || len(r.Steps) == 0) {
		err = fmt.Errorf("%s is not the request of run %s", filepath.Join(f.run(name), "request.json"), name)
	}
	return r, err
}

// active returns the names of the runs that have not ended, and of some that were never acknowledged.
func (f folder) active() ([]string, error) {
	entries, err := os.ReadDir(filepath.Join(f.root, "active"))
	var names []string
	for _, e := range entries {
		if namePattern.MatchString(e.Name()) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// keepEnd makes the end of a run durable. It is never written twice.
func (f folder) keepEnd(name string, e end) error {
	data, err := json.Marshal(e)
	if err != nil {
		return err
	}
	return writeDurably(filepath.Join(f.run(name), "end.json"), data)
}

// readEnd returns the end of a run; the error wraps fs.ErrNotExist when it has none.
func (f folder) readEnd(name string) (e end, err error) {
	err = readJSON(filepath.Join(f.run(name), "end.json"), &e)
	return e, err
}

// retire moves a run from the active ones to those that ended in that hour.
func (f folder) retire(name string, ended time.Time) error {
	hour := filepath.Join(f.root, "ended", ended.UTC().Format(hourLayout))
	for try := 0; ; try++ {
		if err := os.MkdirAll(hour, 0o700); err != nil {
			return err
		}
		// Prune may have removed the empty hour in between.
		err := os.Rename(f.activeEntry(name), filepath.Join(hour, name))
		if err == nil || try == 3 {
			return err
		}
	}
}

// keepStep notes the end of a step, so that the report of a run that is cut off later can tell it.
func (f folder) keepStep(name string, i int, s pipeline.Step) error {
	data, err := json.Marshal(s)
	if err != nil {
		return err
	}
	return os.WriteFile(f.stepFile(name, i, "end"), data, 0o600)
}

// marked reports whether one of the run's steps may have begun, and returns the marks that can be read, by step.
func (f folder) marked(name string, steps int) (marks map[int]mark, begun bool) {
	marks = map[int]mark{}
	for i := range steps {
		var m mark
		err := readJSON(f.stepFile(name, i, "mark"), &m)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		begun = true
		if err == nil {
			marks[i] = m
		}
	}
	return marks, begun
}

func readJSON(path string, into any) error {
	data, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		return fmt.Errorf("%s is damaged: %w", path, err)
	}
	return nil
}

// writeDurably puts a whole file in place: it is there, and stays, when writeDurably returns nil.
func writeDurably(path string, data []byte) error {
	if err := writeSynced(path, data); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// writeSynced puts a whole file in place; its folder is yet to be synced.
func writeSynced(path string, data []byte) error {
	temporary := path + ".tmp"
	err := writeFile(temporary, data)
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		os.Remove(temporary)
	}
	return err
}

func writeFile(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = file.Write(data)
	if err == nil {
		err = file.Sync()
	}
	return errors.Join(err, file.Close())
}

func syncDir(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
