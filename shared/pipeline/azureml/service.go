package azureml

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

const (
	// answerWithin is how long one request may take, below what a submission has as a whole.
	answerWithin = 90 * time.Second

	maxAnswer  = 4 << 20   // bytes of one thing's description
	maxListing = 256 << 20 // bytes of a list, of which one entry is held at a time, and what its reader keeps
)

// service is one host, or some of one sort, and the tokens that they take. It sends each request once (of a GET the
// transport may send another, on a fresh connection): whoever calls a Target retries.
type service struct {
	base     string // scheme and host; "" where they differ from request to request
	pipeline runtime.Pipeline
}

func oneHost(base *url.URL, scope string, c Config) service {
	s := newService(func(u *url.URL) bool { return u.Scheme == base.Scheme && u.Host == base.Host }, scope, base.Scheme == "http", c)
	s.base = base.Scheme + "://" + base.Host
	return s
}

// newService sends requests to the addresses that allows lets through. On plain http, too, tokens are sent only there.
func newService(allows func(*url.URL) bool, scope string, plain bool, c Config) service {
	client := &http.Client{
		Transport:     fence{allows, c.Transport},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	bearer := runtime.NewBearerTokenPolicy(tokens{c.Credential}, []string{scope}, &policy.BearerTokenOptions{
		InsecureAllowCredentialWithHTTP: plain,
	})
	return service{
		pipeline: runtime.NewPipeline("carillon", "v1", runtime.PipelineOptions{
			PerRetry: []policy.Policy{bearer, policyFunc(watch)},
		}, &policy.ClientOptions{
			Transport: client,
			Retry:     policy.RetryOptions{MaxRetries: -1},
		}),
	}
}

// newTransport finds out about connections that are dead, and keeps as many as submissions go out at once.
func newTransport() http.RoundTripper {
	return &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}).DialContext,
		TLSHandshakeTimeout: 10 * time.Second,
		IdleConnTimeout:     90 * time.Second,
		MaxIdleConnsPerHost: 16,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: 10 * time.Second, PingTimeout: 5 * time.Second},
	}
}

// fence lets requests to the workspace's own addresses through.
type fence struct {
	allows func(*url.URL) bool
	next   http.RoundTripper
}

func (f fence) RoundTrip(r *http.Request) (*http.Response, error) {
	if !f.allows(r.URL) {
		return nil, fmt.Errorf("%s is not a host of the workspace, and is not called", r.URL.Host)
	}
	return f.next.RoundTrip(r)
}

// tokens marks the errors of a credential.
type tokens struct{ azcore.TokenCredential }

func (t tokens) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	token, err := t.TokenCredential.GetToken(ctx, o)
	if err != nil {
		err = fmt.Errorf("no token for the workspace could be had: %w", err)
	}
	return token, err
}

type policyFunc func(*policy.Request) (*http.Response, error)

func (f policyFunc) Do(r *policy.Request) (*http.Response, error) { return f(r) }

// trip is one request on its way. It travels in the request's context.
type trip struct {
	body []byte
	sent atomic.Bool // the service may have seen it
}

type tripKey struct{}

// watch stands behind the policy that gets tokens, so that it sees the request itself only. A request counts as
// sent from the moment it is given a connection. The transport asks for another one only if nothing was written,
// or the service said that it did not look at it.
//
// Each sending gets a reader of its own: the SDK's one is shared with a connection that may still be writing.
func watch(r *policy.Request) (*http.Response, error) {
	ctx := r.Raw().Context()
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	t := ctx.Value(tripKey{}).(*trip)
	t.sent.Store(true)
	r = r.WithContext(httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GetConn: func(string) { t.sent.Store(false) },
		GotConn: func(httptrace.GotConnInfo) { t.sent.Store(true) },
	}))
	if raw := r.Raw(); t.body != nil {
		raw.GetBody = func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(t.body)), nil }
		raw.Body, _ = raw.GetBody()
		raw.ContentLength = int64(len(t.body))
	}
	resp, err := r.Next()
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		t.sent.Store(false) // the bearer policy may answer a challenge, and fail there
	}
	return resp, err
}

// do sends one request, with in as its JSON body unless it is nil, and reads the answer into out unless that is
// nil. A failed one is a *failure.
func (s service) do(ctx context.Context, method, path string, in, out any) error {
	return s.stream(ctx, method, path, nil, in, into(out))
}

func into(out any) func(io.Reader) error {
	return func(body io.Reader) error {
		if out == nil {
			return nil
		}
		return json.NewDecoder(io.LimitReader(body, maxAnswer)).Decode(out)
	}
}

// stream is do with headers and a function that reads the answer.
func (s service) stream(ctx context.Context, method, path string, header http.Header, in any, read func(io.Reader) error) error {
	return s.exchange(ctx, method, path, header, in, func(resp *http.Response) error { return read(resp.Body) })
}

// exchange is stream for those who want to see the answer's headers, too.
func (s service) exchange(ctx context.Context, method, path string, header http.Header, in any, read func(*http.Response) error) error {
	if err := ctx.Err(); err != nil {
		return &failure{err: err}
	}
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	t := new(trip)
	r, err := runtime.NewRequest(context.WithValue(ctx, tripKey{}, t), method, s.base+path)
	if err == nil && in != nil {
		r.Raw().Header.Set("Content-Type", "application/json")
		t.body, err = json.Marshal(in)
	}
	if err != nil {
		return &failure{err: err}
	}
	maps.Copy(r.Raw().Header, header)
	r.Raw().Header.Set("Accept", "application/json")
	runtime.SkipBodyDownload(r)
	resp, err := s.pipeline.Do(r)
	if resp != nil {
		defer resp.Body.Close()
	}
	switch {
	case err != nil:
		return &failure{sent: t.sent.Load(), err: unwrapURL(err)}
	case resp.StatusCode < 200 || resp.StatusCode > 299:
		return readFailure(ctx, resp, time.Now())
	}
	if err := read(resp); err != nil {
		return &failure{sent: true, err: fmt.Errorf("the answer cannot be read: %w", err)}
	}
	return nil
}

// unwrapURL leaves the address out of an error: it is long, and the same for every request.
func unwrapURL(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}
