package submit_test

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"carillon/functions/follow"
	"carillon/functions/recurrence"
	"carillon/functions/submit"
	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// stage is a schedule that fires every hour, with everything around it in memory. Its far side makes runs that end when
// they are told to. The scripts below play on it.
type stage struct {
	t       *testing.T
	now     time.Time
	db      *store.DB
	fake    *pipeline.Fake
	far     string // how the far side is: "", or a step of farSide
	submits *queue.Mem
	follows *queue.Mem
	clock   *recurrence.Function
	submit  *submit.Function
	follow  *follow.Function
	asked   int
}

var (
	began = time.Date(2026, 11, 22, 10, 0, 7, 0, time.UTC)
	hello = schedule.PipelineRef{Kind: "local", ID: "hello"}
)

func newStage(t *testing.T, change func(*schedule.Definition)) *stage {
	return newStageOver(t, store.NewMem(), change)
}

func newStageOver(t *testing.T, rows store.Driver, change func(*schedule.Definition)) *stage {
	s := &stage{t: t, now: began, fake: &pipeline.Fake{}, submits: queue.NewMem(), follows: queue.NewMem()}
	now := func() time.Time { return s.now }
	s.submits.Now, s.follows.Now = now, now
	s.fake.Put(pipeline.Pipeline{Ref: hello})
	s.fake.Before = func(pipeline.Submission) error {
		switch s.far {
		case "down":
			return &pipeline.Error{Outcome: pipeline.NotDone, Err: errors.New("the far side is down")}
		case "refuses-one":
			s.far = ""
			return pipeline.Refusef("no such compute")
		case "refuses":
			return pipeline.Refusef("no such compute")
		}
		return nil
	}
	s.fake.After = func(pipeline.Submission, string) error {
		switch s.far {
		case "repeat":
			return &pipeline.Error{Outcome: pipeline.Repeat, Err: errors.New("no answer")}
		case "unsure":
			return errors.New("no answer")
		}
		return nil
	}
	db, err := store.Open(t.Context(), rows)
	if err != nil {
		t.Fatal(err)
	}
	s.db = db
	targets, log := map[string]pipeline.Target{"local": s.fake}, slog.New(slog.NewTextHandler(io.Discard, nil))
	s.clock = &recurrence.Function{DB: db, Submit: s.submits, Follow: s.follows, Now: now, Log: log}
	s.submit = &submit.Function{
		DB: db, Targets: targets, Submit: s.submits, Follow: s.follows, Owner: "me", Void: func(string) bool { return false }, Now: now, Log: log,
	}
	s.follow = &follow.Function{DB: db, Targets: targets, Follow: s.follows, Submit: s.submits, Now: now, Log: log}
	d := schedule.Definition{
		Name: "s", Pipeline: hello, Experiment: "e", Status: schedule.Active,
		Trigger: schedule.Trigger{Spec: recur.Spec{Kind: recur.KindRecurrence, Frequency: "hour", Interval: 1, StartTime: "2026-11-22T11:00:00"}},
	}
	change(&d)
	if err := db.Create(t.Context(), schedule.New(d, store.NewScheduleID("s"), "me", s.now)); err != nil {
		t.Fatal(err)
	}
	return s
}

// play does what a script says, its steps between commas.
func (s *stage) play(script string) {
	s.t.Helper()
	for step := range strings.SplitSeq(script, ",") {
		words := append(strings.Fields(step), "", "")
		if !s.time(words[0]) && !s.person(words[0], words[1]) {
			s.farSide(words[0], words[1])
		}
	}
}

// time lets time pass: until the next full hour, or a minute and such. A message that is lost is not delivered.
func (s *stage) time(word string) bool {
	switch word {
	case "due": // an occurrence comes due
		s.now = s.now.Truncate(time.Hour).Add(time.Hour)
	case "lost": // and its message is lost
		s.now = s.now.Truncate(time.Hour).Add(time.Hour)
		s.tick()
		s.submits.Take(s.now)
		return true
	case "second": // to the first look at a run
		s.now = s.now.Add(time.Second)
	case "minute":
		s.now = s.now.Add(time.Minute)
	case "quarter":
		s.now = s.now.Add(15 * time.Minute)
	case "lose": // what is to be delivered now
		s.submits.Take(s.now)
		return true
	case "forget": // what is to be delivered later, too
		s.submits.Take(s.now.Add(time.Hour))
		return true
	default:
		return false
	}
	s.tick()
	s.deliver()
	return true
}

