package studio

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

var noon = time.Date(2026, 1, 5, 12, 0, 30, 0, time.UTC) // a Monday

// site is the page over a store and a target in memory, at noon.
type site struct {
	t    *testing.T
	db   *store.DB
	fake *pipeline.Fake
	page *Function
	log  strings.Builder
}

func newSite(t *testing.T) *site {
	return siteOver(t, store.NewMem())
}

func siteOver(t *testing.T, driver store.Driver) *site {
	t.Helper()
	db, err := store.Open(context.Background(), driver)
	if err != nil {
		t.Fatal(err)
	}
	s := &site{t: t, db: db, fake: &pipeline.Fake{}}
	s.page = &Function{
		DB: db, Targets: map[string]pipeline.Target{"fake": s.fake}, Now: func() time.Time { return noon },
		Log: slog.New(slog.NewTextHandler(&s.log, nil)),
	}
	return s
}

func (s *site) do(method, path string) *httptest.ResponseRecorder {
	s.t.Helper()
	w := httptest.NewRecorder()
	s.page.Handler().ServeHTTP(w, httptest.NewRequest(method, path, nil))
	return w
}

// get returns a page that has to be there.
func (s *site) get(path string) string {
	s.t.Helper()
	w := s.do(http.MethodGet, path)
	if w.Code != http.StatusOK {
		s.t.Fatalf("GET %s: %d\n%s", path, w.Code, w.Body)
	}
	return w.Body.String()
}

func (s *site) pipeline(id string) schedule.PipelineRef {
	ref := schedule.PipelineRef{Kind: "fake", ID: id}
	s.fake.Put(pipeline.Pipeline{Ref: ref, Name: "Name of " + id})
	return ref
}

// schedule creates a schedule, an hour ago, of what a definition in JSON says.
func (s *site) schedule(definition string) schedule.Schedule {
	s.t.Helper()
	d, errs := schedule.Decode([]byte(definition))
	if len(errs) > 0 {
		s.t.Fatal(errs)
	}
	made := schedule.New(d, store.NewScheduleID(d.Name), "tester", noon.Add(-time.Hour))
	if err := s.db.Create(context.Background(), made); err != nil {
		s.t.Fatal(err)
	}
	return made
}

func quarterly(name, pipeline string) string {
	return fmt.Sprintf(`{"name": %q, "pipeline": {"kind": "fake", "id": %q}, "experiment": "demo",
		"trigger": {"type": "recurrence", "frequency": "minute", "interval": 15}}`, name, pipeline)
}

// asked records an occurrence that somebody asked for some seconds before noon, and changes it as step says.
func (s *site) asked(of schedule.Schedule, seconds int, step func(o schedule.Occurrence) schedule.Occurrence) string {
	s.t.Helper()
	ctx := context.Background()
	o := schedule.Asked(of, "", fmt.Sprint("t", seconds), "tester", nil, noon.Add(-time.Duration(seconds)*time.Second))
	if err := s.db.Add(ctx, o); err != nil {
		s.t.Fatal(err)
	}
	if step == nil {
		return o.ID
	}
	record, err := s.db.Schedule(ctx, of.Name)
	if err != nil {
		s.t.Fatal(err)
	}
	found, err := s.db.Occurrence(ctx, o.ID)
	if err != nil {
		s.t.Fatal(err)
	}
	to := step(found.Value)
	change := store.Change{From: found, To: to, State: record.Counted(schedule.State{Last: to.ID})}
	if err := s.db.Save(ctx, []store.Change{change})[0]; err != nil {
		s.t.Fatal(err)
	}
	return o.ID
}

// started submits an asked occurrence to the fake and starts its run.
func (s *site) started(of schedule.Schedule, seconds int) (id, run string) {
	s.t.Helper()
	id = s.asked(of, seconds, func(o schedule.Occurrence) schedule.Occurrence {
		var err error
		run, err = s.fake.Submit(context.Background(), pipeline.Submission{Name: o.ID, Pipeline: of.Pipeline, Occurrence: o.ID})
		if err != nil {
			s.t.Fatal(err)
		}
		return o.Prepared(of.Definition).Claimed("owner", "cowner", noon)
	})
	claimed, err := s.db.Occurrence(context.Background(), id)
	if err == nil {
		err = s.db.Save(context.Background(), []store.Change{{From: claimed, To: claimed.Value.Accepted(run, noon)}})[0]
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.fake.Start(run)
	return id, run
}

func shows(t *testing.T, page string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if !strings.Contains(page, text) {
			t.Errorf("the page does not show %q:\n%s", text, page)
		}
	}
}

