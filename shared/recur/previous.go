package recur

import "time"

// Previous is the last occurrence strictly before an instant; false when there is none. However long ago that is, it
// takes a bounded number of steps.
func (r *Rule) Previous(before time.Time) (time.Time, bool) {
	end := min(ceilUnix(before)-1, r.hi)
	if end < r.lo {
		return time.Time{}, false
	}
	u, ok := r.previous(end)
	if !ok {
		return time.Time{}, false
	}
	return r.time(u), true
}

// previous is the last occurrence at or before end, which is not before r.lo.
func (r *Rule) previous(end int64) (int64, bool) {
	if r.step > 0 {
		u := end - (end-r.anchor)%r.step
		return u, u >= r.lo
	}
	until := *r
	until.hi = end // what comes later is not looked for
	first, _ := until.next(r.lo, -1)
	if first == never {
		return 0, false
	}
	return until.last(first, end), true
}
