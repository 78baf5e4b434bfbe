package azureml

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

const maxText = 1000 // characters of a service's error text that are kept

// failure is a request that came to nothing, or whose answer did.
type failure struct {
	status    int // of the answer; 0 when there was none, or it could not be read
	code      string
	message   string
	requestID string // by which Azure's support finds it

	throttled  bool // the answer says when to come back
	retryAfter time.Duration

	sent bool // without an answer: the service may have seen the request
	err  error
}

func (f *failure) Unwrap() error { return f.err }

func (f *failure) Error() string {
	if f.status == 0 {
		if f.sent {
			return fmt.Sprintf("the workspace gave no answer: %v", f.err)
		}
		return fmt.Sprintf("the workspace was not reached: %v", f.err)
	}
	text := fmt.Sprintf("the workspace answered %d %s", f.status, http.StatusText(f.status))
	for _, part := range []string{f.code, f.message} {
		if part != "" {
			text += ": " + part
		}
	}
	if f.requestID != "" {
		text += " (request " + f.requestID + ")"
	}
	if f.status == http.StatusUnauthorized || f.status == http.StatusForbidden {
		text += "; does Carillon's identity have its role in the workspace? It needs AzureML Data Scientist, or one with " +
			"workspaces/endpoints/pipelines/* and experiments/runs/submit/action (v1), workspaces/jobs/*, components/* and " +
			"batchEndpoints/* (v2); a new one takes minutes to be known"
	}
	return text
}

// errorBody is how the services of Azure describe an error.
type errorBody struct {
	Error struct {
		Code    string
		Message string
		Details []struct{ Code, Message string }
	}
}

// text is what a person gets to read of it.
func (b errorBody) text() string {
	text := b.Error.Message
	for _, d := range b.Error.Details {
		if d.Message != "" && !strings.Contains(text, d.Message) {
			text += "; " + d.Message
		}
	}
	return tidy(text)
}

// tidy makes one line of bounded length, without the secrets of signed addresses.
func tidy(text string) string {
	text = signature.ReplaceAllString(text, "$1…")
	text = strings.Join(strings.FieldsFunc(text, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), " ")
	if runes := []rune(text); len(runes) > maxText {
		text = string(runes[:maxText]) + "…"
	}
	return text
}

func readFailure(ctx context.Context, resp *http.Response, now time.Time) *failure {
	f := &failure{status: resp.StatusCode, requestID: tidy(resp.Header.Get("x-ms-request-id"))}
	if after := resp.Header.Get("Retry-After"); after != "" {
		f.throttled, f.retryAfter = true, parseRetryAfter(after, now)
	}
	data, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10))
	var body errorBody
	if json.Unmarshal(data, &body) == nil {
		body.hide(ctx)
		f.code, f.message = tidy(body.Error.Code), body.text()
	}
	return f
}

// parseRetryAfter reads seconds or a date; 0 for anything else, and for what is over.
func parseRetryAfter(text string, now time.Time) time.Duration {
	if seconds, err := strconv.Atoi(strings.TrimSpace(text)); err == nil {
		return max(time.Duration(min(seconds, 1<<30))*time.Second, 0)
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(at.Sub(now), 0)
	}
	return 0
}

// answered reports whether err is an answer of one of these kinds.
func answered(err error, statuses ...int) bool {
	var f *failure
	return errors.As(err, &f) && slices.Contains(statuses, f.status)
}

// refusals: the service has looked at the request and will not take it.
var refusals = []int{
	http.StatusBadRequest, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusGone,
	http.StatusRequestEntityTooLarge, http.StatusRequestURITooLong, http.StatusUnsupportedMediaType,
	http.StatusUnprocessableEntity,
}

// turnedAway reports whether the request was certainly not worked on: it was never given a connection; who asks was not
// let in (a role may be on its way); or too much was asked for, as the documentation of throttling has it: with a word
// of when to come back, until which requests are not processed.
func (f *failure) turnedAway() bool {
	switch f.status {
	case 0:
		return !f.sent
	case http.StatusUnauthorized, http.StatusForbidden:
		return true
	case http.StatusTooManyRequests:
		return f.throttled
	}
	return false
}

// outcomeOf says what a failed request to start a run means for the next try. What is not known to have been turned
// away counts as perhaps done, whatever the answer promises: 408, 409 and 5xx, with or without Retry-After, may come from
// gateways, or from behind the work, while it goes on.
func outcomeOf(f *failure) pipeline.Outcome {
	switch {
	case f.turnedAway():
		return pipeline.NotDone
	case slices.Contains(refusals, f.status):
		return pipeline.Refused
	}
	return pipeline.Repeat
}

// lookAfter is when a try whose answer was lost is followed by a look for its run: by then no process holds a claim
// of it any more, and what the service was doing is to be seen.
const lookAfter = schedule.Lease + time.Minute

// notSubmitted is the error of a request to start a run of s. Where the answer was lost, trying again is safe: with
// Again set nothing is started, the run is looked for.
func notSubmitted(s pipeline.Submission, err error) error {
	var f *failure
	if !errors.As(err, &f) {
		return err
	}
	e := &pipeline.Error{Outcome: outcomeOf(f), RetryAfter: f.retryAfter}
	switch {
	case e.Outcome == pipeline.Repeat:
		e.RetryAfter = max(e.RetryAfter, lookAfter)
		e.Err = fmt.Errorf("it is not known whether a run of pipeline %s was started: %w; %s", s.Pipeline, err, whereToLook(s))
	case f.status == http.StatusNotFound:
		e.Err = fmt.Errorf("pipeline %s: %w: %w", s.Pipeline, pipeline.ErrNotFound, err)
	default:
		e.Err = fmt.Errorf("no run of pipeline %s was started: %w", s.Pipeline, err)
	}
	return e
}

func whereToLook(s pipeline.Submission) string {
	return fmt.Sprintf("look in the studio, in experiment %s, for a run with the tag or property %s = %s", s.Experiment, pipeline.OccurrenceTag, s.Occurrence)
}
