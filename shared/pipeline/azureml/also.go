package azureml

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

var _, _, _ pipeline.Aliases = (*v1)(nil), (*batch)(nil), (*jobs)(nil)

// Also: an endpoint and its default deployment are the same.
func (t *batch) Also(ctx context.Context, ref schedule.PipelineRef) ([]schedule.PipelineRef, error) {
	parts := doorID.FindStringSubmatch(ref.ID)
	if parts == nil {
		return nil, unknown(ref)
	}
	var e endpointEntity
	if err := t.w.get(ctx, "/batchEndpoints/"+parts[1], &e); err != nil {
		return nil, missing(ref, err)
	}
	switch standard := e.Properties.Defaults.DeploymentName; {
	case standard == "":
	case parts[2] == "":
		return []schedule.PipelineRef{{Kind: t.kind, ID: parts[1] + "/" + standard}}, nil
	case strings.EqualFold(parts[2], standard):
		return []schedule.PipelineRef{{Kind: t.kind, ID: parts[1]}}, nil
	}
	return nil, nil
}

// Also: the version of a component that was made last is its @latest. Templates have one reference.
func (t *jobs) Also(ctx context.Context, ref schedule.PipelineRef) ([]schedule.PipelineRef, error) {
	parts := jobID.FindStringSubmatch(ref.ID)
	if parts == nil {
		return nil, unknown(ref)
	}
	if !ofComponent(ref.ID) {
		return nil, nil
	}
	d, err := t.w.latest(ctx, parts[1])
	switch {
	case err != nil:
		return nil, missing(ref, err)
	case parts[2] == "":
		return []schedule.PipelineRef{{Kind: t.kind, ID: "component:" + parts[1] + ":" + d.version}}, nil
	case strings.EqualFold(parts[2], d.version):
		return t.newest(parts[1]), nil
	}
	return nil, nil
}

func (t *jobs) newest(component string) []schedule.PipelineRef {
	return []schedule.PipelineRef{{Kind: t.kind, ID: "component:" + component + "@latest"}}
}

// Also: an endpoint is the pipeline that it runs by default. Several may be the same one.
func (t *v1) Also(ctx context.Context, ref schedule.PipelineRef) (also []schedule.PipelineRef, err error) {
	if !id.MatchString(ref.ID) {
		return nil, unknown(ref)
	}
	found := t.kind == Published // an endpoint is in the list, or there is none
	err = t.w.eachEndpoint(ctx, func(e entity) {
		switch behind := e.behind(); {
		case t.kind == Published && strings.EqualFold(e.DefaultPipelineID, ref.ID):
			also = append(also, schedule.PipelineRef{Kind: PipelineEndpoint, ID: e.ID})
		case t.kind == PipelineEndpoint && strings.EqualFold(e.ID, ref.ID):
			also, found = behind, true
		}
	})
	if err == nil && !found {
		return nil, unknown(ref)
	}
	return also, err
}

// behind is what an endpoint stands for.
func (e entity) behind() []schedule.PipelineRef {
	if !id.MatchString(e.DefaultPipelineID) {
		return nil
	}
	return []schedule.PipelineRef{{Kind: Published, ID: e.DefaultPipelineID}}
}

// eachEndpoint shows the endpoints of v1. A workspace that knows no such list has none.
func (w *Workspace) eachEndpoint(ctx context.Context, visit func(entity)) error {
	err := eachEntity(ctx, w, endpointList, func(e entity) bool {
		if id.MatchString(e.ID) {
			visit(e)
		}
		return true
	})
	if err != nil && !answered(err, http.StatusNotFound) {
		return fmt.Errorf("pipeline endpoints: %w", err)
	}
	return nil
}

func unknown(ref schedule.PipelineRef) error {
	return fmt.Errorf("pipeline %s: %w", ref, pipeline.ErrNotFound)
}
