package azureml

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// catalog collects one page of pipelines, in the order of their ids, from those that come in any order.
type catalog struct {
	after string
	max   int
	page  []pipeline.Pipeline
}

func (c *catalog) add(p pipeline.Pipeline) {
	if p.Ref.ID <= c.after {
		return
	}
	at, _ := slices.BinarySearchFunc(c.page, p.Ref.ID, func(p pipeline.Pipeline, id string) int { return strings.Compare(p.Ref.ID, id) })
	if at < c.max {
		c.page = slices.Insert(c.page, at, p)
		c.page = c.page[:min(len(c.page), c.max)]
	}
}

// full reports whether nothing that begins with prefix can come onto the page any more.
func (c *catalog) full(prefix string) bool {
	return len(c.page) >= c.max && (c.max <= 0 || prefix > c.page[len(c.page)-1].Ref.ID)
}

// List returns endpoints, each with its default deployment, and again with each deployment. It does not say what they
// take: Get does.
func (t *batch) List(ctx context.Context, after string, max int) ([]pipeline.Pipeline, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var endpoints []endpointEntity
	err := eachListed(ctx, t.w, t.w.resource("/batchEndpoints"), mostPages, func(e endpointEntity) bool {
		if versionName.MatchString(e.Name) {
			endpoints = append(endpoints, e)
		}
		return true
	})
	slices.SortFunc(endpoints, func(a, b endpointEntity) int { return strings.Compare(a.Name, b.Name) })
	page := catalog{after: after, max: max}
	for _, e := range endpoints {
		if err != nil || page.full(e.Name) {
			break
		}
		err = t.list(ctx, e, &page)
	}
	if err != nil {
		return nil, fmt.Errorf("pipelines of kind %s: %w", t.kind, err)
	}
	return page.page, nil
}

// list adds an endpoint and its deployments.
func (t *batch) list(ctx context.Context, e endpointEntity, page *catalog) error {
	standard := door{endpoint: e}
	var names []string
	err := eachListed(ctx, t.w, t.w.resource("/batchEndpoints/"+e.Name+"/deployments"), mostPages, func(d deploymentEntity) bool {
		if !versionName.MatchString(d.Name) {
			return true
		}
		names = append(names, d.Name)
		behind := door{endpoint: e, deployment: d}
		behind.problem = behind.closed()
		page.add(t.pipeline(e.Name+"/"+d.Name, behind))
		if strings.EqualFold(d.Name, e.Properties.Defaults.DeploymentName) {
			standard.deployment = d
		}
		return true
	})
	if answered(err, http.StatusNotFound) { // it has just gone
		return nil
	}
	standard.problem = standard.closed()
	slices.Sort(names)
	p := t.pipeline(e.Name, standard)
	p.Deployments, p.Default = names, standard.deployment.Name
	page.add(p)
	return err
}

func (t *batch) pipeline(id string, d door) pipeline.Pipeline {
	p := pipeline.Pipeline{
		Ref: schedule.PipelineRef{Kind: t.kind, ID: id}, Name: id, Description: d.endpoint.Properties.Description, Problem: d.problem, Places: true,
	}
	if strings.Contains(id, "/") && d.deployment.Properties.Description != "" {
		p.Description = d.deployment.Properties.Description
	}
	return p
}

// Get returns an endpoint as it is now.
func (t *batch) Get(ctx context.Context, ref schedule.PipelineRef) (pipeline.Pipeline, error) {
	if err := ctx.Err(); err != nil {
		return pipeline.Pipeline{}, err
	}
	if ref.Kind != t.kind || !doorID.MatchString(ref.ID) {
		return pipeline.Pipeline{}, fmt.Errorf("pipeline %s: %w", ref, pipeline.ErrNotFound)
	}
	d, err := t.w.door(ctx, ref.ID)
	if err != nil {
		return pipeline.Pipeline{}, missing(ref, err)
	}
	p := t.pipeline(ref.ID, d)
	d.declared.describe(&p)
	return p, nil
}

// missing is the error of a pipeline that could not be read.
func missing(ref schedule.PipelineRef, err error) error {
	if answered(err, http.StatusNotFound) && !errors.Is(err, pipeline.ErrNotFound) {
		err = fmt.Errorf("%w: %w", pipeline.ErrNotFound, err)
	}
	return fmt.Errorf("pipeline %s: %w", ref, err)
}

// List returns the registered pipeline components, each with the version that was made last. Templates are not among
// them: any pipeline job can be one.
func (t *jobs) List(ctx context.Context, after string, max int) ([]pipeline.Pipeline, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	type container struct {
		Name       string
		Properties struct{ LatestVersion string }
	}
	var ids []string
	err := eachListed(ctx, t.w, t.w.resource("/components"), mostPages, func(c container) bool {
		if id := "component:" + c.Name + ":" + c.Properties.LatestVersion; jobID.MatchString(id) && id > after {
			ids = append(ids, id)
		}
		return true
	})
	slices.Sort(ids)
	page := catalog{after: after, max: max}
	for _, id := range ids {
		if err != nil || page.full(id) {
			break
		}
		var d declaration
		switch d, err = t.component(ctx, id); {
		case answered(err, http.StatusNotFound):
			err = nil
		case err == nil && d.unfit() == "":
			page.add(t.pipeline(id, d))
		}
	}
	if err != nil {
		return nil, fmt.Errorf("pipelines of kind %s: %w", t.kind, err)
	}
	return page.page, nil
}

func (t *jobs) pipeline(id string, d declaration) pipeline.Pipeline {
	p := pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: t.kind, ID: id}, Name: d.name, Description: d.description, Places: true, Settings: true}
	d.describe(&p)
	return p
}

// Get returns what a job would be made of.
func (t *jobs) Get(ctx context.Context, ref schedule.PipelineRef) (pipeline.Pipeline, error) {
	if err := ctx.Err(); err != nil {
		return pipeline.Pipeline{}, err
	}
	if ref.Kind != t.kind || !jobID.MatchString(ref.ID) {
		return pipeline.Pipeline{}, fmt.Errorf("pipeline %s: %w", ref, pipeline.ErrNotFound)
	}
	var d declaration
	var problem string
	if ofComponent(ref.ID) {
		var err error
		if d, err = t.component(ctx, ref.ID); err != nil {
			return pipeline.Pipeline{}, missing(ref, err)
		}
		problem = d.unfit()
	} else {
		j, err := t.template(ctx, ref.ID)
		if err != nil {
			return pipeline.Pipeline{}, missing(ref, err)
		}
		d, problem = j.declaration(), j.unfit()
	}
	p := t.pipeline(ref.ID, d)
	if p.Problem = problem; p.Name == "" {
		p.Name = ref.ID
	}
	return p, nil
}
