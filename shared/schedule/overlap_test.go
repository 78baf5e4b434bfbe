package schedule

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// idAt names an occurrence by minutes after ten: "7" is the regular one of 10:07, "7m" one that was asked for then, "7b" one
// that was backfilled, "7c" and "7w" those of a change and of a window.
func idAt(name string) string {
	minute := strings.TrimRight(name, "mbcw")
	distinct := name[len(minute):]
	if distinct != "" {
		distinct += "1"
	}
	n, _ := strconv.Atoi(minute)
	return OccurrenceID("0abc", at("10:00:00").Add(time.Duration(n)*time.Minute), distinct)
}

func idsAt(names string) (ids []string) {
	for _, name := range strings.Fields(names) {
		ids = append(ids, idAt(name))
	}
	return ids
}

// turnText writes a turn as the table below does.
func turnText(t Turn) string {
	var parts []string
	add := func(word string, ids ...string) {
		for _, id := range ids {
			_, when, distinct, _ := ParseOccurrenceID(id)
			word += fmt.Sprintf(" %.0f%s", when.Sub(at("10:00:00")).Minutes(), strings.TrimSuffix(distinct, "1"))
		}
		parts = append(parts, word)
	}
	switch {
	case t.Start:
		add("start")
	case t.Buffer:
		add("buffer")
	default:
		add("skipped")
	}
	if t.First != "" {
		add("first", t.First)
	}
	if len(t.Skip) > 0 {
		add("skip", t.Skip...)
	}
	if len(t.Cancel) > 0 {
		add("cancel", t.Cancel...)
	}
	return strings.Join(parts, ", ")
}

func TestTurn(t *testing.T) {
	full := make([]string, MaxBuffered)
	for i := range full {
		full[i] = fmt.Sprint(100 + i)
	}
	hundred := strings.Join(full, " ")
	all := []Overlap{"", OverlapAllow, OverlapSkip, OverlapBufferOne, OverlapBufferAll, OverlapCancelRunning}
	for _, row := range []struct {
		name     string
		policies []Overlap
		asks     string // "+" behind it: it waits already
		underWay string
		buffered string
		want     string
	}{
		{"alone", all, "105", "", "", "start"},
		{"asked for", all, "105m", "104", "103 106", "start"},

		{"the default", all[:2], "105", "104", "", "start"},
		{"buffered under another policy", all[:2], "105+", "104", "103 106", "start"},

		{"another is under way", all[2:3], "105", "104", "", "skipped"},
		{"one that was asked for is under way", all[2:3], "105", "104m", "", "skipped"},
		{"a backfilled one is under way", all[2:3], "105", "104b", "", "skipped"},
		{"buffered under another policy, skip", all[2:3], "105+", "104", "103", "skipped"},
		{"one of a batch loses no changes", all[2:3], "105w", "104", "", "buffer"},
		{"nor does a second", all[2:3], "105w", "104", "103w", "buffer"},
		{"a batch, when nothing is under way", all[2:3], "105w+", "", "103w", "buffer, first 103w"},
		{"of one changed file they are lost", all[2:3], "105c", "104", "", "skipped"},

		{"the first waits", all[3:4], "105", "104", "", "buffer"},
		{"it goes on waiting", all[3:4], "105+", "104", "", "buffer"},
		{"the next does not", all[3:4], "106", "104", "105", "skipped"},
		{"an earlier one, late, takes the place", all[3:4], "105", "104", "106", "buffer, skip 106"},
		{"several from another policy: the earliest", all[3:4], "105+", "104", "106 107", "buffer, skip 106 107"},
		{"several from another policy: the others", all[3:4], "106+", "104", "105 107", "skipped"},
		{"its turn", all[3:4], "105+", "", "", "start"},
		{"its turn, before others", all[3:4], "105+", "", "106", "start"},
		{"one that comes before the first has started", all[3:4], "106", "", "105", "buffer, first 105"},
		{"another one", all[3:4], "107", "", "105 106", "skipped, first 105"},
		{"that one, when the clock brings it", all[3:4], "106+", "", "105", "buffer, first 105"},
		{"while something else has started", all[3:4], "106+", "110m", "105", "skipped"},

		{"the first of many", all[4:5], "105", "104", "", "buffer"},
		{"the next", all[4:5], "106", "104", "105", "buffer"},
		{"one that is late", all[4:5], "103", "104", "105 106", "buffer"},
		{"in order", all[4:5], "106+", "", "105 107", "buffer, first 105"},
		{"a new one, in order", all[4:5], "108", "", "107 105", "buffer, first 105"},
		{"its turn, in order", all[4:5], "105+", "", "106 107", "start"},
		{"one too many", all[4:5], "205", "99", hundred, "skipped"},
		{"one too many, when nothing is under way", all[4:5], "205", "", hundred, "buffer, first 100"},
		{"two too many", all[4:5], "206", "", hundred + " 205", "skipped, first 100"},
		{"an earlier one, too many", all[4:5], "98", "97", hundred, "buffer, skip 199"},
		{"the last place is kept", all[4:5], "205+", "99", strings.Join(full[1:], " "), "buffer"},

		{"the newest cancels", all[5:], "105", "104", "", "buffer, cancel 104"},
		{"all that are under way", all[5:], "105", "101 103m 104", "", "buffer, cancel 101 103m 104"},
		{"and again", all[5:], "105+", "104", "", "buffer, cancel 104"},
		{"one that was asked for, and later", all[5:], "105", "106m", "", "buffer, cancel 106m"},
		{"those of a backfill are waited for", all[5:], "105", "103b 104m", "", "buffer, cancel 104m"},
		{"and only those", all[5:], "105", "103b", "104", "buffer, skip 104"},
		{"what waits gives way", all[5:], "105", "102", "103 104", "buffer, skip 103 104, cancel 102"},
		{"a newer one waits", all[5:], "105", "102", "106", "skipped"},
		{"a newer one waits, and this one did", all[5:], "105+", "102", "106", "skipped"},
		{"a newer one is under way", all[5:], "105", "106", "", "skipped"},
		{"and this one waited", all[5:], "105+", "101m 106", "103", "skipped"},
		{"a newer one is free to start", all[5:], "105+", "", "103 106", "skipped, first 106"},
		{"its turn, of the newest", all[5:], "105+", "", "102 103", "start, skip 102 103"},
		{"changes of one second", all[5:], "105w", "105c", "", "buffer, cancel 105c"},
	} {
		for _, p := range row.policies {
			o := occurrenceNamed(row.asks)
			others := Others{UnderWay: idsAt(row.underWay), Buffered: idsAt(row.buffered)}
			if got := turnText(p.Turn(o, others)); got != row.want {
				t.Errorf("%s (%s): %s, want %s", row.name, p, got, row.want)
			}
			for _, keeps := range []Occurrence{{Attempts: 1}, {Attempts: 1, Tried: true}} {
				o.Attempts, o.Tried = keeps.Attempts, keeps.Tried
				if got := turnText(p.Turn(o, others)); got != "start" {
					t.Errorf("%s (%s): one that was claimed before: %s", row.name, p, got)
				}
			}
		}
	}
}

