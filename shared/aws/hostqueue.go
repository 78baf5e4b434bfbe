package aws

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"
	"sync"

	"github.com/aws/aws-lambda-go/events"
)

// atOnce is how many messages of a batch are under way at once.
const atOnce = 8

// EncodingAttribute is the message attribute that says how a body travels. SQS takes only text and puts U+FFFD for
// every character that XML does not have: a body that is such text travels as it is, without this attribute, and any
// other as base64, with the attribute's value "base64".
const EncodingAttribute = "Carillon-Encoding"

// message is one of a batch, and the function that it goes to.
type message struct {
	events.SQSMessage
	queue    string
	function func(ctx context.Context, body []byte) error
}

// batch hands messages to their functions. It names those that failed, so that only they come again. When all failed
// it fails the invocation, which is the same to SQS and is seen in Lambda's metrics.
func (c *call) batch(ctx context.Context, records []json.RawMessage) (any, error) {
	messages, err := c.messages(records)
	if err != nil {
		return nil, err
	}
	errs := c.deliver(ctx, messages)
	answer := events.SQSEventResponse{BatchItemFailures: []events.SQSBatchItemFailure{}}
	var last error
	for i, m := range messages {
		if errs[i] != nil {
			last = errs[i]
			c.Log.WarnContext(ctx, "a message is given back", "queue", m.queue, "message", m.MessageId, "error", last)
			answer.BatchItemFailures = append(answer.BatchItemFailures, events.SQSBatchItemFailure{ItemIdentifier: m.MessageId})
		}
	}
	if failed := len(answer.BatchItemFailures); failed == len(messages) {
		return nil, fmt.Errorf("all %d messages of the batch failed, the last one: %w", failed, last)
	}
	return answer, nil
}

// messages reads a whole batch before any of it is handed on.
func (c *call) messages(records []json.RawMessage) ([]message, error) {
	messages := make([]message, len(records))
	for i, record := range records {
		m := &messages[i]
		if err := json.Unmarshal(record, &m.SQSMessage); err != nil {
			return nil, fmt.Errorf("record %d is none of SQS: %w", i, err)
		}
		if m.EventSource != "aws:sqs" || m.MessageId == "" {
			return nil, fmt.Errorf("record %d is none of SQS: its source is %.100q, its id %.100q", i, m.EventSource, m.MessageId)
		}
		m.queue = m.EventSourceARN[strings.LastIndexByte(m.EventSourceARN, ':')+1:]
		switch {
		case m.queue != "" && m.queue == c.SubmitQueue:
			m.function = c.Functions.Submit
		case m.queue != "" && m.queue == c.FollowQueue:
			m.function = c.Functions.Follow
		case m.queue != "" && m.queue == c.DatastoreQueue && c.Functions.Datastore != nil:
			m.function = c.Functions.Datastore
		default:
			return nil, fmt.Errorf("record %d comes from the queue %.100q; Carillon's are %q", i, m.queue, []string{c.SubmitQueue, c.FollowQueue, c.DatastoreQueue})
		}
	}
	return messages, nil
}

// deliver returns what became of each message.
func (c *call) deliver(ctx context.Context, messages []message) []error {
	errs := make([]error, len(messages))
	places := make(chan struct{}, atOnce)
	var group sync.WaitGroup
	for i, m := range messages {
		places <- struct{}{}
		group.Go(func() {
			defer func() { <-places }()
			body, err := m.sent()
			if err == nil {
				err = c.guard(ctx, func(ctx context.Context) error { return m.function(ctx, body) })
			}
			errs[i] = err
		})
	}
	group.Wait()
	return errs
}

// sent is the body as it was given to the queue.
func (m *message) sent() ([]byte, error) {
	attribute, encoded := m.MessageAttributes[EncodingAttribute]
	if !encoded {
		return []byte(m.Body), nil
	}
	if value := attribute.StringValue; value == nil || *value != "base64" {
		return nil, fmt.Errorf("the message's attribute %s is none that Carillon writes", EncodingAttribute)
	}
	body, err := base64.StdEncoding.DecodeString(m.Body)
	if err != nil {
		return nil, fmt.Errorf("the message's body is not the base64 that its attribute %s says: %w", EncodingAttribute, err)
	}
	return body, nil
}
