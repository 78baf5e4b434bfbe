package azure

import (
	"bytes"
	"encoding/json"
	"io"

	"carillon/shared/problem"
)

const (
	maxBlobCall = 2 << 30 // bytes of a call that brings a blob's content: no string of the host's could be longer
	maxText     = 64 << 10
)

// change is how a call of a blob trigger goes to Functions.Datastore.
type change struct {
	BlobTrigger  string `json:"blobTrigger"`            // the function
	URL          string `json:"url,omitempty"`          // of the blob, percent-encoded
	Name         string `json:"name,omitempty"`         // the path parameter {name}, as it is
	LastModified string `json:"lastModified,omitempty"` // RFC 3339, whole seconds
}

// blobChange reads a call of a blob trigger. Where function.json asks for deferred binding, the call has a kilobyte or
// two; where the host knows nothing of that, it brings the whole content, which is passed over and never held.
func blobChange(body io.Reader, function string) ([]byte, error) {
	var call struct {
		Metadata struct{ URI, Name, Properties json.RawMessage }
	}
	if err := readCall(&thin{from: io.LimitReader(body, maxBlobCall)}, &call); err != nil {
		return nil, err
	}
	var properties struct{ LastModified json.RawMessage }
	_ = json.Unmarshal(bare(call.Metadata.Properties), &properties) // a time is not worth a change
	c := change{function, string(bare(call.Metadata.URI)), string(bare(call.Metadata.Name)), string(bare(properties.LastModified))}
	if c.URL == "" && c.Name == "" {
		return nil, problem.Newf(problem.BadRequest, `the call does not say which blob has changed: it has neither Metadata.Uri nor Metadata.name (the path in function.json has to be "container/{name}")`)
	}
	return json.Marshal(c)
}

// bare is a value of Metadata without the quotes of a JSON string in a JSON string; nothing for null.
func bare(value json.RawMessage) []byte {
	if string(value) == "null" {
		return nil
	}
	text := []byte(value)
	for range 2 {
		text, _ = unquoted(text)
	}
	return text
}

// thin passes JSON on with its strings cut to maxText bytes, so that whoever reads one that is long holds little.
type thin struct {
	from   io.Reader
	inside bool // a string
	kept   int  // bytes of that string
	full   bool // nothing more of it is passed on
	escape int  // hexadecimal digits of an escape sequence that are to come; -1 after its backslash
}

// Read implements io.Reader.
func (t *thin) Read(p []byte) (int, error) {
	for {
		n, err := t.from.Read(p)
		if n = t.cut(p[:n]); n > 0 || err != nil || len(p) == 0 {
			return n, err
		}
	}
}

// cut moves what is passed on to the front of p and returns how much that is.
func (t *thin) cut(p []byte) (n int) {
	for i := 0; i < len(p); i++ {
		if t.inside && t.full && t.escape == 0 {
			ahead := bytes.IndexAny(p[i:], `"\`)
			if ahead < 0 {
				return n
			}
			i += ahead
		}
		if t.keeps(p[i]) {
			p[n] = p[i]
			n++
		}
	}
	return n
}

// keeps reports whether the next byte is passed on. No escape sequence is cut in two.
func (t *thin) keeps(c byte) bool {
	switch {
	case !t.inside:
		t.inside, t.kept, t.full = c == '"', 0, false
		return true
	case t.escape < 0:
		t.escape = 0
		if c == 'u' {
			t.escape = 4
		}
	case t.escape > 0:
		t.escape--
	case c == '"':
		t.inside = false
		return true
	default:
		t.full = t.kept >= maxText
		if c == '\\' {
			t.escape = -1
		}
	}
	t.kept++
	return !t.full
}
