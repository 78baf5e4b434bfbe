package studio

import (
	"context"
	"fmt"
	"time"

	"carillon/shared/schedule"
)

const listed = 20 // changes on a run's page

// changeList is what has changed for a run: all of it, or what came last.
type changeList struct {
	Title string
	All   string // how many there are, where not all are shown
	List  bool   // the API has the whole list
	Rows  []changeRow
}

type changeRow struct {
	Place     string
	Version   string // the file's ETag
	Modified  moment
	Recorded  moment
	Completed bool // it was the one that all_of still missed
}

// changes are those that fired an occurrence; nil for one that no change did.
func (f *Function) changes(ctx context.Context, o schedule.Occurrence, zone *time.Location, now time.Time) (*changeList, error) {
	switch {
	case o.Kind != schedule.Changed, !o.Windowed() && o.Change == nil:
		return nil, nil
	case !o.Windowed():
		return &changeList{Title: "The change", Rows: changeRows([]schedule.Change{*o.Change}, o, zone, now)}, nil
	}
	found, _, err := f.DB.ChangesOf(ctx, o.ID, "", listed)
	if err != nil {
		return nil, err
	}
	rows := changeRows(found, o, zone, now)
	list := &changeList{Title: count(o.Changes, "change"), Rows: rows, List: true}
	if o.Changes > len(rows) {
		list.All = fmt.Sprintf("All %d changes", o.Changes)
	}
	return list, nil
}

// changeRows are the changes that count for an occurrence: of all_of, none from before its window's start.
func changeRows(found []schedule.Change, o schedule.Occurrence, zone *time.Location, now time.Time) (rows []changeRow) {
	for _, c := range found {
		if o.Window != nil && c.At.Before(o.Window.Start) {
			continue
		}
		rows = append(rows, changeRow{
			Place: placeOf(c), Version: c.ETag, Modified: at(c.Modified, zone, now), Recorded: at(c.At, zone, now),
			Completed: o.Windowed() && o.Change != nil && o.Change.Key() == c.Key(),
		})
	}
	return rows
}
