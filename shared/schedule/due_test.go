package schedule

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/shared/recur"
)

func at(clock string) time.Time {
	t, err := time.Parse("2006-01-02 15:04:05", "2026-11-22 "+clock)
	if err != nil {
		panic(err)
	}
	return t
}

func every(minutes int) Schedule {
	return New(Definition{
		Name: "s", Pipeline: PipelineRef{"local", "hello"}, Experiment: "demo", Status: Active,
		Trigger: Trigger{Spec: recur.Spec{Kind: recur.KindRecurrence, Frequency: "minute", Interval: minutes}},
	}, "0id", "me", at("10:00:00"))
}

func dueAfter(t *testing.T, s Schedule, after time.Time) Due {
	t.Helper()
	d, err := NewDue(s, after)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// told writes a plan down: the times that fire, the skips with their reasons, and what comes next.
func told(p Plan) string {
	var b strings.Builder
	for _, o := range p.Record {
		b.WriteString(o.Nominal.Format("15:04"))
		if o.Count > 0 {
			fmt.Fprintf(&b, "-%s(%d)", o.Last.Format("15:04"), o.Count)
		}
		if o.Status == Skipped {
			b.WriteString("!" + string(o.Reason))
		}
		b.WriteString(" ")
	}
	return b.String() + ">" + p.Due.Next.Format("15:04")
}

func TestPlan(t *testing.T) {
	none, all := CatchUp{Policy: CatchUpNone}, CatchUp{Policy: CatchUpAll}
	quarter, nothing := Duration(15*time.Minute), Duration(0)
	for _, row := range []struct {
		name       string
		interval   int
		catchUp    CatchUp
		now, until string
		want       string
	}{
		{"nothing is due", 15, CatchUp{}, "10:01:00", "10:01:15", ">10:15"},
		{"ahead of its time", 15, CatchUp{}, "10:14:45", "10:15:00", "10:15 >10:30"},
		{"at its time", 15, CatchUp{}, "10:15:00", "10:15:15", "10:15 >10:30"},
		{"late, and on time still", 15, CatchUp{}, "10:17:00", "10:17:15", "10:15 >10:30"},
		{"missed by a second, caught up", 15, CatchUp{}, "10:17:01", "10:17:16", "10:15 >10:30"},
		{"missed by a second, not caught up", 15, none, "10:17:01", "10:17:16", "10:15!missed >10:30"},
		{"several missed: the latest", 15, CatchUp{}, "10:55:00", "10:55:15", "10:15-10:30(2)!catch_up_latest 10:45 >11:00"},
		{"several missed: none", 15, none, "10:55:00", "10:55:15", "10:15-10:45(3)!missed >11:00"},
		{"several missed: all", 15, all, "10:55:00", "10:55:15", "10:15 10:30 10:45 >11:00"},
		{"outside the window", 15, CatchUp{}, "12:00:00", "12:00:15",
			"10:15-10:45(3)!catch_up_window 11:00-11:30(3)!catch_up_latest 11:45 12:00 >12:15"},
		{"all inside the window", 15, CatchUp{CatchUpAll, &quarter}, "11:05:00", "11:05:15", "10:15-10:45(3)!catch_up_window 11:00 >11:15"},
		{"a window of nothing", 15, CatchUp{CatchUpLatest, &nothing}, "11:05:00", "11:05:15", "10:15-11:00(4)!catch_up_window >11:15"},
		{"one outside the window", 15, CatchUp{CatchUpLatest, &quarter}, "10:31:00", "10:31:15", "10:15!catch_up_window 10:30 >10:45"},
		{"every minute, a look ahead of a minute", 1, CatchUp{}, "10:04:59", "10:06:00",
			"10:01!catch_up_latest 10:02 10:03 10:04 10:05 10:06 >10:07"},
		{"more than one plan holds", 1, all, "10:30:00", "10:30:15", "10:01 10:02 10:03 10:04 10:05 10:06 10:07 10:08 10:09 10:10 >10:11"},
	} {
		s := every(row.interval)
		s.CatchUp = row.catchUp
		p, err := dueAfter(t, s, at("10:00:00")).Plan(at(row.now), at(row.until), nil)
		if err != nil {
			t.Errorf("%s: %v", row.name, err)
		} else if got := told(p); got != row.want {
			t.Errorf("%s:\n got %s\nwant %s", row.name, got, row.want)
		}
	}
}

func TestPlanOfYearsIsOneRecord(t *testing.T) {
	p, err := dueAfter(t, every(1), at("10:00:00")).Plan(at("10:00:00").AddDate(1, 0, 0), at("10:00:00").AddDate(1, 0, 0), nil)
	if err != nil || len(p.Record) > maxFire || p.Record[0].Count != 365*24*60-61 {
		t.Errorf("a year missed: %v, %d records, the first of %d", err, len(p.Record), p.Record[0].Count)
	}
}

func TestRevisedGoesOn(t *testing.T) {
	s := every(15)
	due := dueAfter(t, s, at("10:00:00"))
	due.Next, due.Recorded = at("10:30:00"), at("10:15:00")

	d := s.Definition
	d.Parameters = Parameters{"a": "b"}
	same, err := due.Revised(s.Revise(d, "me", "", at("10:20:00")), true, at("10:20:00"))
	if err != nil || !same.Next.Equal(due.Next) || same.Revision != 2 {
		t.Errorf("other parameters: %+v, %v", same, err)
	}

	d.Trigger.Interval = 1
	changed, err := due.Revised(s.Revise(d, "me", "", at("10:14:50")), true, at("10:14:50"))
	if err != nil || !changed.Next.Equal(at("10:16:00")) {
		t.Errorf("another trigger must not come before what has been recorded (10:15): %v, %v", changed.Next, err)
	}

	d.Status = Disabled
	off := s.Revise(d, "me", "down", at("10:20:00"))
	stopped, err := due.Revised(off, true, at("10:20:00"))
	if err != nil || !stopped.Next.IsZero() {
		t.Errorf("disabled: next %v, %v", stopped.Next, err)
	}
	if off.StatusNote.Note != "down" || off.StatusNote.By != "me" || off.DisabledRevision != 2 {
		t.Errorf("disabled: %+v", off)
	}
	d.Status = Active
	on := off.Revise(d, "me", "", at("12:00:30"))
	if again, err := stopped.Revised(on, false, at("12:00:30")); err != nil || !again.Next.Equal(at("12:01:00")) || !again.Recorded.Equal(due.Recorded) {
		t.Errorf("enabled again: %+v, %v", again, err)
	}
}

func TestWithdrawn(t *testing.T) {
	now := at("10:15:01")
	s := every(15)
	due := dueAfter(t, s, at("10:00:00"))
	waiting := planned(t, due, at("10:14:50"), at("10:15:00"))
	manual := Asked(s, "", "x", "me", nil, at("10:14:50"))

	disabled := s.Definition
	disabled.Status = Disabled
	off := s.Revise(disabled, "me", "", at("10:14:55"))
	changed := s.Definition
	changed.Trigger.Interval = 7
	other := s
	other.ID = "0other"
	born := s
	born.Status, born.DisabledRevision = Disabled, 1

	for _, row := range []struct {
		name string
		o    Occurrence
		s    *Schedule
		want Reason
	}{
		{"as it was", waiting, &s, ""},
		{"deleted", waiting, nil, ReasonDeleted},
		{"made again", waiting, &other, ReasonDeleted},
		{"disabled", waiting, &off, ReasonDisabled},
		{"disabled and enabled", waiting, ptr(off.Revise(s.Definition, "me", "", now)), ReasonDisabled},
		{"trigger changed before", waiting, ptr(s.Revise(changed, "me", "", at("10:14:59"))), ReasonTriggerChanged},
		{"trigger changed after", waiting, ptr(s.Revise(changed, "me", "", at("10:15:00"))), ""},
		{"asked for, trigger changed", manual, ptr(s.Revise(changed, "me", "", at("10:14:49"))), ""},
		{"asked for, disabled then", manual, &off, ReasonDisabled},
		{"asked for while disabled", manual, &born, ""},
	} {
		if got := row.o.Withdrawn(row.s, State{}); got != row.want {
			t.Errorf("%s: withdrawn for %q, want %q", row.name, got, row.want)
		}
		if got := row.o.Claimed("p", "cp", now).Withdrawn(row.s, State{}); got != "" {
			t.Errorf("%s: withdrawn for %q after a submission may have gone out", row.name, got)
		}
	}
	if got := waiting.Claimed("p", "cp", now).Again(errors.New("down"), true, 0, now).Withdrawn(&off, State{}); got != ReasonDisabled {
		t.Errorf("withdrawn for %q after a submission that certainly did nothing", got)
	}
}

func planned(t *testing.T, due Due, now, until time.Time) Occurrence {
	t.Helper()
	p, err := due.Plan(now, until, nil)
	if err != nil || len(p.Record) != 1 {
		t.Fatal(p, err)
	}
	return p.Record[0]
}

func ptr[T any](v T) *T { return &v }

func TestClaimable(t *testing.T) {
	gone := func(owner string) bool { return owner == "gone" }
	own, far := PipelineRef{Local, "x"}, PipelineRef{"published", "x"}
	now := at("10:15:00")
	for _, row := range []struct {
		name string
		o    Occurrence
		want bool
	}{
		{"waiting", Occurrence{Status: Waiting, Start: now}, true},
		{"too early", Occurrence{Status: Waiting, Start: now.Add(time.Second)}, false},
		{"claimed", Occurrence{Status: Submitting, Pipeline: own, Claim: Claim{Owner: "p", Until: now}}, false},
		{"lease over", Occurrence{Status: Submitting, Pipeline: own, Claim: Claim{Owner: "p", Until: now.Add(-time.Nanosecond)}}, true},
		{"owner gone", Occurrence{Status: Submitting, Pipeline: own, Claim: Claim{Owner: "gone", Until: now.Add(time.Hour)}}, true},
		{"elsewhere, lease over", Occurrence{Status: Submitting, Pipeline: far, Claim: Claim{Owner: "gone", Until: now.Add(-time.Minute)}}, false},
		{"elsewhere, margin over", Occurrence{Status: Submitting, Pipeline: far, Claim: Claim{Owner: "p", Until: now.Add(-time.Minute - time.Nanosecond)}}, true},
		{"elsewhere, owner gone", Occurrence{Status: Submitting, Pipeline: far, Claim: Claim{Owner: "gone", Until: now.Add(time.Hour)}}, false},
		{"running", Occurrence{Status: Running}, false},
		{"uncertain", Occurrence{Status: Uncertain}, false},
		{"skipped", Occurrence{Status: Skipped}, false},
	} {
		if got := row.o.Claimable(gone, now); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
	for ref, ends := range map[PipelineRef]time.Duration{own: Lease, far: Lease + margin} {
		o := Occurrence{Status: Waiting, Start: now, Pipeline: ref}.Claimed("p", "cp", now)
		if alive := func(string) bool { return false }; o.Claimable(alive, now.Add(ends)) || !o.Claimable(alive, now.Add(ends+1)) || !o.Wake.Equal(now.Add(ends)) {
			t.Errorf("a claim of %s wakes the clock after %v, and is not over then", ref, o.Wake.Sub(now))
		}
	}
}

func TestSubmissionOutcomes(t *testing.T) {
	now := at("10:15:00")
	o := Occurrence{ID: "0id-20261122T101500Z", Status: Submitting, Attempts: 1, Claim: Claim{Owner: "p", Until: now}, Wake: now.Add(Lease)}
	down := errors.New("down")

	if got := o.Accepted("run", now); got.Status != Queued || got.Run != "run" || got.Claim != (Claim{}) || !got.Wake.After(now) {
		t.Errorf("accepted: %+v", got)
	}
	if got := o.Refused(down, now); got.Status != Failed || got.Error != "down" || !got.Wake.IsZero() || !got.Ended.Equal(now) {
		t.Errorf("refused: %+v", got)
	}
	if got := o.Doubtful(down); got.Status != Uncertain || !got.Wake.IsZero() || got.Status.Final() || !got.UnderWay() {
		t.Errorf("doubtful: %+v", got)
	}
	var waits []time.Duration
	for o.Status != Failed {
		o = o.Again(down, true, 0, now)
		if o.Status == Waiting {
			waits = append(waits, o.Start.Sub(now))
			if !o.Wake.After(o.Start) {
				t.Errorf("nobody looks after attempt %d", o.Attempts)
			}
		}
		o.Attempts++
	}
	want := []time.Duration{5, 10, 20, 40, 80, 160, 320, 640}
	for i := range want {
		want[i] *= time.Second
	}
	want = append(want, slices.Repeat([]time.Duration{15 * time.Minute}, 11)...)
	if !slices.Equal(waits, want) {
		t.Errorf("waits: %v, want %v", waits, want)
	}
	if o.Error != "given up after 20 tries, the last one: down" || !o.Wake.IsZero() {
		t.Errorf("after the last try: %+v", o)
	}
	if got := (Occurrence{Attempts: maxAttempts}).Again(down, false, 0, now); got.Status != Uncertain || got.Error != o.Error {
		t.Errorf("after the last try, which may have made a run: %+v", got)
	}
	if got := (Occurrence{Attempts: maxAttempts, Claim: Claim{Again: true}}).Again(down, true, 0, now); got.Status != Uncertain {
		t.Errorf("after the last try, where an earlier one may have made a run: %+v", got)
	}
	for _, row := range []struct {
		attempts      int
		certain       bool
		earlier       bool // try may have made the run
		asked, waited time.Duration
		tried         bool
	}{
		{1, true, false, 0, 5 * time.Second, false},
		{1, true, false, time.Second, 5 * time.Second, false},
		{1, true, false, time.Minute, time.Minute, false},
		{1, true, false, time.Hour, 15 * time.Minute, false},
		{4, true, false, 30 * time.Second, 40 * time.Second, false},
		{2, true, true, 0, 10 * time.Second, true},
		{2, false, false, 0, 10 * time.Second, true},
	} {
		o := Occurrence{Status: Submitting, Attempts: row.attempts, Tried: true, Claim: Claim{Owner: "p", Again: row.earlier}}
		got := o.Again(down, row.certain, row.asked, now)
		if got.Status != Waiting || got.Start.Sub(now) != row.waited || got.Tried != row.tried || got.Error != "down" || got.Claim != (Claim{}) || !got.UnderWay() {
			t.Errorf("%+v: %+v", row, got)
		}
	}
}

func TestPrepared(t *testing.T) {
	d := Definition{Pipeline: PipelineRef{"local", "x"}, Experiment: "e", Parameters: Parameters{"a": "1", "b": "2"}, ContinueOnStepFailure: new(true)}
	o := Occurrence{Parameters: Parameters{"b": "3"}}.Prepared(d)
	if o.Pipeline != d.Pipeline || o.Experiment != "e" || o.ContinueOnStepFailure == nil || !*o.ContinueOnStepFailure || o.Parameters["a"] != "1" || o.Parameters["b"] != "3" {
		t.Errorf("prepared %+v", o)
	}
	if d.Parameters["b"] != "2" {
		t.Error("the definition was changed")
	}
	if o := (Occurrence{ContinueOnStepFailure: new(false)}).Prepared(d); *o.ContinueOnStepFailure {
		t.Error("what was given for this one does not lie over the definition")
	}
	if o := (Occurrence{}).Prepared(Definition{}); o.ContinueOnStepFailure != nil {
		t.Error("the pipeline has no say")
	}
	d.Outputs, d.Settings, d.Tags = Parameters{"m": "x"}, Settings{"s": []byte("1")}, Tags{"team": "a", "who": "b"}
	o = Occurrence{Tags: Tags{"who": "c"}}.Prepared(d)
	if o.Outputs["m"] != "x" || string(o.Settings["s"]) != "1" || o.Tags["team"] != "a" || o.Tags["who"] != "c" || d.Tags["who"] != "b" {
		t.Errorf("prepared %+v of %+v", o, d)
	}
}

func TestOccurrenceID(t *testing.T) {
	for _, distinct := range []string{"", "mabc", "1", "a-b"} {
		id := OccurrenceID("0abc", at("10:15:00"), distinct)
		schedule, when, got, err := ParseOccurrenceID(id)
		if err != nil || schedule != "0abc" || !when.Equal(at("10:15:00")) || got != distinct {
			t.Errorf("%s: %s %v %q %v", id, schedule, when, got, err)
		}
	}
	for _, id := range []string{"", "x", "-20261122T101500Z", "x-yesterday"} {
		if _, _, _, err := ParseOccurrenceID(id); err == nil {
			t.Errorf("%q is taken for an id", id)
		}
	}
}

func TestObserved(t *testing.T) {
	now := at("10:20:00")
	o := Occurrence{Status: Queued, Run: "r", Submitted: at("10:15:00"), Wake: at("10:16:00")}
	if got := o.Observed(Observation{Status: Running, Started: at("10:15:01")}, now); got.Status != Running || !got.Wake.Equal(now.Add(2*time.Minute)) {
		t.Errorf("running: %+v", got)
	}
	got := o.Observed(Observation{Status: Failed, Started: at("10:15:01"), Ended: at("10:19:00"), Error: "exit 1"}, now)
	if got.Status != Failed || !got.Ended.Equal(at("10:19:00")) || got.Error != "exit 1" || !got.Wake.IsZero() {
		t.Errorf("failed: %+v", got)
	}
}

// What somebody changes of a schedule that has done all it was to do leaves what waits, and the note.
func TestChangeOfOneThatIsDone(t *testing.T) {
	s := every(15).Finished(at("10:15:00"))
	d := s.Definition
	d.Description = "it was good"
	next := s.Revise(d, "ann", "", at("10:20:00"))
	waits := Occurrence{ID: OccurrenceID(s.ID, at("10:15:00"), ""), Kind: Scheduled, Revision: 1, Nominal: at("10:15:00"), Status: Waiting}
	if reason := waits.Withdrawn(&next, State{}); reason != "" || !next.Done() {
		t.Errorf("%s, %+v", reason, next)
	}
	if reason := waits.Withdrawn(&[]Schedule{next.StoppedBy("ann", "stop", false, at("10:21:00"))}[0], State{}); reason != ReasonDisabled {
		t.Errorf("once somebody disables it: %q", reason)
	}
}

// The run before others is the one that was started before them, not one that was tried again since.
func TestTheLastOne(t *testing.T) {
	s := State{}.Claimed(Occurrence{ID: "a", Kind: Scheduled, Attempts: 1}).Claimed(Occurrence{ID: "b", Kind: Scheduled, Attempts: 1})
	if s = s.Claimed(Occurrence{ID: "a", Kind: Scheduled, Attempts: 2}); s.Last != "b" || s.Submitted != 2 {
		t.Errorf("%+v", s)
	}
}

// Somebody asks for the end of an occurrence, once and again: it is called off, or the wish is kept until the far side is known
// to have it, or it has ended.
func TestCancelled(t *testing.T) {
	now, down := at("10:20:00"), errors.New("down")
	claimed := Occurrence{Status: Waiting}.Claimed("p", "cp", now)
	for _, row := range []struct {
		name        string
		o           Occurrence
		once, twice Status
		note        string
	}{
		{"waits", Occurrence{Status: Waiting}, Canceled, Canceled, "cancelled by ann before it was submitted"},
		{"was not taken", claimed.Again(down, true, 0, now), Canceled, Canceled, "cancelled by ann before it was submitted"},
		{"may have been taken", claimed.Again(down, false, 0, now), Waiting, Canceled, "down"},
		{"is being submitted", claimed, Submitting, Submitting, ""},
		{"is uncertain", claimed.Doubtful(down), Canceled, Canceled, "cancelled by ann; whether the far side had taken it is not known: a run may be under way there"},
		{"is there", claimed.Accepted("r", now), Queued, Queued, ""},
		{"has ended", claimed.Refused(down, now), Failed, Failed, "down"},
	} {
		once := row.o.Cancelled("ann", now)
		twice := once.Cancelled("ben", now)
		if once.Status != row.once || once.Error != row.note || twice.Status != row.twice {
			t.Errorf("one that %s: %s (%s), again %s", row.name, once.Status, once.Error, twice.Status)
		}
		if by := once.CancelBy; (by == "ann") == (row.o.Status == Failed) || once.Status != Waiting && twice.CancelBy != by {
			t.Errorf("one that %s: by %q, again by %q", row.name, by, twice.CancelBy)
		}
	}
	if o := claimed.Cancelled("", now); o.CancelBy == "" {
		t.Error("the wish of somebody without a name is not kept")
	}
	// The outcome of a submission, as it is without the wish.
	for _, row := range []struct {
		outcome Occurrence
		want    Status
	}{
		{claimed.Accepted("r", now), Queued}, {claimed.Again(down, true, 0, now), Canceled}, {claimed.Again(down, false, 0, now), Waiting},
		{claimed.Cancelled("ann", now).Again(down, false, 0, now), Waiting}, {claimed.Doubtful(down), Uncertain}, {claimed.Refused(down, now), Failed},
	} {
		if got := row.outcome.Wanted("ann", now); got.Status != row.want || got.CancelBy != "ann" {
			t.Errorf("%s with a wish is %s, by %q", row.outcome.Status, got.Status, got.CancelBy)
		}
		if got := row.outcome.Wanted("", now); got.Status != row.outcome.Status || got.CancelBy != "" {
			t.Errorf("%s without one is %s, by %q", row.outcome.Status, got.Status, got.CancelBy)
		}
	}
}
