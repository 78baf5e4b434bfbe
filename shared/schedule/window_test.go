package schedule

import (
	"testing"
	"time"
)

func TestOpens(t *testing.T) {
	for _, row := range []struct {
		name  string
		watch Watch
		wake  string
		lanes int
	}{
		{"a window of the default length", Watch{Mode: ModeBatch}, "10:05:07", Lanes},
		{"one of two minutes", Watch{Mode: ModeBatch, PollingInterval: 2}, "10:02:07", Lanes},
		{"a quiet period", Watch{Mode: ModeBatch, QuietPeriod: Duration(20 * time.Second)}, "10:00:27", Lanes},
		{"a quiet period, and at most that", Watch{Mode: ModeBatch, QuietPeriod: Duration(20 * time.Second), MaxWait: Duration(20 * time.Second)}, "10:00:27", Lanes},
		{"all_of", Watch{AllOf: []Folder{{Datastore: "a"}, {Datastore: "b"}}}, "", 1},
	} {
		w := watched(row.watch).Opens("x", at("10:00:07").Add(900*time.Millisecond))
		if !w.Opened.Equal(at("10:00:07")) || w.Baseline != 1 || w.Revision != 1 || w.Schedule != "s" || w.LanesOf() != row.lanes || w.Gathers() != (row.lanes == 1) {
			t.Errorf("%s: %+v", row.name, w)
		}
		if row.wake == "" && w.Wake.IsZero() {
			continue
		}
		if row.wake == "" || !w.Wake.Equal(at(row.wake)) {
			t.Errorf("%s: the clock looks at %v, want %s", row.name, w.Wake, row.wake)
		}
	}
	s := watched(Watch{Mode: ModeBatch})
	if a, b := s.Opens("a", at("10:00:00")), s.Opens("b", at("10:00:00")); a.Occurrence == b.Occurrence {
		t.Error("two windows of one second have one name")
	}
}

func TestCloses(t *testing.T) {
	fixed := watched(Watch{Mode: ModeBatch, PollingInterval: 2}).Opens("x", at("10:00:00"))
	quiet := watched(Watch{Mode: ModeBatch, QuietPeriod: Duration(30 * time.Second), MaxWait: Duration(2 * time.Minute)}).Opens("x", at("10:00:00"))
	half := 500 * time.Millisecond
	for _, row := range []struct {
		name string
		w    Window
		last time.Time
		want string
	}{
		{"whatever comes", fixed, at("10:01:59"), "10:02:00"},
		{"also late", fixed, at("10:05:00"), "10:02:00"},
		{"after the last", quiet, at("10:00:10"), "10:00:40"},
		{"after the last, in whole seconds", quiet, at("10:00:10").Add(half), "10:00:41"},
		{"at the latest", quiet, at("10:01:45"), "10:02:00"},
		{"at the latest, and not a moment later", quiet, at("10:01:29").Add(half), "10:02:00"},
	} {
		if got := row.w.Closes(Lane{Last: row.last}); !got.Equal(at(row.want)) {
			t.Errorf("%s: %v, want %s", row.name, got, row.want)
		}
	}
	for _, row := range []struct {
		w     Window
		clock string
		want  bool
	}{
		{fixed, "10:01:59", false}, {fixed, "10:02:00", true}, {quiet, "10:01:59", false}, {quiet, "10:02:00", true},
		{watched(Watch{AllOf: []Folder{{}, {}}}).Opens("x", at("10:00:00")), "23:00:00", false},
	} {
		if got := row.w.Over(at(row.clock)); got != row.want {
			t.Errorf("%+v at %s: over is %v", row.w, row.clock, got)
		}
	}
}

func TestHolds(t *testing.T) {
	w := watched(Watch{Mode: ModeBatch}).Opens("x", at("10:00:07"))
	early := Change{Path: "a", At: at("10:00:06")}
	if got := w.Holds(early, at("10:00:09")); !got.At.Equal(at("10:00:09")) || got.Path != "a" {
		t.Errorf("%+v", got)
	}
	if got := w.Holds(early, at("10:00:05")); !got.At.Equal(w.Opened) {
		t.Errorf("on a clock that is behind: %+v", got)
	}
}

