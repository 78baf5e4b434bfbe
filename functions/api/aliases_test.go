package api

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

// related is a far side with pipelines that have several references, and that may not say which.
type related struct {
	*pipeline.Fake
	err error
}

func (r *related) Also(ctx context.Context, ref schedule.PipelineRef) ([]schedule.PipelineRef, error) {
	if r.err != nil {
		return nil, r.err
	}
	return r.Fake.Also(ctx, ref)
}

func parse(text string) schedule.PipelineRef {
	kind, id, _ := strings.Cut(text, ":")
	return schedule.PipelineRef{Kind: kind, ID: id}
}

// relates puts up a pipeline with the other references that stand for it.
func (s *site) relates(ref string, also ...string) *related {
	p := pipeline.Pipeline{Ref: parse(ref), Name: ref}
	for _, a := range also {
		p.Also = append(p.Also, parse(a))
	}
	far, ok := s.f.Targets[p.Ref.Kind].(*related)
	if !ok {
		far = &related{Fake: &pipeline.Fake{}}
		s.f.Targets[p.Ref.Kind] = far
	}
	far.Put(p)
	return far
}

func (s *site) schedules(name, ref, more string) reply {
	s.t.Helper()
	p := parse(ref)
	return s.call("POST", "/api/schedules", strings.Replace(body15(name), `{"kind": "local", "id": "hello"}`, fmt.Sprintf(`{"kind": %q, "id": %q}%s`, p.Kind, p.ID, more), 1))
}

func of(verb, ref string) string {
	p := parse(ref)
	return "/api/pipelines/" + p.Kind + verb + "?id=" + url.QueryEscape(p.ID)
}

const (
	newest = "pipeline_job:component:train:1"
	latest = "pipeline_job:component:train@latest"
)

// Each of two references of one pipeline shows the schedules of both, is refused for both, and is disabled with both.
func TestTwoReferencesOfOnePipeline(t *testing.T) {
	for _, c := range []struct{ used, disabled, other string }{
		{latest, newest, "pipeline_job:component:train:0"},
		{newest, latest, "pipeline_job:component:train:0"},
		{"batch_endpoint:score", "batch_endpoint:score/blue", "batch_endpoint:score/green"},
		{"batch_endpoint:score/blue", "batch_endpoint:score", "batch_endpoint:score/green"},
		{"pipeline_endpoint:e", "published:p", "published:q"},
	} {
		s := newSite(t)
		s.relates(c.used, c.disabled)
		s.relates(c.disabled, c.used)
		s.relates(c.other)
		s.want(201, s.schedules("s", c.used, ""))
		s.want(201, s.schedules("not-this", c.other, ""))

		r := s.want(409, s.call("POST", of("/disable", c.disabled), ""))
		if title := r.json["title"]; title != "pipeline "+c.disabled+" is started by 1 active schedule(s): s (as "+c.used+")" {
			t.Error(title)
		}
		r = s.want(200, s.call("POST", of("/disable", c.disabled), `{"with_schedules": true, "note": "wrong data"}`))
		if s.scheduled("s").Status != schedule.Disabled || s.scheduled("not-this").Status != schedule.Active || r.json["disabled_as"] != nil || r.json["notices"] != nil {
			t.Error(r.text)
		}
		p := parse(c.used)
		if want := fmt.Sprintf(`"schedules":[{"name":"s","status":"Disabled","as":{"kind":%q,"id":%q}}]`, p.Kind, p.ID); !strings.Contains(r.text, want) {
			t.Errorf("%s, want %s", r.text, want)
		}
		one := s.want(200, s.call("GET", of("", c.used), "")).json
		for _, v := range append(s.want(200, s.call("GET", "/api/pipelines?active=false", "")).items(), one) {
			v := v.(map[string]any)
			as, _ := v["disabled_as"].(map[string]any)
			if used := v["name"] == c.used; v["status"] != "Disabled" || len(v["schedules"].([]any)) != 1 || used != (as != nil) || used && as["id"] != parse(c.disabled).ID {
				t.Errorf("%s is disabled: %v", c.disabled, v)
			}
		}
		if n := len(s.want(200, s.call("GET", "/api/pipelines?active=false", "")).items()); n != 2 {
			t.Errorf("%d are disabled with %s", n, c.disabled)
		}

		for _, r := range []reply{s.call("POST", "/api/schedules/s/enable", ""), s.schedules("new", c.used, "")} {
			if s.want(422, r); !strings.Contains(r.text, "wrong data ("+c.used+" is the same pipeline now); enable it first") {
				t.Error(r.text)
			}
		}
		r = s.want(200, s.call("POST", of("/enable", c.used), ""))
		if r.json["status"] != "Disabled" || !strings.Contains(r.notices(), "it stays disabled: "+c.disabled+" is the same pipeline now") {
			t.Error(r.text)
		}
		if r := s.want(200, s.call("POST", of("/enable", c.disabled), "")); r.json["status"] != "Active" {
			t.Error(r.text)
		}
		s.want(200, s.call("POST", "/api/schedules/s/enable", ""))

		s.want(200, s.call("POST", of("/disable", c.disabled), `{"with_schedules": true}`))
		s.relates(c.used, c.other) // from now on it is that one
		s.relates(c.disabled)
		s.relates(c.other, c.used)
		s.want(200, s.call("POST", "/api/schedules/s/enable", ""))
		r = s.want(409, s.call("POST", of("/disable", c.other), ""))
		if title := r.json["title"].(string); !strings.Contains(title, "by 2 active schedule(s): not-this, s (as "+c.used+")") {
			t.Error(title)
		}
	}
}

