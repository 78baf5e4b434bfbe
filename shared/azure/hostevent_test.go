package azure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"carillon/shared/host"
)

func TestHorizon(t *testing.T) {
	at := func(text string) time.Time {
		v, err := time.Parse(time.RFC3339Nano, "2026-11-22T"+text+"Z")
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, c := range []struct{ name, now, next, want string }{
		{"on time: the host names this very tick", "17:55:00.005", "17:55:00", "17:56:00"},
		{"a few milliseconds early", "17:54:59.995", "17:55:00", "17:56:00"},
		{"past due", "17:54:38.9", "17:48:00", "17:55:00"},
		{"by hand, between two ticks", "17:46:49", "17:47:00", "17:47:00"},
		{"another second than the full minute", "17:46:31", "17:47:30", "17:47:30"},
		{"far away: another schedule, or never run", "17:54:43", "18:30:00", "17:55:00"},
		{"a second try", "17:47:02.04", "17:47:00", "17:48:00"},
	} {
		if got := horizon(at(c.now), at(c.next)); !got.Equal(at(c.want)) {
			t.Errorf("%s: got %v, want %s", c.name, got, c.want)
		}
	}
	if got := horizon(at("17:54:59.995"), time.Time{}); !got.Equal(at("17:56:00")) {
		t.Errorf("no word of the next tick: got %v", got)
	}
}

func TestNextTick(t *testing.T) {
	want := time.Date(2026, 11, 22, 17, 48, 0, 0, time.UTC)
	const object = `{"ScheduleStatus":{"Next":"2026-11-22T17:48:00+00:00"}}`
	once, _ := json.Marshal(object)
	twice, _ := json.Marshal(string(once))
	thrice, _ := json.Marshal(string(twice))
	for text, want := range map[string]time.Time{
		object: want, string(once): want, string(twice): want, string(thrice): {},
		`{"ScheduleStatus":{"Next":"2026-11-22T17:48:00"}}`:              want,
		`{"ScheduleStatus":{"Next":"2026-11-22T18:48:00.000000+01:00"}}`: want,
		`{"ScheduleStatus":{"Next":"\"2026-11-22T17:48:00Z\""}}`:         {},
		`{"ScheduleStatus":null}`:                                        {},
		`{"ScheduleStatus":{"Next":7}}`:                                  {},
		`{"ScheduleStatus":"x"}`:                                         {},
		`7`:                                                              {},
		`[]`:                                                             {},
	} {
		if got := nextTick([]byte(text)); !got.Equal(want) {
			t.Errorf("%s: got %v, want %v", text, got, want)
		}
	}
}

func TestMessageBody(t *testing.T) {
	for _, c := range []struct{ data, want string }{
		{`"eyJrIjoxfQ=="`, `{"k":1}`},
		{`""`, ""},
		{`"ZXlKcklqb3hmUT09"`, `{"k":1}`}, // base64 that the host has left as it was
		{`"ZXlKcklqb3hmUQ=="`, `eyJrIjoxfQ`},
		{`"W10="`, "[]"},
		{`"\"eyJrIjoxfQ==\""`, `{"k":1}`},
		{`"\"{\\\"k\\\":1}\""`, `{"k":1}`},
		{`"\"\\\"a\\\"\""`, `"a"`},
		{`"plain text"`, "plain text"},
		{`"{\"k\":1}"`, `{"k":1}`},
		{`{"k":1}`, `{"k":1}`},
		{`7`, "7"},
	} {
		if got, err := messageBody([]byte(c.data)); err != nil || string(got) != c.want {
			t.Errorf("%s: got %q, %v, want %q", c.data, got, err, c.want)
		}
	}
}

// FuzzEvent: whatever is posted to an event function, the answer is one that the host takes as a success or a failure.
func FuzzEvent(f *testing.F) {
	for _, seed := range []string{"", "{}", `{"Data":{"message":"eA==","tick":{}}}`, `{"Data":{"message":"\"x\"","tick":"\"\""}}`} {
		f.Add("submit", []byte(seed))
		f.Add("recurrence", []byte(seed))
	}
	f.Add("blob_inbox", []byte(`{"Data":{"blob":"AQI="},"Metadata":{"Uri":"\"http://a/b/c\"","name":"\"c\"","Properties":{"LastModified":"2026-11-22T17:53:24+00:00"}}}`))
	h := &Host{Log: slog.New(slog.DiscardHandler), Functions: host.Functions{
		Recurrence: func(context.Context, time.Time, time.Time) error { return nil },
		Submit:     func(context.Context, []byte) error { return nil },
		Datastore: func(_ context.Context, body []byte) error {
			if !json.Valid(body) {
				return errors.New("not JSON")
			}
			return nil
		},
	}}
	f.Fuzz(func(t *testing.T, name string, body []byte) {
		if name != "submit" && name != "blob_inbox" {
			name = "recurrence"
		}
		w := httptest.NewRecorder()
		h.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/"+name, bytes.NewReader(body)))
		if err := accepted(w.Result(), nil); err != nil && w.Code != http.StatusBadRequest {
			t.Errorf("%q: %v", body, err)
		}
	})
}

// A host that hangs up does not end the work: what is begun is done, and the next delivery finds it so.
func TestHostHangsUp(t *testing.T) {
	ctx, hangUp := context.WithCancel(t.Context())
	called := false
	h := &Host{Log: slog.New(slog.DiscardHandler), Functions: host.Functions{Submit: func(ctx context.Context, _ []byte) error {
		hangUp()
		called = true
		if ctx.Err() != nil {
			t.Errorf("the call ended with its caller: %v", ctx.Err())
		}
		return nil
	}}}
	r := httptest.NewRequestWithContext(ctx, "POST", "/submit", strings.NewReader(`{"Data":{"message":"eA=="}}`))
	h.Handler().ServeHTTP(httptest.NewRecorder(), r)
	if !called {
		t.Error("not called")
	}
}

func BenchmarkEvent(b *testing.B) {
	h := (&Host{Log: slog.New(slog.DiscardHandler), Functions: host.Functions{
		Submit: func(context.Context, []byte) error { return nil },
	}}).Handler()
	const call = `{"Data":{"message":"eyJvY2N1cnJlbmNlcyI6WyJhIl19"},"Metadata":{"DequeueCount":"1","Id":"\"09eb01a3-5b1f-4b03-be1c-413d70857312\""}}`
	for b.Loop() {
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, httptest.NewRequest("POST", "/submit", strings.NewReader(call))); w.Code != http.StatusOK {
			b.Fatal(w.Code)
		}
	}
}
