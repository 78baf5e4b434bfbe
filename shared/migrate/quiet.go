package migrate

import (
	"time"

	"carillon/shared/recur"
)

const (
	// The old service may start a run this late after its time, and a change of it may take this long. Of a schedule that
	// fires more often than that allows, a part of the time between two runs is taken.
	startsWithin  = 90 * time.Second
	changesWithin = 3 * time.Minute
)

// Quiet is the first instant, from now on, at which an old schedule can be disabled without a doubt about any of its
// runs: the last one has been started, and none comes while it is being disabled.
func Quiet(rule *recur.Rule, now time.Time) time.Time {
	for at, tries := now, 0; ; tries++ {
		next, ok := rule.Next(at)
		if !ok {
			return at
		}
		last, before := rule.Previous(next)
		gap := next.Sub(last)
		if from := last.Add(min(startsWithin, gap/2)); before && at.Before(from) {
			at = from
		}
		if !before {
			gap = next.Sub(now)
		}
		if next.Sub(at) >= min(changesWithin, gap/4) || tries == 1000 {
			return at
		}
		at = next
	}
}
