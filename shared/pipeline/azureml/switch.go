package azureml

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// switched is the target of published pipelines, which alone have a switch of the service's own.
type switched struct{ *v1 }

var _ pipeline.Switch = switched{}

// SetActive sets the status of a published pipeline and sees that it has it. The service refuses to disable one that an
// active v1 schedule names.
func (t switched) SetActive(ctx context.Context, ref schedule.PipelineRef, active bool) error {
	if ref.Kind != t.kind || !id.MatchString(ref.ID) {
		return fmt.Errorf("pipeline %s: %w", ref, pipeline.ErrNotFound)
	}
	is, err := t.active(ctx, ref.ID)
	if err == nil && is != active {
		if err = t.setStatus(ctx, ref.ID, active); err == nil {
			is, err = t.active(ctx, ref.ID)
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

// setStatus: the form of the body is not established; it is the status by its name, which is what Microsoft's client
// gives to its generated code. This is the place to change: whoever asks looks at what has become of it.
func (t switched) setStatus(ctx context.Context, pipelineID string, active bool) error {
	status := disabled
	if active {
		status = "Active"
	}
	return t.w.v1.do(ctx, http.MethodPut, t.w.pipelines("/Pipelines/"+url.PathEscape(pipelineID)+"/Status"), string(status), nil)
}
