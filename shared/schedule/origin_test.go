package schedule

import (
	"testing"
	"time"
)

// taking is a schedule that begins at ten in the place of an old one, with half past ten as the cut-over.
func taking(trigger string) Schedule {
	d := Definition{Name: "new", Status: Active}
	if trigger == "data" {
		d.Trigger.Watch = &Watch{Folder: Folder{Datastore: "inbox"}, PollingInterval: 10}
	}
	s := New(d, "0abc", "ann", at("10:00:00"))
	s.Origin = &Origin{From: "v1:old"}
	return s.Beginning(at("10:00:00"), at("10:30:00"))
}

func TestHandover(t *testing.T) {
	begun := taking("time")
	settled := begun.Settled(at("10:00:05"), "ann", at("10:00:05"))
	late := begun.Settled(at("10:20:00"), "carillon", at("10:20:00")) // found out by a claim: disabled long before
	waits := begun.Withdrawn("ann", "not known", at("10:01:00"))
	data := taking("data")
	seen := data.Settled(at("10:00:05"), "ann", at("10:00:05"))
	due := func(clock string) Occurrence { return Occurrence{Kind: Scheduled, Nominal: at(clock)} }
	file := func(clock string) Occurrence {
		return Occurrence{Kind: Changed, Nominal: at(clock), Change: &Change{Path: "a", Modified: at(clock)}}
	}
	for _, row := range []struct {
		name string
		s    Schedule
		o    Occurrence
		now  string
		want Handover
		at   string
	}{
		{"no old one", New(Definition{Status: Active}, "0abc", "ann", at("09:00:00")), due("10:00:00"), "10:00:00", Ours, ""},
		{"before it begins", begun, due("09:59:00"), "10:00:01", Theirs, ""},
		{"while nobody knows", begun, due("10:01:00"), "10:01:00", AskFires, ""},
		{"a change, while nobody knows", data, file("09:55:00"), "10:01:00", AskFires, ""},
		{"somebody asks for it", begun, Occurrence{Kind: Manual, Nominal: at("10:01:00")}, "10:01:00", Ours, ""},
		{"a backfill of times before", settled, Occurrence{Kind: Backfilled, Nominal: at("09:00:00")}, "10:01:00", Ours, ""},
		{"claimed before", begun, Occurrence{Kind: Scheduled, Nominal: at("10:01:00"), Attempts: 1}, "10:01:00", Ours, ""},
		{"while it was being disabled", settled, due("10:00:03"), "10:01:00", Theirs, ""},
		{"after it was disabled", settled, due("10:00:05"), "10:01:00", Ours, ""},
		{"in doubt only as long as it may have taken", late, due("10:00:44"), "10:20:00", Theirs, ""},
		{"found out late", late, due("10:05:00"), "10:20:00", Ours, ""},
		{"given way, just now", waits, due("10:01:30"), "10:01:30", Later, "10:01:50"},
		{"given way, and nobody tries again", waits, due("10:01:30"), "10:03:30", Theirs, ""},
		{"a file that it may find yet", seen, file("09:58:00"), "10:01:00", Later, "10:01:35"},
		{"a file that it has found, or not", seen, file("09:58:00"), "10:01:35", AskRan, ""},
		{"a file by a clock that is ahead", seen, file("10:02:05"), "10:02:05", AskRan, ""},
		{"a file that came later", seen, file("10:02:06"), "10:02:06", Ours, ""},
	} {
		got, when := row.s.Handover(row.o, at(row.now))
		if got != row.want || got == Later && !when.Equal(at(row.at)) {
			t.Errorf("%s: %d at %v, want %d at %s", row.name, got, when, row.want, row.at)
		}
	}
}

func TestWhatTheOldScheduleSays(t *testing.T) {
	s, data := taking("time"), taking("data")
	due, file := Occurrence{Kind: Scheduled}, Occurrence{Kind: Changed, Change: &Change{}}
	for _, row := range []struct {
		name  string
		s     Schedule
		o     Occurrence
		known bool
		now   string
		want  Handover
		gives bool
	}{
		{"it fires", s, due, true, "10:01:00", Theirs, false},
		{"nobody knows", s, due, false, "10:01:00", Later, false},
		{"nobody knows, at the cut-over", s, due, false, "10:30:00", Theirs, true},
		{"it fires, at the cut-over", s, due, true, "10:30:00", Theirs, true},
		{"it fires, and may find the file", data, file, true, "10:01:00", Later, false},
		{"it fires, and will find the file", data, file, true, "10:30:00", Theirs, true},
	} {
		got, gives, _ := row.s.OldFires(row.o, row.known, at(row.now))
		if got != row.want || gives != row.gives {
			t.Errorf("%s: %d, %v", row.name, got, gives)
		}
	}
	data = data.Settled(at("10:00:05"), "ann", at("10:00:05"))
	for _, row := range []struct {
		ran, known bool
		now        string
		want       Handover
	}{
		{true, true, "10:02:00", Theirs}, {false, true, "10:02:00", Ours}, {false, false, "10:02:00", Later}, {false, false, "11:00:05", Theirs},
	} {
		if got, _ := data.OldRan(row.ran, row.known, at(row.now)); got != row.want {
			t.Errorf("%+v: %d", row, got)
		}
	}
}

// Of data the new one takes over what the old one may not have looked at: since its last look but one.
func TestTheBaselineOfAChangeOver(t *testing.T) {
	s := taking("data")
	if want := at("09:48:30"); !s.Baseline.Equal(want) || !s.Unsettled() {
		t.Errorf("baseline %v, want %v", s.Baseline, want)
	}
	waits := s.Withdrawn("ann", "not known", at("10:01:00"))
	if !waits.Waits() || waits.Unsettled() || waits.DisabledRevision != 0 {
		t.Errorf("%+v", waits)
	}
	again := waits.TakesOver(at("10:05:00"), at("10:11:00"), "ann", "again", at("10:05:00"))
	if want := at("09:53:30"); !again.Baseline.Equal(want) || again.BaselineRevision != again.Revision || !again.Unsettled() || again.Waits() {
		t.Errorf("%+v", again)
	}
	replaces := waits.Replaces(at("10:01:00"), "ann", "again", at("10:05:00.5"))
	if want := at("09:49:30"); !replaces.Baseline.Equal(want) || replaces.Unsettled() || !replaces.Begins.Equal(at("10:05:01")) || replaces.Origin.Off.IsZero() {
		t.Errorf("%+v", replaces)
	}
	stopped := waits.StoppedBy("bob", "no", false, at("10:06:00"))
	if stopped.Waits() {
		t.Error("who disables it has the last word")
	}
	if long := waits.Replaces(at("10:00:00").Add(-48*time.Hour), "ann", "", at("10:05:00")); long.Baseline.Before(at("10:05:00").Add(-25 * time.Hour)) {
		t.Errorf("it goes back to %v", long.Baseline)
	}
}
