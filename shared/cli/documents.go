package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"carillon/shared/problem"
)

const (
	maxFile     = 64 << 20 // bytes of one file
	maxDocument = 1 << 20  // bytes of one document as JSON: what the API takes as a body
)

// document is one definition, or a part of one, as a JSON object.
type document struct {
	where string // file:line
	json  []byte
}

// readDocuments reads the documents of files, in order; "-" is stdin. Either all of them are returned or an error.
func readDocuments(ctx context.Context, files []string, stdin io.Reader) ([]document, error) {
	var all []document
	for _, name := range files {
		data, err := readFile(ctx, name, stdin)
		if err != nil {
			return nil, err
		}
		if name == "-" {
			name = "stdin"
		}
		found, err := documents(name, data)
		if err != nil {
			return nil, err
		}
		all = append(all, found...)
	}
	return all, nil
}

// oneDocument reads files that have to hold one document in all.
func oneDocument(cmd *cobra.Command, files []string) (document, error) {
	docs, err := readDocuments(cmd.Context(), files, cmd.InOrStdin())
	if err != nil {
		return document{}, err
	}
	if len(docs) != 1 {
		return document{}, wrongUsage("%s takes one document, and got %d", cmd.CommandPath(), len(docs))
	}
	return docs[0], nil
}

func readFile(ctx context.Context, name string, stdin io.Reader) ([]byte, error) {
	var from io.Reader
	if name == "-" {
		from = untilDone(ctx, stdin)
	} else {
		file, err := os.Open(name)
		if err != nil {
			return nil, unreadable(err)
		}
		defer file.Close()
		from = file
	}
	data, err := io.ReadAll(io.LimitReader(from, maxFile+1))
	if err != nil {
		return nil, unreadable(err)
	}
	if len(data) > maxFile {
		return nil, unreadable(fmt.Errorf("%s is larger than %d MiB", name, maxFile>>20))
	}
	return data, nil
}

// untilDone is r until ctx ends: a read that waits for somebody to type ends then, too. Its goroutine may wait on, as
// long as the process lives.
func untilDone(ctx context.Context, r io.Reader) io.Reader {
	from, to := io.Pipe()
	context.AfterFunc(ctx, func() { to.CloseWithError(ctx.Err()) })
	go func() {
		_, err := io.Copy(to, r)
		to.CloseWithError(err)
	}()
	return from
}

func unreadable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	text := err.Error()
	var path *fs.PathError
	if errors.As(err, &path) {
		text = path.Path + ": " + path.Err.Error()
	}
	return &problem.Problem{Code: problem.BadRequest, Title: text}
}

// documents takes a file apart: JSON objects one after the other, or YAML documents, of which empty ones do not
// count. What is JSON is not read as YAML, because a YAML reader refuses some of it (pairs of surrogates, long keys).
func documents(file string, data []byte) ([]document, error) {
	found, isJSON, err := jsonDocuments(file, data)
	if !isJSON {
		found, err = yamlDocuments(file, data)
	}
	if err == nil && len(found) == 0 {
		err = wrong(file, 1, "there is no document in it")
	}
	return found, err
}

// wrong is what is wrong with a line of a file.
func wrong(file string, line int, format string, args ...any) error {
	return &problem.Problem{Code: problem.BadRequest, Title: fmt.Sprintf("%s:%d: ", file, line) + fmt.Sprintf(format, args...)}
}

// jsonDocuments reports isJSON where the whole file is.
func jsonDocuments(file string, data []byte) (found []document, isJSON bool, err error) {
	if !utf8.Valid(data) {
		return nil, false, nil
	}
	var starts []int
	d := json.NewDecoder(bytes.NewReader(data))
	for {
		var raw json.RawMessage
		if err := d.Decode(&raw); err == io.EOF {
			break
		} else if err != nil {
			return nil, false, nil
		}
		start := int(d.InputOffset()) - len(raw)
		starts = append(starts, start)
		found = append(found, document{json: raw, where: fmt.Sprintf("%s:%d", file, lineAt(data, start))})
	}
	for i, doc := range found {
		if err := checkJSON(file, data, starts[i], doc.json); err != nil {
			return nil, true, err
		}
	}
	return found, len(found) > 0, nil
}

func lineAt(data []byte, offset int) int { return 1 + bytes.Count(data[:offset], []byte("\n")) }

func checkJSON(file string, data []byte, start int, raw json.RawMessage) error {
	line := lineAt(data, start)
	if raw[0] != '{' {
		return wrong(file, line, "%s", notAnObject)
	}
	if len(raw) > maxDocument {
		return wrong(file, line, "the document has %d bytes as JSON and may have %d", len(raw), maxDocument)
	}
	name, offset, twice := givenTwice(raw)
	if twice {
		return wrong(file, lineAt(data, start+offset), "%q is given twice", name)
	}
	return nil
}

const notAnObject = "a document has to be an object with named fields; several documents are separated by --- (in JSON, by nothing)"

// givenTwice finds a field that an object of valid JSON holds twice, and where it ends the second time.
func givenTwice(raw json.RawMessage) (name string, offset int, twice bool) {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.UseNumber()
	var walk func() bool
	walk = func() bool {
		token, err := d.Token()
		if err != nil || token != json.Delim('{') && token != json.Delim('[') {
			return false
		}
		seen := map[string]bool{}
		for d.More() {
			if token == json.Delim('{') {
				key, _ := d.Token()
				name, _ = key.(string)
				if seen[name] {
					offset = int(d.InputOffset())
					return true
				}
				seen[name] = true
			}
			if walk() {
				return true
			}
		}
		d.Token() // the end
		return false
	}
	twice = walk()
	return name, offset, twice
}
