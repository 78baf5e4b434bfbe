package recurrence_test

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"

	"carillon/shared/schedule"
	"carillon/shared/store"
)

// referee is a store that checks every step that is written against what the policies promise.
type referee struct {
	store.Driver
	t  *testing.T
	mu sync.Mutex
	// by the schedules' ids
	schedules map[string]*standing
	names     map[string]string // of schedules, their ids
	steps     map[schedule.Reason]int
}

// standing is what a referee knows of one schedule.
type standing struct {
	schedule.Schedule
	all      map[string]schedule.Occurrence
	underWay map[string]bool
	waiting  map[string]bool
	marks    map[string]bool // rows by which the clock looks after those that wait
	newest   string          // of those that were claimed
	ended    int             // steps by which something ended, or was skipped
	failures int
}

func newReferee(t *testing.T) *referee {
	return &referee{Driver: store.NewMem(), t: t, schedules: map[string]*standing{}, names: map[string]string{}, steps: map[schedule.Reason]int{}}
}

func (r *referee) Apply(ctx context.Context, part string, ops ...store.Op) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if err := r.Driver.Apply(ctx, part, ops...); err != nil {
		return err
	}
	for _, op := range ops {
		switch {
		case strings.HasPrefix(op.Sort, "wake|") && strings.Contains(op.Sort, "|r|"):
			s := r.schedules[op.Sort[strings.LastIndexByte(op.Sort, '|')+1:]]
			set(s.marks, op.Sort, op.Kind != store.Delete)
			defer func() {
				if len(s.waiting) > 0 && len(s.marks) == 0 {
					r.t.Errorf("%s: %d wait, and the clock does not look after them: %v", s.Name, len(s.waiting), ops)
				}
			}()
		case op.Kind == store.Delete:
		case strings.HasPrefix(op.Sort, "sch|") && strings.HasSuffix(op.Sort, "|def"):
			r.revised(read[schedule.Schedule](r.t, op))
		case strings.HasPrefix(op.Sort, "occ|"):
			r.step(read[schedule.Occurrence](r.t, op))
		}
	}
	for _, op := range ops {
		if name, ok := strings.CutSuffix(strings.TrimPrefix(op.Sort, "sch|"), "|state"); ok && op.Kind != store.Delete {
			s := r.schedules[r.names[name]]
			if state := read[schedule.State](r.t, op); state.Failures != s.failures {
				r.t.Errorf("%s: %d failures in a row are counted, and there were %d", name, state.Failures, s.failures)
			}
		}
	}
	return nil
}

func read[T any](t *testing.T, op store.Op) (v T) {
	if err := json.Unmarshal(op.Value, &v); err != nil {
		t.Error(err)
	}
	return v
}

func (r *referee) revised(s schedule.Schedule) {
	r.names[s.Name] = s.ID
	known := r.schedules[s.ID]
	if known == nil {
		known = &standing{all: map[string]schedule.Occurrence{}, underWay: map[string]bool{}, waiting: map[string]bool{}, marks: map[string]bool{}}
		r.schedules[s.ID] = known
	}
	if known.Status == schedule.Disabled && s.Status == schedule.Active {
		known.failures = 0
	}
	known.Schedule = s
}

// step checks one step of an occurrence, and remembers it.
func (r *referee) step(o schedule.Occurrence) {
	s := r.schedules[o.ScheduleID()]
	was := s.all[o.ID]
	if o.Regular() && o.Status != was.Status && was.Attempts == 0 {
		switch {
		case o.Status == schedule.Submitting:
			r.claimed(s, o)
		case o.Reason == schedule.ReasonOverlap:
			r.passedOver(s, o)
		}
	}
	if o.Status == schedule.Skipped && was.Status != schedule.Skipped {
		r.steps[o.Reason]++
	}
	s.all[o.ID] = o
	set(s.underWay, o.ID, o.UnderWay())
	set(s.waiting, o.ID, o.Buffered)
	if o.Regular() && o.UnderWay() {
		s.newest = max(s.newest, o.ID)
	}
	if o.Status.Final() && !was.Status.Final() && o.PauseAfter > 0 {
		s.failures = schedule.State{Failures: s.failures}.Ended(o).Failures
	}
	if o.Status.Final() {
		s.ended++
	}
	if most := map[schedule.Overlap]int{schedule.OverlapBufferOne: 4, schedule.OverlapBufferAll: schedule.MaxBuffered + 3}[s.Overlap]; most > 0 && len(s.waiting) > most {
		r.t.Errorf("%s: %d wait", s.Name, len(s.waiting))
	}
}

func set(of map[string]bool, id string, is bool) {
	delete(of, id)
	if is {
		of[id] = true
	}
}

func (r *referee) claimed(s *standing, o schedule.Occurrence) {
	if s.PauseAfter > 0 && s.failures >= s.PauseAfter {
		r.t.Errorf("%s starts after %d failures in a row", o.ID, s.failures)
	}
	if !s.Overlap.Queues() {
		return
	}
	if len(s.underWay) > 0 {
		r.t.Errorf("%s (%s): %s starts beside %v", s.Name, s.Overlap, o.ID, slices.Collect(maps.Keys(s.underWay)))
	}
	for id := range s.waiting {
		if id != o.ID && (id < o.ID) != (s.Overlap == schedule.OverlapCancelRunning) {
			r.t.Errorf("%s (%s): %s starts before %s", s.Name, s.Overlap, o.ID, id)
		}
	}
}

// passedOver checks that there was a reason to skip an occurrence for others.
func (r *referee) passedOver(s *standing, o schedule.Occurrence) {
	before, after := 0, 0
	for id := range s.waiting {
		switch {
		case id < o.ID:
			before++
		case id > o.ID:
			after++
		}
	}
	switch s.Overlap {
	case schedule.OverlapSkip:
		if len(s.underWay) == 0 && s.ended == 0 { // what was under way may just have ended
			r.t.Errorf("%s is skipped, and nothing was ever under way", o.ID)
		}
	case schedule.OverlapBufferOne:
		if before == 0 && s.newest < o.ID && len(s.underWay) == 0 {
			r.t.Errorf("%s is skipped, and no other waits", o.ID)
		}
	case schedule.OverlapBufferAll:
		if before < schedule.MaxBuffered {
			r.t.Errorf("%s is skipped, and only %d wait", o.ID, before)
		}
	case schedule.OverlapCancelRunning:
		if after == 0 && s.newest < o.ID {
			r.t.Errorf("%s is skipped, and there is no newer one", o.ID)
		}
	default:
		r.t.Errorf("%s of %s is skipped for others", o.ID, s.Name)
	}
}

// rest checks that nothing is left behind once everything has ended.
func (r *referee) rest() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range r.schedules {
		if len(s.underWay)+len(s.waiting) > 0 {
			r.t.Errorf("%s (%s): %v are under way, %v wait for ever", s.Name, s.Overlap, slices.Collect(maps.Keys(s.underWay)), slices.Collect(maps.Keys(s.waiting)))
		}
	}
	for shard := range store.Shards {
		for _, prefix := range []string{"run|", "buf|"} {
			rows, err := r.Scan(context.Background(), fmt.Sprint("shard", shard), prefix, prefix+"|", store.MaxScan)
			if err != nil || len(rows) > 0 {
				r.t.Errorf("%d rows of %s are left, the first %v, %v", len(rows), prefix, rows[:min(len(rows), 1)], err)
			}
		}
	}
}
