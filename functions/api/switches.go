package api

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/problem"
	"carillon/shared/recur"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

// pipelineOf reads which pipeline a request is about. Its kind stands in the path and its id in the query: ids have slashes
// and colons in them, which gateways and hosts of functions decode as they like.
func pipelineOf(r *http.Request) (schedule.PipelineRef, error) {
	ref := schedule.PipelineRef{Kind: r.PathValue("kind"), ID: r.URL.Query().Get("id")}
	if err := onlyQuery(r, "id"); err != nil {
		return ref, err
	}
	if strings.TrimSpace(ref.ID) == "" || len(ref.ID) > 1024 {
		return ref, problem.Newf(problem.BadRequest, "id has to be the pipeline's id, as in /api/pipelines/local?id=hello")
	}
	return ref, nil
}

func (f *Function) getPipeline(r *http.Request) (answer, error) {
	ref, err := pipelineOf(r)
	if err != nil {
		return answer{}, err
	}
	v, err := f.whole(r.Context(), ref)
	return answer{body: v}, err
}

// whole is all that is known of a pipeline. One that is gone is there as long as it is disabled here, or a schedule
// starts it.
func (f *Function) whole(ctx context.Context, ref schedule.PipelineRef) (pipelineView, error) {
	p, missing := f.describe(ctx, ref)
	stops, err := f.DB.StopsOf(ctx, ref)
	if err != nil {
		return pipelineView{}, err
	}
	var untold error
	if missing == nil {
		p.Also, untold = f.also(ctx, ref)
	}
	v := viewPipeline(p, schedule.StopOf(stops, append([]schedule.PipelineRef{ref}, p.Also...)...))
	if untold != nil {
		v.Notices = []string{untold.Error()}
	}
	if err := f.complete(ctx, &v, usersShown); err != nil {
		return v, err
	}
	if errors.Is(missing, pipeline.ErrNotFound) && v.Status == schedule.Active && len(v.Schedules) == 0 {
		return v, problem.Newf(problem.NotFound, "%v", missing)
	}
	return v, nil
}

// stop is who has disabled a pipeline here, under whichever reference; nil for nobody. untold says that it cannot be told
// whether a stop is of this one: what is claimed waits until it can.
func (f *Function) stop(ctx context.Context, ref schedule.PipelineRef) (stop *schedule.Stop, untold, err error) {
	stops, err := f.DB.StopsOf(ctx, ref)
	if err != nil {
		return nil, nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, farWithin)
	defer cancel()
	stop, untold = pipeline.Stopped(ctx, f.Targets, ref, stops)
	return stop, untold, nil
}

// wish is the body of a request that enables or disables a pipeline.
type wish struct {
	note          string
	withSchedules bool
}

func readWish(r *http.Request, disable bool) (w wish, err error) {
	data, err := body(r, true)
	if err != nil || len(data) == 0 {
		return w, err
	}
	allowed := []string{"note"}
	if disable {
		allowed = append(allowed, "with_schedules")
	}
	var errs recur.FieldErrors
	if o, ok := recur.ReadObject("", data, &errs); ok {
		if w.note = o.Text("note"); len(w.note) > 4096 {
			o.Fail("note", "may have 4096 bytes, this has %d", len(w.note))
		}
		if disable {
			switch text := string(o.Value("with_schedules")); text {
			case "true", "false", "", "null":
				w.withSchedules = text == "true"
			default:
				o.Fail("with_schedules", "has to be true or false")
			}
		}
		o.Strangers(allowed)
	}
	if len(errs) > 0 {
		return w, errs
	}
	return w, nil
}

const (
	activeNamed   = 20  // active schedules that a refusal names
	activeCounted = 100 // and counts
)

