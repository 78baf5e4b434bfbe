package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"carillon/functions/recurrence"
	"carillon/functions/submit"
	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
	"carillon/shared/source"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

// changeOver is one beside an old service that fires, second by second.
type changeOver struct {
	*site
	old     *oldWorkspace
	faulty  *storetest.Faulty
	clock   *recurrence.Function
	submit  *submit.Function
	submits *queue.Mem
	times   []time.Time             // at which the old one is due
	starts  map[time.Time]time.Time // the same, by when it starts them
	started []time.Time             // by the old one
	reports []string
}

func newChange(t *testing.T, expression string, began time.Time, delay time.Duration) *changeOver {
	s, o := newOld(t)
	s.now = began
	o.v2["cron"] = aV2("cron", map[string]any{"triggerType": "Cron", "expression": expression})
	c := &changeOver{site: s, old: o, starts: map[time.Time]time.Time{}, submits: queue.NewMem()}
	c.faulty = &storetest.Faulty{Driver: store.NewMem(), Fail: func(storetest.Call) storetest.Fault { return storetest.Works }}
	db, err := store.Open(t.Context(), c.faulty)
	if err != nil {
		t.Fatal(err)
	}
	c.submits.Now = s.f.Now
	s.f.DB, s.f.Submit = db, c.submits
	c.clock = &recurrence.Function{DB: db, Submit: c.submits, Follow: queue.NewMem(), Marks: queue.NewMem(), Now: s.f.Now, Log: s.f.Log}
	c.submit = &submit.Function{
		DB: db, Targets: s.f.Targets, Submit: c.submits, Follow: queue.NewMem(), Owner: "me", Void: func(string) bool { return false },
		Old: o, Now: s.f.Now, Log: s.f.Log,
	}
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
		for _, body := range c.submits.Take(c.now) {
			if c.submit.Handle(c.t.Context(), body) != nil {
				c.submits.Send(c.t.Context(), body, 5*time.Second)
			}
		}
	}
}

// ask sends the request once, and reports whether it came to its end.
func (c *changeOver) ask() (out imported, whole bool) {
	defer func() {
		if crash := recover(); crash != nil && crash != "crash" {
			panic(crash)
		}
	}()
	r := c.call("POST", "/api/import", `{"from":"v2","create":true,"disable_source":true}`)
	if err := json.Unmarshal([]byte(r.text), &out); err != nil || r.status != 200 {
		return out, false
	}
	c.reports = append(c.reports, out.Items[0].Done...)
	c.reports = append(c.reports, out.Items[0].Problems...)
	return out, true
}

// move sends the request, again when it is told to, until all is done.
func (c *changeOver) move() {
	for range 20 {
		out, whole := c.ask()
		switch {
		case whole && !out.AgainAt.IsZero():
			c.until(out.AgainAt)
		case whole && out.Items[0].Source.Disabled && len(out.Items[0].Problems) == 0:
			return
		default:
			c.until(c.now.Add(time.Minute)) // somebody reads the report, and tries again
		}
	}
	c.t.Fatalf("it does not come to an end: %q", c.reports)
}

// both are the times at which either has started a run, and records what the new one has left to the old one.
func (c *changeOver) both() (started map[time.Time]int, left map[time.Time]string) {
	started, left = map[time.Time]int{}, map[time.Time]string{}
	_, _, err := c.f.DB.Occurrences(c.t.Context(), "", 10000, func(o schedule.Occurrence) bool {
		switch {
		case o.Run != "":
			started[o.Nominal]++
		case o.Reason == schedule.ReasonOldSchedule:
			left[o.Nominal] = o.Error
		}
		return false
	})
	if err != nil {
		c.t.Fatal(err)
	}
	for _, at := range c.started {
		started[at]++
	}
	return started, left
}

// check compares what was started with what was due from an instant on: nothing twice, and nothing left out, but for what
// is told by name (asked for those that only a record tells of).
func (c *changeOver) check(from time.Time, records bool) (missing int, err error) {
	started, left := c.both()
	reports := strings.Join(c.reports, "\n")
	for _, at := range c.times {
		if at.Before(from) || !at.Before(c.now.Add(-2*time.Minute)) {
			continue
		}
		told := strings.Contains(reports, at.Format(time.RFC3339)) || records && strings.Contains(left[at], "may have had")
		if n := started[at]; n > 1 || n == 0 && !told {
			return missing, fmt.Errorf("%v was started %d times, left: %q; reports %q", at, n, left[at], c.reports)
		} else if n == 0 {
			missing++
		}
	}
	return missing, nil
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
			if missing, err := c.check(began.Add(time.Minute), false); err != nil || missing > 0 {
				t.Errorf("%s from %v on, old runs after %v: %d missing, %v", expression, began, delay, missing, err)
			}
			if strings.Contains(strings.Join(c.reports, "\n"), "look") {
				t.Errorf("%s from %v on: a doubt without a fault: %q", expression, began, c.reports)
			}
		}
	}
}

