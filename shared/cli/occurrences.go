package cli

import (
	"bufio"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"strings"
	"time"

	"carillon/shared/recur"
)

// Occurrences answers questions about definitions of times, for checking them against other engines. It reads JSON
// lines and writes one JSON line for each, in their order, as soon as no further line is at hand; it has no
// clock, no network, and no memory of earlier lines. Empty lines are passed over.
//
//	{"id","op":"occurrences","kind":"recurrence"|"cron"|"at","spec":{…},"from":instant,"to":instant,"n":count}
//	-> {"id","instants":[RFC 3339 in UTC, …]}
//	{"id","op":"zone","windows":Windows id,"at":[instant, …]}
//	-> {"id","iana","offset_minutes":[number, …]}
//
// The instants are from <= t < to, or the first n from there, whichever are fewer; from may be absent, and one of to
// and n. spec has the fields of recur.Spec but its type, and created, the instant of creation, which a recurrence
// without start_time needs; fields that are null are absent. A line that cannot be answered gives {"id","error"}, with
// the id null when it is not known, and the stream goes on. The error returned is one of reading or writing.
func Occurrences(r io.Reader, w io.Writer) error {
	in := bufio.NewReaderSize(r, 64<<10)
	out := bufio.NewWriterSize(w, 64<<10)
	var line []byte
	for {
		var err error
		line, err = readLine(in, line[:0])
		if err != nil && err != io.EOF {
			return errors.Join(err, out.Flush())
		}
		answer(out, line)
		if err == io.EOF {
			return out.Flush()
		}
		if in.Buffered() == 0 {
			if err := out.Flush(); err != nil {
				return err
			}
		}
	}
}

// maxLine is the longest line, in bytes, that is looked at.
const maxLine = 1 << 20

// readLine appends the next line to buf: with its end, and of one that is too long no more than shows that it is.
func readLine(in *bufio.Reader, buf []byte) ([]byte, error) {
	for {
		part, err := in.ReadSlice('\n')
		if len(buf) <= maxLine {
			buf = append(buf, part...)
		}
		if err != bufio.ErrBufferFull {
			return buf, err
		}
	}
}

// question is a line of the input.
type question struct {
	ID      json.RawMessage            `json:"id"`
	Op      string                     `json:"op"`
	Kind    string                     `json:"kind"`
	Spec    map[string]json.RawMessage `json:"spec"`
	From    string                     `json:"from"`
	To      string                     `json:"to"`
	N       *int                       `json:"n"`
	Windows string                     `json:"windows"`
	At      []string                   `json:"at"`
}

func answer(out *bufio.Writer, line []byte) {
	if len(strings.TrimSpace(string(line))) == 0 {
		return
	}
	var q question
	err := q.read(line)
	if err == nil {
		switch q.Op {
		case "occurrences":
			err = q.occurrences(out)
		case "zone":
			err = q.zone(out)
		default:
			err = fmt.Errorf(`op: %q is none: give "occurrences" or "zone"`, q.Op)
		}
	}
	if err != nil {
		text, _ := json.Marshal(err.Error())
		q.begin(out, "error")
		out.Write(text)
		out.WriteString("}\n")
	}
}

func (q *question) read(line []byte) error {
	if len(line) > maxLine {
		return fmt.Errorf("the line is longer than %d bytes", maxLine)
	}
	err := json.Unmarshal(line, q)
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) && wrong.Field != "" {
		return fmt.Errorf("%s: cannot be a %s", wrong.Field, wrong.Value)
	}
	if err != nil {
		return fmt.Errorf("the line is no JSON object: %w", err)
	}
	return nil
}

// begin writes {"id":…,"field": .
func (q *question) begin(out *bufio.Writer, field string) {
	id := q.ID
	if len(id) == 0 {
		id = json.RawMessage("null")
	}
	out.WriteString(`{"id":`)
	out.Write(id)
	out.WriteString(`,"` + field + `":`)
}

