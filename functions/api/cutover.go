package api

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"carillon/shared/migrate"
	"carillon/shared/schedule"
)

// The change-over of one schedule. The new one begins first, while the old one is not known to be disabled; then that is
// disabled, at a moment when it starts no run, and seen to be. Whose it is what comes due in between is decided when it is
// claimed (schedule.Handover): so whatever breaks off here, the process too, nothing runs twice, and nothing is left out
// without a record. Either the old one turns out to be disabled, and the new one goes on, or at the cut-over the new one
// gives way, and the request can be sent again.

// begin moves a schedule that has not been imported yet.
func (m mover) begin(item *importedItem, s schedule.Schedule) error {
	if m.noisy(item, s) {
		return nil
	}
	s = s.Beginning(m.f.Now(), m.q.cutOver)
	if err := m.create(item, s); err != nil || !item.AgainAt.IsZero() {
		return err
	}
	return m.disable(item, s)
}

// goOn moves a schedule that was imported before while the old one still fires.
func (m mover) goOn(item *importedItem, s schedule.Schedule) error {
	if s.Status == schedule.Disabled && !s.Waits() {
		item.Problems = append(item.Problems, "schedule "+s.Name+" has been disabled here: enable it, or disable the old one where it is")
		return nil
	}
	if s.Status == schedule.Active && !s.Unsettled() {
		since := s.Created
		if s.Begins.After(since) {
			since = s.Begins
		}
		item.Done = append(item.Done, "both the old and the new schedule have been active since "+since.Format(time.RFC3339)+": look for runs that came twice")
	}
	if m.noisy(item, s) {
		return nil
	}
	next, err := m.edit(item, s, func(old schedule.Schedule, now time.Time) schedule.Schedule {
		return old.TakesOver(now, m.q.cutOver, m.by, "takes the place of "+old.Origin.From, now)
	})
	if err != nil || next.Revision == s.Revision {
		return err
	}
	return m.disable(item, next)
}