func TestTheLastRunUnderAnotherReference(t *testing.T) {
	s := newSite(t)
	s.relates(latest, newest)
	s.relates(newest, latest)
	for i, ref := range []string{latest, newest} {
		name := fmt.Sprint("s", i)
		s.want(201, s.schedules(name, ref, ""))
		o := schedule.Asked(s.scheduled(name), "", "x", "ann", nil, s.now)
		if err := s.f.DB.Add(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		s.claim(o.ID, s.now.Add(time.Duration(10-i)*time.Minute))
	}
	for _, ref := range []string{latest, newest} {
		r := s.want(200, s.call("GET", of("", ref), ""))
		if last, _ := r.json["last_run"].(map[string]any); last["schedule"] != "s0" || fmt.Sprint(r.json["also"]) == "<nil>" {
			t.Errorf("%s: %s", ref, r.text)
		}
	}
}

// What the far side does not tell is said, and keeps nobody from disabling.
func TestReferencesThatCannotBeTold(t *testing.T) {
	s := newSite(t)
	s.relates(latest, newest)
	far := s.relates(newest, latest)
	s.want(201, s.schedules("s", latest, ""))
	s.want(201, s.schedules("off", latest, `, "status": "Disabled"`))
	far.err = errors.New("no answer")
	if r := s.want(200, s.call("GET", of("", newest), "")); !strings.Contains(r.notices(), "which other references stand for pipeline "+newest+" cannot be told: no answer") {
		t.Error(r.text)
	}
	r := s.want(200, s.call("POST", of("/disable", newest), ""))
	if r.json["status"] != "Disabled" || !strings.Contains(r.notices(), "under another reference were not looked at") {
		t.Error(r.text)
	}
	if r := s.want(200, s.call("GET", "/api/schedules/s", "")); !strings.Contains(r.notices(), "what comes due waits until that is known") {
		t.Error(r.text)
	}
	s.want(200, s.call("POST", "/api/schedules/off/enable", ""))
	far.err = nil
	if r := s.want(200, s.call("GET", "/api/schedules/s", "")); !strings.Contains(r.notices(), "("+latest+" is the same pipeline now); what comes due is skipped") {
		t.Error(r.text)
	}
}
