package recurrence_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/functions/api"
	"carillon/shared/pipeline"
	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// fill asks the API of the world for a backfill, again until it answers, as a person would. It returns the nominal times
// that this request has made, and how many were left out.
func (w *world) fill(name, body string) (made []time.Time, left int) {
	f := &api.Function{
		DB: w.db, Targets: map[string]pipeline.Target{"local": w.fake}, Submit: w.submits, Now: func() time.Time { return w.now }, Log: quiet,
	}
	for range 200 {
		r := httptest.NewRequest("POST", "/api/schedules/"+name+"/backfill", strings.NewReader(body))
		r.Header.Set("Content-Type", "application/json")
		answer := httptest.NewRecorder()
		f.Handler().ServeHTTP(answer, r)
		switch answer.Code {
		case http.StatusAccepted:
			var out struct {
				Runs []struct {
					ID      string
					Nominal time.Time
				}
				Left []any `json:"left_out"`
			}
			if err := json.Unmarshal(answer.Body.Bytes(), &out); err != nil {
				w.t.Error(err)
			}
			for _, run := range out.Runs {
				made = append(made, run.Nominal)
			}
			return made, len(out.Left)
		case http.StatusInternalServerError, http.StatusServiceUnavailable: // the faults
		default:
			w.t.Errorf("%d %s", answer.Code, answer.Body)
			return nil, 0
		}
	}
	w.t.Error("the API never answers")
	return nil, 0
}

// fails makes the first run of a nominal time fail.
func (w *world) fails(nominal time.Time) {
	after := w.fake.After
	w.fake.After = func(s pipeline.Submission, run string) error {
		err := after(s, run)
		w.mu.Lock()
		defer w.mu.Unlock()
		if strings.Contains(s.Occurrence, schedule.Stamp(nominal)+"-b1") && !w.ended[run] {
			delete(w.open, run)
			w.ended[run] = true
			w.fake.Finish(run, schedule.Failed, "no")
		}
		return err
	}
}

// backfills are the occurrences of backfills by their nominal times.
func (w *world) backfills(name string) map[time.Time][]schedule.Occurrence {
	found := map[time.Time][]schedule.Occurrence{}
	for _, o := range w.occurrences() {
		if o.Kind == schedule.Backfilled && o.Schedule == name {
			found[o.Nominal] = append(found[o.Nominal], o)
		}
	}
	return found
}

// Twenty times, at most three at once, asked for by two at once, in a world where everything fails: each has one run.
func TestBackfill(t *testing.T) {
	const n = 20
	for seed := range uint64(6) {
		for _, order := range []string{"oldest", "newest"} {
			t.Run(fmt.Sprint(order, " first, seed ", seed), func(t *testing.T) {
				t.Parallel()
				w := newWorld(t, seed)
				w.create("s", every("hour", 1), schedule.CatchUp{})
				w.create("other", every("minute", 5), schedule.CatchUp{})
				first := w.now.Truncate(time.Hour).Add(-n * time.Hour)
				w.fails(first.Add(7 * time.Hour))
				body := fmt.Sprintf(`{"from": %q, "to": %q, "order": %q, "at_once": 3}`,
					first.Format(time.RFC3339), first.Add((n-1)*time.Hour).Format(time.RFC3339), order)
				w.now = w.now.Add(time.Minute)
				var group sync.WaitGroup
				for range 2 {
					group.Go(func() { w.fill("s", body) })
				}
				group.Wait()
				w.run(600, 30, func() {
					open := 0
					for _, run := range w.fake.Runs() {
						if w.open[run.ID] && strings.Contains(run.Submission.Occurrence, "-b") {
							open++
						}
					}
					if open > 3 {
						t.Errorf("%d runs of the backfill are open at %v", open, w.now)
					}
				})
				found := w.backfills("s")
				for i := range n {
					nominal := first.Add(time.Duration(i) * time.Hour)
					want := schedule.Completed
					if i == 7 {
						want = schedule.Failed
					}
					if all := found[nominal]; len(all) != 1 || all[0].Status != want || w.fake.Submissions(all[0].ID) != 1 {
						t.Errorf("%v became %+v", nominal, all)
					}
				}
				if len(found) != n {
					t.Errorf("%d times are filled, want %d", len(found), n)
				}
				// Asked again, only what is missing is made, and it completes.
				made, left := w.fill("s", body)
				w.run(50, 30, func() {})
				if again := w.backfills("s")[first.Add(7*time.Hour)]; len(made) != 1 || left != n-1 || len(again) != 2 || w.fake.Submissions(again[0].ID)+w.fake.Submissions(again[1].ID) != 2 {
					t.Errorf("again %d are made, %d left out, %+v", len(made), left, again)
				}
			})
		}
	}
}

