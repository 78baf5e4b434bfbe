package hostdouble

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/queueerror"
)

const (
	hidden   = 10 * time.Minute // a message that is in work
	minPause = 100 * time.Millisecond
)

type queueJSON struct {
	MaxPollingInterval string
	VisibilityTimeout  string
	BatchSize          *int
	MaxDequeueCount    *int
	NewBatchThreshold  *int
	MessageEncoding    string
}

// queueOptions are host.json's extensions.queues.
type queueOptions struct {
	maxPause  time.Duration // between looks at a quiet queue
	failed    time.Duration // after which a failed message comes again
	batch     int           // fetched at once
	threshold int           // so many left in work let the next batch be fetched
	most      int           // deliveries of a message
	plain     bool          // messageEncoding none
}

func readQueues(text queueJSON, wrong *problems) queueOptions {
	number := func(name string, n *int, absent, least, most int) int {
		if n == nil {
			return absent
		}
		if *n < least || *n > most {
			wrong.add("host.json: %s is %d: has to be %d to %d", name, *n, least, most)
		}
		return *n
	}
	o := queueOptions{
		maxPause: wrong.span("maxPollingInterval", text.MaxPollingInterval, time.Minute),
		failed:   wrong.span("visibilityTimeout", text.VisibilityTimeout, 0),
		batch:    number("batchSize", text.BatchSize, 16, 1, 32),
		most:     number("maxDequeueCount", text.MaxDequeueCount, 5, 1, 1<<30),
	}
	o.threshold = number("newBatchThreshold", text.NewBatchThreshold, o.batch/2, 0, 1000)
	switch strings.ToLower(text.MessageEncoding) {
	case "none":
		o.plain = true
	case "", "base64":
	default:
		wrong.add("host.json: messageEncoding is %q", text.MessageEncoding)
	}
	return o
}

// queueTrigger is a queue to be polled.
type queueTrigger struct {
	name   string
	binary bool
	client *azqueue.QueueClient
	poison *azqueue.QueueClient
}

func readQueue(name string, b bindingJSON, settings map[string]string, wrong *problems) queueTrigger {
	q := queueTrigger{name: wrong.resolved(name, b.QueueName, settings), binary: b.DataType == "binary"}
	if b.DataType != "" && b.DataType != "string" && b.DataType != "binary" || b.Properties["supportsDeferredBinding"] != nil {
		wrong.add("%s: a queue loses its content with dataType %q and properties %v", name, b.DataType, b.Properties)
	}
	if service := queueService(name, b, settings, wrong); service != nil {
		q.client, q.poison = service.NewQueueClient(q.name), service.NewQueueClient(q.name+"-poison")
	}
	return q
}

// queueService has the queues of a binding's connection; it is nil when that is wrong.
func queueService(name string, b bindingJSON, settings map[string]string, wrong *problems) *azqueue.ServiceClient {
	connection, ok := wrong.connection(name, b, settings)
	if !ok {
		return nil
	}
	options := &azqueue.ClientOptions{ClientOptions: azcore.ClientOptions{Retry: policy.RetryOptions{MaxRetries: -1}}}
	service, err := azqueue.NewServiceClientFromConnectionString(connection, options)
	if err != nil {
		wrong.add("%s: the connection %s: %w", name, b.Connection, err)
		return nil
	}
	return service
}

// poll fetches messages and puts them to work until the host ends.
func (h *Host) poll(l *life, f function, q queueTrigger) {
	var work sync.WaitGroup
	defer work.Wait()
	o := h.app.queues
	slots := make(chan struct{}, o.batch+o.threshold)
	ended := make(chan struct{}, 1)
	for pause := minPause; l.ctx.Err() == nil; {
		if len(slots) > o.threshold {
			select {
			case <-ended:
			case <-l.ctx.Done():
			}
			continue
		}
		messages := fetch(l.ctx, q, o.batch)
		for _, m := range messages {
			slots <- struct{}{}
			work.Go(func() {
				h.deliver(l, f, q, m)
				<-slots
				select {
				case ended <- struct{}{}:
				default: // the loop knows
				}
			})
		}
		if len(messages) > 0 {
			pause = minPause
			continue
		}
		if !sleep(l.ctx, pause) {
			return
		}
		pause = min(2*pause, max(minPause, o.maxPause))
	}
}

// sleep waits and reports whether ctx goes on.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return ctx.Err() == nil
	case <-ctx.Done():
		return false
	}
}

// fetch returns nothing when the queue is not there (the host does not create it) or does not answer.
func fetch(ctx context.Context, q queueTrigger, most int) []*azqueue.DequeuedMessage {
	answer, err := q.client.DequeueMessages(ctx, &azqueue.DequeueMessagesOptions{
		NumberOfMessages: to.Ptr(int32(most)), VisibilityTimeout: to.Ptr(int32(hidden / time.Second)),
	})
	if err != nil {
		return nil
	}
	return answer.Messages
}

