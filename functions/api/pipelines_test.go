package api

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
	"carillon/shared/store"
	"carillon/shared/store/storetest"
)

func (s *site) put(ids ...string) {
	for _, id := range ids {
		s.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "local", ID: id}, Name: "Name of " + id})
	}
}

// starts creates a schedule of a pipeline.
func (s *site) starts(name, id, more string) {
	s.t.Helper()
	s.want(201, s.call("POST", "/api/schedules", strings.Replace(body15(name), `"id": "hello"}`, fmt.Sprintf(`"id": %q}`, id)+more, 1)))
}

func addressOf(verb, id string) string {
	return "/api/pipelines/local" + verb + "?id=" + url.QueryEscape(id)
}

func (s *site) scheduled(name string) schedule.Schedule {
	s.t.Helper()
	r, err := s.f.DB.Schedule(s.t.Context(), name)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.Schedule.Value
}

// notices are those of an answer.
func (r reply) notices() string { return fmt.Sprint(r.json["notices"]) }

func TestDisableIsRefusedWhileItIsUsed(t *testing.T) {
	s := newSite(t)
	s.put("a/b", "other")
	for i := range 130 {
		if i == 1 || i == 25 {
			r := s.want(409, s.call("POST", addressOf("/disable", "a/b"), ""))
			title, names := r.json["title"].(string), 0
			for k := range i {
				if strings.Contains(title, fmt.Sprintf("s%03d", k)) {
					names++
				}
			}
			if r.json["code"] != "conflict" || names != min(i, 20) || !strings.Contains(title, fmt.Sprintf("by %d active", i)) || strings.Contains(title, "…") != (i > 20) {
				t.Errorf("with %d: %s", i, r.text)
			}
		}
		s.starts(fmt.Sprintf("s%03d", i), "a/b", "")
	}
	s.starts("not-this", "other", "")
	s.starts("nor-this", "a/b", `, "status": "Disabled"`)
	r := s.want(409, s.call("POST", addressOf("/disable", "a/b"), `{"with_schedules": false}`))
	if text := r.text; !strings.Contains(text, "more than 100") || strings.Contains(text, "not-this") || strings.Contains(text, "nor-this") || !strings.Contains(text, "with_schedules") {
		t.Error(text)
	}
	if got := s.want(200, s.call("GET", addressOf("", "a/b"), "")); got.json["status"] != "Active" || got.json["more_schedules"] != true || len(got.json["schedules"].([]any)) != 20 {
		t.Errorf("refused, it is %s", got.text)
	}
	done := s.want(200, s.call("POST", addressOf("/disable", "a/b"), `{"with_schedules": true, "note": "wrong data"}`))
	if done.json["status"] != "Disabled" || fmt.Sprint(done.json["disabled_in"]) != "[carillon]" {
		t.Error(done.text)
	}
	for i := range 130 {
		one := s.scheduled(fmt.Sprintf("s%03d", i))
		if n := one.StatusNote; one.Status != schedule.Disabled || n.By != "ann" || n.Note != "pipeline local:a/b was disabled: wrong data" {
			t.Fatalf("%s is %s: %+v", one.Name, one.Status, n)
		}
	}
	if s.scheduled("not-this").Status != schedule.Active || s.scheduled("nor-this").Revision != 1 {
		t.Error("others were changed, too")
	}
}

