package datastore

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"carillon/shared/problem"
)

// maxWebhook is what Event Grid sends at most.
const maxWebhook = 1 << 20

// Webhook takes the events that Event Grid, or any program, posts, and answers the handshakes of Event Grid's two
// schemas. Who may post is the platform's business: Event Grid sends a key in the URL's query (code). deliver gets the
// bodies in which Events finds something, as they came. Its outcome is the answer:
//
//   - 200 and {}: nothing has to come again.
//   - 400, 413: what Event Grid does not deliver again: the body, or a part of it (an error of deliver that wraps
//     ErrBody), cannot be read.
//   - 503: deliver failed; Event Grid delivers again for up to 24 hours. deliver logs why.
func Webhook(deliver func(ctx context.Context, body []byte) error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var answer any = struct{}{}
		var err error
		switch r.Method {
		case http.MethodOptions:
			consent(w.Header(), r.Header)
		case http.MethodPost:
			answer, err = posted(w, r, deliver)
		default:
			w.Header().Set("Allow", "OPTIONS, POST")
			err = problem.Newf(problem.MethodNotAllowed, "events are posted here; %s is not for them", r.Method)
		}
		if err != nil {
			problem.Write(w, err)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(answer)
	})
}

// consent answers the handshake of CloudEvents (HTTP 1.1 Web Hooks, 4): yes, and as often as it likes.
func consent(answer, asked http.Header) {
	answer.Set("Allow", "OPTIONS, POST")
	if origin := asked.Get("WebHook-Request-Origin"); origin != "" {
		answer.Set("WebHook-Allowed-Origin", origin)
		answer.Set("WebHook-Allowed-Rate", "*")
	}
}

func posted(w http.ResponseWriter, r *http.Request, deliver func(ctx context.Context, body []byte) error) (answer any, err error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxWebhook))
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return nil, problem.Newf(problem.TooLarge, "the body has more than %d bytes", maxWebhook)
	}
	if err != nil {
		return nil, problem.Newf(problem.BadRequest, "the body did not arrive whole: %v", err)
	}
	if code, ok := Validation(body); ok {
		return map[string]string{"validationResponse": code}, nil
	}
	events, err := Events(body)
	if len(events) > 0 {
		err = deliver(r.Context(), body)
	}
	if errors.Is(err, ErrBody) {
		return nil, problem.Newf(problem.BadRequest, "%v", err)
	}
	if err != nil {
		return nil, problem.Newf(problem.Unavailable, "Carillon could not take in these events now; deliver them again")
	}
	return struct{}{}, nil
}
