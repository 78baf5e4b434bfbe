package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/functions/recurrence"
	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/source"
)

// changeOver is one beside an old service that fires, second by second.
type changeOver struct {
	*site
	old     *oldWorkspace
	clock   *recurrence.Function
	times   []time.Time             // at which the old one is due
	starts  map[time.Time]time.Time // the same, by when it starts them
	started []time.Time             // by the old one
	reports []string
}

func newChange(t *testing.T, expression string, began time.Time, delay time.Duration) *changeOver {
	s, o := newOld(t)
	s.now = began
	o.v2["cron"] = aV2("cron", map[string]any{"triggerType": "Cron", "expression": expression})
	c := &changeOver{site: s, old: o, starts: map[time.Time]time.Time{}}
	c.clock = &recurrence.Function{DB: s.f.DB, Submit: queue.NewMem(), Follow: queue.NewMem(), Marks: queue.NewMem(), Now: s.f.Now, Log: s.f.Log}
	d, errs := schedule.Decode([]byte(`{"name":"x","pipeline":{"kind":"local","id":"hello"},"experiment":"e","trigger":{"type":"cron","expression":"` + expression + `"}}`))
	rule, wrong := d.Trigger.Compile(began.AddDate(0, 0, -2))
	if len(errs)+len(wrong) > 0 {
		t.Fatal(errs, wrong)
	}
	for at := range rule.All(began.Add(-time.Hour)) {
		if at.After(began.Add(26 * time.Hour)) {
			break
		}
		c.times = append(c.times, at.UTC())
		c.starts[at.UTC().Add(delay)] = at.UTC()
	}
	return c
}

// until lets time go by; the clock of the new one ticks each minute.
func (c *changeOver) until(end time.Time) {
	for ; c.now.Before(end); c.now = c.now.Add(time.Second) {
		if at, due := c.starts[c.now.Truncate(time.Second)]; due && c.old.fires("cron") {
			c.started = append(c.started, at)
		}
		if c.now.Second() == 0 {
			if err := c.clock.Tick(c.t.Context(), c.now, c.now.Add(time.Minute)); err != nil {
				c.t.Fatal(err)
			}
		}
	}
}

// move sends the request, again when it is told to, until all is done.
func (c *changeOver) move() {
	for range 20 {
		out, _ := c.asksForImports(`{"from":"v2","create":true,"disable_source":true}`)
		c.reports = append(c.reports, out.Items[0].Done...)
		c.reports = append(c.reports, out.Items[0].Problems...)
		switch {
		case !out.AgainAt.IsZero():
			c.until(out.AgainAt)
		case out.Items[0].Source.Disabled:
			return
		default:
			c.until(c.now.Add(time.Minute)) // somebody reads the report, and tries again
		}
	}
	c.t.Fatalf("it does not come to an end: %q", c.reports)
}

// both are the times at which either has started a run.
func (c *changeOver) both() (all []time.Time) {
	occurrences, _, err := c.f.DB.Occurrences(c.t.Context(), "", 10000, func(o schedule.Occurrence) bool { return o.Status == schedule.Waiting })
	if err != nil {
		c.t.Fatal(err)
	}
	for _, o := range occurrences {
		all = append(all, o.Nominal)
	}
	all = append(all, c.started...)
	slices.SortFunc(all, time.Time.Compare)
	return all
}

// check compares what was started with what was due. Times that a report names may be missing, never doubled.
func (c *changeOver) check(from time.Time) error {
	count := map[time.Time]int{}
	for _, at := range c.both() {
		count[at]++
	}
	for _, at := range c.times {
		if at.Before(from) || !at.Before(c.now.Add(-2*time.Minute)) {
			continue
		}
		named := strings.Contains(strings.Join(c.reports, "\n"), at.Format(time.RFC3339))
		if n := count[at]; n > 1 || n == 0 && !named {
			return fmt.Errorf("%v was started %d times; reports %q", at, n, c.reports)
		}
	}
	return nil
}