func (s *stage) tick() {
	if err := s.clock.Tick(s.t.Context(), s.now, s.now.Add(15*time.Second)); err != nil {
		s.t.Error(err)
	}
}

func (s *stage) deliver() {
	for range 200 {
		submits, follows := s.submits.Take(s.now), s.follows.Take(s.now)
		if len(submits)+len(follows) == 0 {
			return
		}
		for _, body := range submits {
			s.handle(s.submit.Handle, body)
		}
		for _, body := range follows {
			s.handle(s.follow.Handle, body)
		}
	}
	s.t.Fatal("messages beget messages without end")
}

func (s *stage) handle(handle func(context.Context, []byte) error, body []byte) {
	if err := handle(s.t.Context(), body); err != nil {
		s.t.Error(err)
	}
}

// person does what people do: ask for a run, cancel one, change the schedule.
func (s *stage) person(word, which string) bool {
	s.t.Helper()
	ctx, err := s.t.Context(), error(nil)
	change := func(do func(*schedule.Definition)) {
		_, err = s.db.Edit(ctx, "s", s.now, func(old schedule.Schedule) (schedule.Schedule, error) {
			d := old.Definition
			do(&d)
			return old.Revise(d, "ann", "", s.now), nil
		})
	}
	switch word {
	case "ask":
		s.asked++
		r, _ := s.db.Schedule(ctx, "s")
		o := schedule.Asked(r.Schedule.Value, "", fmt.Sprint(s.asked), "ann", nil, s.now)
		if err = s.db.Add(ctx, o); err == nil {
			err = s.submits.Send(ctx, queue.Messages([]string{o.ID})[0], 0)
		}
	case "cancel":
		var c store.Change
		if c, err = s.db.Cancel(ctx, s.find(which).Value.ID, "ann", s.now); err == nil && c.To.Run != "" {
			err = s.follows.Send(ctx, queue.Messages([]string{c.To.ID})[0], 0)
		}
	case "fill": // the three hours before the first, one run at a time
		r, _ := s.db.Schedule(ctx, "s")
		ten := began.Truncate(time.Hour)
		times := []time.Time{ten.Add(-3 * time.Hour), ten.Add(-2 * time.Hour), ten.Add(-time.Hour)}
		filled := r.Schedule.Value.Filled(schedule.Backfill{AtOnce: 1}, times, make([]schedule.Past, 3), s.now)
		if _, _, err = s.db.Fill(ctx, r.Schedule.Value, filled, schedule.Audit{At: s.now}, s.now); err == nil {
			err = s.submits.Send(ctx, queue.Messages([]string{filled[0].ID})[0], 0)
		}
	case "disable":
		change(func(d *schedule.Definition) { d.Status = schedule.Disabled })
	case "enable":
		change(func(d *schedule.Definition) { d.Status = schedule.Active })
	case "delete":
		err = s.db.Delete(ctx, "s", "ann", s.now, func(schedule.Schedule) error { return nil })
	case "overlap":
		change(func(d *schedule.Definition) { d.Overlap = schedule.Overlap(which) })
	case "pause-after":
		change(func(d *schedule.Definition) { d.PauseAfter, _ = strconv.Atoi(which) })
	case "retrigger":
		change(func(d *schedule.Definition) { d.Trigger.Interval = 2 })
	default:
		return false
	}
	if err != nil {
		s.t.Fatal(word, " ", which, ": ", err)
	}
	s.deliver()
	return true
}

