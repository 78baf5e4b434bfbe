package datastore

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"carillon/shared/problem"
)

func TestWebhook(t *testing.T) {
	good := grid(created, "", "url", endpoint+"/c/a")
	asked := "[" + grid("Microsoft.EventGrid.SubscriptionValidationEvent", "", "validationCode", "512d38b6") + "]"
	for _, c := range []struct {
		name, method, body string
		outcome            error
		status             int
		answer             string // a part of it
		delivered          bool
	}{
		{"an event", "POST", good, nil, 200, "{}\n", true},
		{"events", "POST", "[" + good + "," + good + "]", nil, 200, "{}\n", true},
		{"nothing that counts", "POST", grid("Microsoft.Storage.BlobDeleted", ""), nil, 200, "{}\n", false},
		{"a handshake", "POST", asked, nil, 200, `{"validationResponse":"512d38b6"}`, false},
		{"a failure", "POST", good, errors.New("the secret store is down"), 503, `"unavailable"`, true},
		{"an event and rubbish", "POST", "[" + good + ",7]", fmt.Errorf("all but: %w", ErrBody), 400, `"bad_request"`, true},
		{"rubbish", "POST", "hello", nil, 400, "expected are", false},
		{"nothing", "POST", "", nil, 400, "it is empty", false},
		{"too much", "POST", `["` + strings.Repeat("x", maxWebhook) + `"]`, nil, 413, `"too_large"`, false},
		{"another method", "GET", "", nil, 405, `"method_not_allowed"`, false},
		{"CloudEvents' handshake", "OPTIONS", "", nil, 200, "{}\n", false},
	} {
		var got []string
		h := Webhook(func(_ context.Context, body []byte) error {
			got = append(got, string(body))
			return c.outcome
		})
		r := httptest.NewRequest(c.method, "/api/events", strings.NewReader(c.body))
		r.Header.Set("WebHook-Request-Origin", "eventgrid.azure.net")
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != c.status || !strings.Contains(w.Body.String(), c.answer) || strings.Contains(w.Body.String(), "secret") {
			t.Errorf("%s: answered %d %s", c.name, w.Code, w.Body)
		}
		if (len(got) == 1 && got[0] == c.body) != c.delivered || len(got) > 1 {
			t.Errorf("%s: delivered are %q", c.name, got)
		}
		media := problem.ContentType
		if c.status == 200 {
			media = "application/json"
		}
		if w.Header().Get("Content-Type") != media {
			t.Errorf("%s: a %s", c.name, w.Header().Get("Content-Type"))
		}
		if origin := w.Header().Get("WebHook-Allowed-Origin"); (origin == "eventgrid.azure.net") != (c.method == "OPTIONS") {
			t.Errorf("%s: allows %q", c.name, origin)
		}
	}
}

// Without being asked nobody is let in, and the answer says what is done here.
func TestWebhookOptions(t *testing.T) {
	w := httptest.NewRecorder()
	Webhook(nil).ServeHTTP(w, httptest.NewRequest("OPTIONS", "/api/events", nil))
	if w.Code != http.StatusOK || w.Header().Get("Allow") != "OPTIONS, POST" || w.Header().Values("WebHook-Allowed-Origin") != nil {
		t.Errorf("answered %d with %v", w.Code, w.Header())
	}
}
