package azure

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"strings"
)

// call is what every record that is logged for a call bears.
type call struct{ function, invocation string }

type callKey struct{}

func withCall(ctx context.Context, function string, r *http.Request) context.Context {
	return context.WithValue(ctx, callKey{}, call{function, invocation(r)})
}

// invocation is the id that the host gave to a call. A host that forwards keeps a client's own ids before its own.
func invocation(r *http.Request) string {
	ids := strings.Join(r.Header.Values("X-Azure-Functions-InvocationId"), ",")
	id := strings.TrimSpace(ids[strings.LastIndexByte(ids, ',')+1:])
	if len(id) > 64 {
		return ""
	}
	return id
}

// NewLog returns a logger that a Functions host understands: one record, one line of JSON. It files what comes from
// out as information and what comes from errs by the words in it, so debug and info go to out, warn and error to errs.
// The host adds nothing to a line; what is logged under the context of a call bears its function and invocation.
func NewLog(out, errs io.Writer, level slog.Leveler) *slog.Logger {
	options := &slog.HandlerOptions{Level: level}
	return slog.New(lines{slog.NewJSONHandler(out, options), slog.NewJSONHandler(errs, options)})
}

type lines struct{ out, errs slog.Handler }

func (l lines) Enabled(ctx context.Context, level slog.Level) bool { return l.out.Enabled(ctx, level) }

func (l lines) Handle(ctx context.Context, r slog.Record) error {
	if c, ok := ctx.Value(callKey{}).(call); ok {
		r = r.Clone()
		r.AddAttrs(slog.String("function", c.function), slog.String("invocation", c.invocation))
	}
	if r.Level < slog.LevelWarn {
		return l.out.Handle(ctx, r)
	}
	return l.errs.Handle(ctx, r)
}

func (l lines) WithAttrs(attrs []slog.Attr) slog.Handler {
	return lines{l.out.WithAttrs(attrs), l.errs.WithAttrs(attrs)}
}

func (l lines) WithGroup(name string) slog.Handler {
	return lines{l.out.WithGroup(name), l.errs.WithGroup(name)}
}