// One at a time, the runs start in the order that was asked for; a second backfill waits behind the first, whatever its
// order, and neither keeps the schedule's own runs or those asked for by hand waiting.
func TestBackfillInOrder(t *testing.T) {
	w := newWorld(t, 1)
	w.healthy = true
	w.create("s", every("hour", 1), schedule.CatchUp{})
	hour := w.now.Truncate(time.Hour)
	span := func(from, to int, rest string) string {
		return fmt.Sprintf(`{"from": %q, "to": %q%s}`, hour.Add(time.Duration(from)*time.Hour).Format(time.RFC3339), hour.Add(time.Duration(to)*time.Hour).Format(time.RFC3339), rest)
	}
	w.fill("s", span(-10, -5, `, "order": "newest"`))
	w.now = w.now.Add(time.Second)
	w.fill("s", span(-12, -8, ``))
	asked := w.created["s"]
	if err := w.db.Add(t.Context(), schedule.Asked(asked, "", "x", "me", nil, w.now)); err != nil {
		t.Fatal(err)
	}
	w.run(0, 1, func() {})
	var order []int
	byHand, regular := 0, 0
	for i, run := range w.fake.Runs() {
		_, at, distinct, _ := schedule.ParseOccurrenceID(run.Submission.Occurrence)
		switch {
		case strings.HasPrefix(distinct, "m"):
			byHand = i + 1
		case distinct == "":
			regular++
		default:
			order = append(order, int(at.Sub(hour)/time.Hour))
		}
	}
	if want := []int{-5, -6, -7, -8, -9, -10, -12, -11}; !slices.Equal(order, want) {
		t.Errorf("the order is %v, want %v", order, want)
	}
	if byHand == 0 || byHand > 4 || regular == 0 {
		t.Errorf("the one asked for by hand is number %d, and %d regular ones ran", byHand, regular)
	}
}

// A person stops a backfill: what waits is skipped, with a record, in no time.
func TestBackfillIsStopped(t *testing.T) {
	for name, stop := range map[string]func(w *world){
		"disabled": func(w *world) { w.revise("s", func(d *schedule.Definition) { d.Status = schedule.Disabled }) },
		"deleted": func(w *world) {
			if err := w.db.Delete(w.t.Context(), "s", "me", w.now, func(schedule.Schedule) error { return nil }); err != nil {
				w.t.Fatal(err)
			}
		},
	} {
		w := newWorld(t, 1)
		w.healthy = true
		w.create("s", every("hour", 1), schedule.CatchUp{})
		to := w.now.Truncate(time.Hour)
		if made, _ := w.fill("s", fmt.Sprintf(`{"from": %q, "to": %q, "at_once": 2}`, to.Add(-299*time.Hour).Format(time.RFC3339), to.Format(time.RFC3339))); len(made) != 300 {
			t.Fatalf("%d are made", len(made))
		}
		w.deliver()
		stop(w)
		for range 500 {
			w.now = w.now.Add(time.Second)
			w.deliver()
			w.tick(0)
		}
		skipped, ran := 0, 0
		for _, all := range w.backfills("s") {
			switch {
			case len(all) == 1 && all[0].Status == schedule.Skipped && string(all[0].Reason) == name:
				skipped++
			case len(all) == 1 && all[0].Status == schedule.Completed:
				ran++
			default:
				t.Errorf("%s: %+v", name, all)
			}
		}
		if ran != 2 || skipped != 298 {
			t.Errorf("%s: %d ran, %d were skipped", name, ran, skipped)
		}
	}
}

