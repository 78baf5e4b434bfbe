package schedule

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/shared/recur"
)

// filled writes a filling down: its times, how many are excluded, and what is left of the range.
func filled(f Filling) string {
	var b strings.Builder
	for _, t := range f.Times {
		b.WriteString(t.Format("02T15:04 "))
	}
	if f.Excluded > 0 {
		fmt.Fprintf(&b, "-%d ", f.Excluded)
	}
	if f.Rest != nil {
		b.WriteString("+" + f.Rest.Start.Format("02T15:04") + "-" + f.Rest.End.Format("02T15:04"))
	}
	return strings.TrimSpace(b.String())
}

func TestFillTimes(t *testing.T) {
	hourly := recur.Spec{Kind: recur.KindRecurrence, Frequency: "hour", Interval: 1}
	bounded := recur.Spec{Kind: recur.KindRecurrence, Frequency: "day", Interval: 1, StartTime: "2026-11-20T09:00", EndTime: "2026-11-21T23:00"}
	lunch := func(at time.Time, _ *time.Location) string {
		if at.Hour() == 12 {
			return "lunch"
		}
		return ""
	}
	for _, row := range []struct {
		name     string
		spec     recur.Spec
		calendar bool
		newest   bool
		from, to string
		want     string
	}{
		{"both ends are inclusive", hourly, false, false, "22T11:00", "22T13:00", "22T11:00 22T12:00 22T13:00"},
		{"before the creation, in step", hourly, false, false, "21T22:30", "22T00:30", "21T23:00 22T00:00"},
		{"across the creation", hourly, false, false, "22T09:00", "22T11:30", "22T09:00 22T10:00 22T11:00"},
		{"newest first", hourly, false, true, "22T11:00", "22T13:00", "22T13:00 22T12:00 22T11:00"},
		{"none between two times", hourly, false, false, "22T11:01", "22T11:59", ""},
		{"a start_time and an end_time bound it", bounded, false, false, "01T00:00", "30T00:00", "20T09:00 21T09:00"},
		{"the same from the end", bounded, false, true, "01T00:00", "30T00:00", "21T09:00 20T09:00"},
		{"a calendar", hourly, true, false, "22T11:00", "22T14:00", "22T11:00 22T13:00 22T14:00 -1"},
		{"one instant", recur.Spec{Kind: recur.KindAt, At: "2026-11-22T12:30"}, false, false, "22T00:00", "23T00:00", "22T12:30"},
		{"cron before the creation", recur.Spec{Kind: recur.KindCron, Expression: "0 6 * * *"}, false, false, "20T00:00", "21T23:00", "20T06:00 21T06:00"},
	} {
		s := every(15)
		s.Trigger = Trigger{Spec: row.spec}
		if row.calendar {
			s.Calendars = []string{"lunch"}
		}
		parse := func(text string) time.Time { at, _ := time.Parse("2006-01-02T15:04", "2026-11-"+text); return at }
		got, err := dueAfter(t, s, s.Created).Fill(Backfill{From: parse(row.from), To: parse(row.to), Newest: row.newest}, lunch)
		if err != nil || filled(got) != row.want {
			t.Errorf("%s: %q, %v, want %q", row.name, filled(got), err, row.want)
		}
	}
}

// A backfill is as long as it may be, and says what is left in the order that was asked for.
func TestFillInParts(t *testing.T) {
	s := every(1)
	due := dueAfter(t, s, s.Created)
	for _, newest := range []bool{false, true} {
		b := Backfill{From: at("00:00:00"), To: at("00:00:00").Add(2500 * time.Minute), Newest: newest}
		var all []time.Time
		for parts := 1; ; parts++ {
			f, err := due.Fill(b, nil)
			if err != nil || parts > 3 || len(f.Times) == 0 || f.Rest != nil && len(f.Times) != MaxBackfill {
				t.Fatal(err, parts, len(f.Times))
			}
			all = append(all, f.Times...)
			if f.Rest == nil {
				break
			}
			b.From, b.To = f.Rest.Start, f.Rest.End
		}
		if newest {
			slices.Reverse(all)
		}
		if len(all) != 2501 || !slices.IsSortedFunc(all, time.Time.Compare) || !all[0].Equal(at("00:00:00")) || len(slices.Compact(all)) != 2501 {
			t.Errorf("newest first %v: %d times from %v to %v", newest, len(all), all[0], all[len(all)-1])
		}
	}
	s.Calendars = []string{"always"}
	f, err := dueAfter(t, s, s.Created).Fill(Backfill{To: at("00:00:00")}, func(time.Time, *time.Location) string { return "always" })
	if err != nil || len(f.Times) != 0 || f.Excluded != maxBack || f.Rest == nil {
		t.Errorf("centuries that are excluded: %d times, %d excluded, %v", len(f.Times), f.Excluded, err)
	}
}

