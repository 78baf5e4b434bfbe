package schedule

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestArrives(t *testing.T) {
	s := watched(Watch{Folder: Folder{Datastore: "d", Path: "in", Include: []string{"*.csv"}}})
	s.Baseline = at("10:00:00").Add(300 * time.Millisecond)
	off := s
	off.Status = Disabled
	two := watched(Watch{AllOf: []Folder{{Datastore: "d", Path: "a"}, {Datastore: "e", Path: "in"}, {Datastore: "d", Path: "in"}}})
	c := func(path, etag, modified string) Change {
		return Change{Datastore: "d", Path: path, ETag: etag, Modified: at(modified)}
	}
	after := c("in/a.csv", "2", "10:00:05")
	for _, row := range []struct {
		name string
		s    Schedule
		c    Change
		told Told
		seen *Seen
		want Verdict
		part int
	}{
		{"new", s, after, Told{}, nil, Fires, 0},
		{"a newer version", s, after, Told{}, &Seen{Change: c("in/a.csv", "1", "10:00:01")}, Fires, 0},
		{"the same version", s, after, Told{}, &Seen{Change: after}, Duplicate, 0},
		{"the same version, by a listing", s, after, Told{Listed: true}, &Seen{Change: after}, Duplicate, 0},
		{"before the baseline", s, c("in/a.csv", "1", "09:59:59"), Told{}, nil, Before, 0},
		{"before, and told so", s, c("in/a.csv", "1", "09:59:59"), Told{At: at("09:59:59")}, nil, Before, 0},
		{"before, and told to the fraction", s, c("in/a.csv", "1", "10:00:00"), Told{At: at("10:00:00").Add(200 * time.Millisecond)}, nil, Before, 0},
		{"at the baseline, to the fraction", s, c("in/a.csv", "1", "10:00:00"), Told{At: s.Baseline}, nil, Before, 0},
		{"after it, to the fraction", s, c("in/a.csv", "1", "10:00:00"), Told{At: s.Baseline.Add(1)}, nil, Fires, 0},
		{"by a clock that is a tick behind", s, Change{Datastore: "d", Path: "in/a.csv", ETag: "1", Modified: s.Baseline.Add(-10 * time.Millisecond)}, Told{}, nil, Fires, 0},
		{"by a clock that cannot be so far behind", s, Change{Datastore: "d", Path: "in/a.csv", ETag: "1", Modified: s.Baseline.Add(-20 * time.Millisecond)}, Told{}, nil, Before, 0},
		{"in the second of the baseline", s, c("in/a.csv", "1", "10:00:00"), Told{}, nil, Fires, 0},
		{"in that second, and told to the second", s, c("in/a.csv", "1", "10:00:00"), Told{At: at("10:00:00")}, nil, Fires, 0},
		{"renamed after it, with its old time", s, c("in/a.csv", "1", "08:00:00"), Told{At: at("10:00:01")}, nil, Fires, 0},
		{"edited after it, told of an older version", s, after, Told{At: at("08:00:00")}, nil, Fires, 0},
		{"before, by a listing that differs", s, c("in/a.csv", "1", "08:00:00"), Told{Listed: true}, nil, Fires, 0},
		{"disabled", off, after, Told{}, nil, Inactive, 0},
		{"another folder", s, c("out/a.csv", "1", "10:00:05"), Told{}, nil, Elsewhere, 0},
		{"a filter", s, c("in/a.txt", "1", "10:00:05"), Told{Listed: true}, nil, Elsewhere, 0},
		{"another datastore", s, Change{Datastore: "e", Path: "in/a.csv", ETag: "1", Modified: at("10:00:05")}, Told{}, nil, Elsewhere, 0},
		{"no trigger of data", every(5), after, Told{}, nil, Elsewhere, 0},
		{"the first of all_of", two, c("a/x", "1", "10:00:05"), Told{}, nil, Fires, 0},
		{"the second of all_of", two, Change{Datastore: "e", Path: "in/x", Modified: at("10:00:05")}, Told{}, nil, Fires, 1},
		{"the third of all_of", two, c("in/x", "1", "10:00:05"), Told{}, nil, Fires, 2},
		{"none of all_of", two, c("b/x", "1", "10:00:05"), Told{}, nil, Elsewhere, 0},
	} {
		if got, part := row.s.Arrives(row.c, row.told, row.seen); got != row.want || part != row.part {
			t.Errorf("%s: %s in folder %d, want %s in %d", row.name, got, part, row.want, row.part)
		}
	}
}

func TestNewer(t *testing.T) {
	s := watched(Watch{Folder: Folder{Datastore: "d"}})
	for clock, want := range map[string]bool{"09:59:59": false, "10:00:00": false, "10:00:01": true} { // in the very second: it was there
		if got := s.Newer(at(clock)); got != want {
			t.Errorf("%s: %v", clock, got)
		}
	}
	if !s.Newer(s.Baseline.Add(-10*time.Millisecond)) || s.Newer(s.Baseline.Add(-20*time.Millisecond)) {
		t.Error("the file system's clock may be a tick behind, and no more")
	}
	if s = watched(Watch{Folder: Folder{Datastore: "d"}, ProcessExisting: true}); !s.Newer(at("01:00:00")) {
		t.Error("process_existing does not take what is there")
	}
}

