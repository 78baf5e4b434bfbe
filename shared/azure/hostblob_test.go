package azure

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/iotest"

	"carillon/shared/host"
)

func TestBlobChange(t *testing.T) {
	const at, form = `"2026-11-22T17:40:48+00:00"`, `"lastModified":"2026-11-22T17:40:48+00:00"}`
	for _, c := range []struct{ name, metadata, want string }{
		{"everything", `{"Uri":"\"https://a/b/c%20d\"","Properties":{"LastModified":` + at + `},"name":"\"c d\""}`, `{"blobTrigger":"blob_x","url":"https://a/b/c%20d","name":"c d",` + form},
		{"quoted once", `{"Uri":"https://a/b/c","name":"c","Properties":{}}`, `{"blobTrigger":"blob_x","url":"https://a/b/c","name":"c"}`},
		{"a name with quotes", `{"name":"\"a \\\"b\\\"\""}`, `{"blobTrigger":"blob_x","name":"a \"b\""}`},
		{"properties in a string", `{"name":"c","Properties":"{\"LastModified\":` + strings.ReplaceAll(at, `"`, `\"`) + `}"}`, `{"blobTrigger":"blob_x","name":"c",` + form},
		{"no properties", `{"name":"c","Uri":null,"Properties":null}`, `{"blobTrigger":"blob_x","name":"c"}`},
		{"odd properties", `{"name":"c","Properties":7}`, `{"blobTrigger":"blob_x","name":"c"}`},
		{"nothing", `{}`, ""},
		{"a blob without a name", `{"Uri":null,"name":null}`, ""},
	} {
		got, err := blobChange(strings.NewReader(`{"Data":{"blob":"AQI="},"Metadata":`+c.metadata+`}`), "blob_x")
		if string(got) != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s: got %s, %v, want %s", c.name, got, err, c.want)
		}
	}
}

// content is the call of a blob trigger that brings a content of n bytes.
func content(n int) io.Reader {
	return io.MultiReader(
		strings.NewReader(`{"Data":{"blob":"`), io.LimitReader(endless('A'), int64(n)),
		strings.NewReader(`"},"Metadata":{"Uri":"\"https://a.blob.core.windows.net/b/c\"","name":"\"c\""}}`),
	)
}

type endless byte

func (e endless) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(e)
	}
	return len(p), nil
}

// A blob of any size passes, and is not held.
func TestBlobContentIsNotHeld(t *testing.T) {
	got := ""
	h := &Host{Log: slog.New(slog.DiscardHandler), Functions: host.Functions{Datastore: func(_ context.Context, body []byte) error {
		got = string(body)
		return nil
	}}}
	for _, size := range []int{0, 1, maxText, maxText + 1, 100 << 20} {
		got = ""
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := httptest.NewRecorder()
		h.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/blob_x", content(size)))
		runtime.ReadMemStats(&after)
		if want := `{"blobTrigger":"blob_x","url":"https://a.blob.core.windows.net/b/c","name":"c"}`; w.Code != http.StatusOK || got != want {
			t.Errorf("%d bytes: %d %s, got %s", size, w.Code, w.Body, got)
		}
		if used := after.TotalAlloc - before.TotalAlloc; used > 2<<20 {
			t.Errorf("%d bytes: %d bytes were allocated", size, used)
		}
	}
}

func TestBlobCallsThatAreTooLarge(t *testing.T) {
	many := io.MultiReader(strings.NewReader(`{"Metadata":{"name":"c"},"x":[`), io.LimitReader(endless('1'), maxCall), strings.NewReader(`]}`))
	if got, err := blobChange(many, "blob_x"); err == nil {
		t.Errorf("got %s", got)
	}
	if got, err := blobChange(iotest.ErrReader(errors.New("cut off")), "blob_x"); err == nil {
		t.Errorf("got %s", got)
	}
}

// What is short passes thin as it is, in whatever pieces it comes; a string that is long stays a string.
func TestThin(t *testing.T) {
	long := strings.Repeat("x", maxText)
	for _, c := range []struct{ in, want string }{
		{``, ``},
		{`{"a":[1,"\"\\",true],"ä":"\u00e4\ud83d\ude00"}`, ``},
		{`"` + long + `"`, ``},
		{`["` + long + `y","z"]`, `["` + long + `","z"]`},
		{`["` + long + `\"y\\","z"]`, `["` + long + `","z"]`},
		{`["` + long[1:] + `\"y","z"]`, `["` + long[1:] + `\"","z"]`},
		{`["` + long[1:] + `\u00e4y","z"]`, `["` + long[1:] + `\u00e4","z"]`},
		{`["` + long + `\u00e4y","\u00e4"]`, `["` + long + `","\u00e4"]`},
		{`{"` + long + `k":{"b":"` + long + `\\"}}`, `{"` + long + `":{"b":"` + long + `"}}`},
		{`"unfinished`, ``},
	} {
		if c.want == "" {
			c.want = c.in
		}
		for name, from := range map[string]io.Reader{
			"at once": strings.NewReader(c.in), "byte by byte": iotest.OneByteReader(strings.NewReader(c.in)), "with its end": iotest.DataErrReader(strings.NewReader(c.in)),
		} {
			if got, err := io.ReadAll(&thin{from: from}); err != nil || string(got) != c.want {
				t.Errorf("%.40q %s: got %d bytes, %.40q…, %v", c.in, name, len(got), got, err)
			}
		}
	}
}

// FuzzThin: what is JSON stays JSON, of the same shape, however long its strings are.
func FuzzThin(f *testing.F) {
	f.Add([]byte(`{"a":["b\\\"\u00e4",{"c":"d"}]}`), uint16(7))
	f.Fuzz(func(t *testing.T, body []byte, seed uint16) {
		if !json.Valid(body) {
			return
		}
		stretched := stretch(body, rand.New(rand.NewPCG(1, uint64(seed))))
		got, err := io.ReadAll(&thin{from: iotest.HalfReader(bytes.NewReader(stretched))})
		if err != nil || !json.Valid(got) {
			t.Errorf("%q: not JSON, %v", body, err)
		}
	})
}

// stretch makes some strings of a JSON text long.
func stretch(body []byte, random *rand.Rand) (out []byte) {
	inside, escaped := false, false
	for _, c := range body {
		if out = append(out, c); c == '"' && !escaped {
			if inside = !inside; inside && random.IntN(2) == 0 {
				out = append(out, bytes.Repeat([]byte("y"), maxText-random.IntN(8))...)
			}
		}
		escaped = c == '\\' && !escaped
	}
	return out
}

func BenchmarkBlobContent(b *testing.B) {
	const size = 100 << 20
	b.SetBytes(size)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := blobChange(content(size), "blob_x"); err != nil {
			b.Fatal(err)
		}
	}
}
