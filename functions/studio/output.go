package studio

import (
	"bytes"
	"context"
	"errors"
	"io"
	"regexp"

	"carillon/shared/pipeline"
	"carillon/shared/schedule"
)

const maxOutput = 256 << 10 // bytes of a run's output on its page

// output is the end of what a run has written.
type output struct {
	Text   string
	Cut    bool   // there is more before it
	Notice string // why it is not whole, or not there
}

// output reads the end of a run's output; nil when there is none to be had here.
func (f *Function) output(ctx context.Context, o schedule.Occurrence) *output {
	source, ok := f.Targets[o.Pipeline.Kind].(pipeline.Outputs)
	if !ok || o.Run == "" {
		return nil
	}
	stream, err := source.Output(ctx, o.Pipeline.Kind, o.Run)
	if errors.Is(err, pipeline.ErrNotFound) {
		return &output{Notice: "The output is no longer kept."}
	}
	out := &output{}
	if err == nil {
		defer stream.Close()
		var data []byte
		data, out.Cut, err = tail(stream, maxOutput)
		out.Text = plain(data)
	}
	if err != nil {
		f.Log.WarnContext(ctx, "a run's output could not be read", "run", o.ID, "error", err)
		out.Notice = "The output could not be read to its end; Carillon's log says why."
	}
	return out
}

// tail reads a stream to its end and returns at most the last max bytes of it, from the beginning of a line where
// there is one. cut says that there was more. It holds twice as many bytes, whatever the stream has.
func tail(r io.Reader, max int) (end []byte, cut bool, err error) {
	buf := make([]byte, 0, 2*max)
	for err == nil {
		var n int
		n, err = r.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		if len(buf) == cap(buf) {
			buf, cut = buf[:copy(buf, buf[max:])], true
		}
	}
	if errors.Is(err, io.EOF) {
		err = nil
	}
	if len(buf) > max {
		buf, cut = buf[len(buf)-max:], true
	}
	if newline := bytes.IndexByte(buf, '\n'); cut && newline >= 0 {
		buf = buf[newline+1:]
	}
	return buf, cut, err
}

// control sequences colour terminals (ECMA-48, 5.4); a page shows what is left.
var control = regexp.MustCompile(`\x1b\[[0-?]*[ -/]*[@-~]`)

// plain makes text of whatever a run has written.
func plain(data []byte) string {
	return string(bytes.ToValidUTF8(control.ReplaceAll(data, nil), []byte("\uFFFD")))
}