func TestWhatADisabledPipelineRefuses(t *testing.T) {
	s := newSite(t)
	s.put("a", "b")
	s.starts("s", "a", "")
	s.starts("off", "a", `, "status": "Disabled"`)
	s.starts("elsewhere", "b", "")
	s.want(200, s.call("POST", addressOf("/disable", "a"), `{"with_schedules": true, "note": "wrong data"}`))
	refused := func(what string, r reply) {
		t.Helper()
		if field := s.want(422, r).json["fields"].([]any)[0].(map[string]any); field["field"] != "pipeline.id" ||
			!strings.HasPrefix(field["message"].(string), "pipeline local:a was disabled by ann at 2026-11-22T10:00:07Z: wrong data; enable it first") {
			t.Errorf("%s: %s", what, r.text)
		}
	}
	create := strings.Replace(body15("new"), `"hello"`, `"a"`, 1)
	refused("create", s.call("POST", "/api/schedules", create))
	refused("enable", s.call("POST", "/api/schedules/s/enable", ""))
	refused("enable by a change", s.call("PATCH", "/api/schedules/off", `{"status": "Active"}`))
	refused("change", s.call("PATCH", "/api/schedules/elsewhere", `{"pipeline": {"id": "a"}}`))
	s.want(200, s.call("PATCH", "/api/schedules/off", `{"description": "new"}`))
	s.want(200, s.call("PATCH", "/api/schedules/elsewhere", `{"pipeline": {"id": "a"}, "status": "Disabled"}`))
	s.want(201, s.call("POST", "/api/schedules", with(create, `"status": "Disabled"`)))
	s.want(202, s.call("POST", "/api/schedules/s/trigger", "")) // which is recorded, and skipped

	again := s.want(200, s.call("POST", addressOf("/enable", "a"), `{"note": "fixed"}`))
	if again.json["status"] != "Active" || again.json["status_note"] != nil || !strings.Contains(again.notices(), "stay so") || s.scheduled("s").Status != schedule.Disabled {
		t.Error(again.text)
	}
	s.want(200, s.call("POST", "/api/schedules/s/enable", ""))
	s.want(201, s.call("POST", "/api/schedules", strings.Replace(create, "new", "newer", 1)))
}

// between does something just before a pipeline's stop is written.
type between struct {
	store.Driver
	do func()
}

func (b *between) Apply(ctx context.Context, part string, ops ...store.Op) error {
	if do := b.do; do != nil && strings.HasPrefix(ops[0].Sort, "stop|") {
		b.do = nil
		do()
	}
	return b.Driver.Apply(ctx, part, ops...)
}

func TestAScheduleThatIsEnabledMeanwhile(t *testing.T) {
	s := newSite(t)
	driver := &between{Driver: store.NewMem()}
	db, err := store.Open(t.Context(), driver)
	if err != nil {
		t.Fatal(err)
	}
	s.f.DB = db
	s.put("a")
	s.starts("late", "a", `, "status": "Disabled"`)
	driver.do = func() { s.want(200, s.call("POST", "/api/schedules/late/enable", "")) }
	if r := s.want(200, s.call("POST", addressOf("/disable", "a"), "")); !strings.Contains(r.notices(), "late") || r.json["status"] != "Disabled" {
		t.Error(r.text)
	}
	if r := s.want(200, s.call("GET", "/api/schedules/late", "")); !strings.Contains(r.notices(), "what comes due is skipped") {
		t.Error(r.text)
	}
}

// switching is a far side with a switch of its own.
type switching struct {
	*pipeline.Fake
	off map[string]bool
	err error
}

func (s *switching) Get(ctx context.Context, ref schedule.PipelineRef) (pipeline.Pipeline, error) {
	p, err := s.Fake.Get(ctx, ref)
	if s.off[ref.ID] {
		p.Disabled, p.Problem = true, "it is disabled in the workspace"
	}
	return p, err
}

func (s *switching) List(ctx context.Context, after string, max int) ([]pipeline.Pipeline, string, error) {
	page, next, err := s.Fake.List(ctx, after, max)
	for i := range page {
		page[i], _ = s.Get(ctx, page[i].Ref)
	}
	return page, next, err
}

func (s *switching) SetActive(ctx context.Context, ref schedule.PipelineRef, active bool) error {
	if s.err == nil {
		s.off[ref.ID] = !active
	}
	return s.err
}