// farSide makes runs end, or the far side another one.
func (s *stage) farSide(word, which string) {
	s.t.Helper()
	statuses := map[string]schedule.Status{"end": schedule.Completed, "fail": schedule.Failed, "stop": schedule.Canceled}
	switch status, ends := statuses[word]; {
	case ends:
		o := s.find(which).Value
		s.fake.Finish(o.Run, status, "")
		s.handle(s.follow.Handle, queue.Messages([]string{o.ID})[0])
	case word == "up":
		s.far = ""
	case slices.Contains([]string{"down", "repeat", "unsure", "refuses", "refuses-one"}, word):
		s.far = word
	default:
		s.t.Fatalf("%q is no step", word)
	}
	if !strings.HasSuffix(which, "~") { // what is sent then can still be lost
		s.deliver()
	}
}

// find reads an occurrence by its name: the hours since ten, or m1 for the first that was asked for. A ~ behind it belongs
// to the step.
func (s *stage) find(name string) store.Stored[schedule.Occurrence] {
	s.t.Helper()
	for _, o := range s.all() {
		if nameOf(o) == strings.TrimSuffix(name, "~") {
			found, err := s.db.Occurrence(s.t.Context(), o.ID)
			if err != nil {
				s.t.Fatal(err)
			}
			return found
		}
	}
	s.t.Fatal("there is no occurrence ", name)
	return store.Stored[schedule.Occurrence]{}
}

func nameOf(o schedule.Occurrence) string {
	if _, _, distinct, _ := schedule.ParseOccurrenceID(o.ID); o.Kind == schedule.Manual {
		return distinct
	}
	return strconv.Itoa(int(o.Nominal.Sub(began.Truncate(time.Hour)).Hours()))
}

func (s *stage) all() []schedule.Occurrence {
	all, _, err := s.db.Occurrences(s.t.Context(), "", 1000, func(schedule.Occurrence) bool { return true })
	if err != nil {
		s.t.Fatal(err)
	}
	slices.SortFunc(all, func(a, b schedule.Occurrence) int {
		return cmp.Or(a.Recorded.Compare(b.Recorded), a.Nominal.Compare(b.Nominal), cmp.Compare(a.ID, b.ID))
	})
	return all
}

// says is what has become of all occurrences, and of the schedule if it is not active.
func (s *stage) says() string {
	var out []string
	for _, o := range s.all() {
		text := nameOf(o) + " " + string(o.Status)
		switch {
		case o.Reason != "":
			text = nameOf(o) + " " + string(o.Reason)
		case o.Buffered:
			text = nameOf(o) + " waits"
		case o.Status == schedule.Waiting && o.Attempts > 0:
			text = nameOf(o) + " retries"
		}
		for _, run := range s.fake.Runs() {
			if run.Submission.Occurrence == o.ID && run.CancelSent && !o.Status.Final() {
				text += " asked to end"
			}
		}
		out = append(out, text)
	}
	r, err := s.db.Schedule(s.t.Context(), "s")
	if err == nil && r.Schedule.Value.Status != schedule.Active {
		out = append(out, string(r.Schedule.Value.Status)+" "+r.Schedule.Value.StatusNote.Note)
	}
	return strings.TrimSpace(strings.Join(out, ", "))
}

type scene struct{ name, policy, script, want string }

