package hostdouble

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"carillon/shared/recur"
)

// timerTrigger is when a timer ticks, and how often a tick that fails is tried again.
type timerTrigger struct {
	cron  cron
	retry *retry
}

// timer is a timer of a running host.
type timer struct {
	timerTrigger
	function function

	mu                  sync.Mutex // held for a tick: a timer is a singleton
	last, next, updated time.Time
}

func newTimer(f function, trigger timerTrigger) *timer {
	now := time.Now()
	return &timer{timerTrigger: trigger, function: f, next: trigger.cron.next(now), updated: now}
}

func readTimer(name string, b bindingJSON, policy *retryJSON, settings map[string]string, wrong *problems) timerTrigger {
	t := timerTrigger{retry: policy.read(name, wrong)}
	var err error
	if t.cron, err = parseCron(wrong.resolved(name, b.Schedule, settings)); err != nil {
		wrong.add("%s: %w", name, err)
	}
	if b.RunOnStartup {
		wrong.add("%s: runOnStartup runs at every scaling; this host does not", name)
	}
	return t
}

// retry is a retry policy.
type retry struct {
	most     int // -1: for ever
	min, max time.Duration
}

type retryJSON struct {
	Strategy                         string
	MaxRetryCount                    int
	DelayInterval                    string
	MinimumInterval, MaximumInterval string
}

func (r *retryJSON) read(name string, wrong *problems) *retry {
	if r == nil {
		return nil
	}
	switch r.Strategy {
	case "fixedDelay":
		delay := wrong.span(name+": delayInterval", r.DelayInterval, 0)
		return &retry{r.MaxRetryCount, delay, delay}
	case "exponentialBackoff":
		return &retry{r.MaxRetryCount, wrong.span(name+": minimumInterval", r.MinimumInterval, 0), wrong.span(name+": maximumInterval", r.MaximumInterval, 0)}
	}
	wrong.add("%s: retry strategy %q", name, r.Strategy)
	return nil
}

func (r *retry) delay(try int) time.Duration { return min(r.max, r.min<<min(try-1, 20)) }

// tick fires a timer when it is due. Ticks that were missed meanwhile are one.
func (h *Host) tick(l *life, t *timer) {
	for due := t.cron.next(time.Now()); sleep(l.ctx, time.Until(due)); {
		_ = h.fire(l, t, false)
		if t.cron.next(due).Before(time.Now()) {
			_ = h.fire(l, t, true)
		}
		after := time.Now()
		if after.Before(due) { // we have woken early
			after = due
		}
		due = t.cron.next(after)
	}
}

// fire makes one tick.
func (h *Host) fire(l *life, t *timer, pastDue bool) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	status := map[string]any{"Last": t.last.Format(withOffset), "Next": t.next.Format(withOffset), "LastUpdated": t.updated.Format(withOffset)}
	data := map[string]any{"Schedule": map[string]any{"AdjustForDST": true}, "ScheduleStatus": status, "IsPastDue": pastDue}
	e := event{function: t.function, id: guid(), try: 1, data: data}
	fired := time.Now().UTC()
	var err error
	for ; ; e.try++ {
		e.metadata = t.retry.context(e, err)
		err = h.call(l, e)
		if err == nil || t.retry == nil || t.retry.most >= 0 && e.try > t.retry.most || !sleep(l.ctx, t.retry.delay(e.try)) {
			break
		}
	}
	t.last, t.updated, t.next = fired, fired, t.cron.next(fired)
	return err
}

// context tells a function of its earlier tries.
func (r *retry) context(e event, failed error) map[string]any {
	if r == nil {
		return nil
	}
	var exception any
	if failed != nil {
		exception = map[string]any{
			"InstanceId": e.id, "MethodName": "Host.Functions." + e.function.name, "Handled": false,
			"ClassName": "Microsoft.Azure.WebJobs.Host.FunctionInvocationException",
			"Message":   "Exception while executing function: Functions." + e.function.name,
			"Data":      nil, "InnerException": map[string]any{"Message": failed.Error(), "StackTrace": strings.Repeat("   at Host\n", 300)},
		}
	}
	return map[string]any{"RetryContext": map[string]any{
		"RetryCount": e.try - 1, "MaxRetryCount": r.most, "Exception": exception, "Instance": nil, "State": map[string]any{},
	}}
}

// cron is a six-field NCRONTAB expression, in UTC.
type cron struct {
	seconds []int
	minutes *recur.Rule
}

func parseCron(text string) (cron, error) {
	fields := strings.Fields(text)
	if len(fields) != 6 {
		return cron{}, fmt.Errorf("schedule %q: the host takes six fields, with the seconds first", text)
	}
	rule, errs := recur.Spec{Kind: recur.KindCron, Expression: strings.Join(fields[1:], " ")}.Compile(time.Unix(0, 0))
	if len(errs) > 0 {
		return cron{}, fmt.Errorf("schedule %q: %w", text, errs)
	}
	var c cron
	for item := range strings.SplitSeq(fields[0], ",") {
		seconds, err := secondsOf(item)
		if err != nil {
			return c, fmt.Errorf("schedule %q: seconds: %w", text, err)
		}
		c.seconds = append(c.seconds, seconds...)
	}
	slices.Sort(c.seconds)
	c.minutes = rule
	return c, nil
}

// secondsOf reads *, a, a-b, and * or a-b with /n behind it.
func secondsOf(item string) ([]int, error) {
	span, by, stepped := strings.Cut(item, "/")
	step := 1
	if stepped {
		n, err := strconv.Atoi(by)
		if err != nil || n < 1 {
			return nil, fmt.Errorf("%q is no step", by)
		}
		step = n
	}
	if span == "*" {
		span = "0-59"
	}
	from, to, ranged := strings.Cut(span, "-")
	if !ranged {
		to = from
	}
	lo, err := strconv.Atoi(from)
	hi, err2 := strconv.Atoi(to)
	if err != nil || err2 != nil || lo < 0 || hi > 59 || lo > hi {
		return nil, fmt.Errorf("%q is not within 0-59", span)
	}
	var all []int
	for ; lo <= hi; lo += step {
		all = append(all, lo)
	}
	return all, nil
}

// next is the first tick after an instant.
func (c cron) next(after time.Time) time.Time {
	after = after.UTC()
	minute := after.Truncate(time.Minute).Add(-time.Second)
	for {
		at, ok := c.minutes.Next(minute)
		if !ok {
			return time.Time{}.AddDate(9998, 0, 0)
		}
		for _, s := range c.seconds {
			if tick := at.Add(time.Duration(s) * time.Second); tick.After(after) {
				return tick
			}
		}
		minute = at
	}
}
