package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"go.etcd.io/bbolt"

	"carillon/shared/store"
)

func TestOpenMakesTheFileForOneUser(t *testing.T) {
	path := filepath.Join(t.TempDir(), "new", "folder", "carillon.db")
	mustClose(t, mustOpen(t, path))
	for name, want := range map[string]fs.FileMode{path: 0o600, filepath.Dir(path): fs.ModeDir | 0o700} {
		info, err := os.Stat(name)
		if err != nil {
			t.Fatal(err)
		}
		if info.Mode() != want {
			t.Errorf("%s has mode %v, want %v", filepath.Base(name), info.Mode(), want)
		}
	}
}

func TestOpenInUse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) { // waiting for the lock takes no time
		path := filepath.Join(t.TempDir(), "carillon.db")
		s := mustOpen(t, path)
		_, err := Open(path)
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), path+": another Carillon is using it") {
			t.Errorf("opened twice: %v", err)
		}
		mustClose(t, s)
		mustClose(t, mustOpen(t, path))
	})
}

// A file that was begun without its format, as by a process that was killed, is new; an empty one is what is left of
// another, and never taken for a new one.
func TestOpenBegunFile(t *testing.T) {
	empty := filepath.Join(t.TempDir(), "empty.db")
	if err := os.WriteFile(empty, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(empty); !errors.Is(err, ErrDamaged) {
		t.Errorf("an empty file: %v", err)
	}
	if info, err := os.Stat(empty); err != nil || info.Size() != 0 {
		t.Errorf("an empty file was changed: %v, %v", info, err)
	}
	bare := filepath.Join(t.TempDir(), "bare.db")
	editBolt(t, bare, func(*bbolt.Tx) error { return nil })
	for _, path := range []string{filepath.Join(t.TempDir(), "new.db"), bare} {
		s := mustOpen(t, path)
		putRow(t, s, "p", "row", "value")
		mustClose(t, s)
		s = mustOpen(t, path)
		if got := rowOf(t, s, "p", "row"); got != "value" {
			t.Errorf("%s: the row holds %q after opening again", filepath.Base(path), got)
		}
		mustClose(t, s)
	}
}

func TestOpenRefuses(t *testing.T) {
	good := smallFile(t)
	const page = 4096
	edited := func(from, to int, with byte) []byte {
		b := bytes.Clone(good)
		copy(b[from:to], bytes.Repeat([]byte{with}, to-from))
		return b
	}
	format := func(value string) []byte {
		path := filepath.Join(t.TempDir(), "format.db")
		editBolt(t, path, func(tx *bbolt.Tx) error {
			b, err := tx.CreateBucketIfNotExists([]byte(metaBucket))
			if err != nil {
				return err
			}
			return b.Put([]byte(formatKey), []byte(value))
		})
		return readFile(t, path)
	}
	foreign := filepath.Join(t.TempDir(), "foreign.db")
	editBolt(t, foreign, func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("etcd"))
		return err
	})
	for _, c := range []struct {
		name    string
		content []byte
		want    error
		says    string
	}{
		{"text", []byte("name: every-15-minutes\n"), ErrDamaged, "put a backup in its place"},
		{"one byte", []byte{0}, ErrDamaged, "not a state file"},
		{"zeros", make([]byte, 16*page), ErrDamaged, "not a state file"},
		{"long text", bytes.Repeat([]byte("carillon "), 10_000), ErrDamaged, "not a state file"},
		{"first page only", good[:page], ErrDamaged, ""},
		{"head only", good[:2*page], ErrDamaged, "bytes are there"},
		{"half", good[:len(good)/2], ErrDamaged, "bytes are there"},
		{"both heads overwritten", edited(0, 2*page, 0xff), ErrDamaged, ""},
		{"all but the heads overwritten", edited(2*page, len(good), 0xff), ErrDamaged, ""},
		{"all but the heads zero", edited(2*page, len(good), 0), ErrDamaged, ""},
		{"another program's", readFile(t, foreign), ErrDamaged, "says no format"},
		{"no number as format", format("one"), ErrDamaged, "one"},
		{"a newer format", format("2"), ErrFormat, "it has format 2, this one reads format 1"},
	} {
		path := filepath.Join(t.TempDir(), "carillon.db")
		if err := os.WriteFile(path, c.content, 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Open(path)
		if err == nil {
			mustClose(t, s)
		}
		if !errors.Is(err, c.want) || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: error %v, want one that wraps %q and says %q", c.name, err, c.want, c.says)
		}
		if !bytes.Equal(readFile(t, path), c.content) {
			t.Errorf("%s: the file was changed", c.name)
		}
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrDamaged) {
		t.Errorf("a folder: %v", err)
	}
}

