// Package local keeps Carillon's whole state on a plain machine in one file: the store, the queues, and nothing
// that is not durable when a call returns.
package local

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"sync"
	"syscall"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"carillon/shared/queue"
)

var (
	// ErrInUse: another process has the state file open.
	ErrInUse = errors.New("another Carillon is using it")
	// ErrDamaged: the file is not what Carillon wrote. Nothing has been written to it since that was noticed.
	ErrDamaged = errors.New("it is damaged, or not a state file of Carillon")
	// ErrFormat: the file is that of another version of Carillon.
	ErrFormat = errors.New("its format is that of another version of Carillon")
	// ErrClosed: the State has been closed.
	ErrClosed = errors.New("the state is closed")
)

// Format is the version of the file's layout. Open refuses any other.
//
//	meta         format -> Format in decimal
//	rows|PART    sort key -> 8 bytes of version, value; the bucket's sequence is the newest version
//	queue|NAME   8 bytes of number -> 8 bytes of due time (Unix ns), 1 byte of failed deliveries, body
const Format = 1

const (
	metaBucket  = "meta"
	rowsPrefix  = "rows|"
	queuePrefix = "queue|"
	formatKey   = "format"

	lockTimeout = time.Second
)

// State is an open state file. It may be used concurrently, by one process at a time.
type State struct {
	path   string
	db     *bbolt.DB
	commit *committer

	mu     sync.Mutex
	queues map[string]*Queue
}

// Open opens the state file at path, and makes it, and the folder that it is in, when there is none: readable by
// this user alone. It waits a second for another process to let go of the file. The errors say what to do; a file
// that Open refuses is left as it is. How long it takes does not grow with the store, only with the messages that
// wait; those that were in hand when the last process ended are due at once.
func Open(path string) (*State, error) {
	s, err := openState(path)
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, ErrInUse):
		return nil, fmt.Errorf("cannot open %s: %w; stop that one first, or use another folder", path, err)
	case errors.Is(err, ErrDamaged):
		return nil, fmt.Errorf("cannot open %s: %w; it was left as it is: move it away, or put a backup in its place", path, err)
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("cannot open the state file: %w; give this user the right to read and write it and its folder", err)
	}
	return nil, fmt.Errorf("cannot open %s: %w", path, err)
}

func openState(path string) (*State, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	if err := begin(path); err != nil {
		return nil, err
	}
	if err := inspect(path); err != nil {
		return nil, err
	}
	db, err := openBolt(path, false)
	if err != nil {
		return nil, err
	}
	s := &State{path: path, db: db, queues: map[string]*Queue{}}
	if err := guard(s.load); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	s.commit = startCommitter(path, db)
	return s, nil
}

// begin makes the state file when there is none. It appears whole, under its name, or not at all: an empty file is a
// damaged one, never a new one.
func begin(path string) error {
	if _, err := os.Lstat(path); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	part, err := os.CreateTemp(filepath.Dir(path), ".new-*.db")
	if err != nil {
		return err
	}
	defer os.Remove(part.Name())
	if err := part.Close(); err != nil {
		return err
	}
	db, err := openBolt(part.Name(), false)
	if err != nil {
		return err
	}
	fresh := &State{path: part.Name(), db: db, queues: map[string]*Queue{}}
	if err := errors.Join(fresh.load(), db.Close()); err != nil {
		return err
	}
	if err := os.Link(part.Name(), path); err != nil && !errors.Is(err, fs.ErrExist) { // another process was faster
		return err
	}
	return nil
}

// inspect looks at an existing file before it is opened for writing: bbolt maps the file, and goes where its pages
// point. It reads the first pages and both ends of each bucket, so it notices a file that is of another kind, too
// short, or damaged near the roots. Damage further down is noticed when it is read (see guard).
func inspect(path string) error {
	info, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	case !info.Mode().IsRegular():
		return fmt.Errorf("%w: not a regular file", ErrDamaged)
	case info.Size() == 0:
		return fmt.Errorf("%w: it is empty", ErrDamaged)
	}
	db, err := openBolt(path, true)
	if err != nil {
		return err
	}
	err = guard(func() error { return db.View(checkEnds) })
	return errors.Join(err, db.Close())
}

func checkEnds(tx *bbolt.Tx) error {
	info, err := os.Stat(tx.DB().Path())
	if err != nil {
		return err
	}
	if info.Size() < tx.Size() {
		return fmt.Errorf("%w: %d of its %d bytes are there", ErrDamaged, info.Size(), tx.Size())
	}
	empty := true
	err = tx.ForEach(func(_ []byte, b *bbolt.Bucket) error {
		empty = false
		c := b.Cursor()
		c.First()
		c.Last()
		return nil
	})
	if err != nil || empty {
		return err
	}
	return checkFormat(tx)
}