func hides(t *testing.T, page string, texts ...string) {
	t.Helper()
	for _, text := range texts {
		if strings.Contains(page, text) {
			t.Errorf("the page shows %q:\n%s", text, page)
		}
	}
}

func TestOnlyLooks(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{root, root + "/runs/x", root + "/schedules/x", root + "/assets/x/studio.css", root + "/nothing"} {
		for _, method := range []string{"POST", "PUT", "PATCH", "DELETE", "OPTIONS"} {
			w := s.do(method, path)
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, HEAD" {
				t.Errorf("%s %s: %d, Allow: %q", method, path, w.Code, w.Header().Get("Allow"))
			}
		}
	}
	if w := s.do("HEAD", root); w.Code != http.StatusOK {
		t.Errorf("HEAD: %d", w.Code)
	}
	if w := s.do("GET", root+"/"); w.Code != http.StatusFound || w.Header().Get("Location") != root {
		t.Errorf("the slash: %d to %q", w.Code, w.Header().Get("Location"))
	}
}

func TestNotFound(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{
		root + "/nothing", root + "/schedules/unknown", root + "/schedules/%2e%2e", root + "/schedules/a%7Cb", root + "/schedules/%00",
		root + "/runs/unknown", root + "/runs/0abc-20260105T120000Z", root + "/runs/0-20260105T120000Z-%3Cb%3E",
		root + "/runs/0abc-20260105T120000Z-" + strings.Repeat("a", 600), root + "?token=a/b", root + "?token=" + strings.Repeat("a", 600) + "%00",
	} {
		w := s.do(http.MethodGet, path)
		if w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
		shows(t, w.Body.String(), "<h1>", `href="/api/studio"`)
		secured(t, w.Header())
	}
	if s.log.Len() > 0 {
		t.Error("logged:", s.log.String())
	}
}

// broken is a store that can be opened and then fails.
type broken struct {
	store.Driver
	err error
}

func (b *broken) Scan(ctx context.Context, part, from, to string, max int) ([]store.Row, error) {
	return nil, b.err
}

func (b *broken) Get(ctx context.Context, part, sort string) (store.Row, error) {
	if part == "meta" {
		return b.Driver.Get(ctx, part, sort)
	}
	return store.Row{}, b.err
}

func TestStoreFails(t *testing.T) {
	s := siteOver(t, &broken{store.NewMem(), errors.New("secret path /var/x")})
	for _, path := range []string{root, root + "/schedules/a", root + "/runs/0abc-20260105T120000Z"} {
		s.log.Reset()
		w := s.do(http.MethodGet, path)
		if w.Code != http.StatusInternalServerError {
			t.Errorf("%s: %d", path, w.Code)
		}
		hides(t, w.Body.String(), "secret")
		secured(t, w.Header())
		if !strings.Contains(s.log.String(), "secret path") {
			t.Errorf("%s: the log has not the error: %s", path, s.log.String())
		}
	}
}