func TestOccurs(t *testing.T) {
	s := watched(Watch{Folder: Folder{Datastore: "d"}})
	c := Change{Datastore: "d", Path: "in/a b.csv", ETag: "0x1", Modified: at("10:00:05")}
	now := at("10:00:07").Add(400 * time.Millisecond)
	o := s.Occurs(c, now)
	if o.Kind != Changed || o.Status != Waiting || !o.Nominal.Equal(at("10:00:07")) || !o.Start.Equal(o.Nominal) || !o.Recorded.Equal(now) || o.Changes != 1 || *o.Change != c {
		t.Errorf("%+v", o)
	}
	if o.ScheduleID() != s.ID || o.Windowed() || o.Wake.Before(now.Add(Resend)) {
		t.Errorf("id %s, wake %v", o.ID, o.Wake)
	}
	ids := map[string]string{o.ID: "itself"}
	for what, other := range map[string]Change{
		"another path":      {Datastore: "d", Path: "in/b", ETag: "0x1"},
		"another version":   {Datastore: "d", Path: "in/a b.csv", ETag: "0x2"},
		"another datastore": {Datastore: "e", Path: "in/a b.csv", ETag: "0x1"},
		"parts that shift":  {Datastore: "d", Path: "in/a b.csv0", ETag: "x1"},
	} {
		id := s.Occurs(other, now).ID
		if _, _, _, err := ParseOccurrenceID(id); err != nil || ids[id] != "" {
			t.Errorf("%s: %s is that of %s, %v", what, id, ids[id], err)
		}
		ids[id] = what
	}
	for reason, o := range map[Reason]Occurrence{
		ReasonSuperseded: s.Superseded(c, now), ReasonGone: s.Gone(c, now), ReasonUnreadable: s.Unreadable(c, errors.New(strings.Repeat("x", 1<<20)), now),
	} {
		if o.Status != Skipped || o.Reason != reason || !o.Wake.IsZero() || o.Change.Path != c.Path || o.Change.ETag != c.ETag || len(o.Error) > 2*maxError {
			t.Errorf("%s: %s %+v, %d bytes of error", reason, o.Status, o.Change, len(o.Error))
		}
		if _, of := ids[o.ID]; of != (reason == ReasonSuperseded) { // a file that was gone may come back, and fire
			t.Errorf("%s: has it the id of the change itself? %v", reason, of)
		}
	}
}

// What templates and the run get of a change.
func TestValuesOfAChange(t *testing.T) {
	s := watched(Watch{Folder: Folder{Datastore: "d", Path: "in"}, DataPathParameter: "p"})
	c := Change{Datastore: "d", Path: "in/a", ETag: "1"}
	o := s.Occurs(c, at("10:05:00"))
	if v := o.Values(time.UTC); v.Change != c || len(v.Changes) != 1 || !v.Window.Start.IsZero() {
		t.Errorf("values %+v", v)
	}
	if p := o.Prepared(s.Definition).DataPath; p == nil || *p != (DataPath{"p", "d", "in/a", false}) {
		t.Errorf("data path %+v", p)
	}
	w := watched(Watch{Folder: Folder{Datastore: "d", Path: "in"}, DataPathParameter: "p", Mode: ModeBatch})
	b := w.Opens("x", at("10:05:00")).Closed(Lane{Count: 2, Last: at("10:05:00")}, at("10:10:00"))
	if p := b.Prepared(w.Definition).DataPath; p == nil || *p != (DataPath{"p", "d", "in", true}) {
		t.Errorf("data path of a batch %+v", p)
	}
	o.Parameters = Parameters{"p": "mine"}
	if p := o.Prepared(s.Definition).DataPath; p != nil {
		t.Errorf("data path in the place of what was given for the run: %+v", p)
	}
}

func TestPollStates(t *testing.T) {
	now := at("10:00:00").Add(300 * time.Millisecond)
	p := Poll{Generation: 4, Pages: 3, Baseline: 1, Problem: "it was broken"}.Watched(now)
	if p.Pass == nil || !p.Pass.First || p.Problem != "" || !p.Wake.Equal(at("10:00:01")) || !p.Next.IsZero() || p.Generation != 4 || p.Pages != 3 {
		t.Errorf("watched: %+v", p)
	}
	b := p.Begun(false, now)
	if !b.Pass.First || !b.Wake.Equal(at("10:05:01")) || !b.Next.Equal(b.Wake) {
		t.Errorf("begun: %+v", b)
	}
	i := b.Interrupted(Pass{Folder: 1, Token: "x", Page: 7, First: true}, now)
	if i.Pass.Page != 7 || !i.Wake.Equal(at("10:00:01")) || i.Begun(false, now).Pass.Token != "x" {
		t.Errorf("interrupted: %+v", i)
	}
	f := i.Failed(errors.New("no"), Pass{First: true}, at("10:05:00"), now)
	if *f.Pass != (Pass{First: true}) || f.Problem != "no" || !f.Since.Equal(now) || !f.Wake.Equal(at("10:05:00")) {
		t.Errorf("failed: %+v", f)
	}
	if again := f.Failed(errors.New("still no"), *f.Pass, at("10:10:00"), at("10:05:00")); again.Problem != "still no" || !again.Since.Equal(now) {
		t.Errorf("failed again: %+v", again)
	}
	d := f.Done(2, 5, 9, at("10:05:00"), now)
	if d.Pass != nil || d.Problem != "" || d.Baseline != 2 || d.Generation != 5 || d.Pages != 9 || !d.Looked.Equal(now) || !d.Next.Equal(at("10:05:00")) {
		t.Errorf("done: %+v", d)
	}
	if next := d.Begun(false, now); next.Pass == nil || next.Pass.First {
		t.Errorf("begun again: %+v", next)
	}
	if r := f.Rests(); !r.Wake.IsZero() || !r.Next.IsZero() || r.Problem != "" || r.Pass != nil || r.Generation != 4 {
		t.Errorf("rests: %+v", r)
	}
}