// disablePipeline keeps a pipeline from starting. It is refused while an active schedule starts it, unless those are to
// be disabled first. Claims obey the stop; what the far side has of its own is set, too.
func (f *Function) disablePipeline(r *http.Request) (answer, error) {
	ctx := r.Context()
	ref, err := pipelineOf(r)
	if err != nil {
		return answer{}, err
	}
	w, err := readWish(r, true)
	if err != nil {
		return answer{}, err
	}
	if _, err := f.describe(ctx, ref); errors.Is(err, pipeline.ErrNotFound) {
		return answer{}, problem.Newf(problem.NotFound, "%v", err)
	}
	var notices []string
	also, untold := f.also(ctx, ref)
	if untold != nil {
		notices = append(notices, "schedules that start it under another reference were not looked at, as it could not be told which those are: what comes due of them waits until it is known, and is skipped then")
	}
	all := append([]schedule.PipelineRef{ref}, also...)
	if w.withSchedules {
		err = f.disableUsers(r, all, w.note)
	} else {
		err = f.refuseUsed(ctx, all)
	}
	if err != nil {
		return answer{}, err
	}
	stop := schedule.Stop{Pipeline: ref, By: actor(r), Note: w.note, At: f.Now().UTC()}
	if err := f.DB.StopPipeline(ctx, stop); err != nil {
		return answer{}, err
	}
	f.Log.InfoContext(ctx, "pipeline disabled", "pipeline", ref.String(), "by", stop.By)
	if late, _, err := f.activeUsers(ctx, all, activeNamed); err == nil && len(late) > 0 {
		notices = append(notices, "schedules became active meanwhile: "+strings.Join(late, ", ")+"; what comes due of them is skipped")
	}
	if err := f.setActive(ctx, ref, false); err != nil {
		notices = append(notices, "it is disabled here, but whoever asks the workspace itself can still start it: "+err.Error())
	}
	return f.switched(ctx, ref, notices)
}

// enablePipeline lets a pipeline start again. Its schedules stay as they are.
func (f *Function) enablePipeline(r *http.Request) (answer, error) {
	ctx := r.Context()
	ref, err := pipelineOf(r)
	if err != nil {
		return answer{}, err
	}
	w, err := readWish(r, false)
	if err != nil {
		return answer{}, err
	}
	stops, err := f.DB.StopsOf(ctx, ref)
	if err != nil {
		return answer{}, err
	}
	p, unknown := f.describe(ctx, ref)
	if errors.Is(unknown, pipeline.ErrNotFound) && schedule.StopOf(stops, ref) == nil {
		return answer{}, problem.Newf(problem.NotFound, "%v", unknown)
	}
	err = f.setActive(ctx, ref, true)
	if err != nil && !errors.Is(err, pipeline.ErrNotFound) {
		return answer{}, problem.Newf(problem.Unavailable, "pipeline %s stays as it is: %v", ref, err)
	}
	_, has := f.Targets[ref.Kind].(pipeline.Switch)
	switched := has && err == nil && (p.Disabled || unknown != nil)
	if err := f.DB.StartPipeline(ctx, ref, actor(r), w.note, switched, f.Now().UTC()); err != nil {
		return answer{}, err
	}
	f.Log.InfoContext(ctx, "pipeline enabled", "pipeline", ref.String(), "by", actor(r))
	return f.switched(ctx, ref, nil)
}

// setActive sets the far side's own switch, where it has one.
func (f *Function) setActive(ctx context.Context, ref schedule.PipelineRef, active bool) error {
	own, ok := f.Targets[ref.Kind].(pipeline.Switch)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, farWithin)
	defer cancel()
	return own.SetActive(ctx, ref, active)
}

// switched is the answer to a request that has enabled or disabled a pipeline.
func (f *Function) switched(ctx context.Context, ref schedule.PipelineRef, notices []string) (answer, error) {
	v, err := f.whole(ctx, ref)
	if p := new(problem.Problem); errors.As(err, &p) && p.Code == problem.NotFound { // it was gone, and now its stop is, too
		err = nil
	}
	for _, s := range v.Schedules {
		if v.Status == schedule.Active && s.Status != schedule.Active {
			notices = append(notices, "its schedules that are disabled stay so; enable those that are to fire")
			break
		}
	}
	if v.DisabledAs != nil {
		notices = append(notices, "it stays disabled: "+v.DisabledAs.String()+" is the same pipeline now, and is disabled; enable that one")
	}
	v.Notices = append(notices, v.Notices...)
	return answer{body: v}, err
}

// activeUsers names active schedules that start a pipeline, at most max; more says that there are others.
func (f *Function) activeUsers(ctx context.Context, references []schedule.PipelineRef, max int) (names []string, more bool, err error) {
	err = f.users(ctx, references, func(r store.Record) (bool, error) {
		s := r.Schedule.Value
		if s.Status != schedule.Active {
			return true, nil
		}
		if more = len(names) == max; more {
			return false, nil
		}
		if as := another(s.Pipeline, references[0]); as != nil {
			s.Name += " (as " + as.String() + ")"
		}
		names = append(names, s.Name)
		return true, nil
	})
	return names, more, err
}

