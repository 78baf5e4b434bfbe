package datastore_test

import (
	"encoding/json"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/shared/schedule"
	"carillon/shared/store"
)

// outcome is where a version of a file stands: in an occurrence, or in the open window.
type outcome struct {
	occurrence string
	revision   int
	reason     schedule.Reason
}

// check finds what must never be, once everything has come to rest.
func (w *simulation) check() {
	found := w.outcomes()
	w.once(found)
	w.whole(found)
	w.orphans()
	w.remembered()
}

func (w *simulation) occurrences() (all []schedule.Occurrence) {
	w.t.Helper()
	for token, first := "", true; first || token != ""; first = false {
		page, next, err := w.db.Occurrences(w.t.Context(), token, 500, func(schedule.Occurrence) bool { return true })
		if err != nil {
			w.t.Fatal(err)
		}
		all, token = append(all, page...), next
	}
	return all
}

// outcomes are all versions of files that stand anywhere, by schedule and version. It checks that occurrences have come
// to their ends, with the runs and the number of changes that they should have.
func (w *simulation) outcomes() map[string]map[string][]outcome {
	found := map[string]map[string][]outcome{}
	add := func(id string, c schedule.Change, x outcome) {
		if found[id] == nil {
			found[id] = map[string][]outcome{}
		}
		key := c.Key() // a record of what did not fire is not the version itself
		found[id][key] = append(found[id][key], x)
	}
	for _, o := range w.occurrences() {
		runs := 1
		if o.Status == schedule.Skipped && o.Reason != "" {
			runs = 0
		}
		if made := w.fake.Submissions(o.ID); made != runs || !o.Status.Final() {
			w.t.Errorf("occurrence %s of %s is %s (%s %s) with %d runs", o.ID, o.Schedule, o.Status, o.Reason, o.Error, made)
		}
		x := outcome{o.ID, o.Revision, o.Reason}
		if !o.Windowed() {
			add(o.ScheduleID(), *o.Change, x)
			continue
		}
		fresh := 0
		for _, c := range changesOf(w.t, w.db, o.ID) {
			if add(o.ScheduleID(), c, x); !c.At.Before(o.Window.Start) {
				fresh++
			}
		}
		if fresh != o.Changes {
			w.t.Errorf("occurrence %s of %s says %d changes and has %d", o.ID, o.Schedule, o.Changes, fresh)
		}
	}
	for name := range w.watching {
		r, err := w.db.Schedule(w.t.Context(), name)
		if err != nil {
			w.t.Fatal(err)
		}
		if !r.Window.Known() {
			continue
		}
		lanes, err := w.db.Lanes(w.t.Context(), r.Schedule.Value.ID)
		if err != nil {
			w.t.Fatal(err)
		}
		open := changesOf(w.t, w.db, r.Window.Value.Occurrence)
		for _, c := range open {
			add(r.Schedule.Value.ID, c, outcome{r.Window.Value.Occurrence, r.Window.Value.Revision, ""})
		}
		n := 0
		for _, lane := range lanes {
			n += lane.Value.Count
		}
		if n != len(open) || !r.Window.Value.Gathers() {
			w.t.Errorf("the open window of %s counts %d changes and has %d", name, n, len(open))
		}
	}
	return found
}

// changesOf are all changes in an occurrence's window.
func changesOf(t *testing.T, db *store.DB, occurrence string) (all []schedule.Change) {
	t.Helper()
	for token, first := "", true; first || token != ""; first = false {
		page, next, err := db.ChangesOf(t.Context(), occurrence, token, 500)
		if err != nil {
			t.Fatal(err)
		}
		all, token = append(all, page...), next
	}
	return all
}

// once: no version stands twice, and none that was there before its schedule began to watch.
func (w *simulation) once(found map[string]map[string][]outcome) {
	for id, versions := range found {
		for key, places := range versions {
			if len(places) > 1 {
				w.t.Errorf("%s: %q stands %d times: %v", id, key, len(places), places)
			}
			name, version, _ := strings.Cut(key, "\x00")
			came, known := w.lake(name).history[version]
			began := w.began(id, places[0].revision)
			if !known && places[0].reason == "" {
				w.t.Errorf("%s: %q fired and never was", id, key)
			}
			if known && came.back.Before(began.Add(-time.Second)) && !w.existing(id, places[0].revision) {
				w.t.Errorf("%s: %q fired; it came at %v, before the baseline at %v", id, key, came.back, began)
			}
		}
	}
}

// began is the baseline that held for a revision of a schedule.
func (w *simulation) began(id string, revision int) (at time.Time) {
	for _, b := range w.baselines[id] {
		if b.revision <= revision {
			at = b.at
		}
	}
	return at
}

