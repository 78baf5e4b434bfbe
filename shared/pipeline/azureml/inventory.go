package azureml

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// catalog collects one page of pipelines, in the order of their ids, from those that come in any order.
type catalog struct {
	after string
	max   int
	page  []pipeline.Pipeline
	more  bool // there are others behind the page
}

func (c *catalog) add(p pipeline.Pipeline) {
	if p.Ref.ID <= c.after {
		return
	}
	at, _ := slices.BinarySearchFunc(c.page, p.Ref.ID, func(p pipeline.Pipeline, id string) int { return strings.Compare(p.Ref.ID, id) })
	c.page = slices.Insert(c.page, at, p)
	if len(c.page) > c.max {
		c.page, c.more = c.page[:c.max], true
	}
}

// full reports whether nothing that begins with prefix can come onto the page any more.
func (c *catalog) full(prefix string) bool {
	return len(c.page) >= c.max && (c.max <= 0 || prefix > c.page[len(c.page)-1].Ref.ID)
}

// cut takes off the page what does not come before an id, which could not be had: the list goes on there.
func (c *catalog) cut(id string) {
	at, _ := slices.BinarySearchFunc(c.page, id, func(p pipeline.Pipeline, id string) int { return strings.Compare(p.Ref.ID, id) })
	c.page, c.more = c.page[:at], true
}

// next is the id after which the list goes on.
func (c *catalog) next() string {
	if !c.more || len(c.page) == 0 {
		return ""
	}
	return c.page[len(c.page)-1].Ref.ID
}

// atOnce is how many questions about the entries of one list are under way.
const atOnce = 8

// inTurn asks about each entry, some at once, and hands the answers over in the order of the entries, as long as take
// wants them.
func inTurn[E, A any](ctx context.Context, entries []E, ask func(context.Context, E) (A, error), take func(E, A, error) bool) {
	for some := range slices.Chunk(entries, atOnce) {
		answers, errs := make([]A, len(some)), make([]error, len(some))
		var group sync.WaitGroup
		for i, e := range some {
			group.Go(func() { answers[i], errs[i] = ask(ctx, e) })
		}
		group.Wait()
		for i, e := range some {
			if !take(e, answers[i], errs[i]) {
				return
			}
		}
	}
}

// List returns endpoints, each with its default deployment, and again with each deployment. It does not say what they
// take: Get does.
func (t *batch) List(ctx context.Context, after string, max int) ([]pipeline.Pipeline, string, error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	var endpoints []endpointEntity
	err := eachListed(ctx, t.w, t.w.resource("/batchEndpoints"), mostPages, func(e endpointEntity) bool {
		if beyond := e.Name + "0"; versionName.MatchString(e.Name) && beyond > after { // all its ids come before that
			endpoints = append(endpoints, e)
		}
		return true
	})
	if err != nil {
		return nil, "", t.unlisted(err)
	}
	slices.SortFunc(endpoints, func(a, b endpointEntity) int { return strings.Compare(a.Name, b.Name) })
	page := catalog{after: after, max: max}
	inTurn(ctx, endpoints, t.deployments, func(e endpointEntity, deployments []deploymentEntity, failed error) bool {
		switch {
		case page.full(e.Name):
			page.more = true
			return false
		case answered(failed, http.StatusNotFound): // it has just gone
			return true
		case failed != nil:
			err = fmt.Errorf("deployments of endpoint %s: %w", e.Name, failed)
			page.cut(e.Name)
			return false
		}
		t.add(&page, e, deployments)
		return true
	})
	if err != nil && len(page.page) == 0 {
		return nil, "", t.unlisted(err)
	}
	return page.page, page.next(), nil
}

func (t *v2) unlisted(err error) error { return fmt.Errorf("pipelines of kind %s: %w", t.kind, err) }

func (t *batch) deployments(ctx context.Context, e endpointEntity) (all []deploymentEntity, err error) {
	err = eachListed(ctx, t.w, t.w.resource("/batchEndpoints/"+e.Name+"/deployments"), mostPages, func(d deploymentEntity) bool {
		if versionName.MatchString(d.Name) {
			all = append(all, d)
		}
		return true
	})
	return all, err
}

