package schedule

import (
	"encoding/hex"
	"fmt"
	"hash/fnv"
	"slices"
	"time"
)

// Change is one version of one file. Its first three fields are its identity: the same change never fires the same
// schedule twice, whatever delivers it, and however often.
type Change struct {
	Datastore string    `json:"datastore"`
	Path      string    `json:"path"`           // from the datastore's root
	ETag      string    `json:"etag"`           // without quotes
	Modified  time.Time `json:"modified"`       // as the datastore says; a rename may keep it
	At        time.Time `json:"at"`             // when Carillon recorded it
	Part      int       `json:"part,omitempty"` // which folder of all_of it is in, the first of several
	As        string    `json:"as,omitempty"`   // a record of what did not fire is not the change itself: it may fire later
}

// Told is what a delivery says of a change, as far as it does. What the file is like now is asked for.
type Told struct {
	At   time.Time // when it happened; zero when the delivery does not say
	ETag string    // the version that it is about
	Size int64     // of the version that was found

	// Listed says that the change was found by comparing listings: it is one, whatever its time.
	Listed bool
}

// Seen is what is remembered of a file for one schedule: the newest version that came to it, and what became of that.
type Seen struct {
	Change
	Result     Result `json:"result"`
	Occurrence string `json:"occurrence,omitempty"` // that it fired, or will
	Row        string `json:"row,omitempty"`        // of a window's list: where it stands
}

// Result is what has become of a change.
type Result string

const (
	Fired Result = "fired" // it made an occurrence
	Held  Result = "held"  // it waits in a window, or for other folders of all_of
)

// Verdict is what a change means for a schedule.
type Verdict string

const (
	Fires     Verdict = "fires"
	Duplicate Verdict = "duplicate" // this version has come before
	Before    Verdict = "baseline"  // it happened before the schedule began to watch
	Inactive  Verdict = "disabled"  // the schedule is disabled
	Elsewhere Verdict = "elsewhere" // the schedule does not watch the file
)

// Arrives decides what a change means for the schedule: c is the file as it is now, seen what is remembered of it (nil
// for nothing). Where seen was read before the file was asked for, and the store takes what becomes of it only
// while seen is unchanged, no older version ever comes after a newer one.
func (s Schedule) Arrives(c Change, told Told, seen *Seen) (v Verdict, part int) {
	part = s.part(c)
	switch {
	case part < 0:
		return Elsewhere, 0
	case s.Status != Active:
		return Inactive, part
	case seen != nil && seen.ETag == c.ETag:
		return Duplicate, part
	case !told.Listed && s.existed(c, told):
		return Before, part
	}
	return Fires, part
}

// existed reports whether a change is no later than the baseline, by the file's time and by that of the delivery (a
// renamed file keeps its own). A time without a fraction has been cut to the second: then a change in the very second of
// the baseline counts as later.
func (s Schedule) existed(c Change, told Told) bool {
	at := later(c.Modified, told.At)
	if at.Nanosecond() == 0 {
		return at.Before(s.Baseline.Truncate(time.Second))
	}
	return !at.After(s.Baseline) && !s.maybeAfter(c.Modified)
}

// fileTick is how far the clock of a file system may be behind: Linux takes the time of its last tick, which is a hundredth
// of a second long at most, and may come late. What seems to be that much older than the baseline may have come after it.
const fileTick = 20 * time.Millisecond

// maybeAfter reports whether a file's time is before the baseline only because the file system's clock may be behind.
func (s Schedule) maybeAfter(modified time.Time) bool {
	return modified.Nanosecond() != 0 && modified.After(s.Baseline.Add(-fileTick))
}

// Newer reports whether a file that a first listing finds has certainly been changed since the baseline: not where its
// time is cut to the second, and is the baseline's.
func (s Schedule) Newer(modified time.Time) bool {
	return modified.After(s.Baseline) || s.maybeAfter(modified) || s.ProcessesExisting()
}

// ProcessesExisting reports whether what is there at the baseline fires: it is that of the creation, and the
// definition asks for it.
func (s Schedule) ProcessesExisting() bool {
	return s.Trigger.Watch != nil && s.Trigger.ProcessExisting && s.BaselineRevision == 1 && s.DisabledRevision == 0
}

// part is which folder of the trigger a change counts for; -1 for none.
func (s Schedule) part(c Change) int {
	return slices.IndexFunc(s.Trigger.Watch.Folders(), func(f Folder) bool {
		return f.Datastore == c.Datastore && f.Misses(c.Path) == ""
	})
}

// Parts are the folders of the trigger that a change counts for.
func (s Schedule) Parts(c Change) (parts []int) {
	for i, f := range s.Trigger.Watch.Folders() {
		if f.Datastore == c.Datastore && f.Misses(c.Path) == "" {
			parts = append(parts, i)
		}
	}
	return parts
}

// Occurs is the occurrence that a change makes in mode each, and of the folder that was missing of all_of.
func (s Schedule) Occurs(c Change, now time.Time) Occurrence {
	at := now.UTC().Truncate(time.Second)
	return Occurrence{
		ID: OccurrenceID(s.ID, at, "c"+fraction(now)+c.hash()), Schedule: s.Name, Kind: Changed, Revision: s.Revision,
		Nominal: at, Start: at, Recorded: now.UTC(), Status: Waiting, Wake: wakeFor(at, now), Change: &c, Changes: 1,
	}
}

// fraction is the part of a second in microseconds: those of one second sort as they came.
func fraction(at time.Time) string { return fmt.Sprintf("%06d", at.Nanosecond()/1000) }

// Superseded is the record of a version that was replaced before anybody could look at it; Gone that of a file that
// was deleted.
func (s Schedule) Superseded(c Change, now time.Time) Occurrence {
	return s.Occurs(c, now).Skip(ReasonSuperseded, now.UTC())
}

// Gone is the record of a change whose file was deleted before anybody could look at it.
func (s Schedule) Gone(c Change, now time.Time) Occurrence {
	c.As = string(ReasonGone)
	return s.Occurs(c, now).Skip(ReasonGone, now.UTC())
}

// Unreadable is the record of a change that was given up, because its file could not be looked at.
func (s Schedule) Unreadable(c Change, err error, now time.Time) Occurrence {
	c.As = string(ReasonUnreadable)
	o := s.Occurs(c, now).Skip(ReasonUnreadable, now.UTC())
	o.Error = clip(err.Error())
	return o
}

// Key tells a change from all others of its schedule.
func (c Change) Key() string {
	key := c.Datastore + "\x00" + c.Path + "\x00" + c.ETag
	if c.As != "" {
		key += "\x00" + c.As
	}
	return key
}

func (c Change) hash() string {
	h := fnv.New64a()
	h.Write([]byte(c.Key()))
	return hex.EncodeToString(h.Sum(nil))
}