// occurrences writes nothing unless all is well with the question.
func (q *question) occurrences(out *bufio.Writer) error {
	rule, err := q.rule()
	if err != nil {
		return err
	}
	from, err := instant("from", q.From)
	if err != nil {
		return err
	}
	to, err := instant("to", q.To)
	if err != nil {
		return err
	}
	if q.To == "" && q.N == nil {
		return errors.New("to: give to or n")
	}
	if q.N != nil && *q.N < 0 {
		return errors.New("n: cannot be negative")
	}
	q.begin(out, "instants")
	q.write(out, rule, from, to)
	return nil
}

func (q *question) write(out *bufio.Writer, rule *recur.Rule, from, to time.Time) {
	out.WriteByte('[')
	n := 0
	for t := range rule.All(from) {
		if q.N != nil && n == *q.N || q.To != "" && !t.Before(to) {
			break
		}
		if n++; n > 1 {
			out.WriteByte(',')
		}
		text := append(out.AvailableBuffer(), '"')
		text = t.UTC().AppendFormat(text, time.RFC3339)
		if _, err := out.Write(append(text, '"')); err != nil {
			return // the writer keeps it for Flush
		}
	}
	out.WriteString("]}\n")
}

// rule compiles the question's definition.
func (q *question) rule() (*recur.Rule, error) {
	var created string
	if raw, ok := q.Spec["created"]; ok && json.Unmarshal(raw, &created) != nil {
		return nil, errors.New("spec.created: has to be an instant in RFC 3339")
	}
	at, err := instant("spec.created", created)
	if err != nil {
		return nil, err
	}
	spec, errs := q.definition()
	if errs != nil {
		return nil, problems(errs)
	}
	if spec.Kind == recur.KindRecurrence && spec.StartTime == "" && created == "" {
		return nil, errors.New("spec.created: required without start_time")
	}
	rule, errs := spec.Compile(at)
	if errs != nil {
		return nil, problems(errs)
	}
	return rule, nil
}

func (q *question) definition() (recur.Spec, recur.FieldErrors) {
	if q.Spec == nil {
		return recur.Spec{}, recur.FieldErrors{{Field: "spec", Message: "required: an object"}}
	}
	fields := make(map[string]json.RawMessage, len(q.Spec)+1)
	for name, value := range q.Spec {
		if name != "created" && string(value) != "null" {
			fields[name] = value
		}
	}
	fields["type"], _ = json.Marshal(q.Kind)
	data, err := json.Marshal(fields)
	if err != nil {
		return recur.Spec{}, recur.FieldErrors{{Field: "spec", Message: err.Error()}}
	}
	return recur.Decode(data)
}

// problems puts all that is wrong into one line.
func problems(errs recur.FieldErrors) error {
	texts := make([]string, len(errs))
	for i, e := range errs {
		if e.Field == "type" {
			e.Field = "kind"
		}
		texts[i] = e.Field + ": " + e.Message
	}
	return errors.New(strings.Join(texts, "; "))
}

// instant reads an RFC 3339 time; an empty one is before everything.
func instant(field, text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return t, fmt.Errorf("%s: %q is no instant in RFC 3339, as 2026-01-31T10:30:00Z", field, text)
	}
	return t, nil
}

func (q *question) zone(out *bufio.Writer) error {
	iana, ok := recur.WindowsZone(q.Windows)
	if !ok {
		return fmt.Errorf("windows: %q is no Windows time zone id", q.Windows)
	}
	loc, err := recur.LoadZone(iana)
	if err != nil {
		return err
	}
	offsets := make([]string, len(q.At))
	for i, text := range q.At {
		t, err := instant(fmt.Sprintf("at[%d]", i), text)
		if err != nil || text == "" {
			return cmp.Or(err, fmt.Errorf("at[%d]: is empty", i))
		}
		_, seconds := t.In(loc).Zone()
		offsets[i] = strconv.FormatFloat(float64(seconds)/60, 'f', -1, 64)
	}
	q.begin(out, "iana")
	out.WriteString(strconv.Quote(iana) + `,"offset_minutes":[` + strings.Join(offsets, ",") + "]}\n")
	return nil
}
