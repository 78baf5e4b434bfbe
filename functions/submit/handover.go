package submit

import (
	"context"
	"errors"
	"time"

	"carillon/shared/schedule"
)

// Old is a workspace with old schedules, whose place new ones take. They are named as schedule.Origin does. An error is no
// answer; the caller asks again.
type Old interface {
	// Fires reports whether an old schedule is enabled. One that is gone is not.
	Fires(ctx context.Context, from string) (bool, error)
	// Ran reports whether an old schedule has made a run for a file since an instant.
	Ran(ctx context.Context, from, datastore, path string, since time.Time) (bool, error)
}

// handover decides whose an occurrence is while its schedule takes the place of an old one, and reports whether that
// settles what becomes of it. So a change-over that was broken off at whatever moment comes to its end here: the old one
// is asked, and what it says holds.
func (f *Function) handover(ctx context.Context, found *finding, s schedule.Schedule) (settled bool, err error) {
	o, now := found.change.From.Value, f.Now()
	why := "it may have had what was due before it was seen to be disabled"
	whose, at := s.Handover(o, now)
	switch whose {
	case schedule.AskFires:
		fires, err := f.oldFires(ctx, s)
		if err == nil && !fires {
			return true, f.settle(ctx, found, s)
		}
		why = said("it fires", "whether it fires", err)
		whose, found.giveWay, at = s.OldFires(o, err == nil, now)
	case schedule.AskRan:
		ran, err := f.oldRan(ctx, s, o)
		why = said("it has made a run for the file", "whether it has made a run for the file", err)
		whose, at = s.OldRan(ran, err == nil, now)
	}
	switch whose {
	case schedule.Theirs:
		found.change.To = o.Skip(schedule.ReasonOldSchedule, now.UTC())
		found.change.To.Error = "it is left to the old schedule " + s.Origin.From + ": " + why
	case schedule.Later:
		found.change.To, found.later = o.Held(at, now), true
	}
	return whose != schedule.Ours, nil
}

// said is what the old schedule has said, or that it has not.
func said(is, whether string, err error) string {
	if err != nil {
		return whether + " is not known: " + err.Error()
	}
	return is
}

var errNoOld = errors.New("no workspace is configured")

// askWithin is how long an old workspace may take to answer: others wait that have been claimed.
const askWithin = 15 * time.Second

func (f *Function) oldFires(ctx context.Context, s schedule.Schedule) (bool, error) {
	if f.Old == nil {
		return false, errNoOld
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return f.Old.Fires(ctx, s.Origin.From)
}

func (f *Function) oldRan(ctx context.Context, s schedule.Schedule, o schedule.Occurrence) (bool, error) {
	if f.Old == nil {
		return false, errNoOld
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	return f.Old.Ran(ctx, s.Origin.From, o.Change.Datastore, o.Change.Path, o.Change.Modified)
}

// settle notes that the old schedule is disabled, and has the occurrence looked at anew.
func (f *Function) settle(ctx context.Context, found *finding, s schedule.Schedule) error {
	now := f.Now().UTC()
	_, err := f.DB.Edit(ctx, s.Name, now, func(is schedule.Schedule) (schedule.Schedule, error) {
		if is.ID != s.ID || !is.Unsettled() || !is.Begins.Equal(s.Begins) {
			return is, nil
		}
		return is.Settled(now, "carillon", now), nil
	})
	found.change.To, found.later = found.change.From.Value.Held(now, now), true
	return err
}

// giveUp disables a schedule whose old one goes on. Should it fail, what comes due next is skipped, and tries again.
func (f *Function) giveUp(ctx context.Context, o schedule.Occurrence) {
	now := f.Now().UTC()
	_, err := f.DB.Edit(ctx, o.Schedule, now, func(s schedule.Schedule) (schedule.Schedule, error) {
		if s.ID != o.ScheduleID() || !s.Unsettled() || now.Before(s.Origin.Until) {
			return s, nil
		}
		return s.Withdrawn("carillon", "gives way to the old schedule, "+o.Error+". Import it again", now), nil
	})
	if err != nil {
		f.Log.WarnContext(ctx, "a schedule whose old one goes on stays active", "schedule", o.Schedule, "error", err)
	}
}
