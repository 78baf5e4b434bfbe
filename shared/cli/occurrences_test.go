package cli

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
)

func TestOccurrences(t *testing.T) {
	for _, c := range []struct{ name, in, want string }{
		{"a range, its end left out",
			`{"id":1,"op":"occurrences","kind":"recurrence","spec":{"frequency":"Week","interval":2,"start_time":"2026-01-05T10:30:00","end_time":null,"time_zone":"Europe/Vienna","schedule":{"hours":[10],"minutes":[30],"week_days":["Monday","Friday"],"month_days":null}},"from":"2026-01-05T09:30:00Z","to":"2026-01-19T09:30:00Z"}`,
			`{"id":1,"instants":["2026-01-05T09:30:00Z","2026-01-09T09:30:00Z"]}`},
		{"the first n",
			`{"id":"b","op":"occurrences","kind":"recurrence","spec":{"frequency":"month","interval":1,"start_time":"2026-01-31T06:00","created":null,"schedule":{"monthly_occurrences":[{"day":"Friday","occurrence":-1}]}},"n":2}`,
			`{"id":"b","instants":["2026-02-27T06:00:00Z","2026-03-27T06:00:00Z"]}`},
		{"the first n from there, up to",
			`{"id":2,"op":"occurrences","kind":"recurrence","spec":{"frequency":"hour","interval":1,"start_time":"2026-01-01T00:00"},"from":"2026-01-02T00:30:00+00:00","to":"2026-01-02T02:30:00Z","n":9}`,
			`{"id":2,"instants":["2026-01-02T01:00:00Z","2026-01-02T02:00:00Z"]}`},
		{"created",
			`{"id":3,"op":"occurrences","kind":"recurrence","spec":{"frequency":"day","interval":1,"start_time":null,"created":"2026-01-01T10:15:42.123Z","max_runs":null},"n":1}`,
			`{"id":3,"instants":["2026-01-02T10:15:00Z"]}`},
		{"cron in a gap",
			`{"id":4,"op":"occurrences","kind":"cron","spec":{"expression":"30 2 * * *","time_zone":"W. Europe Standard Time","created":"2026-03-28T12:00:00Z"},"n":2}`,
			`{"id":4,"instants":["2026-03-29T01:30:00Z","2026-03-30T00:30:00Z"]}`},
		{"cron without created", `{"id":5,"op":"occurrences","kind":"cron","spec":{"expression":"0 0 1 1 *"},"from":"2026-01-01T00:00:00Z","n":1}`,
			`{"id":5,"instants":["2026-01-01T00:00:00Z"]}`},
		{"none", `{"id":6,"op":"occurrences","kind":"cron","spec":{"expression":"0 0 1 1 *"},"from":"2026-01-02T00:00:00Z","to":"2026-01-02T00:00:00Z"}`,
			`{"id":6,"instants":[]}`},
		{"none of n", `{"id":6,"op":"occurrences","kind":"cron","spec":{"expression":"0 0 1 1 *"},"n":0}`, `{"id":6,"instants":[]}`},
		{"all that is wrong", `{"id":[7],"op":"occurrences","kind":"recurrence","spec":{"frequency":"day","interval":0,"schedule":{"hours":[24]},"colour":1},"n":1}`,
			`{"id":[7],"error":"interval: 0 is too small: the smallest is 1; schedule.hours[0]: 24 is outside 0 to 23; colour: unknown field; allowed: type, frequency, interval, start_time, end_time, time_zone, time_of_day, schedule, hours, minutes, week_days"}`},
		{"no anchor", `{"id":8,"op":"occurrences","kind":"recurrence","spec":{"frequency":"day","interval":1},"n":1}`,
			`{"id":8,"error":"spec.created: required without start_time"}`},
		{"neither to nor n", `{"id":8,"op":"occurrences","kind":"cron","spec":{"expression":"* * * * *"}}`, `{"id":8,"error":"to: give to or n"}`},
		{"a bad instant", `{"id":8,"op":"occurrences","kind":"cron","spec":{"expression":"* * * * *"},"from":"2026-01-01","n":1}`,
			`{"id":8,"error":"from: \"2026-01-01\" is no instant in RFC 3339, as 2026-01-31T10:30:00Z"}`},
		{"no kind", `{"id":9,"op":"occurrences","spec":{"expression":"* * * * *"},"n":1}`,
			`{"id":9,"error":"kind: give \"recurrence\", \"cron\" or \"at\""}`},
		{"no spec", `{"id":9,"op":"occurrences","kind":"cron","n":1}`, `{"id":9,"error":"spec: required: an object"}`},
		{"a field of another type", `{"op":"occurrences","n":"many","id":9}`, `{"id":9,"error":"n: cannot be a string"}`},
		{"no op", `{"id":10}`, `{"id":10,"error":"op: \"\" is none: give \"occurrences\" or \"zone\""}`},
		{"no object", `[1]`, `{"id":null,"error":"the line is no JSON object: json: cannot unmarshal array into Go value of type cli.question"}`},
		{"no JSON", `{"id":11,`, `{"id":null,"error":"the line is no JSON object: unexpected end of JSON input"}`},
		{"a zone", `{"id":12,"op":"zone","windows":"Nepal Standard Time","at":["1985-12-31T18:29:59Z","2026-01-01T00:00:00Z"]}`,
			`{"id":12,"iana":"Asia/Katmandu","offset_minutes":[330,345]}`},
		{"a zone with parts of minutes", `{"id":12,"op":"zone","windows":"Nepal Standard Time","at":["1900-01-01T00:00:00Z"]}`,
			`{"id":12,"iana":"Asia/Katmandu","offset_minutes":[341.26666666666665]}`},
		{"a zone without instants", `{"id":12,"op":"zone","windows":"UTC"}`, `{"id":12,"iana":"Etc/UTC","offset_minutes":[]}`},
		{"an unknown zone", `{"id":13,"op":"zone","windows":"Europe/Vienna","at":[]}`, `{"id":13,"error":"windows: \"Europe/Vienna\" is no Windows time zone id"}`},
		{"empty lines", "\n  \r\n", ``},
	} {
		t.Run(c.name, func(t *testing.T) {
			var out bytes.Buffer
			if err := Occurrences(strings.NewReader(c.in+"\n"), &out); err != nil {
				t.Fatal(err)
			}
			if got := strings.TrimSuffix(out.String(), "\n"); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

const goodLine = `{"id":1,"op":"occurrences","kind":"cron","spec":{"expression":"0 0 1 1 *","time_zone":"Europe/Vienna"},"from":"2026-01-02T00:00:00Z","n":1}`
const goodAnswer = `{"id":1,"instants":["2026-12-31T23:00:00Z"]}`

// TestOccurrencesGoesOn: after bad and far too long lines the stream goes on; the last line needs no end.
func TestOccurrencesGoesOn(t *testing.T) {
	in := goodLine + "\nnonsense\n" + strings.Repeat("x", 3*maxLine) + "\n" + goodLine
	var out bytes.Buffer
	if err := Occurrences(strings.NewReader(in), &out); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(out.String(), "\n"), "\n")
	if len(lines) != 4 || lines[0] != goodAnswer || !strings.Contains(lines[2], "longer than") || lines[3] != goodAnswer {
		t.Errorf("%q", lines)
	}
}

// TestOccurrencesAnswersAtOnce: who waits for an answer before the next question is not kept waiting.
func TestOccurrencesAnswersAtOnce(t *testing.T) {
	questions, ask := io.Pipe()
	read, answers := io.Pipe()
	done := make(chan error, 1)
	go func() { done <- Occurrences(questions, answers) }()
	in := bufio.NewScanner(read)
	for range 3 {
		fmt.Fprintln(ask, goodLine)
		if !in.Scan() || in.Text() != goodAnswer {
			t.Fatalf("%q, %v", in.Text(), in.Err())
		}
	}
	ask.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

func TestOccurrencesWriteError(t *testing.T) {
	endless := strings.Replace(goodLine, `"n":1`, `"n":2000000000`, 1)
	endless = strings.Replace(endless, "0 0 1 1 *", "* * * * *", 1)
	if err := Occurrences(strings.NewReader(endless), refusing{}); !errors.Is(err, io.ErrClosedPipe) {
		t.Error(err)
	}
}

type refusing struct{}

func (refusing) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// loop is a stream of n times the same lines.
type loop struct {
	lines string
	n     int
	rest  string
}

func (r *loop) Read(p []byte) (int, error) {
	if r.rest == "" {
		if r.n == 0 {
			return 0, io.EOF
		}
		r.n--
		r.rest = r.lines
	}
	n := copy(p, r.rest)
	r.rest = r.rest[n:]
	return n, nil
}

// TestOccurrencesMemory: what a long stream leaves behind is no more than what a short one does.
func TestOccurrencesMemory(t *testing.T) {
	live := func(n int) uint64 {
		lines := goodLine + "\nnonsense\n" + `{"id":2,"op":"zone","windows":"Samoa Standard Time","at":["2026-01-01T00:00:00Z"]}` + "\n"
		if err := Occurrences(&loop{lines: lines, n: n}, io.Discard); err != nil {
			t.Fatal(err)
		}
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live(100)
	if after := live(10_000); after > before+1<<20 {
		t.Errorf("%d bytes live, after the first lines %d", after, before)
	}
}

func BenchmarkOccurrences(b *testing.B) {
	b.ReportAllocs()
	b.ResetTimer()
	if err := Occurrences(&loop{lines: goodLine + "\n", n: b.N}, io.Discard); err != nil {
		b.Fatal(err)
	}
}
