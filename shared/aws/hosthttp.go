package aws

import (
	"bytes"
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"path"
	"strings"
	"unicode/utf8"

	"github.com/aws/aws-lambda-go/events"

	"carillon/shared/host"
	"carillon/shared/problem"
)

// Lambda carries an answer of 6 MiB of JSON, and the runtime stops when it is more. A byte of text takes six bytes at
// most, base64 makes four of three; the rest is for the header.
const (
	maxText   = 512 << 10 // bytes that an answer may have to travel as text
	maxAnswer = 4 << 20   // bytes that an answer may have
)

var errTooLarge = problem.Newf(problem.Internal, "the answer has more than the %d bytes that Lambda carries; ask for less at once", maxAnswer)

// visit answers a request of people and programs. lambdaurl of aws-lambda-go is not for it: it needs a URL that
// streams, drops cookies, and ends the process when a function panics.
func (c *call) visit(ctx context.Context, payload []byte) (any, error) {
	var u events.LambdaFunctionURLRequest
	if err := json.Unmarshal(payload, &u); err != nil {
		return nil, fmt.Errorf("this is no request to a Function URL: %w", err)
	}
	answer := new(answer)
	if err := c.serve(ctx, answer, &u); err != nil {
		answer = c.failure(ctx, &u, err)
	}
	return answer.response(u.RequestContext.HTTP.Method), nil
}

func (c *call) serve(ctx context.Context, w *answer, u *events.LambdaFunctionURLRequest) error {
	who, err := caller(u)
	if err != nil {
		return err
	}
	r, err := request(ctx, u)
	if err != nil {
		return err
	}
	function := c.function(r.URL.Path)
	if function == nil {
		return problem.Newf(problem.NotFound, "there is nothing at %s; the API is below /api, the page is /api/studio", r.URL.Path)
	}
	if says := strings.TrimSpace(r.Header.Get(actorHeader)); says != "" {
		who += " (" + says + ")"
	}
	r.Header.Set(actorHeader, who)
	return c.guard(ctx, func(ctx context.Context) error {
		function.ServeHTTP(w, r.WithContext(ctx))
		return w.err
	})
}

// function is what answers at a decoded path; nil outside /api/, and for a path that leads elsewhere than it says.
func (c *call) function(p string) http.Handler {
	switch {
	case path.Clean(p) != strings.TrimSuffix(p, "/"):
		return nil
	case p == "/api/studio" || strings.HasPrefix(p, "/api/studio/"):
		return c.Functions.Studio
	case p == host.WebhookPath:
		return c.Functions.Webhook
	case strings.HasPrefix(p, "/api/"):
		return c.Functions.API
	}
	return nil
}

// failure is the answer for a request that no function has answered.
func (c *call) failure(ctx context.Context, u *events.LambdaFunctionURLRequest, err error) *answer {
	answer := new(answer)
	if errors.Is(err, errLate) || errors.Is(err, ctx.Err()) {
		err = problem.Newf(problem.Unavailable, "this took longer than the function may; try again, or ask for less at once")
	}
	if p := problem.Write(answer, err); p.Status >= http.StatusInternalServerError {
		c.Log.ErrorContext(ctx, "a request failed", "method", u.RequestContext.HTTP.Method, "path", u.RawPath, "error", err)
	}
	return answer
}

// actorHeader tells the API who is asking.
const actorHeader = "X-Carillon-Actor"

// caller is whom IAM has let in. What clients say of themselves stands behind that.
func caller(u *events.LambdaFunctionURLRequest) (string, error) {
	authorizer := u.RequestContext.Authorizer
	if authorizer == nil || authorizer.IAM == nil {
		return "", problem.Newf(problem.Forbidden, "this Function URL lets everybody in, so Carillon does not answer: give it the AuthType AWS_IAM, and sign requests (SigV4)")
	}
	return cmp.Or(authorizer.IAM.UserARN, authorizer.IAM.CallerID, "a caller whom IAM knows"), nil
}

// request is what was sent to the URL, without the signature by which IAM knew the caller.
func request(ctx context.Context, u *events.LambdaFunctionURLRequest) (*http.Request, error) {
	body := []byte(u.Body)
	if u.IsBase64Encoded {
		var err error
		if body, err = base64.StdEncoding.DecodeString(u.Body); err != nil {
			return nil, problem.Newf(problem.BadRequest, "the body did not arrive whole: %v", err)
		}
	}
	r, err := http.NewRequestWithContext(ctx, u.RequestContext.HTTP.Method, "/", bytes.NewReader(body))
	if err != nil {
		return nil, problem.Newf(problem.BadRequest, "the request cannot be read: %v", err)
	}
	if r.URL, err = target(u); err != nil {
		return nil, err
	}
	for name, value := range u.Headers { // several values of one name come with commas between them
		r.Header.Set(name, value)
	}
	if len(u.Cookies) > 0 {
		r.Header.Set("Cookie", strings.Join(u.Cookies, "; "))
	}
	r.Host = cmp.Or(r.Header.Get("Host"), u.RequestContext.DomainName)
	r.RemoteAddr = u.RequestContext.HTTP.SourceIP
	r.RequestURI = r.URL.RequestURI()
	for _, name := range []string{"Host", "Authorization", "X-Amz-Security-Token"} {
		r.Header.Del(name)
	}
	return r, nil
}

// target is the path and the query as they were sent.
func target(u *events.LambdaFunctionURLRequest) (*url.URL, error) {
	decoded, err := url.PathUnescape(u.RawPath)
	if err != nil {
		return nil, problem.Newf(problem.BadRequest, "the path cannot be read: %v", err)
	}
	return &url.URL{Path: decoded, RawPath: u.RawPath, RawQuery: u.RawQueryString}, nil
}

// answer is an http.ResponseWriter that keeps what it is given.
type answer struct {
	header http.Header
	status int         // 0 until the answer has begun
	sent   http.Header // header as it was then
	body   bytes.Buffer
	err    error // the function has written too much
}

func (a *answer) Header() http.Header {
	if a.header == nil {
		a.header = http.Header{}
	}
	return a.header
}

func (a *answer) WriteHeader(status int) {
	if a.status == 0 && status >= http.StatusOK { // those below are announcements
		a.status, a.sent = status, a.Header().Clone()
	}
}

func (a *answer) Write(p []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	if a.body.Len()+len(p) > maxAnswer {
		a.err = errTooLarge
		return 0, a.err
	}
	return a.body.Write(p)
}

// oneLine keeps a header's value from becoming more than one, as net/http does.
var oneLine = strings.NewReplacer("\r", " ", "\n", " ")

// response is the answer as a Function URL takes it.
func (a *answer) response(method string) events.LambdaFunctionURLResponse {
	a.WriteHeader(http.StatusOK)
	body := a.body.Bytes()
	if len(body) > 0 && a.sent.Get("Content-Type") == "" { // Lambda would call it JSON
		a.sent.Set("Content-Type", http.DetectContentType(body))
	}
	if method == http.MethodHead || a.status == http.StatusNoContent || a.status == http.StatusNotModified {
		body = nil
	}
	out := events.LambdaFunctionURLResponse{StatusCode: a.status, Headers: map[string]string{}, Cookies: a.sent["Set-Cookie"]}
	for name, values := range a.sent {
		if name != "Set-Cookie" {
			out.Headers[name] = oneLine.Replace(strings.Join(values, ", "))
		}
	}
	if len(body) <= maxText && utf8.Valid(body) {
		out.Body = string(body)
	} else {
		out.Body, out.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	return out
}
