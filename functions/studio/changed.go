package studio

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"carillon/shared/schedule"
)

// lastChanges is how many changes of its schedule a page shows.
const lastChanges = 10

// shownOfText is how many bytes of a text that has changed a page shows.
const shownOfText = 120

// changedRow is a change of a schedule: who has made what of it, when and why.
type changedRow struct {
	At       moment
	By, Note string
	What     schedule.What
	Revision int
	Fields   []changedField
	Asked    bool // the fields are what was asked for, and take the place of nothing
}

type changedField struct {
	Name, Before, After string // "" for none
}

// lastChanged are the last changes of a schedule, and backfills of it, the newest first. Single runs that were asked for, or
// cancelled, stand among its runs.
func (f *Function) lastChanged(ctx context.Context, s schedule.Schedule, zone *time.Location, now time.Time) (rows []changedRow, err error) {
	records, _, err := f.DB.Audits(ctx, s.Name, "", lastChanges, func(a schedule.Audit) bool { return !a.What.OfRun() })
	for _, a := range records {
		row := changedRow{At: at(a.At, zone, now), By: a.By, Note: a.Note, What: a.What, Revision: a.Revision, Asked: a.What == schedule.WasFilled}
		if a.What != schedule.WasCreated { // the definition stands below
			row.Fields = fieldsOf(a.Cut(shownOfText))
		}
		if rows = append(rows, row); a.What == schedule.WasCreated { // what was before is of another one of that name
			break
		}
	}
	return rows, err
}

// fieldsOf are the fields that have changed, in the order of their names; that it was enabled or disabled is said already.
func fieldsOf(a schedule.Audit) (fields []changedField) {
	names := map[string]bool{}
	for _, side := range []map[string]json.RawMessage{a.Before, a.After} {
		for name := range side {
			names[name] = name != "status"
		}
	}
	for _, name := range slices.Sorted(maps.Keys(names)) {
		if names[name] {
			fields = append(fields, changedField{name, written(a.Before[name]), written(a.After[name])})
		}
	}
	return fields
}

// written is a JSON value as one reads it, cut to what a line holds.
func written(raw json.RawMessage) string {
	const most = 200
	text := string(raw)
	var s string
	if len(raw) > 0 && json.Unmarshal(raw, &s) == nil {
		text = s
	}
	if runes := []rune(text); len(runes) > most {
		return string(runes[:most-1]) + "…"
	}
	return text
}
