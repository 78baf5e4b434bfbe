package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/fsnotify/fsnotify"
)

// watching is a Watch under way.
type watching struct {
	t       *testing.T
	root    string
	told    chan string // "datastore path", "lost datastore"
	ended   chan error
	stop    context.CancelFunc
	watcher *watcher
	before  []string // what was told of, and may be again
	once    bool     // or may not
}

// patience is how long something may take that is bound to happen.
const patience = 30 * time.Second

// watch watches until the test ends. It returns when watching has begun. By its clock, what is there has settled.
func watch(t *testing.T, root string, change func(*watcher)) *watching {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	w := &watching{t: t, root: root, told: make(chan string, 1000), ended: make(chan error, 1), stop: cancel}
	w.watcher = newWatcher(root, Events{
		Changed: func(datastore, path string, _ time.Time) { w.told <- datastore + " " + path },
		Lost:    func(datastore string) { w.told <- "lost " + datastore },
		Log:     slog.New(slog.NewTextHandler(io.Discard, nil)),
	})
	w.watcher.now = func() time.Time { return time.Now().Add(time.Hour) }
	if change != nil {
		change(w.watcher)
	}
	go func() { w.ended <- w.watcher.run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-w.ended; err != nil {
			t.Error(err)
		}
	})
	all, err := Datastores(root)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range all {
		w.want("lost " + d.Name)
	}
	return w
}

// want waits until all of these have been told, in any order, and nothing else but what has been told before.
func (w *watching) want(all ...string) {
	w.t.Helper()
	var got []string
	for len(got) < len(all) {
		select {
		case told := <-w.told:
			switch {
			case slices.Contains(all, told) && !slices.Contains(got, told):
				got, w.before = append(got, told), append(w.before, told)
			case w.once || !slices.Contains(w.before, told):
				w.t.Fatalf("told of %q after %q, want %q", told, w.before, all)
			}
		case err := <-w.ended:
			w.ended <- nil
			w.t.Fatalf("watching ended: %v", err)
		case <-time.After(patience):
			w.t.Fatalf("told of %q, want %q", got, all)
		}
	}
}

// wantNoMore proves that nothing is left to tell: what is written last is told last.
func (w *watching) wantNoMore(datastore string) {
	w.t.Helper()
	w.write(datastore+"/last", "x")
	w.want(datastore + " last")
}

func (w *watching) at(path string) string { return filepath.Join(w.root, filepath.FromSlash(path)) }

func (w *watching) write(path, content string) {
	w.t.Helper()
	if err := os.WriteFile(w.at(path), []byte(content), 0o644); err != nil {
		w.t.Fatal(err)
	}
}

