package azureml

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// V1Schedules returns the entities of all v1 schedules of the workspace, disabled ones too, as the service has them. It
// fails where they are too many to be held at once.
func (w *Workspace) V1Schedules(ctx context.Context) ([]json.RawMessage, error) {
	var held gathered
	if err := eachEntity(ctx, w, "/Schedules", held.add); err != nil {
		return nil, fmt.Errorf("the workspace's v1 schedules: %w", err)
	}
	return held.whole("v1")
}

// V2Schedules does the same with the resources of all v2 schedules.
func (w *Workspace) V2Schedules(ctx context.Context) ([]json.RawMessage, error) {
	var held gathered
	if err := eachListed(ctx, w, w.resource("/schedules", "listViewType", "All"), mostPages, held.add); err != nil {
		return nil, fmt.Errorf("the workspace's v2 schedules: %w", err)
	}
	return held.whole("v2")
}

const (
	mostOlds     = 10_000   // schedules of the workspace that are held at once
	mostOldBytes = 64 << 20 // of them all
)

// gathered are old schedules, all or none: how some are called depends on what others are called.
type gathered struct {
	all   []json.RawMessage
	bytes int
	over  bool
}

func (g *gathered) add(e json.RawMessage) (more bool) {
	g.bytes += len(e)
	if g.over = len(g.all) == mostOlds || g.bytes > mostOldBytes; !g.over {
		g.all = append(g.all, e)
	}
	return !g.over
}

func (g *gathered) whole(version string) ([]json.RawMessage, error) {
	if g.over {
		return nil, fmt.Errorf("the workspace has more than %d %s schedules, or %d MiB of them, which is more than can be planned together: "+
			"import them one by one, as files (%[2]s-yaml)", mostOlds, version, mostOldBytes>>20)
	}
	return g.all, nil
}

// old is an old schedule by the name that an import gives it: "v1:ID" or "v2:NAME".
func (w *Workspace) old(from string) (oldSchedule, error) {
	kind, name, _ := strings.Cut(from, ":")
	switch {
	case kind == "v1" && id.MatchString(name):
		return w.v1Schedule(name), nil
	case kind == "v2" && versionName.MatchString(name):
		return w.v2Schedule(name), nil
	}
	return oldSchedule{}, fmt.Errorf("%q is no schedule of a workspace", from)
}

// Fires reports whether an old schedule is enabled; one that is gone is not. While it is being changed that is not known.
func (w *Workspace) Fires(ctx context.Context, from string) (bool, error) {
	s, err := w.old(from)
	if err != nil {
		return false, err
	}
	entity, err := s.look(ctx)
	if answered(err, http.StatusNotFound) {
		return false, nil
	}
	off := false
	if err == nil {
		off, err = s.off(entity)
	}
	if err != nil {
		return false, fmt.Errorf("whether %s fires cannot be told: %w", s.what, err)
	}
	return !off, nil
}

// scheduledRun is a run of a v1 schedule. The names are those of recorded answers and of public clients.
type scheduledRun struct {
	Status              struct{ CreationTime time.Time }
	DataPathAssignments map[string]dataPath
}

// Ran reports whether a v1 schedule has made a run for a file since an instant. What its runs were is remembered for a
// moment: many files are asked for at once.
func (w *Workspace) Ran(ctx context.Context, from, datastore, path string, since time.Time) (bool, error) {
	kind, name, _ := strings.Cut(from, ":")
	if kind != "v1" || !id.MatchString(name) {
		return false, fmt.Errorf("%q is no schedule that looks at data", from)
	}
	runs, known := w.ran.get(name, time.Now())
	if !known {
		runs = map[dataPath]time.Time{}
		mute := 0
		err := eachAt(ctx, w, w.pipelines("/PipelineRuns/Schedule/"+url.PathEscape(name)), func(r scheduledRun) bool {
			if len(r.DataPathAssignments) == 0 || r.Status.CreationTime.IsZero() {
				mute++
			}
			for _, at := range r.DataPathAssignments {
				if r.Status.CreationTime.After(runs[at]) {
					runs[at] = r.Status.CreationTime
				}
			}
			return true
		})
		if err == nil && mute > 0 {
			err = fmt.Errorf("%d of them do not say for which file they were, or when", mute)
		}
		if err != nil {
			return false, fmt.Errorf("the runs of v1 schedule %s: %w", name, err)
		}
		w.ran.put(name, runs, time.Now())
	}
	at, ever := runs[dataPath{datastore, path}]
	return ever && !at.Before(since.Truncate(time.Second)), nil
}