func occurrenceNamed(name string) Occurrence {
	name, waits := strings.CutSuffix(name, "+")
	o := Occurrence{ID: idAt(name), Kind: Scheduled, Status: Waiting, Buffered: waits}
	switch name[len(name)-1] {
	case 'm':
		o.Kind = Manual
	case 'c':
		o.Kind, o.Change = Changed, &Change{}
	case 'w':
		o.Kind = Changed
	}
	return o
}

// Whatever order occurrences ask in, and however often: one is under way at a time, and what the policy promises comes true.
func TestTurnsInAnyOrder(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 3))
		policy := []Overlap{OverlapSkip, OverlapBufferOne, OverlapBufferAll, OverlapCancelRunning}[seed%4]
		const n = 12
		var running int // 0 for none, else its number
		waiting := map[int]bool{}
		state := map[int]string{}
		others := func(me int) (o Others) {
			if running > 0 && running != me {
				o.UnderWay = idsAt(fmt.Sprint(100 + running))
			}
			for k := range waiting {
				if k != me {
					o.Buffered = append(o.Buffered, idAt(fmt.Sprint(100+k)))
				}
			}
			return o
		}
		ask := func(k int) {
			o := Occurrence{ID: idAt(fmt.Sprint(100 + k)), Kind: Scheduled, Status: Waiting, Buffered: waiting[k]}
			turn := policy.Turn(o, others(k))
			delete(waiting, k)
			switch {
			case turn.Start && running > 0:
				t.Fatalf("%s, seed %d: %d starts beside %d", policy, seed, k, running)
			case turn.Start:
				running, state[k] = k, "ran"
			case turn.Buffer:
				waiting[k], state[k] = true, "waits"
			default:
				state[k] = "skipped"
			}
			for other := range waiting {
				if slices.Contains(turn.Skip, idAt(fmt.Sprint(100+other))) && random.IntN(2) == 0 { // or a crash comes between
					delete(waiting, other)
					state[other] = "skipped"
				}
			}
		}
		for range 200 {
			switch k := 1 + random.IntN(n); {
			case random.IntN(3) == 0:
				running = 0
			case state[k] == "" || state[k] == "waits":
				ask(k)
			}
			if most := map[Overlap]int{OverlapSkip: 0, OverlapBufferOne: 3, OverlapBufferAll: n, OverlapCancelRunning: n}[policy]; len(waiting) > most {
				t.Fatalf("%s, seed %d: %v wait", policy, seed, waiting)
			}
		}
		for range 2 * n { // the clock brings all that wait, again and again, and what runs ends
			running = 0
			for k := 1; k <= n; k++ {
				if waiting[k] {
					ask(k)
				}
			}
		}
		if len(waiting) > 0 {
			t.Errorf("%s, seed %d: %v wait for ever", policy, seed, waiting)
		}
		if newest := slices.Max(slices.Collect(maps.Keys(state))); policy == OverlapCancelRunning && state[newest] != "ran" {
			t.Errorf("seed %d: the newest, %d, %s", seed, newest, state[newest])
		}
		for k, became := range state {
			if policy == OverlapBufferAll && became != "ran" {
				t.Errorf("seed %d: %d %s, and there was room", seed, k, became)
			}
		}
	}
}