func TestOpenWithoutPermission(t *testing.T) {
	if os.Geteuid() == 0 {
		t.Skip("root may do everything")
	}
	path := filepath.Join(t.TempDir(), "carillon.db")
	mustClose(t, mustOpen(t, path))
	if err := os.Chmod(path, 0o400); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(path); !errors.Is(err, fs.ErrPermission) || !strings.Contains(err.Error(), path) {
		t.Errorf("a file that may not be written: %v", err)
	}
}

// One page of the file after the other holds garbage. Whatever that breaks is said; nothing ends the process, and a
// refused file is left as it was.
func TestAnyPageDamaged(t *testing.T) {
	const page = 4096
	good := smallFile(t)
	refused, broken := 0, 0
	for at := 0; at < len(good); at += page {
		for _, with := range []byte{0, 0x5a, 0xff} {
			bad := bytes.Clone(good)
			copy(bad[at:], bytes.Repeat([]byte{with}, page))
			path := filepath.Join(t.TempDir(), "carillon.db")
			if err := os.WriteFile(path, bad, 0o600); err != nil {
				t.Fatal(err)
			}
			s, err := Open(path)
			if err != nil {
				refused++
				if !errors.Is(err, ErrDamaged) || !bytes.Equal(readFile(t, path), bad) {
					t.Errorf("page %d: %v, or the file was changed", at/page, err)
				}
				continue
			}
			if useAll(t, s) {
				broken++
			}
			_ = s.Close() // complains again, if at all
		}
	}
	if refused == 0 || broken == 0 {
		t.Errorf("%d files refused, %d found broken later, want some of each", refused, broken)
	}
}

// useAll reads and writes all that smallFile wrote, and reports whether damage was found.
func useAll(t *testing.T, s *State) (damaged bool) {
	d := s.Store()
	for n := range 8 {
		part := fmt.Sprintf("part%d", n)
		_, scanErr := d.Scan(t.Context(), part, "", "z", store.MaxScan)
		_, getErr := d.Get(t.Context(), part, "row050")
		putErr := d.Apply(t.Context(), part, store.Op{Kind: store.Put, Sort: "row050", Value: []byte("again")})
		for _, err := range []error{scanErr, getErr, putErr} {
			if err != nil && !errors.Is(err, ErrDamaged) && !errors.Is(err, store.ErrNotFound) {
				t.Errorf("got %v, want one that wraps %q", err, ErrDamaged)
			}
			damaged = damaged || err != nil
		}
	}
	return damaged
}

