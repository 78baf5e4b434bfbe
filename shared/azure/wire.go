package azure

import (
	"bufio"
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// newTransport leaves connections before the servers do (Node, under Azurite, after 5 s): a request that meets one
// just closed would fail with its outcome unknown. The transport itself repeats no POST that may have been read.
func newTransport() policy.Transporter {
	return &http.Client{
		Transport: &http.Transport{
			Proxy:               http.ProxyFromEnvironment,
			DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
			TLSHandshakeTimeout: 5 * time.Second,
			TLSClientConfig:     &tls.Config{MinVersion: tls.VersionTLS12},
			MaxIdleConnsPerHost: 64,
			IdleConnTimeout:     4 * time.Second,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
}

func clientOptions(transport policy.Transporter) azcore.ClientOptions {
	return azcore.ClientOptions{
		Transport:        transport,
		Retry:            retries(passing),
		PerRetryPolicies: []policy.Policy{transactions{}},
		Telemetry:        policy.TelemetryOptions{ApplicationID: "carillon"},
	}
}

// retries is the one level on which requests are repeated: at most three times, within 3 seconds, or when the service
// asks for it within 10 seconds each. A try takes 30 seconds at most, as on the service's side.
func retries(again func(*http.Response, error) bool) policy.RetryOptions {
	return policy.RetryOptions{
		MaxRetries:    3,
		TryTimeout:    30 * time.Second,
		RetryDelay:    200 * time.Millisecond,
		MaxRetryDelay: 10 * time.Second,
		ShouldRetry:   again,
	}
}

// onlyIfNotDone makes requests repeated only after an answer (or a lack of one) that proves that nothing was done.
func onlyIfNotDone(ctx context.Context) context.Context {
	return policy.WithRetryOptions(ctx, retries(notDone))
}

// passing reports whether a request that may be done twice is worth another try.
func passing(resp *http.Response, err error) bool {
	return err != nil || slices.Contains([]int{
		http.StatusRequestTimeout, http.StatusTooManyRequests, http.StatusInternalServerError, http.StatusBadGateway,
		http.StatusServiceUnavailable, http.StatusGatewayTimeout,
	}, resp.StatusCode)
}

// notDone reports whether it is certain that nothing was done and worth another try: no connection came about, or
// the service throttles. Any other 503 may come from something in between, after the work was done.
func notDone(resp *http.Response, err error) bool {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" {
		return true
	}
	if err == nil && resp.StatusCode >= 400 {
		err = runtime.NewResponseError(resp)
	}
	a := answerOf(err)
	return a.status == http.StatusTooManyRequests || a.status == http.StatusServiceUnavailable && a.code == "ServerBusy"
}

// answer is what a service says in place of success.
type answer struct {
	status  int // HTTP
	code    string
	message string // one line
	index   int    // of the operation that the answer is about, in a transaction; else -1
}

func (a *answer) Error() string {
	text := strings.TrimSpace(fmt.Sprintf("the service answered %d %s", a.status, a.code))
	if a.message != "" {
		text += ": " + a.message
	}
	switch a.status {
	case http.StatusUnauthorized, http.StatusForbidden:
		text += " (does the key still hold, or has the identity the roles Storage Table Data Contributor and " +
			"Storage Queue Data Contributor on the account?)"
	}
	return text
}

// answerOf finds the answer in an error of the SDK, or one that says nothing.
func answerOf(err error) *answer {
	var inner *answer
	if errors.As(err, &inner) {
		return inner
	}
	var outer *azcore.ResponseError
	if !errors.As(err, &outer) {
		return &answer{index: -1}
	}
	a := &answer{status: outer.StatusCode, code: outer.ErrorCode, index: -1}
	if outer.RawResponse != nil {
		if body, err := runtime.Payload(outer.RawResponse); err == nil {
			a.read(body)
		}
	}
	return a
}

// read takes the code and the message out of a table service's error.
func (a *answer) read(body []byte) {
	var parsed struct {
		Error struct {
			Code    string `json:"code"`
			Message struct {
				Value string `json:"value"`
			} `json:"message"`
		} `json:"odata.error"`
	}
	if json.Unmarshal(body, &parsed) != nil {
		return
	}
	if a.code == "" {
		a.code = parsed.Error.Code
	}
	a.message, _, _ = strings.Cut(parsed.Error.Message.Value, "\n") // a request id and a time follow
}

// plain gives an error of the SDK without what is not for the reader: the URL may hold a signature, and an answer's
// full text has many lines. It still wraps the reason.
func plain(err error) error {
	if a := answerOf(err); a.status != 0 {
		return a
	}
	var at *url.Error
	if errors.As(err, &at) {
		return at.Err
	}
	return err
}

// transactions is a pipeline policy that reads the answer to an entity group transaction. It is 202 on the outside
// whatever happened; what happened is in the parts. The SDK takes a refusal's status from the outside, a list of parts
// that breaks off for a success, and an empty body for a reason to panic. Here each becomes an error.
type transactions struct{}

func (transactions) Do(req *policy.Request) (*http.Response, error) {
	resp, err := req.Next()
	if err != nil || resp.StatusCode/100 != 2 || !strings.HasSuffix(req.Raw().URL.Path, "/$batch") {
		return resp, err
	}
	body, err := runtime.Payload(resp)
	if err != nil {
		return nil, err
	}
	done, err := readTransaction(body)
	if err != nil {
		return nil, err
	}
	if want, ok := req.Raw().Context().Value(operations{}).(int); ok && done != want {
		return nil, fmt.Errorf("%w: it tells of %d operations, not of %d", errAnswer, done, want)
	}
	return resp, nil
}

// operations is the key under which a context says how many operations a transaction has.
type operations struct{}

var errAnswer = errors.New("the answer to a transaction cannot be read, so it is open whether it was done")

// readTransaction reads the body of an answer: how many operations were done, or the *answer that refuses them all.
func readTransaction(body []byte) (done int, err error) {
	outer, err := parts(body)
	if err != nil || len(outer) != 1 {
		return 0, fmt.Errorf("%w: %d change sets, %v", errAnswer, len(outer), err)
	}
	inner, err := parts(outer[0])
	if err != nil || len(inner) == 0 {
		return 0, fmt.Errorf("%w: %d parts, %v", errAnswer, len(inner), err)
	}
	for _, part := range inner {
		resp, err := http.ReadResponse(bufio.NewReader(bytes.NewReader(part)), nil)
		if err != nil {
			return 0, fmt.Errorf("%w: %v", errAnswer, err)
		}
		if resp.StatusCode/100 != 2 {
			return 0, refusal(resp)
		}
	}
	return len(inner), nil
}

// refusal reads the answer to the operation that failed. Its message begins with the operation's index and a colon.
func refusal(resp *http.Response) error {
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return fmt.Errorf("%w: %v", errAnswer, err)
	}
	a := &answer{status: resp.StatusCode, index: -1}
	a.read(body)
	if before, after, ok := strings.Cut(a.message, ":"); ok {
		if n, err := strconv.Atoi(before); err == nil && n >= 0 {
			a.index, a.message = n, after
		}
	}
	return a
}

// parts splits a multipart body, to its very end. The boundary is that of its first line: in the change set within,
// the header that would say so has gone with the part.
func parts(body []byte) (all [][]byte, err error) {
	line, _, _ := bytes.Cut(body, []byte("\n"))
	boundary, ok := strings.CutPrefix(strings.TrimRight(string(line), "\r"), "--")
	if !ok || boundary == "" {
		return nil, errors.New("no boundary")
	}
	for r := multipart.NewReader(bytes.NewReader(body), boundary); ; {
		part, err := r.NextRawPart()
		if err == io.EOF {
			return all, nil
		}
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(part)
		if err != nil {
			return nil, err
		}
		all = append(all, text)
	}
}
