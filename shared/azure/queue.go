package azure

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/to"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue/queueerror"

	"carillon/shared/queue"
)

// lifetime is how long a message waits for a host to take it, before the service drops it. After a week a hint is
// stale: a host that comes back finds in the store what is to be done, without a flood of old news.
const lifetime = 7 * 24 * time.Hour

// Queue returns a queue to send to (3 to 63 of a-z, 0-9 and -). It is created when it is first sent to. A body travels
// as base64, which the handler takes off. A Send is one request; it is repeated after faults
// that pass, so that a message may be doubled.
func (a *Account) Queue(name string) queue.Queue {
	return sender{name: name, client: a.queues.NewQueueClient(name)}
}

type sender struct {
	name   string
	client *azqueue.QueueClient
}

// Send implements queue.Queue. The service counts in seconds: delays are rounded up.
func (s sender) Send(ctx context.Context, body []byte, delay time.Duration) error {
	if err := cmp.Or(ctx.Err(), queue.Check(body, delay)); err != nil {
		return err
	}
	text := base64.StdEncoding.EncodeToString(body)
	options := azqueue.EnqueueMessageOptions{TimeToLive: to.Ptr(int32(lifetime / time.Second))}
	if delay > 0 {
		options.VisibilityTimeout = to.Ptr(int32((delay + time.Second - 1) / time.Second))
	}
	_, err := s.client.EnqueueMessage(ctx, text, &options)
	if queueerror.HasCode(err, queueerror.QueueNotFound) {
		if _, err := s.client.Create(ctx, nil); err != nil && !queueerror.HasCode(err, queueerror.QueueAlreadyExists) {
			return fmt.Errorf("create queue %s: %w", s.name, plain(err))
		}
		_, err = s.client.EnqueueMessage(ctx, text, &options)
	}
	if err != nil {
		return fmt.Errorf("send to queue %s: %w", s.name, plain(err))
	}
	return nil
}
