package azure

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"carillon/shared/host"
)

func TestHostLog(t *testing.T) {
	var out, errs bytes.Buffer
	log := NewLog(&out, &errs, slog.LevelInfo)
	h := &Host{Log: log, Functions: host.Functions{
		Submit: func(ctx context.Context, body []byte) error {
			log.With("body", string(body)).InfoContext(ctx, "two\nlines")
			log.DebugContext(ctx, "not asked for")
			panic("on purpose")
		},
		API: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { log.WarnContext(r.Context(), "careful") }),
	}}
	post := func(target string, ids ...string) {
		r := httptest.NewRequest("POST", target, strings.NewReader(`{"Data":{"message":"eA=="}}`))
		r.Header["X-Azure-Functions-Invocationid"] = ids
		h.Handler().ServeHTTP(httptest.NewRecorder(), r)
	}
	post("/submit", "one")
	post("/api/schedules", "mine", "first, two")
	log.Info("at large")
	got := logged(t, &out)
	want := []logLine{{Level: "INFO", Msg: "two\nlines", Function: "submit", Invocation: "one"}, {Level: "INFO", Msg: "at large"}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("out: got %v, want %v", got, want)
	}
	got = logged(t, &errs)
	want = []logLine{
		{Level: "ERROR", Msg: "a function panicked", Function: "submit", Invocation: "one"},
		{Level: "WARN", Msg: "the call failed; the host is told so", Function: "submit", Invocation: "one"},
		{Level: "WARN", Msg: "careful", Function: "api", Invocation: "two"},
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("errs: got %v, want %v", got, want)
	}
}

type logLine struct{ Level, Msg, Function, Invocation string }

func logged(t *testing.T, text *bytes.Buffer) []logLine {
	t.Helper()
	var all []logLine
	for record := range bytes.Lines(text.Bytes()) {
		var l logLine
		if err := json.Unmarshal(record, &l); err != nil {
			t.Errorf("%s: %v", record, err)
		}
		all = append(all, l)
	}
	return all
}