func TestTheFarSidesOwnSwitch(t *testing.T) {
	s := newSite(t)
	far := &switching{Fake: s.fake, off: map[string]bool{}}
	s.f.Targets["local"] = far
	s.put("a", "b")
	s.starts("s", "a", "")
	far.err = errors.New("no answer")
	r := s.want(200, s.call("POST", addressOf("/disable", "a"), `{"with_schedules": true}`))
	if fmt.Sprint(r.json["disabled_in"]) != "[carillon]" || !strings.Contains(r.notices(), "workspace itself can still start it: no answer") {
		t.Error(r.text)
	}
	s.want(503, s.call("POST", addressOf("/enable", "a"), ""))
	if r := s.want(200, s.call("GET", addressOf("", "a"), "")); r.json["status"] != "Disabled" {
		t.Errorf("its own switch could not be set: %s", r.text)
	}
	far.err = nil
	s.want(200, s.call("POST", addressOf("/disable", "a"), ""))
	if r := s.want(200, s.call("GET", addressOf("", "a"), "")); fmt.Sprint(r.json["disabled_in"]) != "[carillon service]" || !far.off["a"] {
		t.Error(r.text)
	}
	s.want(200, s.call("POST", addressOf("/enable", "a"), ""))
	if far.off["a"] {
		t.Error("it is enabled here, and not there")
	}

	far.off["b"] = true // by somebody in the workspace
	if r := s.want(200, s.call("GET", "/api/pipelines?active=false", "")); len(r.items()) != 1 || fmt.Sprint(r.items()[0].(map[string]any)["disabled_in"]) != "[service]" {
		t.Error(r.text)
	}
	create := strings.Replace(body15("t"), `"hello"`, `"b"`, 1)
	if r := s.want(422, s.call("POST", "/api/schedules", create)); !strings.Contains(r.text, "it is disabled in the workspace") {
		t.Error(r.text)
	}
	s.want(201, s.call("POST", "/api/schedules", with(create, `"status": "Disabled"`)))
	s.want(200, s.call("PATCH", "/api/schedules/t", `{"description": "new"}`))
	s.want(422, s.call("PATCH", "/api/schedules/t", `{"status": "Active"}`))
	s.want(422, s.call("POST", "/api/schedules/t/enable", ""))
	without := pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "local", ID: "c"}, Problem: "it is disabled there", Disabled: true}
	s.fake.Put(without)
	s.f.Targets["local"] = s.fake // which has no switch
	s.want(422, s.call("POST", "/api/schedules", strings.Replace(create, `"b"`, `"c"`, 1)))
	s.f.Targets["local"] = far
	enabled := func() (all []string) {
		t.Helper()
		for _, a := range s.want(200, s.call("GET", "/api/audit?limit=200", "")).list("items") {
			if p, _ := a["pipeline"].(map[string]any); p != nil && a["what"] == "enabled" {
				all = append(all, fmt.Sprint(p["id"], " by ", a["by"], ": ", a["note"]))
			}
		}
		return all
	}
	before := enabled()
	far.err = errors.New("no answer")
	s.want(503, s.call("POST", addressOf("/enable", "b"), ""))
	far.err = nil
	s.now = s.now.Add(time.Second)
	s.want(200, s.call("POST", addressOf("/enable", "b"), `{"note": "fixed"}`)) // which nobody has disabled here
	if got := enabled(); len(got) != len(before)+1 || got[0] != "b by ann: fixed" {
		t.Errorf("recorded are %q, before %q", got, before)
	}
	s.want(200, s.call("POST", addressOf("/enable", "b"), "")) // which nothing changes any more
	if got := enabled(); len(got) != len(before)+1 {
		t.Errorf("recorded are %q", got)
	}
	s.want(200, s.call("POST", "/api/schedules/t/enable", ""))
}