func TestPast(t *testing.T) {
	for _, row := range []struct {
		past  string // DISTINCT=STATUS
		again bool
		kept  string // a part of why
		next  int
	}{
		{"", false, "", 1},
		{"=Failed", false, "", 1},
		{"=Skipped", false, "", 1},
		{"=Completed", false, "has completed", 1},
		{"=Completed", true, "", 1},
		{"=Waiting", true, "is Waiting", 1},
		{"=Uncertain", true, "is Uncertain", 1},
		{"=Failed b1d20261122=Canceled", false, "", 2},
		{"b9d20261122=Failed b10d20261122=Lost", false, "", 11},
		{"=Failed b1d20261122=Completed", false, "b1d20261122 has completed", 2},
		{"=Completed b1d20261122=Running", true, "b1d20261122 is Running", 2},
	} {
		var past Past
		for _, text := range strings.Fields(row.past) {
			distinct, status, _ := strings.Cut(text, "=")
			past = append(past, Occurrence{ID: OccurrenceID("0id", at("09:00:00"), distinct), Status: Status(status)})
		}
		if why := past.Kept(row.again); !strings.Contains(why, row.kept) || (why == "") != (row.kept == "") {
			t.Errorf("%q, again %v: kept as %q, want %q", row.past, row.again, why, row.kept)
		}
		if next := past.Next(); next != row.next {
			t.Errorf("%q: the next is %d, want %d", row.past, next, row.next)
		}
	}
}

func TestFilled(t *testing.T) {
	s, now := every(15), at("12:00:00").Add(123456789)
	times := []time.Time{at("09:15:00"), at("09:00:00")}
	made := s.Filled(Backfill{By: "ann", AtOnce: 3, Parameters: Parameters{"a": "b"}}, times, []Past{nil, {{ID: "0id-20261122T090000Z-b1d20261121"}}}, now)
	first, second := made[0], made[1]
	if first.ID != "0id-20261122T091500Z-b1d20261122" || second.ID != "0id-20261122T090000Z-b2d20261122" || first.Number() != 1 || second.Number() != 2 {
		t.Errorf("ids %s and %s", first.ID, second.ID)
	}
	if first.Place >= second.Place || second.Place >= s.Filled(Backfill{}, times, []Past{nil, nil}, now.Add(time.Millisecond))[0].Place {
		t.Errorf("places %s and %s", first.Place, second.Place)
	}
	if first.Kind != Backfilled || first.Regular() || !first.Timed() || !first.Buffered || !first.Wake.IsZero() || first.AtOnce != 3 || first.By != "ann" || first.Status != Waiting {
		t.Errorf("%+v", first)
	}
	if !first.Claimable(func(string) bool { return false }, now) {
		t.Error("it cannot be claimed at once")
	}
	for _, id := range []string{"0id-20261122T091500Z", "0id-20261122T091500Z-mb1", "0id-20261122T091500Z-b", "x"} {
		if n := (Occurrence{ID: id}).Number(); n != 0 {
			t.Errorf("%s is number %d", id, n)
		}
	}
}

// What the clock is still to record is not filled.
func TestOwn(t *testing.T) {
	s := every(15)
	due := dueAfter(t, s, s.Created)
	if due.Own(at("10:00:00")) || !due.Own(at("10:15:00")) || !due.Own(at("10:30:00")) {
		t.Errorf("next is %v", due.Next)
	}
	s.Status = Disabled
	if dueAfter(t, s, s.Created).Own(at("10:15:00")) {
		t.Error("a disabled schedule records nothing")
	}
}