var scenes = []scene{
	{"allow", "allow", "due, due, ask", "1 Queued, 2 Queued, m1 Queued"},

	{"skip", "skip", "due, due, end 1, due", "1 Completed, 2 overlap, 3 Queued"},
	{"skip beside one that was asked for", "skip", "ask, due, end m1, due", "m1 Completed, 1 overlap, 2 Queued"},
	{"asked for, beside another", "skip", "due, ask, due", "1 Queued, m1 Queued, 2 overlap"},
	{"skip beside one that is retried", "skip", "down, due, up, due", "1 Queued, 2 overlap"},
	{"skip beside one that may have been made", "skip", "repeat, due, due, up, minute, minute, minute", "1 Queued, 2 overlap"},
	{"skip beside one that is uncertain", "skip", "unsure, due, up, due, cancel 1, due", "1 Canceled, 2 overlap, 3 Queued"},
	{"skip beside one that is refused", "skip", "refuses, due, up, due", "1 Failed, 2 Queued"},

	{"buffer_one", "buffer_one", "due, due, due, end 1", "1 Completed, 2 Queued, 3 overlap"},
	{"buffer_one, again", "buffer_one", "due, due, end 1, due, due, end 2, end 3", "1 Completed, 2 Completed, 3 Completed, 4 overlap"},
	{"buffer_one keeps the earliest", "buffer_one", "due, lost, due, minute, minute, minute, end 1", "1 Completed, 2 Queued, 3 overlap"},
	{"buffer_one after a failure", "buffer_one", "due, due, fail 1", "1 Failed, 2 Queued"},
	{"buffer_one behind one that was asked for", "buffer_one", "ask, due, end m1", "m1 Completed, 1 Queued"},
	{"buffer_one behind an uncertain one", "buffer_one", "unsure, due, up, due, minute, due", "1 Uncertain, 2 waits, 3 overlap"},
	{"until a person decides", "buffer_one", "unsure, due, up, due, cancel 1, minute", "1 Canceled, 2 Queued"},
	{"buffer_one behind a refused one", "buffer_one", "down, due, forget, lost, minute, refuses-one, quarter", "1 Failed, 2 Queued"},
	{"buffered, and the message of its turn is lost", "buffer_one", "due, due, end 1~, lose, minute, minute", "1 Completed, 2 Queued"},
	{"another comes before it has started", "buffer_one", "due, due, end 1~, lose, due", "1 Completed, 2 Queued, 3 waits"},
	{"a person calls off the one that waits", "buffer_one", "due, due, cancel 2, due, end 1", "1 Completed, 2 Canceled, 3 Queued"},

	{"buffer_all", "buffer_all", "due, due, due, due, end 1, end 2", "1 Completed, 2 Completed, 3 Queued, 4 waits"},
	{"buffer_all in order, whatever is lost", "buffer_all", "due, due, due, end 1~, lose, due, minute, minute, end 2~, lose, due, minute",
		"1 Completed, 2 Completed, 3 Queued, 4 waits, 5 waits"},
	{"buffer_all behind a retry", "buffer_all", "down, due, due, up, minute, minute, end 1", "1 Completed, 2 Queued"},
	{"a person calls off the first that waits", "buffer_all", "due, due, due, cancel 2, end 1", "1 Completed, 2 Canceled, 3 Queued"},
	{"the first that waits is refused", "buffer_all", "due, due, due, refuses, end 1, up, due", "1 Completed, 2 Failed, 3 Failed, 4 Queued"},

	{"cancel_running", "cancel_running", "due, due, stop 1", "1 Canceled, 2 Queued"},
	{"it asks, and waits", "cancel_running", "due, due, minute", "1 Queued asked to end, 2 waits"},
	{"only the newest", "cancel_running", "due, due, due, due, stop 1", "1 Canceled, 2 overlap, 3 overlap, 4 Queued"},
	{"one that ends by itself", "cancel_running", "due, due, end 1", "1 Completed, 2 Queued"},
	{"several are under way", "cancel_running", "ask, ask, due, stop m1", "m1 Canceled, m2 Queued asked to end, 1 waits"},
	{"and the last has ended", "cancel_running", "ask, ask, due, stop m1, stop m2", "m1 Canceled, m2 Canceled, 1 Queued"},
	{"an older one that is late", "cancel_running", "lost, due, minute, minute", "1 overlap, 2 Queued"},
	{"a retry gives way", "cancel_running", "down, due, forget, up, due", "1 overlap, 2 Queued"},
	{"one that may have been made is asked once it is known", "cancel_running", "repeat, due, up, due, minute, minute", "1 Queued asked to end, 2 waits"},
	{"nobody can be asked about an uncertain one", "cancel_running", "unsure, due, up, due, due, minute", "1 Uncertain, 2 overlap, 3 waits"},
	{"the newest, whatever is lost", "cancel_running", "due, due, stop 1~, lose, minute, minute", "1 Canceled, 2 Queued"},

	{"skip beside a backfill", "skip", "fill, due, end -3, due", "-3 Completed, -2 Queued, -1 waits, 1 overlap, 2 overlap"},
	{"behind a backfill, before the next of it", "buffer_one", "fill, due, end -3", "-3 Completed, -2 Queued, -1 waits, 1 Queued"},
	{"a backfill is not cancelled", "cancel_running", "fill, due, minute", "-3 Queued, -2 waits, -1 waits, 1 waits"},
	{"but waited for", "cancel_running", "fill, due, due, end -3, end -2", "-3 Completed, -2 Completed, -1 Queued, 1 overlap, 2 Queued"},
	{"a backfill waits for nobody else", "buffer_all", "due, fill, due, end -3", "-3 Completed, -2 Queued, -1 waits, 1 Queued, 2 waits"},
	{"a backfill, whatever is lost", "allow", "fill, end -3~, lose, minute, minute", "-3 Completed, -2 Queued, -1 waits"},

	{"disabled while some wait", "buffer_all", "due, due, due, disable, minute", "1 Queued, 2 disabled, 3 disabled, Disabled"},
	{"deleted while some wait", "buffer_all", "due, due, due, delete, minute", "1 Queued, 2 deleted, 3 deleted"},
	{"another trigger", "buffer_all", "due, due, retrigger, end 1", "1 Completed, 2 Queued"},
	{"from buffer_all to allow", "buffer_all", "due, due, due, overlap allow, minute", "1 Queued, 2 Queued, 3 Queued"},
	{"from buffer_all to skip", "buffer_all", "due, due, due, overlap skip, minute", "1 Queued, 2 overlap, 3 overlap"},
	{"from buffer_all to buffer_one", "buffer_all", "due, due, due, due, overlap buffer_one, minute, end 1", "1 Completed, 2 Queued, 3 overlap, 4 overlap"},
	{"from buffer_all to cancel_running", "buffer_all", "due, due, due, overlap cancel_running, minute", "1 Queued asked to end, 2 overlap, 3 waits"},
	{"from cancel_running to buffer_all", "cancel_running", "due, due, overlap buffer_all, due, stop 1", "1 Canceled, 2 Queued, 3 waits"},
	{"from allow to buffer_one, started before", "allow", "due, overlap buffer_one, due, end 1, minute, minute", "1 Completed, 2 Queued"},
}