// What is disabled is listed, whether its far side lists it or not, once and in its place.
func TestListOfPipelines(t *testing.T) {
	s := newSite(t)
	hidden := map[string]bool{"component:x:1": true, "zz": true}
	s.f.Targets["local"] = &hiding{Fake: s.fake, hidden: hidden}
	s.put("a", "B", "train", "train/blue", "component:x:1", "component:x:2", "zz")
	for _, id := range []string{"component:x:1", "train/blue", "zz"} {
		s.want(200, s.call("POST", addressOf("/disable", id), ""))
	}
	if err := s.f.DB.StopPipeline(t.Context(), schedule.Stop{Pipeline: schedule.PipelineRef{Kind: "gone", ID: "x"}, At: s.now}); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string][]string{
		"":                         {"gone:x-", "local:B", "local:a", "local:component:x:1-", "local:component:x:2", "local:hello", "local:train", "local:train/blue-", "local:zz-"},
		"active=false":             {"gone:x-", "local:component:x:1-", "local:train/blue-", "local:zz-"},
		"active=true&kind=local":   {"local:B", "local:a", "local:component:x:2", "local:hello", "local:train"},
		"active=false&kind=local":  {"local:component:x:1-", "local:train/blue-", "local:zz-"},
		"kind=gone":                {"gone:x-"},
		"kind=gone&active=true":    nil,
		"kind=local&limit=200":     {"local:B", "local:a", "local:component:x:1-", "local:component:x:2", "local:hello", "local:train", "local:train/blue-", "local:zz-"},
		"token=local:hello&limit=": {"local:train", "local:train/blue-", "local:zz-"},
	} {
		for size := 1; size <= 10; size++ {
			if strings.Contains(query, "limit") && size > 1 {
				continue
			}
			var got []string
			for token, pages := "", 0; ; pages++ {
				path := "/api/pipelines?" + query
				if !strings.Contains(query, "limit") {
					path += fmt.Sprintf("&limit=%d&token=%s", size, url.QueryEscape(token))
				}
				r := s.want(200, s.call("GET", path, ""))
				for _, item := range r.items() {
					v := item.(map[string]any)
					ref := v["pipeline"].(map[string]any)
					mark := ""
					if v["status"] == "Disabled" {
						mark = "-"
					}
					got = append(got, ref["kind"].(string)+":"+ref["id"].(string)+mark)
				}
				if token, _ = r.json["next"].(string); token == "" || pages > 20 {
					break
				}
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q in pages of %d: %v, want %v", query, size, got, want)
			}
		}
	}
	r := s.want(200, s.call("GET", "/api/pipelines?kind=gone", ""))
	if v := r.items()[0].(map[string]any); v["name"] != "x" || !strings.Contains(v["problem"].(string), "nothing that runs pipelines of kind gone") {
		t.Error(r.text)
	}
	s.fake.Remove(schedule.PipelineRef{Kind: "local", ID: "zz"})
	if r := s.want(200, s.call("GET", addressOf("", "zz"), "")); r.json["problem"] != "there is no pipeline local:zz" || r.json["status"] != "Disabled" {
		t.Error(r.text)
	}
	s.want(200, s.call("POST", addressOf("/enable", "zz"), ""))
	s.want(404, s.call("GET", addressOf("", "zz"), ""))
	s.want(404, s.call("POST", addressOf("/enable", "zz"), ""))
	s.want(404, s.call("POST", addressOf("/disable", "zz"), ""))
	s.want(200, s.call("POST", "/api/pipelines/gone/enable?id=x", ""))
	s.want(400, s.call("GET", "/api/pipelines?kind=gone", ""))
}

// hiding lists not all that it can run.
type hiding struct {
	*pipeline.Fake
	hidden map[string]bool
}

func (h *hiding) List(ctx context.Context, after string, max int) (page []pipeline.Pipeline, next string, err error) {
	all, _, err := h.Fake.List(ctx, after, 1000)
	for _, p := range all {
		switch {
		case h.hidden[p.Ref.ID]:
		case len(page) == max:
			return page, page[max-1].Ref.ID, err
		default:
			page = append(page, p)
		}
	}
	return page, "", err
}

func TestTheLastRunOfAPipeline(t *testing.T) {
	s := newSite(t)
	s.put("a", "b")
	ran := func(name string, minutes int) {
		t.Helper()
		o := schedule.Asked(s.scheduled(name), "", fmt.Sprint(minutes), "ann", nil, s.now)
		if err := s.f.DB.Add(t.Context(), o); err != nil {
			t.Fatal(err)
		}
		s.claim(o.ID, s.now.Add(time.Duration(minutes)*time.Minute))
	}
	last := func(of map[string]string) {
		t.Helper()
		list := s.want(200, s.call("GET", "/api/pipelines", "")).items()
		for id, want := range of {
			one := s.want(200, s.call("GET", addressOf("", id), "")).json
			i := slices.IndexFunc(list, func(v any) bool { return v.(map[string]any)["name"] == "Name of "+id })
			for _, v := range []map[string]any{one, list[i].(map[string]any)} {
				run, _ := v["last_run"].(map[string]any)
				if got := fmt.Sprint(run["schedule"], " ", run["submitted"]); !strings.HasPrefix(got, want) {
					t.Errorf("the last run of %s is %s, want %s", id, got, want)
				}
			}
		}
	}
	for i, name := range []string{"s1", "s2", "moved", "never"} {
		if s.starts(name, "a", ""); name != "never" {
			ran(name, []int{20, 10, 30}[i])
		}
	}
	last(map[string]string{"a": "moved", "b": "<nil>"})
	s.want(200, s.call("PATCH", "/api/schedules/moved", `{"pipeline": {"id": "b"}}`))
	last(map[string]string{"a": "s1", "b": "<nil>"})
	ran("s1", 40)
	ran("moved", 41)
	last(map[string]string{"a": "s1 2026-11-22T10:40", "b": "moved"})
	s.want(200, s.call("DELETE", "/api/schedules/s1", ""))
	last(map[string]string{"a": "s2"})
	for i := range 30 { // more than are looked at
		s.starts(fmt.Sprint("many", i), "a", "")
	}
	for i := range 30 {
		ran(fmt.Sprint("many", i), 100-i)
		ran(fmt.Sprint("many", i), 200+i)
		last(map[string]string{"a": fmt.Sprintf("many%d 2026-11-22T13:", i)})
	}
	s.put("c")
	for i := range 7 {
		s.starts(fmt.Sprint("t", i), []string{"b", "c"}[i/5], "")
	}
	r := s.want(200, s.call("GET", "/api/pipelines?kind=local", ""))
	for _, item := range r.items() {
		v := item.(map[string]any)
		n, more := len(v["schedules"].([]any)), v["more_schedules"] == true
		if want := map[string]int{"Name of a": 5, "Name of b": 5, "Name of c": 2, "Hello": 0}[v["name"].(string)]; n != want || more != (want == 5) {
			t.Errorf("%v has %d schedules, more: %t", v["name"], n, more)
		}
	}
}

