package store

import (
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

// PutCalendar writes a calendar, over the one of that name if there is one. What is recorded from then on goes by it.
func (db *DB) PutCalendar(ctx context.Context, c NamedCalendar) error {
	err := db.driver.Apply(ctx, calendarPart, Op{Kind: Put, Sort: calendarPrefix + c.Name, Value: encode(c)})
	if err != nil {
		return fmt.Errorf("write calendar %s: %w", c.Name, err)
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

// DeleteCalendar removes a calendar. Schedules that still name it go on without it.
func (db *DB) DeleteCalendar(ctx context.Context, name string) error {
	err := db.driver.Apply(ctx, calendarPart, Op{Kind: Delete, Sort: calendarPrefix + name})
	if errors.Is(err, ErrConflict) {
		return fmt.Errorf("calendar %s: %w", name, ErrNotFound)
	}
	return err
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