// noisy reports whether it would be in doubt which of the two starts a run, were the old one disabled now. Where the
// times of the old one are not known nobody can tell.
func (m mover) noisy(item *importedItem, s schedule.Schedule) bool {
	if s.Trigger.Watch != nil {
		return false
	}
	if migrate.CountsFromCreation(s.Trigger.Spec) {
		item.Done = append(item.Done, "the old schedule counts from its creation, which is not told: look whether it starts a run just while it is being disabled")
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

// disable disables the old schedule of s, and notes that s has its place.
func (m mover) disable(item *importedItem, s schedule.Schedule) error {
	if err := m.off(item, s); err != nil {
		return m.withdraw(item, s, err)
	}
	item.Done = append(item.Done, "the old schedule has been disabled, and seen to be")
	m.f.Log.InfoContext(m.ctx, "old schedule disabled", "schedule", s.Name, "from", s.Origin.From, "by", m.by)
	return m.settle(item, s)
}

// off disables the old schedule and sees that it is; one that is disabled is looked at only.
func (m mover) off(item *importedItem, s schedule.Schedule) error {
	within := schedule.OffWithin
	if s.Unsettled() {
		within = min(within, s.Origin.Until.Add(-time.Minute).Sub(m.f.Now()))
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

// withdraw disables the new schedule, as the old one is not known to be. One that somebody has disabled is left so.
func (m mover) withdraw(item *importedItem, s schedule.Schedule, failed error) error {
	note := fmt.Sprintf("the old schedule %s is not known to be disabled: %v", s.Origin.From, failed)
	is, err := m.change(item, s.Name, func(old schedule.Schedule, now time.Time) schedule.Schedule {
		if old.ID != s.ID || !old.Unsettled() {
			return old
		}
		return old.Withdrawn(m.by, note, now)
	})
	if err != nil { // at the cut-over it gives way by itself
		return fmt.Errorf("%s; schedule %s could not be disabled: %w", note, s.Name, err)
	}
	if is.ID == s.ID && !is.Origin.Off.IsZero() { // somebody has seen it meanwhile, who had to know
		item.Source.Disabled, item.AgainAt = true, time.Time{}
		item.Done = append(item.Done, "the old schedule has been disabled, and seen to be")
		m.doubt(item, is, s.Begins, is.Begins)
		return nil
	}
	item.Problems = append(item.Problems, note+". Schedule "+s.Name+" is disabled for now: import it again")
	return nil
}

// settle notes that the old schedule is disabled, whatever else somebody has changed meanwhile, and says what is in doubt.
func (m mover) settle(item *importedItem, s schedule.Schedule) error {
	is, err := m.change(item, s.Name, func(old schedule.Schedule, now time.Time) schedule.Schedule {
		if old.ID != s.ID || old.Origin == nil || old.Origin.Until.IsZero() {
			return old
		}
		return old.Settled(now, m.by, now)
	})
	if err != nil || is.ID != s.ID {
		return err
	}
	m.doubt(item, is, s.Begins, is.Begins)
	return nil
}

// found goes on with a schedule whose old one is disabled.
func (m mover) found(item *importedItem, s schedule.Schedule) error {
	if !s.Waits() && !s.Unsettled() {
		return nil
	}
	if err := m.off(item, s); err != nil { // it is about to be
		if s.Unsettled() {
			return m.withdraw(item, s, err)
		}
		item.Problems = append(item.Problems, fmt.Sprintf("the old schedule %s is not known to be disabled: %v. Schedule %s waits: import it again", s.Origin.From, err, s.Name))
		return nil
	}
	if s.Unsettled() {
		return m.settle(item, s)
	}
	since := s.StatusNote.At
	if !s.Begins.IsZero() {
		since = s.Begins
	}
	next, err := m.edit(item, s, func(old schedule.Schedule, now time.Time) schedule.Schedule {
		return old.Replaces(since, m.by, "takes the place of "+old.Origin.From, now)
	})
	if err != nil || next.Revision == s.Revision {
		return err
	}
	item.Done = append(item.Done, "the old schedule was disabled at some time since "+since.Format(time.RFC3339)+", and the new one begins now")
	m.doubt(item, next, since, next.Begins)
	return nil
}

// mostNamed is how many times are named one by one.
const mostNamed = 20

// doubt says what is decided later, or by nobody, of what came in a span in which it was not known whether the old schedule
// fires.
func (m mover) doubt(item *importedItem, s schedule.Schedule, from, to time.Time) {
	if s.Trigger.Watch != nil {
		item.Done = append(item.Done, "what was changed since "+s.Baseline.UTC().Format(time.RFC3339)+", and the old schedule has made no run for, runs here in some minutes")
		return
	}
	rule, errs := s.Trigger.Compile(s.Anchor)
	if len(errs) > 0 {
		return
	}
	var times []string
	for at := range rule.All(from) {
		if !at.Before(to) {
			break
		}
		if len(times) == mostNamed {
			times = append(times, "and others until "+to.UTC().Format(time.RFC3339))
			break
		}
		times = append(times, at.UTC().Format(time.RFC3339))
	}
	if len(times) > 0 {
		item.Done = append(item.Done, fmt.Sprintf("it is not known whether the old schedule has started the run of %s, and the new one does not: look, and start what is missing with carillon schedules backfill %s --from … --to …",
			strings.Join(times, ", "), s.Name))
	}
}

// edit changes the new schedule if it is still as it was read; if not, it is left as it is, and that is a problem.
func (m mover) edit(item *importedItem, s schedule.Schedule, change func(schedule.Schedule, time.Time) schedule.Schedule) (schedule.Schedule, error) {
	next, err := m.change(item, s.Name, func(old schedule.Schedule, now time.Time) schedule.Schedule {
		if old.ID != s.ID || old.Revision != s.Revision {
			return old
		}
		return change(old, now)
	})
	if err == nil && (next.ID != s.ID || next.Revision != s.Revision+1) {
		item.Problems = append(item.Problems, "schedule "+s.Name+" has just been changed by "+next.By+": look at it, and import it again")
		return s, nil
	}
	return next, err
}

func (m mover) change(item *importedItem, name string, change func(schedule.Schedule, time.Time) schedule.Schedule) (schedule.Schedule, error) {
	now := m.f.Now().UTC()
	s, err := m.f.DB.Edit(m.ctx, name, now, func(old schedule.Schedule) (schedule.Schedule, error) { return change(old, now), nil })
	if err == nil {
		m.show(item, s)
	}
	return s, err
}
