package recur

import (
	"iter"
	"math"
	"time"
)

// A Rule is a compiled Spec: the times at which a schedule is due. They depend on the definition alone, never on
// what has fired before. A Rule does not change; any number of goroutines may use it. All its times have
// whole seconds and are given in its zone; the last possible one is at the end of the year 9999.
type Rule struct {
	zone    *zone
	lo, hi  int64 // Unix seconds: the first and the last instant at which it may fire
	created bool  // lo is that of creation
	step    int64 // seconds of elapsed time; 0 for wall times
	anchor  int64 // with step
	wall    pattern
	real    bool // the pattern is matched against each minute that the zone's clocks show, and clock changes move nothing
	notices []string
}

// Zone is the zone in which the definition is read.
func (r *Rule) Zone() *time.Location { return r.zone.loc }

// Notices tells the author of the definition, in sentences, what may surprise.
func (r *Rule) Notices() []string { return r.notices }

// Next is the first occurrence strictly after an instant; false when there is none. It allocates nothing.
func (r *Rule) Next(after time.Time) (time.Time, bool) {
	u := after.Unix()
	if u >= r.hi {
		return time.Time{}, false
	}
	if u, _ = r.next(u+1, -1); u == never {
		return time.Time{}, false
	}
	return r.time(u), true
}

// All yields the occurrences at or after an instant, in order, each when it is asked for.
func (r *Rule) All(from time.Time) iter.Seq[time.Time] {
	return func(yield func(time.Time) bool) {
		seg := -1
		for u := ceilUnix(from); u <= r.hi; u++ {
			if u, seg = r.next(u, seg); u == never || !yield(r.time(u)) {
				return
			}
		}
	}
}

// CountBetween counts the occurrences with from < t <= to, at most limit of them. It gives the first of them and
// the very last, however many lie between; both are zero when there is none.
func (r *Rule) CountBetween(from, to time.Time, limit int) (n int, first, last time.Time) {
	end := min(to.Unix(), r.hi)
	lo := from.Unix()
	if lo >= end {
		return 0, first, last
	}
	u, seg := r.next(lo+1, -1)
	if u > end {
		return 0, first, last
	}
	lo = u
	n = r.count(lo, end, seg, limit)
	return n, r.time(lo), r.time(r.last(lo, end))
}

func (r *Rule) count(u, end int64, seg, limit int) (n int) {
	if r.step > 0 {
		return int(min((end-u)/r.step+1, int64(max(limit, 0))))
	}
	for n < limit && u <= end {
		n++
		if u == end {
			break
		}
		u, seg = r.next(u+1, seg)
	}
	return n
}

// last is the last occurrence at or before end; lo is one.
func (r *Rule) last(lo, end int64) int64 {
	step := int64(1)
	for hi := end; lo < hi; {
		mid := max(lo, hi-step)
		u, _ := r.next(mid+1, -1)
		switch {
		case u <= end:
			lo, step = u, 1
			if u == end {
				return u
			}
		case mid == lo:
			return lo
		default:
			hi, step = mid, step*2
		}
	}
	return lo
}

// Moved reports whether an occurrence stands, because clocks were put forward, later than its written wall time.
func (r *Rule) Moved(t time.Time) bool {
	if r.step > 0 || r.real {
		return false
	}
	u := t.Unix()
	i := r.zone.find(u)
	off := r.zone.offset(i)
	if i == 0 || r.wall.has(u+off) {
		return false
	}
	before := r.zone.offset(i - 1)
	return u-r.zone.start(i) < off-before && r.wall.has(u+before)
}

func (r *Rule) time(u int64) time.Time { return time.Unix(u, 0).In(r.zone.loc) }

func ceilUnix(t time.Time) int64 {
	if t.Nanosecond() > 0 {
		return t.Unix() + 1
	}
	return t.Unix()
}

// next is the first occurrence at or after the instant u, or never, and the segment of the zone that holds it.
// seg is the segment that an earlier call gave for an instant not after u, or -1.
func (r *Rule) next(u int64, seg int) (int64, int) {
	if u > r.hi {
		return never, seg
	}
	u = max(u, r.lo)
	if r.step > 0 {
		if late := (u - r.anchor) % r.step; late > 0 {
			u += r.step - late
		}
		if u > r.hi {
			u = never
		}
		return u, seg
	}
	return r.nextWall(u, seg)
}

// nextWall walks along the segments of the zone. In each, instants and wall times run side by side, so the first
// wall time of the pattern gives the first instant, unless it comes after the segment's end.
func (r *Rule) nextWall(u int64, seg int) (int64, int) {
	z := r.zone
	if seg < 0 || u >= z.start(seg+1) {
		seg = z.find(u)
	}
	hi := r.hi
	if r.real {
		hi = min(hi, max(u, cycleStart)+cycleLen) // by then every date has been seen on every weekday, under every offset
	}
	f := finder{p: &r.wall, c: math.MinInt64}
	for start := z.start(seg); start <= hi; seg++ {
		end, off := z.start(seg+1), z.offset(seg)
		fire := int64(never)
		from := max(u, start) + off
		if seg > 0 && !r.real {
			before := z.offset(seg - 1)
			if u < start+off-before && off-before < day {
				// The wall times that the gap before this segment swallowed, moved forward by it.
				if c := f.from(max(u, start) + before); c < start+off {
					fire = c - before
				}
			}
			from = max(from, start+before) // what is shown a second time has fired the first time
		}
		if c := f.from(from); c != never {
			fire = min(fire, c-off)
		} else if fire == never {
			return never, seg
		}
		if fire < end {
			if fire > r.hi {
				return never, seg
			}
			return fire, seg
		}
		start = end
	}
	return never, seg
}

// finder answers pattern.from for wall times that are close to one another, and remembers.
type finder struct {
	p    *pattern
	base int64
	c    int64 // the first of the pattern from base on
}

func (f *finder) from(wall int64) int64 {
	if f.base > wall || wall > f.c {
		f.base, f.c = wall, f.p.from(wall)
	}
	return f.c
}
