package aws

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/lambda"

	"carillon/shared/host"
	"carillon/shared/host/hosttest"
)

// sample is a payload in testdata. They have the forms that AWS documents.
func sample(t testing.TB, name string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func newHost(functions host.Functions) *Host {
	return &Host{
		Functions: functions, SubmitQueue: "carillon-submit", FollowQueue: "carillon-follow", DatastoreQueue: "carillon-datastore",
		Log: slog.New(slog.DiscardHandler),
	}
}

// invoke is one invocation, by way of the library's JSON.
func invoke(ctx context.Context, h *Host, payload []byte) ([]byte, error) {
	return lambda.NewHandler(h.Handle).Invoke(ctx, payload)
}

// sent is a message as it is in its queue.
type sent struct {
	id, queue, body string
	encoding        string // the attribute
}

// carried is a body as a message. SQS takes the characters that XML has.
func carried(id, queue string, body []byte) sent {
	text := utf8.Valid(body) && !bytes.ContainsFunc(body, func(c rune) bool {
		return c < ' ' && !strings.ContainsRune("\t\n\r", c) || c == 0xFFFE || c == 0xFFFF
	})
	if text {
		return sent{id, queue, string(body), ""}
	}
	return sent{id, queue, base64.StdEncoding.EncodeToString(body), "base64"}
}

// batch is how Lambda delivers messages of SQS.
func batch(messages ...sent) []byte {
	records := make([]map[string]any, len(messages))
	for i, m := range messages {
		attributes := map[string]any{}
		if m.encoding != "" {
			attributes[EncodingAttribute] = map[string]any{
				"stringValue": m.encoding, "stringListValues": []string{}, "binaryListValues": []string{}, "dataType": "String",
			}
		}
		records[i] = map[string]any{
			"messageId": m.id, "body": m.body, "messageAttributes": attributes, "eventSource": "aws:sqs",
			"eventSourceARN": "arn:aws:sqs:us-east-2:123456789012:" + m.queue, "awsRegion": "us-east-2",
			"attributes": map[string]string{"ApproximateReceiveCount": "1"},
		}
	}
	payload, err := json.Marshal(map[string]any{"Records": records})
	if err != nil {
		panic(err)
	}
	return payload
}

// failed is what Lambda makes of the answer to a batch with ReportBatchItemFailures: the messages that come again, or
// an error for all of them.
func failed(answer []byte) (map[string]bool, error) {
	var parsed struct {
		BatchItemFailures []struct{ ItemIdentifier *string }
	}
	if err := json.Unmarshal(answer, &parsed); err != nil {
		return nil, fmt.Errorf("%w: %s", err, answer)
	}
	ids := map[string]bool{}
	for _, f := range parsed.BatchItemFailures {
		if f.ItemIdentifier == nil || *f.ItemIdentifier == "" {
			return nil, fmt.Errorf("a failure without a message: %s", answer)
		}
		ids[*f.ItemIdentifier] = true
	}
	return ids, nil
}

// signed is the authorizer's part of a request whose signature IAM has found good.
var signed = map[string]any{"iam": map[string]any{"userArn": "arn:aws:iam::111122223333:user/ann", "callerId": "AIDA..."}}

// functionURL is what a Function URL makes of a request.
func functionURL(r *http.Request) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	headers := map[string]string{"host": r.URL.Host}
	for name, values := range r.Header {
		headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	event := map[string]any{
		"version": "2.0", "rawPath": r.URL.EscapedPath(), "rawQueryString": r.URL.RawQuery, "headers": headers,
		"requestContext": map[string]any{
			"accountId": "123456789012", "domainName": r.URL.Host, "authorizer": signed,
			"http": map[string]any{"method": r.Method, "path": r.URL.EscapedPath(), "protocol": "HTTP/1.1", "sourceIp": "203.0.113.7"},
		},
		"body": string(body), "isBase64Encoded": false,
	}
	if !strings.HasPrefix(r.Header.Get("Content-Type"), "application/json") {
		event["body"], event["isBase64Encoded"] = base64.StdEncoding.EncodeToString(body), true
	}
	return json.Marshal(event)
}

// answered is what a Function URL sends back: for a failed invocation it answers 502 by itself.
func answered(payload []byte, err error) (*http.Response, error) {
	if err != nil {
		return &http.Response{StatusCode: http.StatusBadGateway, Header: http.Header{}, Body: http.NoBody}, nil
	}
	var a struct {
		StatusCode      int
		Headers         map[string]string
		Cookies         []string
		Body            string
		IsBase64Encoded bool
	}
	if err := json.Unmarshal(payload, &a); err != nil || a.StatusCode == 0 {
		return nil, fmt.Errorf("no answer for a Function URL: %s, %w", payload, err)
	}
	body := []byte(a.Body)
	if a.IsBase64Encoded {
		if body, err = base64.StdEncoding.DecodeString(a.Body); err != nil {
			return nil, err
		}
	}
	header := http.Header{"Content-Type": {"application/json"}}
	for name, value := range a.Headers {
		header.Set(name, value)
	}
	if a.Cookies != nil {
		header["Set-Cookie"] = a.Cookies
	}
	return &http.Response{StatusCode: a.StatusCode, Header: header, Body: io.NopCloser(bytes.NewReader(body))}, nil
}

func open(t *testing.T, functions host.Functions, deadline time.Duration) hosttest.Env {
	h := newHost(functions)
	call := func(payload []byte) ([]byte, error) {
		ctx, cancel := context.WithTimeout(t.Context(), deadline)
		defer cancel()
		return invoke(ctx, h, payload)
	}
	deliver := func(payload []byte) error {
		answer, err := call(payload)
		if err != nil {
			return err
		}
		ids, err := failed(answer)
		if err == nil && len(ids) > 0 {
			err = errors.New("given back")
		}
		return err
	}
	queues := map[string]string{hosttest.Submit: h.SubmitQueue, hosttest.Follow: h.FollowQueue, hosttest.Datastore: h.DatastoreQueue}
	return hosttest.Env{
		Tick: func() error { return deliver(sample(t, "rule.json")) },
		Message: func(function string, body []byte) error {
			return deliver(batch(carried("one", queues[function], body)))
		},
		Garbage: func(_ string, payload []byte) error { return deliver(payload) },
		Samples: samples(t, deliver),
		AtOnce:  32, // environments are one process each; instances that Lambda manages share one
		Visit: func(r *http.Request) (*http.Response, error) {
			payload, err := functionURL(r)
			if err != nil {
				return nil, err
			}
			return answered(call(payload))
		},
	}
}

func samples(t *testing.T, deliver func([]byte) error) []hosttest.Sample {
	var out []hosttest.Sample
	for _, s := range []hosttest.Sample{
		{Name: "rule.json", Function: hosttest.Recurrence},
		{Name: "scheduler.json", Function: hosttest.Recurrence},
		{Name: "input.json", Function: hosttest.Recurrence},
		{Name: "input-with-attributes.json", Function: hosttest.Recurrence},
		{Name: "sqs.json", Function: hosttest.Submit, Body: `{"occurrences":["a"]}`},
		{Name: "sqs-follow.json", Function: hosttest.Follow, Body: "plain text"},
		{Name: "sqs-elsewhere.json", Refused: true},
		{Name: "rule-other.json", Refused: true},
		{Name: "s3.json", Refused: true},
		{Name: "msk.json", Refused: true},
		{Name: "rest.json", Refused: true},
	} {
		payload := sample(t, s.Name)
		s.Deliver = func() error { return deliver(payload) }
		out = append(out, s)
	}
	return out
}

func TestHost(t *testing.T) { hosttest.Run(t, open) }
