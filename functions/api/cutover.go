package api

import (
	"context"
	"errors"
	"fmt"
	"time"

	"carillon/shared/migrate"
	"carillon/shared/schedule"
)

// The change-over of one schedule. The new one is created first, so that it begins at the cut-over whatever happens here;
// then the old one is disabled, at a moment when it starts no run, and seen to be. The new one begins at once where a
// run is due before the cut-over, so that none is left out. If the old one cannot be seen to be disabled, the new one is,
// and the request can be sent again.
//
// What is left is a crash in between: before the old one is asked to be disabled both run from the cut-over on, after
// it none before. The same request, sent again before the cut-over, goes on in both cases.

// disableWithin is how long it may take to disable one old schedule, in one request.
const disableWithin = 45 * time.Second

// begin moves a schedule that has not been imported yet.
func (m mover) begin(item *importedItem, s schedule.Schedule) error {
	if m.noisy(item, s) {
		return nil
	}
	if err := m.create(item, s.Beginning(m.q.cutOver)); err != nil || !item.AgainAt.IsZero() {
		return err
	}
	return m.disable(item, s.Beginning(m.q.cutOver))
}

// goOn moves a schedule that was imported before while the old one still fires.
func (m mover) goOn(item *importedItem, s schedule.Schedule) error {
	now := m.f.Now().UTC()
	both := s.Status == schedule.Active && !s.Begins.After(now)
	switch {
	case s.Status == schedule.Disabled && !s.Waits():
		item.Problems = append(item.Problems, "schedule "+s.Name+" has been disabled here: enable it, or disable the old one where it is")
		return nil
	case both:
		since := s.Created
		if s.Begins.After(since) {
			since = s.Begins
		}
		item.Done = append(item.Done, "both the old and the new schedule have been active since "+since.Format(time.RFC3339)+": look for runs that came twice")
	case m.noisy(item, s):
		return nil
	case s.Status == schedule.Active && s.Begins.After(now.Add(2*time.Minute)):
	default: // it waits, or its cut-over comes too soon
		next, err := m.edit(item, s.Name, func(old schedule.Schedule, now time.Time) schedule.Schedule {
			return old.TakesOver(m.q.cutOver, m.by, "begins when "+old.Origin.From+" is disabled", now)
		})
		if err != nil {
			return err
		}
		s = next
	}
	return m.disable(item, s)
}

// noisy reports whether it would be in doubt which of the two starts a run, were the old one disabled now.
func (m mover) noisy(item *importedItem, s schedule.Schedule) bool {
	if s.Trigger.Watch != nil {
		return false
	}
	now := m.f.Now().UTC()
	rule, errs := s.Trigger.Compile(now.AddDate(-1, 0, 0))
	if len(errs) > 0 {
		return false
	}
	quiet := migrate.Quiet(rule, now)
	if !quiet.After(now) {
		return false
	}
	item.AgainAt = quiet.UTC()
	item.Done = append(item.Done, "a run is due just now: the old schedule is disabled after it, at "+quiet.UTC().Format(time.RFC3339)+" or later")
	return true
}

// disable disables the old schedule of s, and lets s begin or wait.
func (m mover) disable(item *importedItem, s schedule.Schedule) error {
	asked := m.f.Now().UTC()
	if err := m.off(item, s, asked); err != nil {
		return m.withdraw(item, s, err)
	}
	item.Done = append(item.Done, "the old schedule has been disabled, and seen to be")
	m.f.Log.InfoContext(m.ctx, "old schedule disabled", "schedule", s.Name, "from", s.Origin.From, "by", m.by)
	if s.Begins.After(asked) {
		return m.takeOver(item, s, asked)
	}
	return nil
}

// off disables the old schedule and sees that it is; one that is disabled is looked at only.
func (m mover) off(item *importedItem, s schedule.Schedule, now time.Time) error {
	within := disableWithin
	if s.Begins.After(now) {
		within = min(within, s.Begins.Add(-time.Minute).Sub(now))
	}
	ctx, cancel := context.WithTimeout(m.ctx, within)
	defer cancel()
	turnOff := m.f.Old.DisableV1Schedule
	if item.Source.Kind == migrate.LiveV2 {
		turnOff = m.f.Old.DisableV2Schedule
	}
	err := turnOff(ctx, item.Source.ID)
	if item.Source.Disabled = err == nil; errors.Is(err, context.DeadlineExceeded) {
		item.AgainAt = m.f.Now().UTC().Add(5 * time.Second)
	}
	return err
}

