package local

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"carillon/shared/pipeline"
)

// output is the file that keeps what a step writes, up to a limit. Writing never fails: what cannot be kept is
// dropped, so that the step goes on, and finish tells.
type output struct {
	file    *os.File // nil when it could not be opened
	left    int64
	kept    int64
	dropped int64
	failed  error
}

func openOutput(path string, limit int64) *output {
	file, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return &output{failed: err}
	}
	return &output{file: file, left: limit}
}

func (o *output) Write(p []byte) (int, error) {
	keep := p[:min(int64(len(p)), o.left)]
	if o.failed != nil {
		keep = nil
	}
	if len(keep) > 0 {
		n, err := o.file.Write(keep)
		o.failed = err
		o.left -= int64(n)
		o.kept += int64(n)
		keep = keep[:n]
	}
	o.dropped += int64(len(p) - len(keep))
	return len(p), nil
}

// finish says in the file itself how much is missing, and returns why, unless it was too much.
func (o *output) finish() error {
	err := o.failed
	if o.file != nil {
		if o.dropped > 0 {
			fmt.Fprintf(o.file, "\n[carillon: the first %d bytes are kept; %d more were dropped]\n", o.kept, o.dropped)
		}
		err = errors.Join(err, o.file.Close())
	}
	if err != nil {
		return fmt.Errorf("its output was not kept whole (%d bytes dropped): %w", o.dropped, err)
	}
	return nil
}

// sections reads the output of several steps, one after the other.
type sections struct {
	io.Reader
	files []*os.File
}

func (s *sections) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// openSections opens the output of the steps that have begun. path gives the file of a step.
func openSections(steps []pipeline.Step, path func(i int) string) (io.ReadCloser, error) {
	s := &sections{}
	var readers []io.Reader
	for i, step := range steps {
		file, err := os.Open(path(i))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, errors.Join(err, s.Close())
		}
		s.files = append(s.files, file)
		if len(steps) > 1 {
			readers = append(readers, strings.NewReader(header(step.Name, s.files)))
		}
		readers = append(readers, file)
	}
	s.Reader = io.MultiReader(readers...)
	return s, nil
}

// header is the line before the last of files, on a line of its own.
func header(step string, files []*os.File) string {
	text := fmt.Sprintf("==> %s <==\n", step)
	if n := len(files); n > 1 && !endsLine(files[n-2]) {
		text = "\n" + text
	}
	return text
}

func endsLine(file *os.File) bool {
	info, err := file.Stat()
	if err != nil || info.Size() == 0 {
		return true
	}
	var last [1]byte
	_, err = file.ReadAt(last[:], info.Size()-1)
	return err == nil && last[0] == '\n'
}