func TestTurnOfBackfills(t *testing.T) {
	mine, other := "0id-20261122T090000Z-b1d20261122", "0id-20261122T080000Z-b1d20261122"
	regular, manual := "0id-20261122T090000Z", "0id-20261122T090000Z-mb1"
	for _, row := range []struct {
		name    string
		atOnce  int
		running []string
		before  []string
		want    Turn
	}{
		{"nothing else", 1, nil, nil, Turn{Start: true}},
		{"beside others of the schedule", 1, []string{regular, manual}, nil, Turn{Start: true}},
		{"another of a backfill", 1, []string{other}, nil, Turn{Buffer: true}},
		{"room for two", 2, []string{other}, nil, Turn{Start: true}},
		{"not its turn", 2, []string{other}, []string{regular}, Turn{Buffer: true, First: regular}},
		{"no room for the one before it either", 1, []string{other}, []string{regular}, Turn{Buffer: true}},
	} {
		o := Occurrence{ID: mine, Kind: Backfilled, AtOnce: row.atOnce}
		for _, policy := range []Overlap{"", OverlapSkip, OverlapBufferAll, OverlapCancelRunning} {
			if got := policy.Turn(o, Others{UnderWay: row.running, Buffered: row.before}); fmt.Sprint(got) != fmt.Sprint(row.want) {
				t.Errorf("%s, %s: %+v, want %+v", row.name, policy, got, row.want)
			}
		}
	}
	tried := Occurrence{ID: mine, Kind: Backfilled, Attempts: 1}
	if got := Overlap("").Turn(tried, Others{UnderWay: []string{other}}); !got.Start {
		t.Errorf("one that was claimed before: %+v", got)
	}
}

// A schedule that is disabled can be backfilled; one that is disabled afterwards cannot go on.
func TestWithdrawnBackfill(t *testing.T) {
	s := every(15)
	s.MaxRuns, s.PauseAfter = 1, 1
	state := State{Submitted: 1, Failures: 1}
	disabled := s.StoppedBy("ann", "", false, at("11:00:00"))
	fill := func(s Schedule) Occurrence {
		return s.Filled(Backfill{}, []time.Time{at("09:00:00")}, []Past{nil}, at("12:00:00"))[0]
	}
	again, over := disabled.StoppedBy("bob", "", true, at("13:00:00")), s.Finished(at("13:00:00"))
	other := s.Revise(withTrigger(s.Definition, 30), "ann", "", at("13:00:00"))
	for _, row := range []struct {
		name string
		o    Occurrence
		s    *Schedule
		want Reason
	}{
		{"beyond max_runs and failures", fill(s), &s, ""},
		{"of a disabled one", fill(disabled), &disabled, ""},
		{"disabled afterwards", fill(s), &disabled, ReasonDisabled},
		{"disabled a second time", fill(disabled), &again, ReasonDisabled},
		{"done meanwhile", fill(s), &over, ""},
		{"another trigger meanwhile", fill(s), &other, ""},
		{"deleted", fill(s), nil, ReasonDeleted},
	} {
		if got := row.o.Withdrawn(row.s, state); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
	if again.DisabledWithAll() || !s.StoppedBy("ann", "", true, at("11:00:00")).DisabledWithAll() {
		t.Error("who was disabled before is enabled with all")
	}
}

func withTrigger(d Definition, minutes int) Definition {
	d.Trigger = every(minutes).Trigger
	return d
}

// A run that is filled in long after its time is not the one before the next.
func TestBackfillIsNotTheLast(t *testing.T) {
	state := State{Last: "x"}.Claimed(Occurrence{ID: "0id-20261122T090000Z-b1d20261122", Kind: Backfilled, Attempts: 1})
	if state.Last != "x" || state.Submitted != 0 {
		t.Errorf("%+v", state)
	}
}

func TestWindowOfPastTimes(t *testing.T) {
	s := every(15)
	due := dueAfter(t, s, s.Created)
	for nominal, want := range map[string]string{"09:30:00": "09:15", "10:00:00": "09:45", "10:15:00": "00:00", "10:30:00": "10:15", "09:37:00": "09:30"} {
		got, err := due.Window(at(nominal), nil)
		if err != nil || got.Start.Format("15:04") != want || !got.End.Equal(at(nominal)) {
			t.Errorf("%s: %v, %v, want %s", nominal, got, err, want)
		}
	}
}