func TestPolicies(t *testing.T) {
	for _, scene := range scenes {
		t.Run(scene.name, func(t *testing.T) {
			s := newStage(t, func(d *schedule.Definition) { d.Overlap = schedule.Overlap(scene.policy) })
			s.play(scene.script)
			if got := s.says(); got != scene.want {
				t.Errorf("%s: %s\n\tgot  %s\n\twant %s", scene.policy, scene.script, got, scene.want)
			}
		})
	}
}

// Who makes room, and for whom, stands with the run: also with one that has none yet, and for the newest of several.
func TestMakesRoom(t *testing.T) {
	for _, scene := range []struct{ name, script, want string }{
		{"it is asked to end", "due, due, stop 1", "1 for 2"},
		{"and ends by itself", "due, due, end 1", "1 for 2"},
		{"for the newest", "due, due, due, stop 1", "1 for 3"},
		{"that may have been made", "repeat, due, up, due, minute, minute", "1 for 2"},
		{"between tries", "down, due, forget, up, due", "1 for 2"},
		{"all that are under way", "ask, ask, due, stop m1, stop m2", "m1 for 1, m2 for 1"},
		{"a backfill is waited for", "fill, due, end -3, end -2, end -1", ""},
		{"nobody can be asked", "unsure, due, up, due, minute", ""},
	} {
		t.Run(scene.name, func(t *testing.T) {
			s := newStage(t, func(d *schedule.Definition) { d.Overlap = schedule.OverlapCancelRunning })
			s.play(scene.script)
			names := map[string]string{}
			for _, o := range s.all() {
				names[o.ID] = nameOf(o)
			}
			var got []string
			for _, o := range s.all() {
				if o.MakesRoomFor != "" {
					got = append(got, nameOf(o)+" for "+names[o.MakesRoomFor])
				}
				if o.CancelBy != "" {
					t.Errorf("%s: %s has asked for the end of %s", scene.script, o.CancelBy, nameOf(o))
				}
			}
			if strings.Join(got, ", ") != scene.want {
				t.Errorf("%s: %s, want %s", scene.script, strings.Join(got, ", "), scene.want)
			}
		})
	}
}

