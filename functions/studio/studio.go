// Package studio is the page: people see pipelines with their schedules, what ran, what will run, and why something
// did not.
//
// http: /api/studio…, GET and HEAD only. It changes nothing. Every page is bounded, whatever the store holds, and
// names, texts and output are shown as text, whoever wrote them.
package studio

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"time"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
	"carillon/shared/store"
)

const (
	root = "/api/studio"

	pageSize   = 100             // schedules, or pipelines, on a page
	recentRuns = 25              // occurrences on a page
	farSide    = 5 * time.Second // what all questions to targets may take of one page; then it does without answers
)

// Function answers the page's routes. Its fields are set once.
type Function struct {
	DB      *store.DB
	Targets map[string]pipeline.Target // by the kind of pipeline
	Now     func() time.Time
	Log     *slog.Logger
}

// page is one answer: a template's name and what it shows.
type page struct {
	template string
	status   int // 0 is 200
	Title    string
	Refresh  int // seconds after which the browser loads the page again; 0 for never
	Now      moment
	Body     any
}

// Handler serves the page and its assets.
func (f *Function) Handler() http.Handler {
	mux := http.NewServeMux()
	show := func(path string, of func(*Function, *http.Request) (page, error)) {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, r *http.Request) { f.serve(w, r, of) })
	}
	show(root, (*Function).overview)
	show(root+"/schedules/{name}", (*Function).schedule)
	show(root+"/runs/{id}", (*Function).run)
	mux.HandleFunc("GET "+root+"/assets/{version}/{file}", serveAsset)
	mux.Handle("GET "+root+"/{$}", http.RedirectHandler(root, http.StatusFound))
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		f.serve(w, r, func(*Function, *http.Request) (page, error) {
			if r.Method != http.MethodGet && r.Method != http.MethodHead {
				w.Header().Set("Allow", "GET, HEAD")
				return refusal(), nil
			}
			return missing("There is nothing at this address."), nil
		})
	})
	return mux
}

func (f *Function) serve(w http.ResponseWriter, r *http.Request, of func(*Function, *http.Request) (page, error)) {
	p, err := of(f, r)
	switch {
	case errors.Is(err, store.ErrNotFound), errors.Is(err, store.ErrLimit):
		p = missing("It may have been deleted, or the link is not whole.")
	case err != nil:
		f.Log.ErrorContext(r.Context(), "a page could not be shown", "path", r.URL.Path, "error", err)
		p = failure()
	}
	p.Now = at(f.Now(), time.UTC, f.Now())
	var body bytes.Buffer
	if err := pages[p.template].ExecuteTemplate(&body, "layout", p); err != nil {
		f.Log.ErrorContext(r.Context(), "a page could not be written", "path", r.URL.Path, "error", err)
		http.Error(w, "This page could not be written; Carillon's log says why.", http.StatusInternalServerError)
		return
	}
	secure(w.Header())
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	w.Header().Set("Cache-Control", "no-store")
	if p.status != 0 {
		w.WriteHeader(p.status)
	}
	w.Write(body.Bytes())
}

// secure lets a page load its own style and pictures, and nothing else.
func secure(h http.Header) {
	h.Set("Content-Security-Policy", "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("X-Frame-Options", "DENY")
	h.Set("Referrer-Policy", "no-referrer") // an address may carry a key
	h.Set("Cross-Origin-Opener-Policy", "same-origin")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
}

func missing(text string) page {
	return page{template: "message", status: http.StatusNotFound, Title: "Not found", Body: text}
}

func refusal() page {
	return page{
		template: "message", status: http.StatusMethodNotAllowed, Title: "Not done",
		Body: "The page only shows things. Changes go through /api/schedules or the command line.",
	}
}

func failure() page {
	return page{
		template: "message", status: http.StatusInternalServerError, Title: "This page cannot be shown now",
		Body: "Carillon could not read what it keeps. Its log says why; try again in a moment.",
	}
}

func everything(schedule.Occurrence) bool { return true }

// lookUp bounds what a page waits for targets.
func lookUp(r *http.Request) (context.Context, context.CancelFunc) {
	return context.WithTimeout(r.Context(), farSide)
}