// deliver makes one call for a message and deals with it as its outcome says.
func (h *Host) deliver(l *life, f function, q queueTrigger, m *azqueue.DequeuedMessage) {
	body, err := h.decode(*m.MessageText)
	if err != nil || *m.DequeueCount > int64(h.app.queues.most) {
		h.toPoison(l.ctx, q, m)
		return
	}
	data, metadata := q.encode(body, m)
	err = h.call(l, event{f, guid(), int(*m.DequeueCount), body, data, metadata})
	switch {
	case l.ctx.Err() != nil: // nobody is left to deal with it
	case err == nil:
		_, err = q.client.DeleteMessage(l.ctx, *m.MessageID, *m.PopReceipt, nil)
	case *m.DequeueCount >= int64(h.app.queues.most):
		h.toPoison(l.ctx, q, m)
		return
	default:
		_, err = q.client.UpdateMessage(l.ctx, *m.MessageID, *m.PopReceipt, *m.MessageText, &azqueue.UpdateMessageOptions{
			VisibilityTimeout: to.Ptr(int32(h.app.queues.failed / time.Second)),
		})
	}
	if err != nil && l.ctx.Err() == nil {
		h.t.Logf("Functions host: queue %s: %v; the message stays hidden for %v", q.name, err, hidden)
	}
}

func (h *Host) decode(text string) ([]byte, error) {
	if h.app.queues.plain {
		return []byte(text), nil
	}
	return base64.StdEncoding.DecodeString(text)
}

// encode is Data and Metadata for a message. The properties of a text that is an object overwrite the host's own.
func (q queueTrigger) encode(body []byte, m *azqueue.DequeuedMessage) (data any, metadata map[string]any) {
	metadata = map[string]any{
		"DequeueCount": fmt.Sprint(*m.DequeueCount), "Id": encoded(*m.MessageID), "PopReceipt": encoded(*m.PopReceipt),
		"ExpirationTime": m.ExpirationTime.Format(withOffset), "InsertionTime": m.InsertionTime.Format(withOffset),
		"NextVisibleTime": m.TimeNextVisible.Format(withOffset),
	}
	if q.binary {
		return body, metadata
	}
	var properties map[string]json.RawMessage
	if json.Unmarshal(body, &properties) == nil {
		for name, value := range properties {
			lay(metadata, name, value)
		}
	}
	return encoded(string(body)), metadata
}

// lay puts a message's property over the metadata: objects as they are, numbers as text, lists not at all.
func lay(metadata map[string]any, name string, value json.RawMessage) {
	var text string
	switch {
	case value[0] == '{':
		metadata[name] = value
	case value[0] == '[' || string(value) == "null":
	case json.Unmarshal(value, &text) == nil:
		metadata[name] = encoded(text)
	default:
		metadata[name] = encoded(string(value))
	}
}

// toPoison moves a message to the queue for those that were given up.
func (h *Host) toPoison(ctx context.Context, q queueTrigger, m *azqueue.DequeuedMessage) {
	err := enqueue(ctx, q.poison, *m.MessageText)
	if err == nil {
		_, err = q.client.DeleteMessage(ctx, *m.MessageID, *m.PopReceipt, nil)
	}
	if err != nil && ctx.Err() == nil {
		h.t.Logf("Functions host: poison of queue %s: %v", q.name, err)
	}
}

// enqueue sends to a queue, which is made when it is not there.
func enqueue(ctx context.Context, to *azqueue.QueueClient, text string) error {
	_, err := to.EnqueueMessage(ctx, text, nil)
	if queueerror.HasCode(err, queueerror.QueueNotFound) {
		if _, err = to.Create(ctx, nil); err == nil || queueerror.HasCode(err, queueerror.QueueAlreadyExists) {
			_, err = to.EnqueueMessage(ctx, text, nil)
		}
	}
	return err
}

// Poisoned returns the messages that were given up of a queue of the app, 32 at most, decoded as messageEncoding says. One
// that is not base64 is given as it is.
func (h *Host) Poisoned(queue string) [][]byte {
	h.t.Helper()
	for _, f := range h.app.functions {
		q, ok := f.trigger.(queueTrigger)
		if !ok || q.name != queue {
			continue
		}
		answer, err := q.poison.PeekMessages(h.t.Context(), &azqueue.PeekMessagesOptions{NumberOfMessages: to.Ptr(int32(32))})
		if err != nil && !queueerror.HasCode(err, queueerror.QueueNotFound) {
			h.t.Errorf("look into the poison queue of %s: %v", queue, err)
		}
		var bodies [][]byte
		for _, m := range answer.Messages {
			body, err := h.decode(*m.MessageText)
			if err != nil {
				body = []byte(*m.MessageText)
			}
			bodies = append(bodies, body)
		}
		return bodies
	}
	h.t.Error(errors.New("the app has no queue " + queue))
	return nil
}