// A file that shrinks under a running process is no reason to crash either.
func TestTruncatedWhileOpen(t *testing.T) {
	path := filepath.Join(t.TempDir(), "carillon.db")
	if err := os.WriteFile(path, smallFile(t), 0o600); err != nil {
		t.Fatal(err)
	}
	s := mustOpen(t, path)
	if err := os.Truncate(path, 2*4096); err != nil {
		t.Fatal(err)
	}
	d := s.Store()
	if _, err := d.Get(t.Context(), "part1", "row050"); !errors.Is(err, ErrDamaged) {
		t.Errorf("Get: %v", err)
	}
	for range 2 {
		err := d.Apply(t.Context(), "part1", store.Op{Kind: store.Put, Sort: "row050"})
		if !errors.Is(err, ErrDamaged) || !strings.Contains(err.Error(), path) {
			t.Errorf("Apply: %v", err)
		}
	}
	if err := s.Queue("q").Send(t.Context(), []byte("x"), 0); !errors.Is(err, ErrDamaged) {
		t.Errorf("Send: %v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("nothing was left to write, but Close says %v", err)
	}
}

// Two rows are always written together; every copy holds both or neither, and opens.
func TestBackupWhileWriting(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "carillon.db"))
	defer mustClose(t, s)
	ctx, cancel := context.WithCancel(t.Context())
	var writer sync.WaitGroup
	first := make(chan struct{})
	writer.Go(func() {
		for n := 0; ctx.Err() == nil; n++ {
			value := bytes.Repeat(fmt.Appendf(nil, "%d,", n), 100)
			err := s.Store().Apply(context.Background(), "p",
				store.Op{Kind: store.Put, Sort: "left", Value: value}, store.Op{Kind: store.Put, Sort: "right", Value: value},
				store.Op{Kind: store.Put, Sort: fmt.Sprintf("row%d", n), Value: value})
			if err != nil {
				t.Error(err)
			}
			if n == 0 {
				close(first)
			}
		}
	})
	<-first
	for range 5 {
		var copied bytes.Buffer
		n, err := s.Backup(&copied)
		if err != nil || n != int64(copied.Len()) {
			t.Fatalf("backup of %d bytes, %d written: %v", n, copied.Len(), err)
		}
		path := filepath.Join(t.TempDir(), "copy.db")
		if err := os.WriteFile(path, copied.Bytes(), 0o600); err != nil {
			t.Fatal(err)
		}
		c := mustOpen(t, path)
		if l, r := rowOf(t, c, "p", "left"), rowOf(t, c, "p", "right"); l != r || l == "" {
			t.Errorf("the copy holds %.20q and %.20q", l, r)
		}
		putRow(t, c, "p", "left", "can be written")
		mustClose(t, c)
	}
	cancel()
	writer.Wait()
	if _, err := s.Backup(failingWriter{}); err == nil || !strings.Contains(err.Error(), "no space") {
		t.Errorf("a copy that cannot be written: %v", err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errors.New("no space") }

func TestClosed(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "carillon.db"))
	putRow(t, s, "p", "row", "value")
	mustClose(t, s)
	mustClose(t, s) // again does no harm
	_, getErr := s.Store().Get(t.Context(), "p", "row")
	_, scanErr := s.Store().Scan(t.Context(), "p", "", "z", 1)
	for name, err := range map[string]error{
		"Get":   getErr,
		"Scan":  scanErr,
		"Apply": s.Store().Apply(t.Context(), "p", store.Op{Kind: store.Put, Sort: "row"}),
		"Send":  s.Queue("q").Send(t.Context(), []byte("x"), 0),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s after Close: %v", name, err)
		}
	}
}

// smallFile returns the content of a state file of a few dozen pages, all of its kinds among them.
func smallFile(t *testing.T) []byte {
	t.Helper()
	path := filepath.Join(t.TempDir(), "small.db")
	s := mustOpen(t, path)
	for n := range 8 {
		var ops []store.Op
		for i := range 99 * (n % 2) { // every other partition is empty
			ops = append(ops, store.Op{Kind: store.Create, Sort: fmt.Sprintf("row%03d", i), Value: make([]byte, 200)})
		}
		ops = append(ops, store.Op{Kind: store.Create, Sort: "row", Value: make([]byte, 10_000*(n%3))})
		if err := s.Store().Apply(t.Context(), fmt.Sprintf("part%d", n), ops...); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Queue("q").Send(t.Context(), []byte("message"), 0); err != nil {
		t.Fatal(err)
	}
	var content bytes.Buffer // without the file's unused end
	if _, err := s.Backup(&content); err != nil {
		t.Fatal(err)
	}
	mustClose(t, s)
	return content.Bytes()
}

func mustOpen(t *testing.T, path string) *State {
	t.Helper()
	s, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func mustClose(t *testing.T, s *State) {
	t.Helper()
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}

// afterCrash opens the file as it would be found if the process died now.
func afterCrash(t *testing.T, s *State) *State {
	t.Helper()
	path := filepath.Join(t.TempDir(), "crashed.db")
	if err := os.WriteFile(path, readFile(t, s.path), 0o600); err != nil {
		t.Fatal(err)
	}
	crashed := mustOpen(t, path)
	t.Cleanup(func() { crashed.Close() })
	return crashed
}

func readFile(t *testing.T, path string) []byte {
	t.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

func editBolt(t *testing.T, path string, edit func(tx *bbolt.Tx) error) {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(db.Update(edit), db.Close()); err != nil {
		t.Fatal(err)
	}
}

func putRow(t *testing.T, s *State, part, sort, value string) {
	t.Helper()
	if err := s.Store().Apply(t.Context(), part, store.Op{Kind: store.Put, Sort: sort, Value: []byte(value)}); err != nil {
		t.Fatal(err)
	}
}

// rowOf returns a row's value, "" when there is none.
func rowOf(t *testing.T, s *State, part, sort string) string {
	t.Helper()
	row, err := s.Store().Get(t.Context(), part, sort)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		t.Fatal(err)
	}
	return string(row.Value)
}
