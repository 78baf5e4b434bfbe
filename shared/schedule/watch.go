package schedule

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"carillon/shared/recur"
)

// KindDatastore is the type of a trigger that fires when data change.
const KindDatastore recur.Kind = "datastore"

// Watch is the part of a trigger that fires when data change: a file was added or edited in a folder of a datastore, or
// in each of several folders.
type Watch struct {
	Folder
	AllOf  []Folder `json:"all_of,omitempty"` // instead of one folder: fires when each has changed
	Within Duration `json:"within,omitempty"` // of all_of: changes older than this are forgotten; 0 for never

	PollingInterval   int      `json:"polling_interval,omitempty"` // minutes: from look to look, and a window's length
	Mode              Mode     `json:"mode,omitempty"`             // default each
	QuietPeriod       Duration `json:"quiet_period,omitempty"`     // of a batch: closes that long after the last change
	MaxWait           Duration `json:"max_wait,omitempty"`         // and at the latest so long after it opened; default one hour
	DataPathParameter string   `json:"data_path_parameter_name,omitempty"`
	ProcessExisting   bool     `json:"process_existing,omitempty"` // at creation only: what is there fires, too
}

// Folder is where changes count, and which.
type Folder struct {
	Datastore string   `json:"datastore,omitempty"`
	Path      string   `json:"path_on_datastore,omitempty"` // "" is the datastore's root
	Recursive bool     `json:"recursive,omitempty"`         // with its subfolders
	Include   []string `json:"include,omitempty"`           // globs on the path below the folder; absent: all
	Exclude   []string `json:"exclude,omitempty"`
}

// Mode is how many changes make a run.
type Mode string

const (
	ModeEach  Mode = "each"  // one run for each
	ModeBatch Mode = "batch" // one run for all of a window
)

const (
	defaultPolling = 5 // minutes
	maxPolling     = 1440
	defaultMaxWait = time.Hour
)

// Folders are the folders that are watched, one or those of all_of.
func (w *Watch) Folders() []Folder {
	switch {
	case w == nil:
		return nil
	case len(w.AllOf) > 0:
		return w.AllOf
	}
	return []Folder{w.Folder}
}

// Each reports whether every change makes a run of its own.
func (w *Watch) Each() bool { return w.Mode != ModeBatch && len(w.AllOf) == 0 }

// Polling is the time from one look at a datastore to the next, and how long a window is open.
func (w *Watch) Polling() time.Duration {
	if w.PollingInterval == 0 {
		return defaultPolling * time.Minute
	}
	return time.Duration(w.PollingInterval) * time.Minute
}

func (w *Watch) maxWait() time.Duration {
	if w.MaxWait == 0 {
		return defaultMaxWait
	}
	return time.Duration(w.MaxWait)
}

// sameFolders reports whether two watch the same files.
func (w *Watch) sameFolders(other *Watch) bool {
	return slices.EqualFunc(w.Folders(), other.Folders(), func(a, b Folder) bool {
		return a.Datastore == b.Datastore && a.Path == b.Path && a.Recursive == b.Recursive &&
			slices.Equal(a.Include, b.Include) && slices.Equal(a.Exclude, b.Exclude)
	})
}

// String describes a trigger in an English sentence without a full stop.
func (t Trigger) String() string {
	if t.Watch == nil {
		return t.Spec.String()
	}
	var folders []string
	for _, f := range t.Folders() {
		folders = append(folders, f.String())
	}
	switch {
	case len(t.AllOf) > 0 && t.Within > 0:
		return fmt.Sprintf("when files have changed in %s, all within %s", strings.Join(folders, " and in "), t.Within)
	case len(t.AllOf) > 0:
		return "when files have changed in " + strings.Join(folders, " and in ")
	case t.Mode != ModeBatch:
		return "when a file changes in " + folders[0]
	case t.QuietPeriod > 0:
		return fmt.Sprintf("when files have changed in %s and none has for %s (after %s at the latest)", folders[0], t.QuietPeriod, Duration(t.maxWait()))
	}
	return fmt.Sprintf("when files have changed in %s, all of %s together", folders[0], Duration(t.Polling()))
}

// String is where and which: "inbox/incoming (*.csv)".
func (f Folder) String() string {
	text := f.Datastore + "/" + f.Path
	var notes []string
	if f.Recursive {
		notes = append(notes, "with subfolders")
	}
	if len(f.Include) > 0 {
		notes = append(notes, strings.Join(f.Include, ", "))
	}
	if len(f.Exclude) > 0 {
		notes = append(notes, "not "+strings.Join(f.Exclude, ", "))
	}
	if len(notes) > 0 {
		text += " (" + strings.Join(notes, "; ") + ")"
	}
	return text
}

// Uses is what templates of the trigger's runs have, beside what all have.
func (t Trigger) Uses() Uses {
	switch {
	case t.Kind == recur.KindAt:
		return Uses{}
	case t.Watch == nil:
		return Uses{Window: true}
	case len(t.AllOf) > 0:
		return Uses{Change: true, Changes: true, Window: true}
	case t.Mode == ModeBatch:
		return Uses{Changes: true, Window: true}
	}
	return Uses{Change: true, Changes: true}
}

// Zone is the zone in which a schedule's times are shown: its trigger's.
func (t Trigger) Zone() *time.Location {
	if zone, err := recur.LoadZone(t.TimeZone); err == nil {
		return zone
	}
	return time.UTC
}

// Notices are what people should know of a definition that can be created, beside what its times tell.
func (d Definition) Notices() (out []string) {
	if d.Trigger.Watch == nil {
		return nil
	}
	if lost := d.loses(); lost != "" {
		out = append(out, "overlap is "+string(d.Overlap)+": "+lost)
	}
	return append(out, d.Trigger.Watch.Notices()...)
}

// loses says which changes the overlap policy loses; "" for none.
func (d Definition) loses() string {
	what, gathers := "a file that changes", ", and mode: batch gathers them"
	switch w := d.Trigger.Watch; {
	case len(w.AllOf) > 0:
		what, gathers = "what completes all_of", ""
	case w.Mode == ModeBatch:
		what, gathers = "a batch that is complete", ""
	}
	switch d.Overlap {
	case OverlapSkip:
		if d.Trigger.Mode == ModeBatch { // its window stays open
			return ""
		}
		return what + " while a run is under way starts none; buffer_all keeps up to " + strconv.Itoa(MaxBuffered) + gathers
	case OverlapBufferOne:
		return what + " while another waits for the run that is under way starts none; buffer_all keeps up to " + strconv.Itoa(MaxBuffered)
	case OverlapBufferAll:
		return what + " while " + strconv.Itoa(MaxBuffered) + " others wait for their turn starts none"
	case OverlapCancelRunning:
		return what + " ends the run that is under way, and what that was for is not run again"
	}
	return ""
}

// Notices are what people should know of a trigger that can be created.
func (w *Watch) Notices() (out []string) {
	for i, f := range w.Folders() {
		if f.Path == "" && f.Recursive && len(f.Include) == 0 {
			out = append(out, "every file of datastore "+f.Datastore+" counts, in whatever folder it is: path_on_datastore names a folder")
		}
		for j, g := range w.Folders()[:i] {
			if f.Datastore == g.Datastore && (f.Misses(g.Path+"/x") == "" || g.Misses(f.Path+"/x") == "") {
				out = append(out, "all_of["+strconv.Itoa(j)+"] and all_of["+strconv.Itoa(i)+"] overlap: one file can count for both")
			}
		}
	}
	return out
}
