package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/user"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"carillon/shared/problem"
)

const (
	actorHeader = "X-Carillon-Actor" // says who is asking, for the audit
	keyHeader   = "x-functions-key"  // where Azure Functions look for a key, and so a plain machine does

	maxPage     = 200      // items that the API gives at once
	maxAnswer   = 64 << 20 // bytes of one JSON answer
	dialWithin  = 10 * time.Second
	answerStart = time.Minute // from a request to the head of its answer
)

// client asks one Carillon. It retries nothing.
type client struct {
	base  string // without a slash at its end
	key   string
	actor string
	http  *http.Client
}

// connect makes the client that a command's --endpoint and --key, or their environment, ask for.
func connect(cmd *cobra.Command) (*client, error) {
	endpoint, err := setting(cmd, "endpoint", "CARILLON_ENDPOINT", DefaultEndpoint)
	if err != nil {
		return nil, err
	}
	key, err := setting(cmd, "key", "CARILLON_KEY", "")
	if err != nil {
		return nil, err
	}
	u, err := url.Parse(endpoint)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" {
		return nil, wrongUsage("the endpoint (--endpoint, CARILLON_ENDPOINT) has to be an address such as %s, without a user, query or fragment", DefaultEndpoint)
	}
	if strings.ContainsFunc(key, func(c rune) bool { return c <= ' ' || c > '~' }) {
		return nil, wrongUsage("the key (--key, CARILLON_KEY) has characters that no key has, such as a space or a line's end")
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.DialContext = (&net.Dialer{Timeout: dialWithin}).DialContext
	transport.ResponseHeaderTimeout = answerStart
	return &client{base: strings.TrimRight(u.String(), "/"), key: key, actor: actor(), http: &http.Client{
		Transport: transport,
		// A redirect would carry the key to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}, nil
}

func setting(cmd *cobra.Command, flag, variable, absent string) (string, error) {
	value, err := cmd.Flags().GetString(flag)
	if err != nil {
		return "", err
	}
	if value == "" {
		value = os.Getenv(variable)
	}
	if value == "" {
		value = absent
	}
	return value, nil
}

// actor is user@host, in the characters that a header may have.
func actor() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	host, err := os.Hostname()
	if err != nil {
		host = "unknown"
	}
	return strings.Map(func(c rune) rune {
		if c <= ' ' || c > '~' {
			return '?'
		}
		return c
	}, name+"@"+host)
}

// call is a request.
type call struct {
	method string
	path   string // below the endpoint, escaped
	query  url.Values
	header map[string]string
	body   []byte // JSON
	media  string // of the body; "" is application/json
}

// harmless reports whether it leaves everything as it is, whatever becomes of the answer.
func (asked call) harmless() bool { return asked.method == http.MethodGet || asked.path == previewPath }

// do asks and returns the answer if it is a success; the caller closes its body. Any failure is a *problem.Problem, or
// the context's error.
func (c *client) do(ctx context.Context, asked call) (*http.Response, error) {
	address := c.base + asked.path
	if len(asked.query) > 0 {
		address += "?" + asked.query.Encode()
	}
	r, err := http.NewRequestWithContext(ctx, asked.method, address, bytes.NewReader(asked.body))
	if err != nil {
		return nil, err
	}
	r.Header.Set(actorHeader, c.actor)
	if c.key != "" {
		r.Header.Set(keyHeader, c.key)
	}
	if len(asked.body) > 0 {
		r.Header.Set("Content-Type", "application/json")
	}
	if asked.media != "" {
		r.Header.Set("Content-Type", asked.media)
	}
	for name, value := range asked.header {
		r.Header.Set(name, value)
	}
	answer, err := c.http.Do(r)
	if err != nil {
		return nil, c.unanswered(ctx, asked, err)
	}
	if answer.StatusCode/100 == 2 {
		return answer, nil
	}
	defer answer.Body.Close()
	return nil, c.refused(answer)
}

// unanswered says why there is no answer, and what that leaves open.
func (c *client) unanswered(ctx context.Context, asked call, err error) error {
	if ctx.Err() != nil && asked.harmless() {
		return ctx.Err()
	}
	reason := err
	var outer *url.Error
	if errors.As(err, &outer) {
		reason = outer.Err
	}
	p := &problem.Problem{Code: problem.Unavailable, Title: fmt.Sprintf("no answer from %s: %v", c.base, reason)}
	var dial *net.OpError
	switch {
	case errors.As(err, &dial) && dial.Op == "dial":
		p.Title = fmt.Sprintf("nothing answers at %s: %v", c.base, reason)
		p.Detail = "start it with: carillon serve (or give --endpoint)"
	case !asked.harmless():
		p.Detail = "it may have been done all the same: look before you do it again"
	}
	return p
}

// refused reads what the server says. Something else than a Carillon may have answered.
func (c *client) refused(answer *http.Response) error {
	p := problem.Read(answer.StatusCode, answer.Body)
	if p.Code == problem.Internal && p.Detail == "" && !strings.HasPrefix(answer.Header.Get("Content-Type"), problem.ContentType) {
		p.Detail = "is it Carillon that answers at " + c.base + "? Another one: --endpoint"
		if to := answer.Header.Get("Location"); to != "" && answer.StatusCode/100 == 3 {
			p.Detail = "it points to " + to + "; redirects are not followed, give that --endpoint"
		}
	}
	return p
}

// read asks and returns the JSON that answers, as it was sent.
func (c *client) read(ctx context.Context, asked call) (json.RawMessage, http.Header, error) {
	answer, err := c.do(ctx, asked)
	if err != nil {
		return nil, nil, err
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer+1))
	if err != nil {
		return nil, nil, c.unanswered(ctx, asked, err)
	}
	if len(data) > maxAnswer || !json.Valid(data) {
		return nil, nil, c.strange()
	}
	return bytes.TrimSpace(data), answer.Header, nil
}

