package recur

// Always is the rule without the bound that creation sets: the times that would have come before are among its own, in
// step with those that come. A definition with a start_time begins there all the same, and one instant stays one.
func (r *Rule) Always() *Rule {
	if !r.created {
		return r
	}
	all := *r
	all.lo = minWall + 2*day // the year 1 has begun in every zone
	if all.step > 0 {
		all.anchor = all.lo - mod(all.lo-r.anchor, all.step)
		return &all
	}
	w := &all.wall
	if early := w.unit.period(minWall / day); early < w.first {
		w.first -= (w.first - early + w.interval - 1) / w.interval * w.interval
	}
	return &all
}