// DisableV1Schedule disables a v1 schedule and sees that it is. It may be called again, whatever came of an earlier
// call: one that is disabled is left as it is. With an error it is not known to be disabled. It obeys ctx, and takes a
// minute or two at most where ctx gives it longer.
func (w *Workspace) DisableV1Schedule(ctx context.Context, scheduleID string) error {
	if !id.MatchString(scheduleID) {
		return fmt.Errorf("%q is no id of a v1 schedule", scheduleID)
	}
	return w.disable(ctx, w.v1Schedule(scheduleID))
}

// DisableV2Schedule does the same with a v2 schedule.
func (w *Workspace) DisableV2Schedule(ctx context.Context, name string) error {
	if !versionName.MatchString(name) {
		return fmt.Errorf("%q is no name of a v2 schedule", name)
	}
	return w.disable(ctx, w.v2Schedule(name))
}

func (w *Workspace) v1Schedule(scheduleID string) oldSchedule {
	path := w.pipelines("/Schedules/" + url.PathEscape(scheduleID))
	return oldSchedule{
		what: "v1 schedule " + scheduleID,
		look: func(ctx context.Context) (map[string]any, error) { return whole(ctx, w.v1, path) },
		off:  func(entity map[string]any) (bool, error) { return v1Off(entity, scheduleID) },
		put: func(ctx context.Context, entity map[string]any) (string, error) {
			return "", w.v1.do(ctx, http.MethodPut, path, v1Disabled(entity), nil)
		},
	}
}

func (w *Workspace) v2Schedule(name string) oldSchedule {
	path := w.resource("/schedules/" + name)
	return oldSchedule{
		what: "v2 schedule " + name,
		look: func(ctx context.Context) (map[string]any, error) { return whole(ctx, w.arm, path) },
		off:  func(entity map[string]any) (bool, error) { return v2Off(entity, name) },
		put: func(ctx context.Context, entity map[string]any) (operation string, err error) {
			err = w.arm.exchange(ctx, http.MethodPut, path, nil, v2Disabled(entity), func(resp *http.Response) error {
				operation = resp.Header.Get("Azure-AsyncOperation")
				_, err := io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer))
				return err
			})
			return operation, err
		},
	}
}

// oldSchedule is a schedule that can only be changed as a whole, and bears no version: it is sent back as it was read
// just before.
type oldSchedule struct {
	what string // in words
	look func(ctx context.Context) (map[string]any, error)
	off  func(entity map[string]any) (bool, error) // an error: it cannot be told, or not yet
	put  func(ctx context.Context, entity map[string]any) (operation string, err error)
}

const (
	mostPuts  = 3  // of one schedule in one call
	mostLooks = 15 // the same
	mostPause = 10 * time.Second
)

// disable puts nothing before it has looked: at first, and after each request whose outcome is in doubt.
func (w *Workspace) disable(ctx context.Context, s oldSchedule) error {
	wait := waiting{pause: w.pause}
	var doubt error // of the last request
	for puts, looks := 0, 0; looks < mostLooks; looks++ {
		entity, err := s.look(ctx)
		off := false
		if err == nil {
			off, err = s.off(entity)
		}
		switch {
		case off:
			return nil
		case err != nil && !again(err):
			return fmt.Errorf("whether %s is disabled cannot be told: %w", s.what, err)
		case err == nil && (puts == 0 || doubt != nil):
			if puts == mostPuts {
				return fmt.Errorf("%s could not be disabled: %w", s.what, doubt)
			}
			puts++
			var operation string
			operation, doubt = s.put(ctx, entity)
			if doubt == nil {
				err, wait = w.finish(ctx, operation), waiting{pause: w.pause}
			} else {
				err = doubt
			}
			if err != nil && !again(err) {
				return fmt.Errorf("%s is not known to be disabled: %w", s.what, err)
			}
			if err == nil {
				continue // look at once
			}
		}
		if err := wait.after(ctx, err); err != nil {
			return fmt.Errorf("it is not known whether %s is disabled: %w", s.what, errors.Join(err, doubt))
		}
	}
	return fmt.Errorf("the workspace took the request to disable %s, and does not show it as disabled: look at it there", s.what)
}

// errChanging: what was asked for is under way.
var errChanging = errors.New("it is being changed")

// again reports whether what failed may be tried again: it did not come through, or something else is under way.
func again(err error) bool {
	var f *failure
	if errors.Is(err, errChanging) {
		return true
	}
	return errors.As(err, &f) && (f.status == 0 || f.status >= 500 ||
		answered(err, http.StatusRequestTimeout, http.StatusConflict, http.StatusPreconditionFailed, http.StatusTooManyRequests))
}