func secured(t *testing.T, h http.Header) {
	t.Helper()
	for name, want := range map[string]string{
		"Content-Security-Policy": "default-src 'none'", "X-Content-Type-Options": "nosniff", "X-Frame-Options": "DENY",
		"Referrer-Policy": "no-referrer", "Cache-Control": "no-store", "Content-Type": "text/html; charset=utf-8",
	} {
		if got := h.Get(name); !strings.HasPrefix(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	if csp := h.Get("Content-Security-Policy"); strings.Contains(csp, "unsafe") || strings.Contains(csp, "script-src") {
		t.Errorf("the policy lets scripts in: %s", csp)
	}
}

func TestAssets(t *testing.T) {
	s := newSite(t)
	page := s.get(root)
	for _, asset := range []struct{ name, kind string }{{"studio.css", "text/css; charset=utf-8"}, {"bell.svg", "image/svg+xml"}} {
		path := root + "/assets/" + version + "/" + asset.name
		shows(t, page, `"`+path+`"`)
		w := s.do(http.MethodGet, path)
		if w.Code != http.StatusOK || w.Header().Get("Content-Type") != asset.kind || w.Header().Get("Cache-Control") != "public, max-age=31536000, immutable" {
			t.Errorf("%s: %d, %v", path, w.Code, w.Header())
		}
		if w := s.do(http.MethodGet, root+"/assets/other/"+asset.name); w.Code != http.StatusOK || w.Header().Get("Cache-Control") != "no-cache" {
			t.Errorf("%s of another version: %d, %v", asset.name, w.Code, w.Header())
		}
	}
	for _, name := range []string{"nothing", "..%2fpages%2frun.html", ".", "%2e%2e"} {
		if w := s.do(http.MethodGet, root+"/assets/"+version+"/"+name); w.Code == http.StatusOK {
			t.Errorf("asset %q: %d", name, w.Code)
		}
	}
}

// Whatever people and runs write is shown as text: it opens no tag and no attribute.
func TestEscapes(t *testing.T) {
	inTag := regexp.MustCompile(`<[^>]*alert\(`)
	for _, hostile := range []string{
		`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `' onmouseover='alert(1)`, `javascript:alert(1)`,
		`</pre></title></style><svg onload=alert(1)>`, `{{.}}<b>alert(1)`, "\x00<a href=javascript:alert(1)>", `&lt;script&gt;alert(1)`,
	} {
		s := newSite(t)
		ref := schedule.PipelineRef{Kind: "fake", ID: hostile}
		s.fake.Put(pipeline.Pipeline{Ref: ref, Name: hostile, Description: hostile, Problem: ""})
		s.fake.Put(pipeline.Pipeline{Ref: schedule.PipelineRef{Kind: "fake", ID: hostile + "2"}, Problem: hostile})
		d, errs := schedule.Decode([]byte(quarterly("a", "x")))
		if len(errs) > 0 {
			t.Fatal(errs)
		}
		d.Description, d.Pipeline, d.Experiment, d.Parameters = hostile, ref, hostile, map[string]string{hostile: hostile}
		made := schedule.New(d, store.NewScheduleID("a"), hostile, noon.Add(-time.Hour))
		made.StatusNote = &schedule.StatusNote{Note: hostile, By: hostile, At: noon}
		if err := s.db.Create(t.Context(), made); err != nil {
			t.Fatal(err)
		}
		id, run := s.started(made, 10)
		s.fake.Write(run, hostile)
		failed := s.asked(made, 20, func(o schedule.Occurrence) schedule.Occurrence {
			o.By, o.Link, o.Request = hostile, hostile, hostile
			return o.Refused(errors.New(hostile), noon)
		})
		watch := s.schedule(watcher("watch", eachFile))
		s.looked("watch", func(p schedule.Poll) schedule.Poll { return p.Failed(errors.New(hostile), schedule.Pass{}, noon, noon) })
		changed := s.take(watch.Unreadable(put("inbox", hostile, 0, 30), errors.New(hostile), noon))
		for _, path := range []string{
			root, root + "/schedules/a", root + "/schedules/watch", root + "/runs/" + id, root + "/runs/" + failed, root + "/runs/" + changed,
			root + "?pipeline=fake:" + escaped(hostile),
		} {
			page := s.get(path)
			if found := inTag.FindString(page); found != "" {
				t.Errorf("%q at %s gets into a tag: %s", hostile, path, found)
			}
			if strings.Contains(page, `href="javascript:`) || strings.Contains(page, "<script") || strings.Contains(page, " style=") || strings.Count(page, "<img") != 1 {
				t.Errorf("%q at %s gets into the page:\n%s", hostile, path, page)
			}
			shows(t, page, "alert(1)")
		}
	}
}

func escaped(text string) string {
	var b strings.Builder
	for _, c := range []byte(text) {
		fmt.Fprintf(&b, "%%%02x", c)
	}
	return b.String()
}
