package store

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"carillon/shared/recur"
	"carillon/shared/schedule"
)

// Calendars are few and shared by the schedules of all shards, so they have a partition of their own.
const (
	calendarPart   = "calendars"
	calendarPrefix = "cal|"
)

// NamedCalendar is a calendar under its name.
type NamedCalendar struct {
	Name string `json:"name"`
	recur.Calendar
}

// PutCalendar writes a calendar, over the one of that name if there is one, and the record of the change. What is
// recorded from then on goes by it.
func (db *DB) PutCalendar(ctx context.Context, c NamedCalendar, by string, now time.Time) error {
	return db.changeCalendar(ctx, c.Name, func(old *Row, was *recur.Calendar) (unit, error) {
		value := encode(c)
		op := Op{Kind: Create, Sort: calendarPrefix + c.Name, Value: value}
		if old != nil {
			op.Kind, op.Version = Replace, old.Version
		}
		if old != nil && bytes.Equal(old.Value, value) {
			return nil, nil
		}
		return append(unit{op}, auditOps(schedule.AuditedCalendar(c.Name, was, &c.Calendar, by, now), calendarPart)...), nil
	})
}

// DeleteCalendar removes a calendar, and records that. Schedules that still name it go on without it.
func (db *DB) DeleteCalendar(ctx context.Context, name, by string, now time.Time) error {
	return db.changeCalendar(ctx, name, func(old *Row, was *recur.Calendar) (unit, error) {
		if old == nil {
			return nil, fmt.Errorf("calendar %s: %w", name, ErrNotFound)
		}
		op := Op{Kind: Delete, Sort: calendarPrefix + name, Version: old.Version}
		return append(unit{op}, auditOps(schedule.AuditedCalendar(name, was, nil, by, now), calendarPart)...), nil
	})
}

// changeCalendar applies what change returns for a calendar as it is, nil when there is none, again when somebody else
// was faster.
func (db *DB) changeCalendar(ctx context.Context, name string, change func(old *Row, was *recur.Calendar) (unit, error)) (err error) {
	for try := range editTries {
		if err := StandBack(ctx, try); err != nil {
			return err
		}
		var old *Row
		var was *recur.Calendar
		row, readErr := db.driver.Get(ctx, calendarPart, calendarPrefix+name)
		switch {
		case readErr == nil:
			var c NamedCalendar
			if err := decode(row, &c); err != nil {
				return err
			}
			old, was = &row, &c.Calendar
		case !errors.Is(readErr, ErrNotFound):
			return fmt.Errorf("read calendar %s: %w", name, readErr)
		}
		u, refused := change(old, was)
		if refused != nil || len(u) == 0 {
			return refused
		}
		if err = db.driver.Apply(ctx, calendarPart, u...); !errors.Is(err, ErrConflict) {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("write calendar %s: %w", name, err)
	}
	return nil
}

// Calendar reads one calendar. The error wraps ErrNotFound when there is none of that name.
func (db *DB) Calendar(ctx context.Context, name string) (c NamedCalendar, err error) {
	if !schedule.ValidName(name) {
		return c, fmt.Errorf("calendar %.100q: %w", name, ErrNotFound)
	}
	row, err := db.driver.Get(ctx, calendarPart, calendarPrefix+name)
	if errors.Is(err, ErrNotFound) {
		return c, fmt.Errorf("calendar %s: %w", name, ErrNotFound)
	}
	if err != nil {
		return c, fmt.Errorf("read calendar %s: %w", name, err)
	}
	return c, decode(row, &c)
}

// Calendars returns calendars in the order of their names, at most max, after a token of an earlier call.
func (db *DB) Calendars(ctx context.Context, token string, max int) (calendars []NamedCalendar, next string, err error) {
	from := calendarPrefix
	if token != "" {
		from = After(calendarPrefix + token)
	}
	rows, err := db.driver.Scan(ctx, calendarPart, from, endOf(calendarPrefix), max)
	if err != nil {
		return nil, "", fmt.Errorf("list calendars: %w", err)
	}
	for _, row := range rows {
		var c NamedCalendar
		if err := decode(row, &c); err != nil {
			return nil, "", err
		}
		calendars = append(calendars, c)
	}
	if len(rows) == max {
		next = calendars[max-1].Name
	}
	return calendars, next, nil
}

// Exclusions reads the named calendars, each once, for decisions that follow. One that does not exist excludes nothing;
// one that cannot be read is an error for the schedules that name it, and for no others.
func (db *DB) Exclusions(ctx context.Context, names ...string) func(schedule.Due) (schedule.Excluded, error) {
	calendars, unread := map[string]recur.Calendar{}, map[string]error{}
	for _, name := range names {
		if _, ok := calendars[name]; ok {
			continue
		}
		c, err := db.Calendar(ctx, name)
		if err != nil && !errors.Is(err, ErrNotFound) {
			unread[name] = err
		}
		calendars[name] = c.Calendar
	}
	return func(d schedule.Due) (schedule.Excluded, error) {
		for _, name := range d.Calendars {
			if unread[name] != nil {
				return nil, unread[name]
			}
		}
		var excludes []func(time.Time) bool // compiled with the first question: a schedule has one zone
		return func(t time.Time, zone *time.Location) string {
			for i, name := range d.Calendars {
				if len(excludes) == i {
					excludes = append(excludes, calendars[name].In(zone))
				}
				if excludes[i](t) {
					return name
				}
			}
			return ""
		}, nil
	}
}
