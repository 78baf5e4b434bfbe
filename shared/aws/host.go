// Package aws runs Carillon on AWS: Lambda calls the functions of host.Functions.
package aws

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime/debug"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"

	"carillon/shared/host"
)

// RuntimeVariable is where Lambda says at which address its Runtime API answers. It is set under Lambda only.
const RuntimeVariable = "AWS_LAMBDA_RUNTIME_API"

// Host serves Functions under Lambda. Its fields are set once.
//
// One Lambda function may get all of these, told apart by their form:
//   - a schedule of EventBridge Scheduler with the input {"function":"recurrence"} or none, or a scheduled rule of
//     EventBridge: the timer. It has to fire every minute.
//   - batches of the three SQS queues. The event source mapping has to ask for ReportBatchItemFailures: without it,
//     Lambda deletes the messages that failed beside others that did not.
//   - requests to a Function URL with AuthType AWS_IAM and InvokeMode BUFFERED. IAM says who may ask; there are no
//     keys, and whoever may ask may do everything.
type Host struct {
	Functions      host.Functions
	SubmitQueue    string       // the name of the SQS queue whose messages go to Submit
	FollowQueue    string       // and to Follow
	DatastoreQueue string       // and to Datastore; "" where nothing is watched
	Log            *slog.Logger // lambdacontext.NewLogger makes one that names the invocation
}

// Start answers Lambda until Lambda ends the process; it does not return. To Lambda a process that has called it is
// ready: call it when all else is.
func (h *Host) Start() { lambda.Start(h.Handle) }

// done is the answer to an event that needs none.
type done struct{}

// event is what tells payloads apart.
type event struct {
	Function       string            `json:"function"`
	DetailType     string            `json:"detail-type"`
	Source         string            `json:"source"`
	Records        []json.RawMessage `json:"Records"`
	Version        string            `json:"version"`
	RequestContext struct {
		HTTP struct {
			Method string `json:"method"`
		} `json:"http"`
	} `json:"requestContext"`
}

// Handle answers one invocation with what Lambda makes JSON of. An error fails the invocation: Lambda delivers the
// event again, as its source is set up. The call's own deadline is a little before that of ctx.
func (h *Host) Handle(ctx context.Context, payload json.RawMessage) (any, error) {
	ctx, cancel, c := h.begin(ctx)
	defer cancel()
	var e event
	if err := json.Unmarshal(payload, &e); err != nil {
		return nil, unknown(payload)
	}
	switch {
	case e.Version == "2.0" && e.RequestContext.HTTP.Method != "":
		return c.visit(ctx, payload)
	case len(e.Records) > 0:
		return c.batch(ctx, e.Records)
	case e.isTick():
		return c.tick(ctx)
	}
	return nil, unknown(payload)
}

func (e *event) isTick() bool {
	scheduled := e.DetailType == "Scheduled Event" && (e.Source == "aws.events" || e.Source == "aws.scheduler")
	return scheduled || e.Function == "recurrence"
}

// unknown names the fields of a payload that nobody here reads. Their values may be secret.
func unknown(payload []byte) error {
	form := "no JSON object"
	var object map[string]json.RawMessage
	if json.Unmarshal(payload, &object) == nil && object != nil {
		form = "fields: " + strings.Join(slices.Sorted(maps.Keys(object)), ", ")
	}
	return fmt.Errorf("no event that Carillon knows (%.200s): it takes schedules with the input {\"function\":\"recurrence\"}, "+
		"batches of its SQS queues, and requests to its Function URL", form)
}

// period is how often the timer fires.
const period = time.Minute

func (c *call) tick(ctx context.Context) (any, error) {
	now := time.Now()
	err := c.guard(ctx, func(ctx context.Context) error { return c.Functions.Recurrence(ctx, now, horizon(now)) })
	if err != nil {
		return nil, err
	}
	return done{}, nil
}

// horizon is when the next tick has come at the latest. EventBridge ticks once in every minute, but anywhere in it.
func horizon(now time.Time) time.Time { return now.Truncate(period).Add(2 * period) }

// At its deadline Lambda kills the process, and all that it knows of the invocation is lost. Of the time that there is
// a call keeps back an eighth, but not more than this, to end by itself and to say what has become of it.
const maxReserve = 5 * time.Second

// call is one invocation.
type call struct {
	*Host
	reserve time.Duration
}

// begin starts an invocation, with a context for the functions that it calls.
func (h *Host) begin(ctx context.Context) (context.Context, context.CancelFunc, *call) {
	deadline, ok := ctx.Deadline()
	if !ok { // not under Lambda
		ctx, cancel := context.WithCancel(ctx)
		return ctx, cancel, &call{h, maxReserve}
	}
	reserve := min(time.Until(deadline)/8, maxReserve)
	ctx, cancel := context.WithDeadline(ctx, deadline.Add(-reserve))
	return ctx, cancel, &call{h, reserve}
}

// errLate: the function has ignored its context. It goes on by itself: what it does must not matter any more.
var errLate = errors.New("the function does not return although its deadline is over")

// guard calls a function and returns an error when it panics or outstays its deadline, so that neither becomes the
// end of its neighbours. When the deadline is over already, it calls nothing.
func (c *call) guard(ctx context.Context, function func(context.Context) error) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("not begun: %w", err)
	}
	returned := make(chan error, 1)
	go func() {
		defer func() {
			if p := recover(); p != nil {
				c.Log.ErrorContext(ctx, "a function panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
				returned <- fmt.Errorf("panic: %v", p)
			}
		}()
		returned <- function(ctx)
	}()
	select {
	case err := <-returned:
		return err
	case <-ctx.Done():
	}
	late := time.NewTimer(c.reserve / 2)
	defer late.Stop()
	select {
	case err := <-returned:
		return err
	case <-late.C:
		return errLate
	}
}