// existing reports whether a schedule fires for what was there at its beginning.
func (w *simulation) existing(id string, revision int) bool {
	for _, x := range w.watching {
		if x.schedule.ID == id {
			return x.schedule.Trigger.ProcessExisting && w.began(id, revision).Equal(x.schedule.Created)
		}
	}
	return false
}

func (w *simulation) lake(name string) *lake {
	return w.lakes[slices.IndexFunc(w.lakes, func(l *lake) bool { return l.name == name })]
}

// whole: every version that is there, and came after the baseline, stands somewhere. One that a renaming brought before
// the first look counts as one that was there.
func (w *simulation) whole(found map[string]map[string][]outcome) {
	required := 0
	for name, x := range w.watching {
		s := x.schedule
		if s.Status != schedule.Active {
			continue
		}
		began := w.began(s.ID, s.Revision)
		for _, f := range s.Trigger.Folders() {
			l := w.lake(f.Datastore)
			for _, path := range slices.Sorted(maps.Keys(l.files)) {
				version := path + "\x00" + l.files[path]
				came := l.history[version]
				late := came.at.Before(began.Add(time.Second)) || came.renamed && l.polled && (x.looked.IsZero() || !came.at.After(x.looked))
				if f.Misses(path) != "" || late && !w.existing(s.ID, s.Revision) {
					continue
				}
				required++
				places := found[s.ID][f.Datastore+"\x00"+version]
				if len(places) != 1 || places[0].reason != "" && came.at.Equal(came.back) { // one that was away may be gone, as a record has it
					w.t.Errorf("%s: %q of %s came at %v (renamed %v), baseline %v, and stands in %v", name, version, l.name, came.at, came.renamed, began, places)
				}
			}
		}
	}
	if required < 20 {
		w.t.Errorf("only %d versions were to fire", required)
	}
}

// orphans: rows that belong to nothing.
func (w *simulation) orphans() {
	stands, open, occurrences, ran := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for name, x := range w.watching {
		r, err := w.db.Schedule(w.t.Context(), name)
		if err != nil {
			w.t.Fatal(err)
		}
		stands[name], stands[x.schedule.ID] = true, true
		open[r.Window.Value.Occurrence] = true
		if last := r.State.Value.Ran; last != nil {
			ran[last.Occurrence] = true
		}
	}
	for _, o := range w.occurrences() {
		occurrences[o.ID] = true
	}
	for _, row := range rowsOf(w.t, w.rows, "") {
		part := strings.Split(row.Sort, "|")
		var owned bool
		switch part[0] {
		case "chg", "old":
			owned = occurrences[part[1]] || open[part[1]]
		case "lane":
			owned = open[part[1]]
		case "once":
			owned = occurrences[string(row.Value)] || open[string(row.Value)]
		case "sch", "see", "rev":
			owned = stands[part[1]]
		case "path":
			var seen schedule.Seen
			owned = json.Unmarshal(row.Value, &seen) == nil && (stands[part[1]] || occurrences[seen.Occurrence])
		case "wake":
			owned = stands[part[3]]
		case "ran":
			owned = ran[part[3]]
			delete(ran, part[3]) // one row of each
		case "occ", "log", "watch", "aud", "aus":
			owned = true
		}
		if !owned {
			w.t.Errorf("row %s belongs to nothing", row.Sort)
		}
	}
	if len(ran) > 0 {
		w.t.Errorf("no row tells that these ran last: %v", ran)
	}
}

// remembered: another look at everything finds nothing new, and changes nothing of what is remembered.
func (w *simulation) remembered() {
	occurrences, pages := len(w.occurrences()), map[string]store.Version{}
	for _, row := range rowsOf(w.t, w.rows, "see|") {
		pages[row.Sort] = row.Version
	}
	for range 40 {
		time.Sleep(15 * time.Second)
		w.tick(true)
	}
	w.running.Wait()
	for name, x := range w.watching {
		r, err := w.db.Schedule(w.t.Context(), name)
		polled := x.schedule.Status == schedule.Active && slices.ContainsFunc(x.schedule.Trigger.Folders(), func(f schedule.Folder) bool { return w.lake(f.Datastore).polled })
		if p := r.Poll.Value; err != nil || p.Problem != "" || polled && time.Since(p.Looked) > 6*time.Minute {
			w.t.Errorf("%s: the last look was at %v, %s %v", name, p.Looked, p.Problem, err)
		}
	}
	if n := len(w.occurrences()); n != occurrences {
		w.t.Errorf("looking again makes %d occurrences", n-occurrences)
	}
	for _, row := range rowsOf(w.t, w.rows, "see|") {
		if pages[row.Sort] != row.Version {
			w.t.Errorf("looking again writes %s", row.Sort)
		}
	}
}
