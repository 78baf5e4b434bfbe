package submit

import (
	"context"
	"errors"
	"fmt"

	"carillon/shared/pipeline"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// prepare gives an occurrence what its definition says that the run gets, templates filled in. It reads what the
// templates ask for and nothing else. An error that is a recur.FieldErrors will be the same the next time.
func (f *Function) prepare(ctx context.Context, o *schedule.Occurrence, d schedule.Definition, r store.Record) error {
	*o = o.Prepared(d)
	o.Overlap, o.PauseAfter = r.Schedule.Value.Overlap, r.Schedule.Value.PauseAfter // how it is started is said by the schedule as it is now
	need := schedule.Needs(o.Parameters, o.Outputs)
	v := o.Values(d.Trigger.Zone())
	if need.Changes && o.Windowed() {
		changes, err := f.changes(ctx, *o)
		if err != nil {
			return err
		}
		v.Changes = changes
	}
	if need.Window && o.Window == nil && o.Timed() && d.Trigger.Watch == nil {
		due := r.Due()
		due.Trigger, due.Calendars, due.Revision = d.Trigger, d.Calendars, o.Revision
		excluded, err := f.DB.Exclusions(ctx, due.Calendars...)(due)
		if err != nil {
			return err
		}
		if v.Window, err = due.Window(o.Nominal, excluded); err != nil {
			return err
		}
		o.Window = &v.Window
	}
	if last := r.State.Value.Last; need.Previous && last != "" && last != o.ID {
		previous, err := f.DB.Occurrence(ctx, last)
		if err != nil && !errors.Is(err, store.ErrNotFound) {
			return err
		}
		v.Previous.RunID, v.Previous.Status = previous.Value.Run, previous.Value.Status
	}
	parameters, err := schedule.Render("parameters", o.Parameters, v)
	if err != nil {
		return err
	}
	outputs, err := schedule.Render("outputs", o.Outputs, v)
	if err != nil {
		return err
	}
	o.Parameters, o.Outputs = parameters, outputs
	return nil
}

// maxChanges is how many changes templates can be given.
const maxChanges = 10_000

// changes are those of an occurrence's window that are not stale.
func (f *Function) changes(ctx context.Context, o schedule.Occurrence) (all []schedule.Change, err error) {
	for token := ""; ; {
		var page []schedule.Change
		if page, token, err = f.DB.ChangesOf(ctx, o.ID, token, store.MaxScan); err != nil {
			return nil, err
		}
		for _, c := range page {
			if !c.At.Before(o.Window.Start) { // of all_of, those before are stale
				all = append(all, c)
			}
		}
		switch {
		case token == "":
			return all, nil
		case len(all) > maxChanges:
			return nil, recur.FieldErrors{{Field: "parameters", Message: fmt.Sprintf("more than %d changes cannot be given to a template", maxChanges)}}
		}
	}
}

// dataPath is where the changed data are, for a run that asked for it in a parameter.
func dataPath(o schedule.Occurrence) *pipeline.DataPath {
	if o.DataPath == nil {
		return nil
	}
	return &pipeline.DataPath{Parameter: o.DataPath.Parameter, Datastore: o.DataPath.Datastore, Path: o.DataPath.Path, Folder: o.DataPath.Folder}
}