// refuseUsed is an error while active schedules start a pipeline. It names them.
func (f *Function) refuseUsed(ctx context.Context, references []schedule.PipelineRef) error {
	names, more, err := f.activeUsers(ctx, references, activeCounted)
	if err != nil || len(names) == 0 {
		return err
	}
	count := fmt.Sprint(len(names))
	if more {
		count = "more than " + count
	}
	said := strings.Join(names[:min(len(names), activeNamed)], ", ")
	if len(names) > activeNamed {
		said += ", …"
	}
	p := problem.Newf(problem.Conflict, "pipeline %s is started by %s active schedule(s): %s", references[0], count, said)
	p.Detail = "Disable them first, or have that done with it: with_schedules (on the command line --with-schedules)."
	return p
}

// disableUsers disables the active schedules that start a pipeline, each with a note.
func (f *Function) disableUsers(r *http.Request, references []schedule.PipelineRef, note string) error {
	said := "pipeline " + references[0].String() + " was disabled"
	if note != "" {
		said += ": " + note
	}
	count, until := 0, time.Time{}
	return f.users(r.Context(), references, func(record store.Record) (bool, error) {
		if record.Schedule.Value.Status != schedule.Active {
			return true, nil
		}
		now := f.Now().UTC()
		if count == 0 {
			until = now.Add(sweepFor)
		}
		if now.After(until) {
			return false, problem.Newf(problem.Unavailable, "%d schedules were disabled, and there are more: ask for it again, to go on", count)
		}
		err := f.disableUser(r, record.Schedule.Value, said, now)
		if err == nil {
			count++
		}
		return true, err
	})
}

func (f *Function) disableUser(r *http.Request, user schedule.Schedule, note string, now time.Time) error {
	_, err := f.DB.Edit(r.Context(), user.Name, now, func(s schedule.Schedule) (schedule.Schedule, error) {
		if s.ID != user.ID || s.Status != schedule.Active || s.Pipeline.Key() != user.Pipeline.Key() {
			return s, nil
		}
		d := s.Definition
		d.Status = schedule.Disabled
		return s.Revise(d, actor(r), note, now), nil
	})
	if errors.Is(err, store.ErrNotFound) {
		return nil
	}
	return err
}

// checkStarts finds whether a schedule that becomes active, or changes its pipeline while it is, would start one that is
// disabled: here or, where that can be switched from here, in its far side. old is the schedule that it changes, if any.
func (f *Function) checkStarts(ctx context.Context, d schedule.Definition, old *schedule.Schedule) error {
	if !starts(d, old) {
		return nil
	}
	stop, _, err := f.stop(ctx, d.Pipeline)
	if err != nil {
		return err
	}
	said := ""
	if stop != nil {
		said = stop.Of(d.Pipeline)
	} else if _, has := f.Targets[d.Pipeline.Kind].(pipeline.Switch); has {
		if p, _ := f.describe(ctx, d.Pipeline); p.Disabled {
			said = "pipeline " + d.Pipeline.String() + " cannot run as it stands: " + p.Problem
		}
	}
	if said == "" {
		return nil
	}
	return recur.FieldErrors{{Field: "pipeline.id", Message: said + "; enable it first, or leave the schedule disabled"}}
}

// starts reports whether a schedule starts a pipeline that it did not start before.
func starts(d schedule.Definition, old *schedule.Schedule) bool {
	return d.Status == schedule.Active && (old == nil || old.Status != schedule.Active || old.Pipeline.Key() != d.Pipeline.Key())
}

// stoppedNotices say that what an active schedule starts is disabled.
func (f *Function) stoppedNotices(ctx context.Context, d schedule.Definition) ([]string, error) {
	if d.Status != schedule.Active {
		return nil, nil
	}
	stop, untold, err := f.stop(ctx, d.Pipeline)
	switch {
	case err != nil:
		return nil, err
	case untold != nil:
		return []string{untold.Error() + "; one of them may be disabled, and what comes due waits until that is known"}, nil
	case stop != nil:
		return []string{stop.Of(d.Pipeline) + "; what comes due is skipped"}, nil
	}
	return nil, nil
}