func TestWaits(t *testing.T) {
	o := Occurrence{ID: idAt("105"), Status: Waiting, Start: at("10:05:00"), Wake: at("10:06:00")}
	now := at("10:07:30")
	w := o.Waits()
	if !w.Buffered || !w.Wake.IsZero() || w.Status != Waiting || w.UnderWay() || !w.Releases() {
		t.Errorf("it waits: %+v", w)
	}
	if c := w.Claimed("me", "1", now); c.Buffered || !c.UnderWay() {
		t.Errorf("claimed: %+v", c)
	}
	for _, end := range []Occurrence{w.Skip(ReasonOverlap, now), w.CalledOff("ann", now), w.TooLarge(now)} {
		if end.Buffered || end.UnderWay() || !end.Wake.IsZero() {
			t.Errorf("at its end: %+v", end)
		}
	}
}

func TestUnderWay(t *testing.T) {
	for _, row := range []struct {
		o    Occurrence
		want bool
	}{
		{Occurrence{Status: Waiting}, false},
		{Occurrence{Status: Waiting, Buffered: true}, false},
		{Occurrence{Status: Waiting, Attempts: 1}, true},
		{Occurrence{Status: Waiting, Attempts: 1, Tried: true}, true},
		{Occurrence{Status: Submitting, Attempts: 1}, true},
		{Occurrence{Status: Uncertain, Attempts: 1}, true},
		{Occurrence{Status: Queued, Attempts: 1}, true},
		{Occurrence{Status: Running, Attempts: 2}, true},
		{Occurrence{Status: Completed, Attempts: 1}, false},
		{Occurrence{Status: Lost, Attempts: 1}, false},
		{Occurrence{Status: Skipped, Attempts: 1}, false},
	} {
		if got := row.o.UnderWay(); got != row.want {
			t.Errorf("%+v: %v", row.o, got)
		}
	}
}