func checkFormat(tx *bbolt.Tx) error {
	meta := tx.Bucket([]byte(metaBucket))
	if meta == nil {
		return fmt.Errorf("%w: it says no format", ErrDamaged)
	}
	format := meta.Get([]byte(formatKey))
	if n, err := strconv.Atoi(string(format)); err != nil {
		return fmt.Errorf("%w: format %.20q", ErrDamaged, format)
	} else if n != Format {
		return fmt.Errorf("%w: it has format %d, this one reads format %d; use the version that wrote it", ErrFormat, n, Format)
	}
	return nil
}

// openBolt opens the file. When that goes wrong, in whatever way, it lets go of the file's lock.
//
// The list of free pages is written with each transaction: it costs little, and without it bbolt walks the whole
// file when it is opened, in a goroutine whose panic at a damaged page nobody could catch. As an array the list is
// written five times as fast as the hash map where a quarter of a million rows were deleted, and not slower otherwise.
func openBolt(path string, readOnly bool) (*bbolt.DB, error) {
	var file *os.File
	options := bbolt.Options{
		ReadOnly:        readOnly,
		Timeout:         lockTimeout,
		FreelistType:    bbolt.FreelistArrayType,
		NoStatistics:    true,
		InitialMmapSize: mapSize(),
		OpenFile: func(name string, flag int, mode os.FileMode) (f *os.File, err error) {
			file, err = os.OpenFile(name, flag, mode)
			return file, err
		},
	}
	var db *bbolt.DB
	err := guard(func() (err error) {
		db, err = bbolt.Open(path, 0o600, &options)
		return err
	})
	var system syscall.Errno
	switch {
	case err == nil:
		return db, nil
	case errors.Is(err, bolterrors.ErrTimeout):
		return nil, ErrInUse
	case errors.Is(err, ErrDamaged):
		return nil, errors.Join(err, file.Close()) // bbolt has panicked and left it open
	case errors.As(err, &system):
		return nil, err
	}
	return nil, fmt.Errorf("%w: %w", ErrDamaged, err)
}

// mapSize is how much of the address space is set aside for the file at first. Where that costs nothing it is much,
// as the file cannot grow out of its map while a backup is being read.
func mapSize() int {
	if strconv.IntSize == 64 && runtime.GOOS != "windows" {
		return 1 << 30
	}
	return 0
}

// load reads the messages that wait, and writes the format into a new file.
func (s *State) load() error {
	isNew := false
	err := s.db.View(func(tx *bbolt.Tx) error {
		isNew = tx.Bucket([]byte(metaBucket)) == nil
		return tx.ForEach(s.loadQueue)
	})
	if err != nil || !isNew {
		return err
	}
	err = s.db.Update(func(tx *bbolt.Tx) error {
		meta, err := tx.CreateBucket([]byte(metaBucket))
		if err != nil {
			return err
		}
		return meta.Put([]byte(formatKey), strconv.AppendInt(nil, Format, 10))
	})
	if folder, openErr := os.Open(filepath.Dir(s.path)); openErr == nil {
		_ = folder.Sync() // the new file's name; not every system can
		_ = folder.Close()
	}
	return err
}

func (s *State) loadQueue(bucket []byte, b *bbolt.Bucket) error {
	name, ok := bytes.CutPrefix(bucket, []byte(queuePrefix))
	if !ok {
		return nil
	}
	q := s.Queue(string(name))
	return b.ForEach(func(number, record []byte) error { return q.load(number, record) })
}

// Queue returns the queue of that name; it is made with its first message.
func (s *State) Queue(name string) *Queue {
	s.mu.Lock()
	defer s.mu.Unlock()
	q := s.queues[name]
	if q == nil {
		q = &Queue{state: s, name: name, line: queue.NewLine[pending]()}
		s.queues[name] = q
	}
	return q
}

// Backup writes a copy of the state to w, as it is at one moment, while everything goes on, and says how many bytes
// it has. The copy is a state file that Open opens. Until Backup returns the state file can only grow: w should
// not be slow.
func (s *State) Backup(w io.Writer) (n int64, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		n, err = tx.WriteTo(w)
		return err
	})
	if err != nil {
		return n, fmt.Errorf("back up %s: %w", s.path, err)
	}
	return n, nil
}

// Close writes what is not yet written and lets go of the file. End every Receive first; calls under way may
// return ErrClosed.
func (s *State) Close() error {
	err := s.commit.stop()
	if errors.Is(err, ErrDamaged) {
		return err // bbolt may hold its own locks: the file stays open until the process ends
	}
	return errors.Join(err, s.db.Close())
}

// view reads in one transaction. Slices that bbolt gives must not outlive it.
func (s *State) view(f func(tx *bbolt.Tx) error) error {
	err := guard(func() error { return s.db.View(f) })
	switch {
	case errors.Is(err, bolterrors.ErrDatabaseNotOpen):
		return ErrClosed
	case errors.Is(err, ErrDamaged):
		return fmt.Errorf("read %s: %w; stop Carillon and put a backup in its place", s.path, err)
	}
	return err
}

// guard calls f and turns a panic into ErrDamaged: bbolt panics, or reads outside of the map, where a page does not
// hold what it should.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", ErrDamaged, p)
		}
	}()
	return f()
}
