package hostdouble

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
)

const version = "4.1045.200.25556" // of the host that was recorded

// Layouts of .NET's times: up to seven digits behind the second.
const (
	withOffset = "2006-01-02T15:04:05.9999999-07:00"
	withZ      = "2006-01-02T15:04:05.9999999Z"
)

// event is one call of an event function.
type event struct {
	function function
	id       string
	try      int
	body     []byte         // of a message
	data     any            // as the host encodes it
	metadata map[string]any // likewise; sys is added
}

// encoded is how the host puts a value that is neither bytes nor an object into Data and Metadata: a JSON string that
// holds its JSON.
func encoded(value any) string {
	text, _ := json.Marshal(value)
	return string(text)
}

// call makes an event call and records it. The error says why the host takes it as a failure.
func (h *Host) call(l *life, e event) error {
	i := Invocation{Function: e.function.name, ID: e.id, Try: e.try, Body: e.body, Began: time.Now()}
	i.Status, i.Err = h.post(l, e)
	h.record(i)
	return i.Err
}

func (h *Host) post(l *life, e event) (status int, err error) {
	p, err := h.await(l.ctx, isReady)
	if err != nil {
		return 0, err
	}
	defer h.limit(p, e.function.name)()
	answer, err := p.client.Do(h.request(l.ctx, e))
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		return answer.StatusCode, err
	}
	err = judge(answer, body)
	var rejected rejection
	if errors.As(err, &rejected) {
		h.complain("%s answered %d %q: %v", e.function.name, answer.StatusCode, shortened(body), err)
	}
	if errors.Is(err, errNever) {
		select {
		case <-p.exited:
		case <-l.ctx.Done():
		}
	}
	return answer.StatusCode, err
}

func (h *Host) request(ctx context.Context, e event) *http.Request {
	metadata := map[string]any{"sys": map[string]any{
		"MethodName": e.function.name, "UtcNow": time.Now().UTC().Format(withZ), "RandGuid": guid(),
	}}
	for name, value := range e.metadata {
		if !strings.HasSuffix(strings.ToLower(name), "trigger") {
			metadata[name] = value
		}
	}
	body, _ := json.Marshal(map[string]any{"Data": map[string]any{e.function.binding: e.data}, "Metadata": metadata})
	r, _ := http.NewRequestWithContext(ctx, http.MethodPost, h.at("/"+e.function.name), bytes.NewReader(body))
	r.Header.Set("Content-Type", "application/json; charset=utf-8")
	r.Header.Set("User-Agent", "Azure-Functions-Host/"+version)
	r.Header.Set("X-Azure-Functions-HostVersion", version)
	r.Header.Set("X-Azure-Functions-InvocationId", e.id)
	return r
}

// rejection is an answer that says success and is none to the host.
type rejection string

func (r rejection) Error() string { return string(r) }

const errNever = rejection("the call never completes: a success has to have an object for its body")

// judge is what the host makes of the answer to an event call; nil is success.
func judge(answer *http.Response, body []byte) error {
	if answer.StatusCode < 200 || answer.StatusCode > 299 {
		return fmt.Errorf("the function failed: %d %s", answer.StatusCode, shortened(body))
	}
	if len(body) == 0 {
		return errNever
	}
	media, _, _ := mime.ParseMediaType(answer.Header.Get("Content-Type"))
	if media != "application/json" && media != "text/json" {
		return rejection(fmt.Sprintf("the host cannot read %q: a success has to be application/json", media))
	}
	if strings.TrimSpace(string(body)) == "null" {
		return errNever
	}
	var result struct {
		Outputs     map[string]any
		Logs        []string
		ReturnValue any
	}
	if err := json.Unmarshal(body, &result); err != nil {
		return rejection("the host cannot read the result: " + err.Error())
	}
	return nil
}

func shortened(body []byte) string {
	const most = 300
	if len(body) > most {
		return string(body[:most]) + "…"
	}
	return string(body)
}
