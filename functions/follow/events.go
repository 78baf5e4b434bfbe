package follow

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"

	"carillon/shared/pipeline"
	"carillon/shared/queue"
	"carillon/shared/schedule"
)

// Types of Event Grid's events of a workspace that tell of runs. The first is sent when a run has completed or failed,
// the second for every state, or only for Failed where the workspace is older.
const (
	runCompleted     = "Microsoft.MachineLearningServices.RunCompleted"
	runStatusChanged = "Microsoft.MachineLearningServices.RunStatusChanged"
)

// RunEvents takes the events of runs out of a body that Event Grid has delivered, to a webhook or to a Storage queue: one
// event or a list of them, in its own schema or as CloudEvents 1.0, as JSON or that in base64. It returns the
// occurrences whose runs they are of, each once, and what else the body holds: nil when that is nothing, the body
// itself when it has no event of a run. Runs that Carillon has not started count for nothing.
//
// What an event says of a run is not believed: it only says when to look. So events may be lost, doubled and late.
func RunEvents(body []byte) (occurrences []string, rest []byte) {
	elements, list := split(body)
	var others []json.RawMessage
	for _, text := range elements {
		id, ok := runEvent(text)
		switch {
		case !ok:
			others = append(others, text)
		case id != "" && !slices.Contains(occurrences, id):
			occurrences = append(occurrences, id)
		}
	}
	switch {
	case len(others) == len(elements):
		return nil, body
	case len(others) == 0:
		return occurrences, nil
	case !list:
		return occurrences, others[0]
	}
	rest, _ = json.Marshal(others) // they were read from JSON
	return occurrences, rest
}

// split returns the elements of a list, or the one that the body is; none when it is neither.
func split(body []byte) (elements []json.RawMessage, list bool) {
	for range 3 {
		body = bytes.TrimSpace(bytes.TrimPrefix(body, []byte("\ufeff")))
		switch {
		case len(body) == 0:
			return nil, false
		case body[0] == '{':
			return []json.RawMessage{body}, false
		case body[0] == '[':
			err := json.Unmarshal(body, &elements)
			return elements, err == nil
		}
		var text string
		if json.Unmarshal(body, &text) == nil {
			body = []byte(text)
		} else if inner, err := base64.StdEncoding.AppendDecode(nil, body); err == nil {
			body = inner
		} else {
			return nil, false
		}
	}
	return nil, false
}

// runEvent reports whether an element is an event of a run, and of which occurrence; "" when it does not say. Names in
// data are written in two ways: as in the documentation (RunTags) and as in recorded events (runTags).
func runEvent(text []byte) (occurrence string, ok bool) {
	var e struct {
		EventType, Type string
		Data            json.RawMessage
	}
	if json.Unmarshal(text, &e) != nil {
		return "", false
	}
	if kind := cmp.Or(e.EventType, e.Type); kind != runCompleted && kind != runStatusChanged {
		return "", false
	}
	var data struct{ RunTags, RunProperties map[string]any }
	_ = json.Unmarshal(e.Data, &data) // without it the event is of nobody's run
	for _, words := range []map[string]any{data.RunTags, data.RunProperties} {
		if id, _ := words[pipeline.OccurrenceTag].(string); id != "" {
			if _, _, _, err := schedule.ParseOccurrenceID(id); err == nil {
				return id, true
			}
		}
	}
	return "", true
}

// Told makes a function that acts on the events of runs in what is delivered, and hands on the rest. The runs are looked at
// as soon as the message arrives that it sends; one that is not sent is no harm, as every run is looked at anyway.
func (f *Function) Told(next func(ctx context.Context, body []byte) error) func(ctx context.Context, body []byte) error {
	return func(ctx context.Context, body []byte) error {
		occurrences, rest := RunEvents(body)
		f.hint(ctx, occurrences)
		if rest == nil && len(body) > 0 {
			return nil
		}
		return next(ctx, rest)
	}
}

// Webhook is Told for what is posted. A body of nothing but events of runs is answered with 200 and {}.
func (f *Function) Webhook(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost {
			next.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, tooMuch))
		if err != nil || len(body) == tooMuch { // for next to refuse
			r.Body = readCloser{io.MultiReader(bytes.NewReader(body), r.Body), r.Body}
			next.ServeHTTP(w, r)
			return
		}
		occurrences, rest := RunEvents(body)
		f.hint(r.Context(), occurrences)
		if rest == nil && len(body) > 0 {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprintln(w, "{}")
			return
		}
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(rest)), int64(len(rest))
		next.ServeHTTP(w, r)
	})
}

// tooMuch is a byte more than Event Grid sends.
const tooMuch = 1<<20 + 1

type readCloser struct {
	io.Reader
	io.Closer
}

func (f *Function) hint(ctx context.Context, occurrences []string) {
	for _, body := range queue.Messages(occurrences) {
		if err := f.Follow.Send(ctx, body, 0); err != nil {
			f.Log.WarnContext(ctx, "a message was not sent; the clock will send it again", "occurrences", len(occurrences), "error", err)
		}
	}
}
