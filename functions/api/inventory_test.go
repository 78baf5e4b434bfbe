package api

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"testing/synctest"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// slow is a far side that takes all the time that it is given, and comes up to an id.
type slow struct {
	*pipeline.Fake
	to *string // nil: it is not slow
}

func (s *slow) List(ctx context.Context, after string, max int) ([]pipeline.Pipeline, string, error) {
	page, next, err := s.Fake.List(ctx, after, max)
	if s.to == nil {
		return page, next, err
	}
	<-ctx.Done()
	if page = slices.DeleteFunc(page, func(p pipeline.Pipeline) bool { return p.Ref.ID > *s.to }); len(page) == 0 {
		return nil, "", ctx.Err()
	}
	return page, *s.to, nil
}

// fakes are far sides of kinds, each with pipelines 1 to 5.
func (s *site) fakes(kinds ...string) map[string]*slow {
	all := map[string]*slow{}
	for _, kind := range kinds {
		far := &slow{Fake: &pipeline.Fake{}}
		for i := range 5 {
			far.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: kind, ID: fmt.Sprint(i + 1)}, Name: "p"})
		}
		all[kind], s.f.Targets[kind] = far, far
	}
	delete(s.f.Targets, "local")
	return all
}

// A far side that takes the time of a request takes nothing from the others, and what it has given is kept.
func TestListOfSlowPipelines(t *testing.T) {
	all := "a:1 a:2 a:3 a:4 a:5 b:1 b:2 b:3 b:4 b:5 c:1 c:2 c:3 c:4 c:5 -> "
	for name, c := range map[string]struct {
		kind, to string
		want     []string // of each page, what is listed, and the token
	}{
		"none":           {want: []string{all}},
		"on the way":     {"b", "3", []string{"a:1 a:2 a:3 a:4 a:5 b:1 b:2 b:3 -> b:3", "b:4 -> c:", "c:1 c:2 c:3 c:4 c:5 -> "}},
		"from the start": {"b", "", []string{"a:1 a:2 a:3 a:4 a:5 -> b:", "b:4 -> c:", "c:1 c:2 c:3 c:4 c:5 -> "}},
		"the first":      {"a", "", []string{"-> b:", "b:1 b:2 b:3 b:4 b:5 c:1 c:2 c:3 c:4 c:5 -> "}},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := newSite(t)
			far := s.fakes("a", "b", "c")
			if c.kind != "" {
				far[c.kind].to = &c.to
			}
			stop := schedule.Stop{Pipeline: schedule.PipelineRef{Kind: "b", ID: "4"}, At: s.now} // known without the far side
			if err := s.f.DB.StopPipeline(t.Context(), stop); err != nil {
				t.Fatal(err)
			}
			var got []string
			notes := 0
			for token, first := "", true; first || token != ""; first = false {
				r := s.want(200, s.call("GET", "/api/pipelines?token="+url.QueryEscape(token), ""))
				page := ""
				for _, item := range r.items() {
					ref := item.(map[string]any)["pipeline"].(map[string]any)
					page += fmt.Sprintf("%v:%v ", ref["kind"], ref["id"])
				}
				token, _ = r.json["next"].(string)
				got = append(got, page+"-> "+token)
				list, _ := r.json["notices"].([]any)
				notes += len(list)
			}
			if !slices.Equal(got, c.want) || (notes == 1) != (c.kind != "") {
				t.Errorf("%s: %q, want %q; %d notices", name, got, c.want, notes)
			}
		})
	}
}