// Whenever the change-over is asked for, and however late the old service starts its runs, each is started once.
func TestNothingTwiceOrNever(t *testing.T) {
	for _, expression := range []string{"* * * * *", "*/2 * * * *", "*/5 * * * *", "*/7 * * * *", "0 * * * *", "30 9,10 * * *"} {
		for i := range 12 {
			delay := time.Duration(i%3) * 10 * time.Second
			began := time.Date(2026, 11, 22, 9, 50+i, i*5, 0, time.UTC)
			c := newChange(t, expression, began, delay)
			c.until(began.Add(3 * time.Minute))
			c.move()
			c.until(c.now.Add(70 * time.Minute))
			if err := c.check(began.Add(time.Minute)); err != nil {
				t.Errorf("%s from %v on, old runs after %v: %v", expression, began, delay, err)
			}
			if _, reported := c.uncertain(); reported {
				t.Errorf("%s from %v on: a doubt without a fault: %q", expression, began, c.reports)
			}
		}
	}
}

// uncertain is the report of a run that may not have been started.
func (c *changeOver) uncertain() (string, bool) {
	for _, r := range c.reports {
		if strings.Contains(r, "look") {
			return r, true
		}
	}
	return "", false
}

// The same while requests to the old service fail in every way and take their time: nothing runs twice, and what may
// not have run is reported.
func TestNothingTwiceOrNeverWithFaults(t *testing.T) {
	for seed := range uint64(60) {
		random := rand.New(rand.NewPCG(seed, 1))
		began := time.Date(2026, 11, 22, 9, 50, int(seed), 0, time.UTC)
		c := newChange(t, []string{"* * * * *", "*/5 * * * *", "0 * * * *"}[seed%3], began, time.Duration(random.IntN(20))*time.Second)
		faults := 3
		c.old.turn = func(context.Context, string) (bool, error) {
			faults--
			took := time.Duration(random.IntN(40)) * time.Second
			done := random.IntN(2) == 0 || faults <= 0
			if done && random.IntN(2) == 0 { // it is done before it takes so long to see that it is
				c.old.v2["cron"]["properties"].(map[string]any)["isEnabled"] = false
			}
			c.until(c.now.Add(took))
			switch {
			case faults <= 0:
				return true, nil
			case random.IntN(2) == 0:
				return done, fmt.Errorf("took too long: %w", context.DeadlineExceeded)
			}
			return done, errors.New("the workspace answered 500")
		}
		c.until(began.Add(2 * time.Minute))
		c.move()
		c.until(c.now.Add(70 * time.Minute))
		count := map[time.Time]int{}
		for _, at := range c.both() {
			if count[at]++; count[at] > 1 {
				t.Errorf("seed %d: %v was started twice; reports %q", seed, at, c.reports)
			}
		}
		missing := 0
		for _, at := range c.times {
			if at.After(began.Add(time.Minute)) && at.Before(c.now.Add(-2*time.Minute)) && count[at] == 0 {
				missing++
			}
		}
		if _, reported := c.uncertain(); missing > 0 && !reported {
			t.Errorf("seed %d: %d were not started, and nobody is told: %q", seed, missing, c.reports)
		}
	}
}

// Changes of data belong to the old schedule until it is asked to be disabled, and to the new one from then on.
func TestCutOverOfChanges(t *testing.T) {
	s, o := newOld(t)
	o.v1 = map[string]map[string]any{"data": aV1("data", "changes")}
	o.v1["data"]["ScheduleType"], o.v1["data"]["Recurrence"] = "DataStore", nil
	o.v1["data"]["DataStoreTriggerInfo"] = map[string]any{"DataStoreName": "inbox", "PollingInterval": 10, "PathOnDataStore": "in", "DataPathParameterName": "file"}
	s.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "published", ID: "hello"}, Parameters: map[string]string{"who": "world", "file": ""}})
	s.f.Datastores = source.NewDatastores(func() ([]source.Datastore, error) {
		return []source.Datastore{{Name: "inbox", Source: &source.Mem{}}}, nil
	}, nil)
	began := s.now
	o.turn = func(context.Context, string) (bool, error) { s.now = s.now.Add(20 * time.Second); return true, nil }
	item := s.imports(`{"from":"v1","create":true,"disable_source":true}`).Items[0]
	got := s.schedule("changes")
	if !got.Baseline.Equal(began) || got.BaselineRevision != got.Revision || got.Status != schedule.Active || !got.Begins.Equal(began) {
		text, _ := json.Marshal(got)
		t.Errorf("%s, %+v", text, item)
	}
	if report := strings.Join(item.Done, ";"); !strings.Contains(report, "every 10m") {
		t.Errorf("%q", report)
	}
}
