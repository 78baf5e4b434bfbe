package azureml

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// entity is a published pipeline or an endpoint. The names of its parts are inferred; that of Parameters is not
// established, and without it the parameters are not known.
type entity struct {
	ID                string
	Name              string
	Description       string
	EntityStatus      entityStatus
	Parameters        words
	DefaultPipelineID string // of an endpoint
}

func (t *v1) pipeline(e entity) pipeline.Pipeline {
	p := pipeline.Pipeline{
		Ref: schedule.PipelineRef{Kind: t.kind, ID: e.ID}, Name: e.Name, Description: e.Description, Parameters: e.Parameters,
	}
	if p.Name == "" {
		p.Name = e.ID
	}
	if strings.EqualFold(string(e.EntityStatus), string(disabled)) {
		p.Problem, p.Disabled = "it is disabled in the workspace", true
	}
	return p
}

// List reads the whole list each time, as the service knows no pages of it, and keeps what fits on the page.
func (t *v1) List(ctx context.Context, after string, max int) ([]pipeline.Pipeline, string, error) {
	page := catalog{after: after, max: max}
	err := t.each(ctx, func(e entity) bool {
		p := t.pipeline(e)
		p.Also = e.behind()
		page.add(p)
		return true
	})
	if err == nil && t.kind == Published && len(page.page) > 0 {
		err = t.addEndpoints(ctx, page.page)
	}
	if err != nil {
		return nil, "", fmt.Errorf("pipelines of kind %s: %w", t.kind, err)
	}
	return page.page, page.next(), nil
}

// addEndpoints says of pipelines which endpoints stand for them.
func (t *v1) addEndpoints(ctx context.Context, page []pipeline.Pipeline) error {
	return t.w.eachEndpoint(ctx, func(e entity) {
		for i := range page {
			if strings.EqualFold(page[i].Ref.ID, e.DefaultPipelineID) {
				page[i].Also = append(page[i].Also, schedule.PipelineRef{Kind: PipelineEndpoint, ID: e.ID})
			}
		}
	})
}

// Get returns one pipeline. The route of a single endpoint is not established: it is looked for in the list. Its
// parameters are those of the pipeline that it runs by default.
func (t *v1) Get(ctx context.Context, ref schedule.PipelineRef) (pipeline.Pipeline, error) {
	if err := ctx.Err(); err != nil {
		return pipeline.Pipeline{}, err
	}
	if ref.Kind != t.kind || !id.MatchString(ref.ID) {
		return pipeline.Pipeline{}, unknown(ref)
	}
	get := t.published
	if t.kind == PipelineEndpoint {
		get = t.endpoint
	}
	e, err := get(ctx, ref.ID)
	if err != nil {
		return pipeline.Pipeline{}, missing(ref, err)
	}
	p := t.pipeline(e)
	p.Ref = ref // ids are compared in any letter case
	return p, nil
}

func (t *v1) published(ctx context.Context, pipelineID string) (e entity, err error) {
	err = t.w.v1.do(ctx, http.MethodGet, t.w.pipelines("/Pipelines/"+url.PathEscape(pipelineID)), nil, &e)
	if err == nil && !strings.EqualFold(e.ID, pipelineID) {
		err = fmt.Errorf("the workspace answered with pipeline %q", tidy(e.ID))
	}
	return e, err
}

func (t *v1) endpoint(ctx context.Context, endpointID string) (found entity, err error) {
	err = t.each(ctx, func(e entity) bool {
		if strings.EqualFold(e.ID, endpointID) {
			found = e
		}
		return found.ID == ""
	})
	if err == nil && found.ID == "" {
		err = pipeline.ErrNotFound
	}
	if err != nil || found.Parameters != nil || !id.MatchString(found.DefaultPipelineID) {
		return found, err
	}
	// An endpoint whose pipeline cannot be read is described without parameters.
	if behind, err := t.published(ctx, found.DefaultPipelineID); err == nil {
		found.Parameters = behind.Parameters
	}
	return found, nil
}

var errNotAList = errors.New("it is not a list")

// each shows the pipelines of the kind, those that are not active too, as far as visit wants them.
func (t *v1) each(ctx context.Context, visit func(entity) bool) error {
	return eachEntity(ctx, t.w, t.list, func(e entity) bool { return !id.MatchString(e.ID) || visit(e) })
}

// eachEntity shows the entries of a list of the v1 service, which knows no pages, as far as visit wants them.
func eachEntity[E any](ctx context.Context, w *Workspace, list string, visit func(E) bool) error {
	return eachAt(ctx, w, w.pipelines(list+"?activeOnly=false"), visit)
}

func eachAt[E any](ctx context.Context, w *Workspace, path string, visit func(E) bool) error {
	return w.v1.stream(ctx, http.MethodGet, path, nil, nil, func(body io.Reader) error {
		in := json.NewDecoder(io.LimitReader(body, maxListing))
		if open, err := in.Token(); err != nil {
			return err
		} else if open != json.Delim('[') {
			return errNotAList
		}
		for in.More() {
			var e E
			if err := in.Decode(&e); err != nil {
				return err
			}
			if !visit(e) {
				return nil
			}
		}
		_, err := in.Token() // the closing bracket: without it the list is not whole
		return err
	})
}