// waiting is how long it is waited before each further question: as the service says, or longer each time.
type waiting struct{ pause time.Duration }

func (p *waiting) after(ctx context.Context, err error) error {
	d := p.pause
	p.pause = min(2*p.pause, mostPause)
	var f *failure
	if errors.As(err, &f) && f.throttled {
		d = f.retryAfter
	}
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < d {
		return context.DeadlineExceeded
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// finish waits for the end of a change that the resource manager carries out behind its answer. Where the answer names
// no operation, or one elsewhere, the resource itself tells.
func (w *Workspace) finish(ctx context.Context, operation string) error {
	path := w.own(operation, "/subscriptions/"+strings.Split(w.id, "/")[2])
	if path == "" {
		return nil
	}
	wait := waiting{pause: w.pause}
	for range mostLooks {
		var o struct {
			Status string
			Error  struct{ Code, Message string }
		}
		err := w.arm.do(ctx, http.MethodGet, path, nil, &o)
		switch {
		case err == nil && strings.EqualFold(o.Status, "Succeeded"):
			return nil
		case err == nil && (strings.EqualFold(o.Status, "Failed") || strings.EqualFold(o.Status, "Canceled")):
			return fmt.Errorf("the change came to nothing: %s %s %s", tidy(o.Status), tidy(o.Error.Code), tidy(o.Error.Message))
		case err != nil && !again(err):
			return nil // the resource tells
		}
		if err := wait.after(ctx, err); err != nil {
			return err
		}
	}
	return nil
}

// whole reads all of an entity; numbers stay as they are written.
func whole(ctx context.Context, s service, path string) (entity map[string]any, err error) {
	err = s.stream(ctx, http.MethodGet, path, nil, nil, func(body io.Reader) error {
		d := json.NewDecoder(io.LimitReader(body, maxAnswer))
		d.UseNumber()
		return d.Decode(&entity)
	})
	return entity, err
}

// member is the name and value of an entity's field, in whatever letter case it is written.
func member(entity map[string]any, name string) (key string, value any) {
	for key, value := range entity {
		if strings.EqualFold(key, name) {
			return key, value
		}
	}
	return name, nil
}

func v1Off(entity map[string]any, scheduleID string) (bool, error) {
	if _, is := member(entity, "Id"); !strings.EqualFold(textOf(is), scheduleID) {
		return false, fmt.Errorf("the workspace answered with schedule %q", tidy(textOf(is)))
	}
	_, status := member(entity, "EntityStatus")
	name := enumName([]byte(textOf(status)), "Active", "Deprecated", string(disabled))
	if name == "" {
		return false, errors.New("the workspace does not say whether it is active")
	}
	return strings.EqualFold(name, string(disabled)), nil
}

// v1Disabled is the entity with another status, written as it was: by its name or number.
func v1Disabled(entity map[string]any) map[string]any {
	changed := maps.Clone(entity)
	key, status := member(entity, "EntityStatus")
	changed[key] = string(disabled)
	if _, number := status.(json.Number); number {
		changed[key] = 2
	}
	return changed
}

func v2Off(resource map[string]any, name string) (bool, error) {
	if _, is := member(resource, "name"); !strings.EqualFold(textOf(is), name) {
		return false, fmt.Errorf("the workspace answered with schedule %q", tidy(textOf(is)))
	}
	properties, _ := resource["properties"].(map[string]any)
	if properties == nil {
		return false, errors.New("the workspace does not say whether it is enabled")
	}
	switch state := strings.ToLower(textOf(properties["provisioningState"])); state {
	case "creating", "updating", "deleting":
		return false, errChanging
	}
	enabled, said := properties["isEnabled"].(bool)
	return said && !enabled, nil
}

// v2Disabled is what the resource manager takes for a change: the properties, without those that only it may write.
func v2Disabled(resource map[string]any) map[string]any {
	properties, _ := resource["properties"].(map[string]any)
	changed := maps.Clone(properties)
	delete(changed, "provisioningState")
	changed["isEnabled"] = false
	if action, ok := changed["action"].(map[string]any); ok {
		if job, ok := action["jobDefinition"].(map[string]any); ok {
			action, job = maps.Clone(action), maps.Clone(job)
			delete(job, "status")
			action["jobDefinition"], changed["action"] = job, action
		}
	}
	return map[string]any{"properties": changed}
}
