package schedule

import "time"

// Poll is how far the looking at a schedule's folders has come. What the listings have shown stands in pages beside it;
// a page belongs to a generation, and those of the last complete one are what is remembered.
type Poll struct {
	Wake       time.Time `json:"wake,omitzero"`      // when the clock starts the next look; zero for never
	Baseline   int       `json:"baseline"`           // the schedule's BaselineRevision that the pages belong to; 0 for none
	Generation int       `json:"generation"`         // the last complete one
	Pages      int       `json:"pages"`              // how many it has
	Pass       *Pass     `json:"pass,omitempty"`     // a look that was interrupted
	Looked     time.Time `json:"looked,omitzero"`    // when the last complete look ended
	Problem    string    `json:"problem,omitempty"`  // why the last look failed, for a person
	Since      time.Time `json:"since,omitzero"`     // of the problem
	Next       time.Time `json:"next_look,omitzero"` // when it is to be looked next
}

// Pass is a look that is under way: where its listing goes on.
type Pass struct {
	Folder int    `json:"folder"` // of the trigger's
	Token  string `json:"token"`  // of the listing
	Page   int    `json:"page"`   // the next one
	First  bool   `json:"first,omitempty"`
}

// PollLease is how long a look that was begun keeps the clock from beginning another. A look that takes longer stops
// before, and goes on later.
const PollLease = 5 * time.Minute

// Watched is the poll state of a schedule that begins to watch at now: it looks at once.
func (p Poll) Watched(now time.Time) Poll {
	p.Wake, p.Problem, p.Since, p.Next = ceilSecond(now), "", time.Time{}, time.Time{}
	p.Pass = &Pass{First: true}
	return p
}

// Now is the poll state of a schedule whose folders are to be looked at at once, whenever they were to be.
func (p Poll) Now(now time.Time) Poll {
	p.Wake, p.Next = ceilSecond(now), now.UTC()
	return p
}

// Begun is the poll state while somebody looks: nobody else begins before the lease is over. first says that the
// folders are looked at for the first time since the baseline.
func (p Poll) Begun(first bool, now time.Time) Poll {
	p.Wake = ceilSecond(now.Add(PollLease))
	p.Next = p.Wake
	if p.Pass == nil {
		p.Pass = &Pass{First: first}
	}
	return p
}

// Troubled is the poll state with a problem that people should see.
func (p Poll) Troubled(err error, now time.Time) Poll {
	if p.Problem == "" {
		p.Since = now.UTC()
	}
	p.Problem = clip(err.Error())
	return p
}

// Failed is the poll state after a look that failed at a place, from where it is gone on with at the next one's time.
func (p Poll) Failed(err error, at Pass, next, now time.Time) Poll {
	p = p.Troubled(err, now)
	p.Pass = &at
	p.Wake, p.Next = ceilSecond(next), ceilSecond(next)
	return p
}

// Interrupted is the poll state of a look that goes on later, from where it is.
func (p Poll) Interrupted(at Pass, now time.Time) Poll {
	p.Pass, p.Wake, p.Next = &at, ceilSecond(now), ceilSecond(now)
	return p
}

// Done is the poll state after a complete look at pages of a generation.
func (p Poll) Done(baseline, generation, pages int, next, now time.Time) Poll {
	return Poll{Wake: ceilSecond(next), Next: ceilSecond(next), Baseline: baseline, Generation: generation, Pages: pages, Looked: now.UTC()}
}

// Fine is the poll state without a problem.
func (p Poll) Fine() Poll {
	p.Problem, p.Since = "", time.Time{}
	return p
}

// Idles is the poll state of a schedule whose datastores send every change: it is looked at again whether they still do.
// listed says that the folders were listed all the same.
func (p Poll) Idles(listed bool, next time.Time) Poll {
	p.Wake, p.Next = ceilSecond(next), ceilSecond(next)
	if !listed { // should they be listed one day, that is for the first time
		p.Baseline = 0
	}
	return p
}

// Rests is the poll state of a schedule that watches nothing.
func (p Poll) Rests() Poll {
	p.Wake, p.Next, p.Pass, p.Problem, p.Since = time.Time{}, time.Time{}, nil, "", time.Time{}
	return p
}