// A page costs what is shown of it, however many schedules start its pipelines.
func TestCallsOfAListOfPipelines(t *testing.T) {
	calls := func(schedules int) int64 {
		s := newSite(t)
		counter := &storetest.Counter{Driver: store.NewMem()}
		db, err := store.Open(t.Context(), counter)
		if err != nil {
			t.Fatal(err)
		}
		s.f.DB = db
		s.put("a", "b", "c")
		for i := range schedules {
			s.starts(fmt.Sprint("s", i), []string{"a", "b"}[i%2], "")
		}
		counter.Reset()
		s.want(200, s.call("GET", "/api/pipelines", ""))
		t.Logf("%d schedules: %s", schedules, counter)
		return counter.Calls()
	}
	const stops, pipelines, each = store.Shards, 4, 1 + usersListed + store.Shards
	if few, many := calls(12), calls(600); few != many || many > stops+pipelines*each {
		t.Errorf("a page takes %d calls with few schedules, and %d with many", few, many)
	}
}

// claim submits an occurrence.
func (s *site) claim(id string, at time.Time) {
	s.t.Helper()
	from, err := s.f.DB.Occurrence(s.t.Context(), id)
	if err != nil {
		s.t.Fatal(err)
	}
	record, err := s.f.DB.Schedule(s.t.Context(), from.Value.Schedule)
	if err != nil {
		s.t.Fatal(err)
	}
	to := from.Value.Prepared(record.Schedule.Value.Definition).Claimed("me", "c", at)
	change := store.Change{From: from, To: to.Accepted("run", at), State: record.Counted(record.State.Value.Claimed(to))}
	if err := s.f.DB.Save(s.t.Context(), []store.Change{change})[0]; err != nil {
		s.t.Fatal(err)
	}
}

func TestExperiments(t *testing.T) {
	s := newSite(t)
	s.put("a")
	want := map[string]experimentView{}
	for i := range 30 {
		e := experimentView{Name: fmt.Sprint("e", i*i%7), Schedules: 1}
		more := fmt.Sprintf(`, "experiment": %q`, e.Name)
		if i%3 == 0 {
			more += `, "status": "Disabled"`
		} else {
			e.Active = 1
		}
		body := strings.Replace(body15(fmt.Sprint("s", i)), `, "experiment": "demo"`, more, 1)
		s.want(201, s.call("POST", "/api/schedules", body))
		sum := want[e.Name]
		want[e.Name] = experimentView{e.Name, sum.Schedules + 1, sum.Active + e.Active}
	}
	for size := 1; size <= 5; size++ {
		got := map[string]experimentView{}
		for token, pages := "", 0; ; pages++ {
			r := s.want(200, s.call("GET", fmt.Sprintf("/api/experiments?limit=%d&token=%s", size, token), ""))
			if len(r.items()) > size || pages > 31 {
				t.Fatalf("a page of %d, and %d pages", len(r.items()), pages)
			}
			for _, item := range r.items() {
				v := item.(map[string]any)
				name := v["name"].(string)
				got[name] = experimentView{name, got[name].Schedules + int(v["schedules"].(float64)), got[name].Active + int(v["active"].(float64))}
			}
			if token, _ = r.json["next"].(string); token == "" {
				break
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("in pages of %d: %v, want %v", size, got, want)
		}
	}
}