// A thousand that wait cost the clock no more than one.
func TestBackfillDoesNotFloodTheClock(t *testing.T) {
	calls := func(n int) (count int64) {
		w := newWorld(t, 1)
		w.healthy = true
		w.fake.After = nil // its runs do not end
		counter := &storetest.Counter{Driver: store.NewMem()}
		w.db = store.New(counter)
		w.create("s", every("month", 1), schedule.CatchUp{})
		d := w.created["s"].Definition
		d.Name, d.Trigger.Spec = "hourly", every("hour", 1)
		s := schedule.New(d, store.NewScheduleID("hourly"), "me", w.now)
		if err := w.db.Create(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		s = s.StoppedBy("me", "", false, w.now)
		if _, err := w.db.Edit(t.Context(), "hourly", w.now, func(schedule.Schedule) (schedule.Schedule, error) { return s, nil }); err != nil {
			t.Fatal(err)
		}
		to := w.now.Truncate(time.Hour)
		w.fill("hourly", fmt.Sprintf(`{"from": %q, "to": %q}`, to.Add(-time.Duration(n-1)*time.Hour).Format(time.RFC3339), to.Format(time.RFC3339)))
		for range 2 { // the first is submitted, and looked at
			w.now = w.now.Add(time.Second)
			w.tick(0)
			w.deliver()
		}
		counter.Reset()
		for range 60 { // its run goes on for an hour
			w.now = w.now.Add(time.Minute)
			w.tick(0)
			w.deliver()
		}
		if runs := len(w.fake.Runs()); runs != 1 {
			t.Errorf("%d runs of %d are under way", runs, n)
		}
		return counter.Calls()
	}
	few, many := calls(2), calls(1000)
	t.Logf("an hour of ticks makes %d calls with one that waits, %d with 999", few, many)
	if many > few+few/10 {
		t.Errorf("an hour of ticks makes %d calls with one that waits, and %d with 999", few, many)
	}
}

// A run for a time that is over sees that time, and the window before it, also before its schedule was created.
func TestTemplatesOfTimesThatAreOver(t *testing.T) {
	w := newWorld(t, 1)
	w.healthy = true
	w.add("s", func(d *schedule.Definition) {
		d.Trigger.Spec = every("hour", 1)
		d.Parameters = schedule.Parameters{"a": "{{ .Nominal }} since {{ .Window.Start }}"}
	})
	r, err := w.db.Schedule(t.Context(), "s")
	if err != nil {
		t.Fatal(err)
	}
	s := r.Schedule.Value
	for i, nominal := range []time.Time{{}, w.now.Truncate(time.Hour), w.now.Truncate(time.Hour).Add(-90 * time.Minute)} {
		o := schedule.Asked(s, "", fmt.Sprint("x", i), "me", nil, w.now)
		if !nominal.IsZero() {
			o.Nominal = nominal
		}
		if err := w.db.Add(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	w.fill("s", `{"from": "2026-11-22T07:00", "to": "2026-11-22T07:00"}`)
	for range 10 {
		w.now = w.now.Add(time.Minute)
		w.tick(0)
		w.deliver()
	}
	var got []string
	for _, run := range w.fake.Runs() {
		got = append(got, run.Submission.Parameters["a"])
	}
	slices.Sort(got)
	want := []string{
		"2026-11-22T07:00:00Z since 2026-11-22T06:00:00Z", "2026-11-22T08:30:00Z since 2026-11-22T08:00:00Z",
		"2026-11-22T10:00:00Z since 2026-11-22T09:00:00Z", "2026-11-22T10:00:07Z since ",
	}
	if !slices.Equal(got, want) {
		t.Errorf("the runs got %q, want %q", got, want)
	}
}