// add adds an endpoint and its deployments.
func (t *batch) add(page *catalog, e endpointEntity, deployments []deploymentEntity) {
	standard := door{endpoint: e}
	var also []schedule.PipelineRef
	for _, d := range deployments {
		behind := door{endpoint: e, deployment: d}
		behind.problem = behind.closed()
		p := t.pipeline(e.Name+"/"+d.Name, behind)
		if strings.EqualFold(d.Name, e.Properties.Defaults.DeploymentName) {
			standard.deployment, p.Also = d, []schedule.PipelineRef{{Kind: t.kind, ID: e.Name}}
			also = []schedule.PipelineRef{p.Ref}
		}
		page.add(p)
	}
	standard.problem = standard.closed()
	p := t.pipeline(e.Name, standard)
	p.Deployments, p.Default, p.Also = namesOf(deployments), standard.deployment.Name, also
	page.add(p)
}

func namesOf(deployments []deploymentEntity) (names []string) {
	for _, d := range deployments {
		names = append(names, d.Name)
	}
	slices.Sort(names)
	return names
}

func (t *batch) pipeline(id string, d door) pipeline.Pipeline {
	p := pipeline.Pipeline{
		Ref: schedule.PipelineRef{Kind: t.kind, ID: id}, Name: id, Description: d.endpoint.Properties.Description, Problem: d.problem, Places: true, Deployed: true,
	}
	if strings.Contains(id, "/") && d.deployment.Properties.Description != "" {
		p.Description = d.deployment.Properties.Description
	}
	return p
}

// Get returns an endpoint as it is now, with the names of its deployments.
func (t *batch) Get(ctx context.Context, ref schedule.PipelineRef) (pipeline.Pipeline, error) {
	if err := ctx.Err(); err != nil {
		return pipeline.Pipeline{}, err
	}
	if ref.Kind != t.kind || !doorID.MatchString(ref.ID) {
		return pipeline.Pipeline{}, unknown(ref)
	}
	d, err := t.w.door(ctx, ref.ID)
	if err != nil {
		return pipeline.Pipeline{}, missing(ref, err)
	}
	p := t.pipeline(ref.ID, d)
	d.declared.describe(&p)
	if strings.Contains(ref.ID, "/") {
		return p, nil
	}
	p.Default = d.deployment.Name
	if all, err := t.deployments(ctx, endpointEntity{Name: ref.ID}); err == nil { // else it is described without them
		p.Deployments = namesOf(all)
	}
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
func (t *jobs) List(ctx context.Context, after string, max int) (page []pipeline.Pipeline, next string, err error) {
	if err := ctx.Err(); err != nil {
		return nil, "", err
	}
	type container struct {
		Name       string
		Properties struct{ LatestVersion string }
	}
	var ids []string
	err = eachListed(ctx, t.w, t.w.resource("/components"), mostPages, func(c container) bool {
		if id := "component:" + c.Name + ":" + c.Properties.LatestVersion; jobID.MatchString(id) && id > after {
			ids = append(ids, id)
		}
		return true
	})
	if err != nil {
		return nil, "", t.unlisted(err)
	}
	slices.Sort(ids)
	seen, goesOn := "", false
	inTurn(ctx, ids, t.component, func(id string, d declaration, failed error) bool {
		switch gone := answered(failed, http.StatusNotFound); {
		case len(page) == max:
			goesOn = true
			return false
		case failed != nil && !gone:
			err, goesOn = fmt.Errorf("%s: %w", id, failed), true
			return false
		case !gone && d.unfit() == "":
			p := t.pipeline(id, d)
			p.Also = t.newest(jobID.FindStringSubmatch(id)[1])
			page = append(page, p)
		}
		seen = id
		return true
	})
	if err != nil && seen == "" {
		return nil, "", t.unlisted(err)
	}
	if goesOn {
		next = seen
	}
	return page, next, nil
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
		return pipeline.Pipeline{}, unknown(ref)
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