func (c *client) strange() error {
	return &problem.Problem{Code: problem.Unavailable, Title: c.base + " does not answer as a Carillon does", Detail: "give another --endpoint"}
}

// page is a part of a list.
type page struct {
	Items   []json.RawMessage
	Next    string
	Notices []string
}

// pages visits a list page by page, up to limit items (0 for all). more says that the list goes on.
func (c *client) pages(ctx context.Context, path string, query url.Values, limit int, visit func(page) error) (more bool, err error) {
	left := limit
	for {
		size := maxPage
		if limit > 0 {
			size = min(left, maxPage)
		}
		query.Set("limit", strconv.Itoa(size))
		p, err := c.page(ctx, path, query)
		if err != nil {
			return false, err
		}
		if limit > 0 && len(p.Items) > left {
			p.Items, more = p.Items[:left], true
		}
		if err := visit(p); err != nil {
			return false, err
		}
		left -= len(p.Items)
		switch {
		case p.Next == "" || limit > 0 && left == 0:
			return more || p.Next != "", nil
		case p.Next == query.Get("token"):
			return false, c.strange()
		}
		query.Set("token", p.Next)
	}
}

func (c *client) page(ctx context.Context, path string, query url.Values) (p page, err error) {
	data, _, err := c.read(ctx, call{method: http.MethodGet, path: path, query: query})
	if err != nil {
		return page{}, err
	}
	if json.Unmarshal(data, &p) != nil || p.Items == nil {
		return page{}, c.strange()
	}
	return p, nil
}

// Download copies what answers at a path of the API, such as /api/backup, to w. It takes --endpoint and --key from a
// command below Root.
func Download(cmd *cobra.Command, path string, w io.Writer) error {
	c, err := connect(cmd)
	if err != nil {
		return err
	}
	asked := call{method: http.MethodGet, path: path}
	answer, err := c.do(cmd.Context(), asked)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	from := &reader{from: answer.Body}
	if _, err = io.Copy(w, from); err != nil && from.err != nil {
		return c.unanswered(cmd.Context(), asked, from.err)
	}
	return err
}

// reader keeps the error that reading met, to tell it from one of writing.
type reader struct {
	from io.Reader
	err  error
}

func (r *reader) Read(p []byte) (int, error) {
	n, err := r.from.Read(p)
	if err != nil && err != io.EOF {
		r.err = err
	}
	return n, err
}