func (w *watching) do(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// folders makes a root with folders in it.
func folders(t *testing.T, all ...string) string {
	t.Helper()
	root := filepath.Join(t.TempDir(), "datastores")
	for _, at := range append(all, "") {
		if err := os.MkdirAll(filepath.Join(root, at), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return root
}

func TestWatchFiles(t *testing.T) {
	t.Parallel()
	root := folders(t, "inbox/in/deep", "other")
	put(t, root, "inbox/in/old", "x")
	w := watch(t, root, nil)
	w.do(os.WriteFile(w.at("inbox/in/old"), []byte("y"), 0o644))
	w.write("inbox/100% a b#ü", "x")
	w.write("inbox/in/deep/a", "x")
	w.write("other/a", "")
	w.write("inbox/.hidden", "x")
	w.write("no datastore", "x")
	w.want("inbox in/old", "inbox 100% a b#ü", "inbox in/deep/a", "other a")

	w.do(os.Rename(w.at("inbox/.hidden"), w.at("inbox/shown"))) // as careful writers do
	w.do(os.Rename(w.at("inbox/in/old"), w.at("other/moved")))
	w.do(os.Remove(w.at("inbox/in/deep/a")))
	w.do(os.Chtimes(w.at("other/a"), time.Unix(1, 0), time.Unix(1, 0)))
	w.want("inbox shown", "other moved", "other a")
	w.wantNoMore("inbox")
	w.wantNoMore("other")
}

// A file that is written in steps is told of once, when it is whole.
func TestWatchSteps(t *testing.T) {
	t.Parallel()
	root := folders(t, "inbox")
	onClock := func(w *watcher) { w.now = time.Now }
	w := watch(t, root, onClock)
	for attempt := 0; ; attempt++ {
		name := fmt.Sprintf("file%d", attempt)
		f, err := os.Create(w.at("inbox/" + name))
		w.do(err)
		start := time.Now()
		for range 100 {
			_, err := f.WriteString("step\n")
			w.do(err)
		}
		w.do(f.Close())
		if stalled := time.Since(start) > Settle/2; stalled {
			t.Log("this machine was too slow: again") // there may be one change or two
			w.stop()
			w = watch(t, root, onClock)
			continue
		}
		w.once = true
		w.want("inbox " + name)
		w.wantNoMore("inbox")
		return
	}
}

// With a clock of one's own: each write puts off the telling, and files behind do not wait for one that is written on
// and on.
func TestSettling(t *testing.T) {
	root := folders(t, "inbox")
	var told []string
	clock := time.Now().Add(time.Hour) // by which everything on disk has settled
	w := newWatcher(root, Events{Changed: func(_, path string, _ time.Time) { told = append(told, path) }})
	w.now = func() time.Time { return clock }
	for _, name := range []string{"busy", "calm", "gone"} {
		put(t, root, "inbox/"+name, "x")
		w.wait(filepath.Join(root, "inbox", name))
	}
	if err := os.Remove(filepath.Join(root, "inbox", "gone")); err != nil {
		t.Fatal(err)
	}
	for range 10 {
		clock = clock.Add(Settle / 2)
		w.wait(filepath.Join(root, "inbox", "busy"))
		for range 3 {
			w.tell()
		}
	}
	if !slices.Equal(told, []string{"calm"}) {
		t.Errorf("told of %q", told)
	}
	clock = clock.Add(Settle - 1)
	if w.tell(); len(told) != 1 {
		t.Errorf("told of %q", told)
	}
	clock = clock.Add(1)
	for range 3 {
		w.tell()
	}
	if !slices.Equal(told, []string{"calm", "busy"}) || len(w.order) != 0 || len(w.due) != 0 {
		t.Errorf("told of %q, waiting %v, %v", told, w.order, w.due)
	}
}

func TestWatchFolders(t *testing.T) {
	t.Parallel()
	root := folders(t, "inbox/a/b")
	put(t, root, "inbox/a/b/1", "x")
	put(t, filepath.Dir(root), "elsewhere/sub/.not/1", "x")
	put(t, filepath.Dir(root), "elsewhere/sub/2", "x")
	w := watch(t, root, nil)

	w.do(os.MkdirAll(w.at("inbox/new/er/est"), 0o755))
	w.write("inbox/new/er/est/3", "x")
	w.want("inbox new/er/est/3")

	w.do(os.Rename(filepath.Join(filepath.Dir(root), "elsewhere"), w.at("inbox/moved in")))
	w.want("inbox moved in/sub/2")
	w.write("inbox/moved in/sub/4", "x")
	w.want("inbox moved in/sub/4")

	w.do(os.Rename(w.at("inbox/a"), w.at("inbox/z"))) // the files keep their times
	w.want("inbox z/b/1")
	w.write("inbox/z/b/5", "x")
	w.want("inbox z/b/5")
	w.do(os.Mkdir(w.at("inbox/a"), 0o755))
	w.write("inbox/a/6", "x")
	w.want("inbox a/6")

	w.do(os.Rename(w.at("inbox/z"), filepath.Join(filepath.Dir(root), "away")))
	w.do(os.WriteFile(filepath.Join(filepath.Dir(root), "away/b/7"), nil, 0o644))
	w.do(os.RemoveAll(w.at("inbox/a")))
	w.do(os.MkdirAll(w.at("inbox/a/b"), 0o755))
	w.write("inbox/a/b/8", "x")
	w.want("inbox a/b/8")
	w.wantNoMore("inbox")
	w.end()
	if got := len(w.watcher.watched); got != 8 {
		t.Errorf("%d folders are watched, want 8: %v", got, w.watcher.watched)
	}
}

// end ends the watching, so that it can be looked into.
func (w *watching) end() {
	w.stop()
	w.ended <- <-w.ended
}

func TestWatchDatastores(t *testing.T) {
	t.Parallel()
	root := folders(t, "first")
	w := watch(t, root, nil)
	w.do(os.MkdirAll(w.at("inbox/in"), 0o755))
	w.write("inbox/in/1", "x")
	w.want("inbox in/1")
	for _, name := range []string{".hidden", "not a name", "_x"} {
		w.do(os.Mkdir(w.at(name), 0o755))
		w.write(name+"/2", "x")
	}
	w.do(os.Rename(w.at("inbox"), w.at("renamed")))
	w.want("renamed in/1")
	w.write("renamed/in/3", "x")
	w.want("renamed in/3")
	if runtime.GOOS != "windows" {
		at := filepath.Join(t.TempDir(), "far")
		put(t, at, "4", "x")
		w.do(os.Symlink(at, w.at("linked")))
		w.want("linked 4")
		w.write("linked/5", "x")
		w.want("linked 5")
		w.do(os.Remove(w.at("linked")))
		w.do(os.WriteFile(filepath.Join(at, "6"), nil, 0o644))
	}
	w.wantNoMore("renamed")
}

// Files that were written just before are waited for: a listing at the beginning says that they may be being written still.
func TestWatchJustWritten(t *testing.T) {
	t.Parallel()
	root := folders(t, "inbox/in")
	put(t, root, "inbox/in/old", "x")
	put(t, root, "inbox/in/fresh", "x")
	clock := changed(t, filepath.Join(root, "inbox/in/old")).Add(Settle)
	w := watch(t, root, func(w *watcher) { w.now = func() time.Time { return clock } })
	d := &Dir{w.at("inbox"), 10, w.watcher.now}
	if page, err := d.List(t.Context(), "", true, ""); err != nil || len(page.Files) != 2 || !page.Files[0].Unsettled || page.Files[1].Unsettled {
		t.Error(page, err)
	}
	w.end()
	if len(w.watcher.order) != 1 || w.watcher.order[0].name != w.at("inbox/in/fresh") {
		t.Errorf("waiting: %v", w.watcher.order)
	}
}

func TestWatchLinks(t *testing.T) {
	t.Parallel()
	root := folders(t, "inbox/in", "inbox/sub")
	outside := filepath.Dir(root)
	put(t, outside, "secret", "x")
	put(t, outside, "secrets/1", "x")
	put(t, root, "inbox/sub/file", "x")
	w := watch(t, root, nil)
	for name, target := range map[string]string{
		"out": filepath.Join(outside, "secret"), "up": "../../../secret", "far": filepath.Join(outside, "secrets"),
		"dangling": "none", "circle": "..", "self": "self", "folder": "../sub", "good": "../sub/file",
	} {
		w.do(os.Symlink(target, w.at("inbox/in/"+name)))
	}
	w.want("inbox in/good")
	w.do(os.WriteFile(filepath.Join(outside, "secrets/2"), nil, 0o644))
	w.write("inbox/sub/new", "x")
	w.want("inbox sub/new")
	w.wantNoMore("inbox")
}

// When the system allows no more watches, the datastore is listed again and again; what can be watched still is.
func TestWatchLimit(t *testing.T) {
	t.Parallel()
	root := folders(t, "inbox/a/b", "other")
	allow := make(chan bool)
	w := watch(t, root, func(w *watcher) {
		w.again = time.Millisecond
		w.limit = func(folder string) error {
			if filepath.Base(folder) != "b" {
				return nil
			}
			select {
			case <-allow:
				w.events.Lost("b, at last")
				return nil
			default:
				return &os.PathError{Op: "watch", Path: folder, Err: syscall.ENOSPC}
			}
		}
	})
	w.want("lost inbox")
	w.want("lost inbox")
	w.write("other/1", "x")
	w.want("other 1")
	close(allow)
	w.want("lost b, at last")
	w.want("lost inbox")
	w.write("inbox/a/b/2", "x")
	w.want("inbox a/b/2")
	w.wantNoMore("inbox")
}

// After events were dropped everything is watched anew, and listed.
func TestWatchOverflow(t *testing.T) {
	t.Parallel()
	root := folders(t, "inbox/in")
	w := watch(t, root, nil)
	w.watcher.notify.Errors <- fsnotify.ErrEventOverflow
	w.want("lost inbox")
	w.write("inbox/in/1", "x")
	w.want("inbox in/1")
	w.wantNoMore("inbox")
}

func TestWatchEnds(t *testing.T) {
	t.Parallel()
	missing := filepath.Join(t.TempDir(), "missing")
	events := Events{Lost: func(string) {}, Log: slog.New(slog.DiscardHandler)}
	if err := Watch(t.Context(), missing, events); !errors.Is(err, os.ErrNotExist) {
		t.Error(err)
	}
	root := folders(t, "inbox")
	events.Lost = func(string) {
		if err := os.RemoveAll(root); err != nil {
			t.Error(err)
		}
	}
	if err := Watch(t.Context(), root, events); err == nil || !strings.Contains(err.Error(), "has gone") {
		t.Error(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := Watch(ctx, t.TempDir(), events); err != nil {
		t.Error(err)
	}
}
