package azureml

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// switched is the target of published pipelines, which alone have a switch of the service's own.
type switched struct{ *v1 }

var _ pipeline.Switch = switched{}

// SetActive sets the status of a published pipeline and sees that it has it. The service refuses to disable one that an
// active v1 schedule names: the error names those, too.
func (t switched) SetActive(ctx context.Context, ref schedule.PipelineRef, active bool) error {
	if ref.Kind != t.kind || !id.MatchString(ref.ID) {
		return fmt.Errorf("pipeline %s: %w", ref, pipeline.ErrNotFound)
	}
	is, err := t.active(ctx, ref.ID)
	if err == nil && is != active {
		if err = t.setStatus(ctx, ref.ID, active); err == nil {
			is, err = t.active(ctx, ref.ID)
		} else if !active && (answered(err, refusals...) || answered(err, http.StatusConflict)) {
			err = t.withSchedules(ctx, ref.ID, err)
		}
		if err == nil && is != active {
			err = errors.New("the workspace took the request, and its status is as before; look at it in the studio")
		}
	}
	if err != nil {
		return missing(ref, err)
	}
	return nil
}

// active reports whether a pipeline is anything but disabled.
func (t switched) active(ctx context.Context, pipelineID string) (bool, error) {
	e, err := t.published(ctx, pipelineID)
	return !strings.EqualFold(string(e.EntityStatus), string(disabled)), err
}

// withSchedules adds to a refusal which active schedules of the workspace start a pipeline, as far as it tells.
func (t switched) withSchedules(ctx context.Context, pipelineID string, refusal error) error {
	type user struct {
		Name, PipelineID string
		EntityStatus     entityStatus
	}
	var names []string
	err := eachEntity(ctx, t.w, "/Schedules", func(s user) bool {
		if strings.EqualFold(s.PipelineID, pipelineID) && !strings.EqualFold(string(s.EntityStatus), string(disabled)) {
			names = append(names, tidy(s.Name))
		}
		return len(names) < mostNamed
	})
	if err != nil || len(names) == 0 {
		return refusal
	}
	slices.Sort(names)
	return fmt.Errorf("%w; its active schedules there, to be disabled first: %s", refusal, strings.Join(names, ", "))
}

const mostNamed = 20 // schedules in an error

// setStatus: the form of the body is not established; it is the status by its name, which is what Microsoft's client
// gives to its generated code. This is the place to change: whoever asks looks at what has become of it.
func (t switched) setStatus(ctx context.Context, pipelineID string, active bool) error {
	status := disabled
	if active {
		status = "Active"
	}
	return t.w.v1.do(ctx, http.MethodPut, t.w.pipelines("/Pipelines/"+url.PathEscape(pipelineID)+"/Status"), string(status), nil)
}