// The same while requests to the old service fail in every way and take their time: nothing runs twice, and what may
// not have run is reported by its time.
func TestNothingTwiceOrNeverWithFaults(t *testing.T) {
	missing := 0
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
		if seed%4 == 0 {
			c.old.asking = func() error {
				if random.IntN(2) == 0 {
					return errors.New("the workspace answered 503")
				}
				return nil
			}
		}
		c.until(began.Add(2 * time.Minute))
		c.move()
		c.until(c.now.Add(70 * time.Minute))
		n, err := c.check(began.Add(time.Minute), false)
		if missing += n; err != nil {
			t.Errorf("seed %d: %v", seed, err)
		}
	}
	if missing == 0 || missing > 60 {
		t.Errorf("%d times were left out and named: there are to be some, and few", missing)
	}
}

// A process that dies before whatever call of the store, or as it asks the old service, leaves nothing that runs twice or
// is left out, whether somebody sends the request again, soon or late, or nobody ever does.
func TestNothingTwiceOrNeverAfterACrash(t *testing.T) {
	for n := 1; ; n++ {
		crashed := false
		for i, again := range []time.Duration{-1, 20 * time.Second, 3 * time.Minute, 20 * time.Minute} {
			for _, expression := range []string{"* * * * *", "*/5 * * * *", "57 * * * *"} {
				began := time.Date(2026, 11, 22, 9, 50, 7*i, 0, time.UTC)
				c := newChange(t, expression, began, 10*time.Second)
				c.until(began.Add(2*time.Minute + 33*time.Second))
				calls := 0
				step := func() {
					if calls++; calls == n {
						crashed = true
						panic("crash")
					}
				}
				c.faulty.Fail = func(storetest.Call) storetest.Fault { step(); return storetest.Works }
				c.old.turn = func(context.Context, string) (bool, error) { step(); return true, nil }
				c.ask()
				c.old.turn, c.faulty.Fail = nil, func(storetest.Call) storetest.Fault { return storetest.Works }
				if again >= 0 {
					c.until(c.now.Add(again))
					c.move()
				}
				c.until(c.now.Add(70 * time.Minute))
				if _, err := c.check(began.Add(time.Minute), true); err != nil {
					t.Errorf("call %d, again after %v, %s: %v", n, again, expression, err)
				}
				if again < 0 && c.old.fires("cron") {
					r, err := c.f.DB.Schedule(t.Context(), "cron")
					if s := r.Schedule.Value; err == nil && (s.Status == schedule.Active || s.StatusNote.Note == "") {
						t.Errorf("call %d, %s: both are active, or it is not said why not: %+v", n, expression, s)
					}
				}
			}
		}
		if !crashed {
			if n < 10 {
				t.Errorf("the change-over makes %d calls only", n)
			}
			return
		}
	}
}

// Somebody who enables a new one by hand while the old one fires gets no run twice: the new one gives way, unless the old
// one is disabled in time.
func TestEnabledBesideTheOldOne(t *testing.T) {
	for _, inTime := range []bool{true, false} {
		c := newChange(t, "*/2 * * * *", time.Date(2026, 11, 22, 9, 50, 30, 0, time.UTC), 10*time.Second)
		c.imports(`{"from":"v2","create":true}`)
		c.until(c.now.Add(5 * time.Minute))
		c.want(200, c.call("POST", "/api/schedules/cron/enable", ""))
		c.until(c.now.Add(4 * time.Minute))
		if inTime {
			c.old.v2["cron"]["properties"].(map[string]any)["isEnabled"] = false
		}
		c.until(c.now.Add(time.Hour))
		if missing, err := c.check(time.Date(2026, 11, 22, 9, 51, 0, 0, time.UTC), false); err != nil || missing > 0 {
			t.Errorf("in time: %v: %d missing, %v", inTime, missing, err)
		}
		if got := c.schedule("cron"); (got.Status == schedule.Active) != inTime || !inTime && !strings.Contains(got.StatusNote.Note, "gives way") {
			t.Errorf("in time: %v: %+v", inTime, got)
		}
	}
}

// Changes of data that the old schedule may not have looked at yet come to the new one, which asks about them.
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
	if ago := began.Sub(got.Baseline); ago < 10*time.Minute || ago > 12*time.Minute || got.Status != schedule.Active || !got.Origin.Off.Equal(s.now) {
		text, _ := json.Marshal(got)
		t.Errorf("%s, %+v", text, item)
	}
	if report := strings.Join(item.Done, ";"); !strings.Contains(report, "the old schedule has made no run for") {
		t.Errorf("%q", report)
	}
}