func TestWithdrawnByPolicy(t *testing.T) {
	now := at("10:20:00")
	base := Schedule{ID: "0abc", Revision: 5, TriggerRevision: 1, Definition: Definition{Status: Active}}
	scheduled := Occurrence{ID: idAt("105"), Kind: Scheduled, Revision: 3, Nominal: at("10:05:00"), Status: Waiting}
	for _, row := range []struct {
		name   string
		change func(s *Schedule, state *State, o *Occurrence)
		want   Reason
	}{
		{"nothing is wrong", func(*Schedule, *State, *Occurrence) {}, ""},
		{"made again under the same name", func(s *Schedule, _ *State, _ *Occurrence) { s.ID = "0xyz" }, ReasonDeleted},
		{"disabled since", func(s *Schedule, _ *State, _ *Occurrence) { s.DisabledRevision = 4 }, ReasonDisabled},
		{"disabled before", func(s *Schedule, _ *State, _ *Occurrence) { s.DisabledRevision = 3 }, ""},
		{"asked for, and disabled since", func(s *Schedule, _ *State, o *Occurrence) { s.DisabledRevision, o.Kind = 4, Manual }, ReasonDisabled},
		{"another trigger before its time", func(s *Schedule, _ *State, _ *Occurrence) { s.TriggerRevision, s.TriggerChanged = 4, at("10:04:00") }, ReasonTriggerChanged},
		{"another trigger after its time", func(s *Schedule, _ *State, _ *Occurrence) { s.TriggerRevision, s.TriggerChanged = 4, now }, ""},
		{"max_runs", func(s *Schedule, state *State, _ *Occurrence) { s.MaxRuns, state.Submitted = 2, 2 }, ReasonLimit},
		{"max_runs, one is left", func(s *Schedule, state *State, _ *Occurrence) { s.MaxRuns, state.Submitted = 2, 1 }, ""},
		{"max_runs, and it counts already", func(s *Schedule, state *State, o *Occurrence) { s.MaxRuns, state.Submitted, o.Attempts = 2, 2, 1 }, ""},
		{"max_runs, asked for", func(s *Schedule, state *State, o *Occurrence) { s.MaxRuns, state.Submitted, o.Kind = 2, 2, Manual }, ""},
		{"too many have failed", func(s *Schedule, state *State, _ *Occurrence) { s.PauseAfter, state.Failures = 2, 2 }, ReasonPaused},
		{"and that has disabled it", func(s *Schedule, state *State, _ *Occurrence) {
			s.PauseAfter, state.Failures, s.DisabledRevision = 2, 2, 5
		}, ReasonPaused},
		{"one less has failed", func(s *Schedule, state *State, _ *Occurrence) { s.PauseAfter, state.Failures = 2, 1 }, ""},
		{"nobody pauses it", func(_ *Schedule, state *State, _ *Occurrence) { state.Failures = 7 }, ""},
		{"too many have failed, asked for", func(s *Schedule, state *State, o *Occurrence) { s.PauseAfter, state.Failures, o.Kind = 2, 2, Manual }, ""},
		{"too many have failed, between tries", func(s *Schedule, state *State, o *Occurrence) { s.PauseAfter, state.Failures, o.Attempts = 2, 2, 1 }, ReasonPaused},
		{"disabled, between tries", func(s *Schedule, _ *State, o *Occurrence) { s.DisabledRevision, o.Attempts = 4, 1 }, ReasonDisabled},
		{"whatever, once it may have a run", func(s *Schedule, state *State, o *Occurrence) {
			s.DisabledRevision, s.PauseAfter, state.Failures, o.Attempts, o.Tried = 4, 1, 1, 1, true
		}, ""},
	} {
		s, state, o := base, State{}, scheduled
		row.change(&s, &state, &o)
		if got := o.Withdrawn(&s, state); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
	if got := scheduled.Withdrawn(nil, State{}); got != ReasonDeleted {
		t.Errorf("deleted: %q", got)
	}
}

func TestState(t *testing.T) {
	s := State{}
	for i, row := range []struct {
		status   Status
		failures int
	}{
		{Failed, 1}, {Failed, 2}, {Canceled, 2}, {Lost, 3}, {Interrupted, 3}, {Skipped, 3}, {Completed, 0}, {Canceled, 0}, {Failed, 1},
	} {
		if s = s.Ended(Occurrence{Status: row.status}); s.Failures != row.failures {
			t.Errorf("%d, %s: %d failures in a row, want %d", i, row.status, s.Failures, row.failures)
		}
	}
	for _, status := range []Status{Failed, Lost, Completed} {
		if got := s.Ended(Occurrence{Kind: Backfilled, Status: status}); got != s {
			t.Errorf("one of a backfill, %s: %+v, before %+v", status, got, s)
		}
	}
	for _, row := range []struct {
		o                  Occurrence // as it is claimed
		claimed, withdrawn int
	}{
		{Occurrence{Kind: Scheduled, Attempts: 1}, 1, 0},
		{Occurrence{Kind: Changed, Attempts: 1}, 1, 0},
		{Occurrence{Kind: Scheduled, Attempts: 2}, 0, 0},
		{Occurrence{Kind: Manual, Attempts: 1}, 0, 0},
		{Occurrence{Kind: Backfilled, Attempts: 1}, 0, 0},
	} {
		s := State{}.Claimed(row.o)
		if s.Submitted != row.claimed {
			t.Errorf("%s, claim %d: %d", row.o.Kind, row.o.Attempts, s.Submitted)
		}
		if s = s.Withdrawn(row.o); s.Submitted != row.withdrawn {
			t.Errorf("%s, claim %d, then skipped: %d", row.o.Kind, row.o.Attempts, s.Submitted)
		}
	}
	if s := (State{Submitted: 3}).Withdrawn(Occurrence{Kind: Scheduled}); s.Submitted != 3 {
		t.Errorf("one that was never claimed is skipped: %d are left", s.Submitted)
	}
}

func TestPaused(t *testing.T) {
	created, now := at("10:00:00"), at("11:00:00")
	s := New(Definition{Name: "s", Status: Active, PauseAfter: 3}, "0abc", "ann", created)
	p := s.Paused(now)
	note := StatusNote{Note: "paused after 3 failed runs in a row", By: "carillon", At: now}
	if p.Status != Disabled || p.Revision != 2 || p.DisabledRevision != 2 || p.By != "carillon" || p.StatusNote == nil || *p.StatusNote != note {
		t.Errorf("paused: %+v, %+v", p, p.StatusNote)
	}
	if p.Done() || s.Status != Active {
		t.Error("pausing is no end, and changes nothing in the schedule that it is made from")
	}
	d := p.Definition
	d.Status = Active
	if e := p.Revise(d, "ann", "fixed", now); e.Status != Active || e.DisabledRevision != 2 || e.StatusNote.Note != "fixed" {
		t.Errorf("enabled: %+v", e)
	}
}