// withdraw disables the new schedule, as the old one is not known to be.
func (m mover) withdraw(item *importedItem, s schedule.Schedule, failed error) error {
	note := fmt.Sprintf("the old schedule %s is not known to be disabled: %v", s.Origin.From, failed)
	_, err := m.edit(item, s.Name, func(old schedule.Schedule, now time.Time) schedule.Schedule {
		return old.Withdrawn(m.by, note, now)
	})
	if err != nil {
		return fmt.Errorf("schedule %s begins at %v, and %s; it could not be disabled: %w", s.Name, s.Begins, note, err)
	}
	item.Problems = append(item.Problems, note+". Schedule "+s.Name+" is disabled for now: import it again")
	return nil
}

// takeOver lets the new schedule begin before the cut-over where something is due before it. The old one was asked to be
// disabled at an instant, and has been by now.
func (m mover) takeOver(item *importedItem, s schedule.Schedule, asked time.Time) error {
	now := m.f.Now().UTC()
	from := asked
	if s.Trigger.Watch == nil {
		rule, errs := s.Trigger.Compile(s.Anchor)
		if len(errs) > 0 {
			return errs
		}
		next, ok := rule.Next(asked)
		if ok && !next.After(now) {
			item.Done = append(item.Done, fmt.Sprintf("the run of %s was due while the old schedule was being disabled, and the new one does not start it: look whether the old one did, and trigger it if not",
				next.UTC().Format(time.RFC3339)))
			next, ok = rule.Next(now)
		}
		if from = now; !ok || !next.Before(s.Begins) {
			return nil // nothing is due before the cut-over
		}
	} else {
		item.Done = append(item.Done, fmt.Sprintf("the old schedule looked for changes every %s: what was changed in that time before %s it may not have seen, and the new one leaves it to the old one. Look, and put such files again",
			schedule.Duration(s.Trigger.Polling()), asked.Format(time.RFC3339)))
	}
	_, err := m.edit(item, s.Name, func(old schedule.Schedule, now time.Time) schedule.Schedule {
		return old.TakesOver(from, m.by, "takes the place of "+old.Origin.From, now)
	})
	return err
}

// found goes on with a schedule whose old one is disabled, or about to be.
func (m mover) found(item *importedItem, s schedule.Schedule) error {
	now := m.f.Now().UTC()
	if !s.Waits() && (s.Status == schedule.Disabled || !dueBefore(s, now)) {
		return nil
	}
	if err := m.off(item, s, now); err != nil && s.Waits() {
		item.Problems = append(item.Problems, fmt.Sprintf("the old schedule %s is not known to be disabled: %v. Schedule %s waits: import it again", s.Origin.From, err, s.Name))
		return nil
	} else if err != nil {
		return m.withdraw(item, s, err)
	}
	now = m.f.Now().UTC()
	if s.Waits() {
		item.Done = append(item.Done, fmt.Sprintf("the old schedule was disabled at some time before %s, and the new one begins now: look whether a run was left out in between", now.Format(time.RFC3339)))
	}
	_, err := m.edit(item, s.Name, func(old schedule.Schedule, now time.Time) schedule.Schedule {
		return old.TakesOver(now, m.by, "takes the place of "+old.Origin.From, now)
	})
	return err
}

// dueBefore reports whether something may be due of an active schedule from now on and before it begins.
func dueBefore(s schedule.Schedule, now time.Time) bool {
	if !s.Begins.After(now) || s.Trigger.Watch != nil {
		return s.Begins.After(now)
	}
	rule, errs := s.Trigger.Compile(s.Anchor)
	if len(errs) > 0 {
		return false
	}
	next, ok := rule.Next(now)
	return ok && next.Before(s.Begins)
}

// edit changes the new schedule, unless it is another one by now.
func (m mover) edit(item *importedItem, name string, change func(schedule.Schedule, time.Time) schedule.Schedule) (schedule.Schedule, error) {
	now := m.f.Now().UTC()
	s, err := m.f.DB.Edit(m.ctx, name, now, func(old schedule.Schedule) (schedule.Schedule, error) {
		if old.Origin == nil {
			return old, fmt.Errorf("schedule %s is another one now", name)
		}
		return change(old, now), nil
	})
	if err == nil {
		item.Status, item.Begins = string(s.Status), s.Begins
	}
	return s, err
}