func TestCounted(t *testing.T) {
	c := func(clock string, part int) Change { return Change{At: at(clock), Part: part} }
	l := Lane{}.Counted(c("10:00:02", 0), 1, 0).Counted(c("10:00:01", 0), 1, 0).Counted(c("10:00:03", 0), 0, 0)
	if l.Count != 2 || !l.Last.Equal(at("10:00:03")) || l.Parts != nil {
		t.Errorf("%+v", l)
	}
	one := Lane{}.Counted(c("10:00:05", 2), 1, 3)
	two := one.Counted(c("10:00:04", 2), 1, 3).Counted(c("10:00:06", 0), 1, 3)
	if len(two.Parts) != 3 || !two.Parts[2].Equal(at("10:00:05")) || !two.Parts[1].IsZero() || !two.Parts[0].Equal(at("10:00:06")) || two.Count != 3 {
		t.Errorf("%+v", two)
	}
	if !one.Parts[0].IsZero() {
		t.Error("counting on changes what was counted")
	}
	if sum := Sum([]Lane{l, two, {}}); sum.Count != 5 || !sum.Last.Equal(at("10:00:06")) {
		t.Errorf("the sum is %+v", sum)
	}
}

func TestComplete(t *testing.T) {
	w := &Watch{AllOf: []Folder{{Datastore: "a"}, {Datastore: "b"}}}
	limited := &Watch{AllOf: w.AllOf, Within: Duration(time.Minute)}
	lane := func(clocks ...string) (l Lane) {
		for i, clock := range clocks {
			if clock != "" {
				l = l.Counted(Change{At: at(clock), Part: i}, 1, 2)
			}
		}
		return l
	}
	for _, row := range []struct {
		w    *Watch
		l    Lane
		now  string
		want bool
	}{
		{w, Lane{}, "10:00:00", false},
		{w, lane("10:00:00"), "10:00:00", false},
		{w, lane("", "10:00:00"), "10:00:00", false},
		{w, lane("10:00:00", "10:00:00"), "10:00:00", true},
		{w, lane("01:00:00", "10:00:00"), "10:00:00", true},
		{limited, lane("09:59:00", "10:00:00"), "10:00:00", true},
		{limited, lane("09:58:59", "10:00:00"), "10:00:00", false},
		{limited, lane("10:00:00", "09:58:59"), "10:00:00", false},
	} {
		if got := row.w.Complete(row.l, at(row.now)); got != row.want {
			t.Errorf("%+v at %s within %v: %v", row.l.Parts, row.now, row.w.Within, got)
		}
	}
	for recorded, want := range map[string]bool{"09:58:59": true, "09:59:00": false, "10:00:00": false, "10:00:01": false} {
		if got := limited.Stale(at(recorded), at("10:00:00")); got != want {
			t.Errorf("%s is stale: %v", recorded, got)
		}
		if w.Stale(at(recorded), at("10:00:00")) {
			t.Errorf("%s is stale without within", recorded)
		}
	}
}

func TestClosed(t *testing.T) {
	w := watched(Watch{Mode: ModeBatch, PollingInterval: 2}).Opens("x", at("10:00:00"))
	for _, row := range []struct{ name, last, now, nominal string }{
		{"in time", "10:01:00", "10:02:00", "10:02:00"},
		{"late", "10:01:00", "10:07:30", "10:02:00"},
		{"late, and a change came in after its time", "10:03:00", "10:07:30", "10:03:00"},
		{"early, as the schedule watches something else now", "10:00:30", "10:01:00", "10:01:00"},
	} {
		o := w.Closed(Lane{Count: 3, Last: at(row.last)}, at(row.now))
		if !o.Nominal.Equal(at(row.nominal)) || !o.Window.End.Equal(o.Nominal) || !o.Window.Start.Equal(w.Opened) || o.Changes != 3 || o.ID != w.Occurrence || !o.Windowed() || o.Status != Waiting || o.Kind != Changed {
			t.Errorf("%s: %+v, want nominal %s", row.name, o, row.nominal)
		}
	}
	if o := w.Abandoned(Lane{Count: 3, Last: at("10:00:30")}, at("10:01:00")); o.Status != Skipped || o.Reason != ReasonDeleted || o.Changes != 3 || !o.Wake.IsZero() {
		t.Errorf("abandoned: %+v", o)
	}
}

func TestCompleted(t *testing.T) {
	for within, start := range map[time.Duration]string{0: "10:00:00", time.Hour: "10:00:00", time.Minute: "10:04:00"} {
		s := watched(Watch{AllOf: []Folder{{Datastore: "a"}, {Datastore: "b"}}, Within: Duration(within)})
		w := s.Opens("x", at("10:00:00"))
		c := Change{Datastore: "b", Path: "y", ETag: "1", Part: 1}
		o := w.Completed(s, c, Lane{Count: 4}, at("10:05:00"))
		if o.ID != w.Occurrence || o.Change.Path != "y" || o.Changes != 4 || !o.Window.Start.Equal(at(start)) || !o.Window.End.Equal(at("10:05:00")) || !o.Windowed() {
			t.Errorf("within %v: %+v, window %+v", within, o, o.Window)
		}
	}
}