func TestPauseAfterFailures(t *testing.T) {
	const paused = "Disabled paused after 2 failed runs in a row"
	for _, scene := range []struct {
		scene
		maxRuns int
	}{
		{scene{"two in a row", "allow", "due, fail 1, due, fail 2, due", "1 Failed, 2 Failed, " + paused}, 0},
		{scene{"a success between", "allow", "due, fail 1, due, end 2, due, fail 3, due", "1 Failed, 2 Completed, 3 Failed, 4 Queued"}, 0},
		{scene{"one that was cancelled between", "allow", "due, fail 1, due, stop 2, due, fail 3", "1 Failed, 2 Canceled, 3 Failed, " + paused}, 0},
		{scene{"one that was asked for counts", "allow", "due, fail 1, ask, fail m1", "1 Failed, m1 Failed, " + paused}, 0},
		{scene{"failures of a backfill do not count", "allow", "fill, fail -3, fail -2, fail -1, due, fail 1, due", "-3 Failed, -2 Failed, -1 Failed, 1 Failed, 2 Queued"}, 0},
		{scene{"nor does its success", "allow", "due, fail 1, fill, end -3, due, fail 2", "-3 Completed, -2 Queued, -1 waits, 1 Failed, 2 Failed, " + paused}, 0},
		{scene{"nor what of it is refused", "allow", "due, refuses, fill, up, end 1, due", "-3 Failed, -2 Failed, -1 Failed, 1 Completed, 2 Queued"}, 0},
		{scene{"by their ends", "allow", "due, due, due, fail 3, fail 1", "1 Failed, 2 Queued, 3 Failed, " + paused}, 0},
		{scene{"refused", "allow", "refuses, due, due, due", "1 Failed, 2 Failed, " + paused}, 0},
		{scene{"enabled, it counts anew", "allow", "due, fail 1, due, fail 2, enable, due, fail 3, due", "1 Failed, 2 Failed, 3 Failed, 4 Queued"}, 0},
		{scene{"what waits is skipped", "buffer_all", "due, due, due, due, fail 1, fail 2, minute, minute", "1 Failed, 2 Failed, 3 paused, 4 paused, " + paused}, 0},
		{scene{"asked for, once it is paused", "allow", "due, fail 1, due, fail 2, ask", "1 Failed, 2 Failed, m1 Queued, " + paused}, 0},
		{scene{"fewer are allowed now", "allow", "pause-after 3, due, fail 1, due, fail 2, pause-after 2, due", "1 Failed, 2 Failed, 3 paused, " + paused}, 0},
		{scene{"more are allowed now", "allow", "due, due, fail 1, pause-after 3, fail 2, due", "1 Failed, 2 Failed, 3 Queued"}, 0},
		{scene{"not counted for a while", "allow", "due, fail 1, pause-after 0, due, end 2, pause-after 2, due, fail 3, due", "1 Failed, 2 Completed, 3 Failed, 4 Queued"}, 0},
		{scene{"max_runs with what waits", "buffer_all", "due, due, due, due, end 1, minute", "1 Completed, 2 Queued, 3 limit, 4 limit, Disabled done"}, 2},
		{scene{"max_runs, and one is skipped between tries", "cancel_running", "due, end 1, down, due, forget, up, due, end 3, due",
			"1 Completed, 2 overlap, 3 Completed, 4 Queued, Disabled done"}, 3},
		{scene{"max_runs, and one is disabled between tries", "allow", "due, down, due, disable, forget, minute, minute, up, enable, due, due",
			"1 Queued, 2 disabled, 3 Queued, 4 Queued, Disabled done"}, 3},
	} {
		t.Run(scene.name, func(t *testing.T) {
			s := newStage(t, func(d *schedule.Definition) {
				d.Overlap, d.PauseAfter, d.MaxRuns = schedule.Overlap(scene.policy), 2, scene.maxRuns
			})
			s.play(scene.script)
			if got := s.says(); got != scene.want {
				t.Errorf("%s: %s\n\tgot  %s\n\twant %s", scene.policy, scene.script, got, scene.want)
			}
		})
	}
}
