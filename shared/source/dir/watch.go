package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/fsnotify/fsnotify"

	"carillon/shared/schedule"
	"carillon/shared/source"
)

// Events are what Watch tells. The calls come one after another, and what happens meanwhile waits: they are to be short.
type Events struct {
	// Changed: a file was made, written, or moved here, and has been left alone for Settle. It may be told of twice. The
	// time is when a folder was moved here with the file in it, whose own times say nothing of that; zero of others.
	Changed func(datastore, path string, moved time.Time)

	// Lost: there may be changes that Changed has not told of: the datastore has to be listed. It is called once for each
	// datastore that is there when watching begins, when the system has dropped events, and every ten seconds while some
	// folder of the datastore cannot be watched.
	Lost func(datastore string)

	Log *slog.Logger
}

// Watch watches the datastores in the folder root, those that come later too, until ctx ends; it returns an error when
// there is no such folder, or no longer, or the system lets nobody watch. A folder that is moved is told of file by file.
// What happens to a file behind a link to it is not seen, and of two datastores that are one folder only one is told of.
func Watch(ctx context.Context, root string, events Events) error {
	root, err := filepath.Abs(root)
	if err != nil {
		return err
	}
	return newWatcher(root, events).run(ctx)
}

// watcher is what Watch knows. Only one goroutine touches it.
type watcher struct {
	root   string
	events Events
	again  time.Duration    // between attempts to watch what could not be watched
	now    func() time.Time // for what has settled

	notify  *fsnotify.Watcher
	limit   func(folder string) error // refuses folders in tests; else nil
	watched map[string]bool           // folders, by their full names
	partly  map[string]bool           // datastores with folders that are not watched

	order []waiting            // files to tell of: each once, as their turns come
	due   map[string]time.Time // the same, and when they will have been left alone, as far as events tell
	moved map[string]time.Time // of those, when a folder came with them
}

// waiting is a file's turn to be looked at.
type waiting struct {
	name string // full
	at   time.Time
}

func newWatcher(root string, events Events) *watcher {
	return &watcher{root: root, events: events, again: 10 * time.Second, now: time.Now, due: map[string]time.Time{}, moved: map[string]time.Time{}}
}

func (w *watcher) run(ctx context.Context) error {
	for {
		if err := w.life(ctx); err != errOverflow {
			return err
		}
	}
}

var errOverflow = errors.New("events were dropped")

// life watches until ctx ends, or until so much has been missed that watching has to begin anew.
func (w *watcher) life(ctx context.Context) (err error) {
	if w.notify, err = fsnotify.NewWatcher(); err != nil {
		return fmt.Errorf("%s cannot be watched: %w%s", w.root, err, advice(err))
	}
	defer w.notify.Close()
	w.watched, w.partly = map[string]bool{}, map[string]bool{}
	if err := w.begin(); err != nil {
		return err
	}
	settle := time.NewTimer(0)
	defer settle.Stop()
	again := time.NewTicker(w.again)
	defer again.Stop()
	for {
		if len(w.order) > 0 {
			settle.Reset(w.order[0].at.Sub(w.now()))
		}
		select {
		case <-ctx.Done():
			return nil
		case e, ok := <-w.notify.Events:
			if !ok || e.Name == w.root && (e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename)) {
				return fmt.Errorf("%s has gone: make the folder, and start anew", w.root)
			}
			w.see(e)
		case err := <-w.notify.Errors:
			if errors.Is(err, fsnotify.ErrEventOverflow) {
				w.events.Log.Warn("changes came faster than they could be seen: the datastores are listed")
				return errOverflow
			}
			w.events.Log.Error("watching the datastores", "error", err)
		case <-settle.C:
			w.tell()
		case <-again.C:
			w.retry()
		}
	}
}

// begin watches what is there. What has settled before is for listings to find.
func (w *watcher) begin() error {
	if err := w.notify.Add(w.root); err != nil {
		return fmt.Errorf("%s cannot be watched: %w%s", w.root, err, advice(err))
	}
	all, err := Datastores(w.root)
	if err != nil {
		return err
	}
	for _, d := range all {
		w.watch(d.Name, filepath.Join(w.root, d.Name), false)
		w.events.Lost(d.Name)
	}
	return nil
}

// retry lists again, and tries to watch, what could not be watched.
func (w *watcher) retry() {
	for _, datastore := range slices.Collect(maps.Keys(w.partly)) {
		delete(w.partly, datastore)
		if at := filepath.Join(w.root, datastore); isDatastore(at) {
			w.watch(datastore, at, false)
			w.events.Lost(datastore)
			if !w.partly[datastore] {
				w.events.Log.Info("all folders of a datastore are watched again", "datastore", datastore)
			}
		}
	}
}

// watch watches a folder of a datastore and all below it. With tell, the files in it are changes.
func (w *watcher) watch(datastore, folder string, tell bool) {
	err := w.enter(folder, tell)
	if err == nil || w.partly[datastore] {
		return
	}
	w.partly[datastore] = true
	w.events.Log.Error("not all folders of a datastore can be watched: it is listed every "+w.again.String()+advice(err),
		"datastore", datastore, "error", err)
}

// enter watches first and looks then, so that nothing comes between. It gives up at the first folder that the system
// does not let it watch; those that are gone or may not be read hold nothing that a schedule could get.
func (w *watcher) enter(folder string, tell bool) error {
	if !w.watched[folder] {
		switch err := w.add(folder); {
		case isGone(err) || errors.Is(err, fs.ErrPermission):
			return nil
		case err != nil:
			return err
		}
		w.watched[folder] = true
	}
	below, err := w.look(folder, tell)
	if err != nil {
		return err
	}
	for _, name := range below {
		if err := w.enter(filepath.Join(folder, name), tell); err != nil {
			return err
		}
	}
	return nil
}

// look reads a folder: it returns the folders in it. Even without tell it waits for files that a listing would leave out.
func (w *watcher) look(folder string, tell bool) (below []string, err error) {
	f, err := os.Open(folder)
	if err == nil {
		defer f.Close()
	}
	for err == nil {
		var entries []fs.DirEntry
		entries, err = f.ReadDir(1024)
		for _, e := range entries {
			switch {
			case !isShown(e.Name()):
			case e.IsDir():
				below = append(below, e.Name())
			case isFile(e.Type()) && (tell || w.isFresh(e)):
				name := filepath.Join(folder, e.Name())
				if tell {
					w.moved[name] = w.now()
				}
				w.wait(name)
			}
		}
	}
	if err == io.EOF || isGone(err) || errors.Is(err, fs.ErrPermission) {
		err = nil
	}
	return below, err
}

func (w *watcher) isFresh(e fs.DirEntry) bool {
	info, err := e.Info()
	return err == nil && !isSettled(info, w.now())
}

func (w *watcher) add(folder string) error {
	if w.limit != nil {
		if err := w.limit(folder); err != nil {
			return err
		}
	}
	return w.notify.Add(folder)
}

// leave forgets a folder that was moved or removed. What was below it has gone with it, or is still being watched under
// a name that it has no longer.
func (w *watcher) leave(folder string, moved bool) {
	if !w.watched[folder] {
		return
	}
	gone := []string{folder}
	if moved {
		for at := range w.watched {
			if strings.HasPrefix(at, folder+string(filepath.Separator)) {
				gone = append(gone, at)
			}
		}
	}
	for _, at := range gone {
		_ = w.notify.Remove(at) // the system may have done so
		delete(w.watched, at)
	}
}

// see takes in what the system tells.
func (w *watcher) see(e fsnotify.Event) {
	datastore, at, ok := w.split(e.Name)
	if !ok {
		return
	}
	switch {
	case e.Has(fsnotify.Remove) || e.Has(fsnotify.Rename):
		w.leave(e.Name, e.Has(fsnotify.Rename) || at == "")
	case at == "":
		if e.Has(fsnotify.Create) && isDatastore(e.Name) {
			w.watch(datastore, e.Name, true)
		}
	case e.Has(fsnotify.Create):
		info, err := os.Lstat(e.Name)
		switch {
		case err != nil: // gone: an event of its own, or nothing
		case info.IsDir():
			w.watch(datastore, e.Name, true)
		case isFile(info.Mode()):
			w.wait(e.Name)
		}
	case !w.watched[e.Name]:
		w.wait(e.Name)
	}
}

// split gives the datastore of a full name and the path in it, "" for the datastore itself; not ok is what is not told of.
func (w *watcher) split(name string) (datastore, at string, ok bool) {
	below, err := filepath.Rel(w.root, name)
	if err != nil || !isShown(filepath.ToSlash(below)) {
		return "", "", false
	}
	datastore, at, _ = strings.Cut(filepath.ToSlash(below), "/")
	return datastore, at, schedule.ValidName(datastore)
}

// wait puts off telling of a file until it has been left alone.
func (w *watcher) wait(name string) {
	at := w.now().Add(Settle)
	if _, waits := w.due[name]; !waits {
		w.order = append(w.order, waiting{name, at})
	}
	w.due[name] = at
}

// tell tells of the file whose turn it is, if it has been left alone and is still there.
func (w *watcher) tell() {
	if len(w.order) == 0 || w.order[0].at.After(w.now()) {
		return
	}
	name := w.order[0].name
	w.order = w.order[1:]
	if due := w.due[name]; due.After(w.now()) { // touched since
		w.order = append(w.order, waiting{name, due})
		return
	}
	moved := w.moved[name]
	delete(w.due, name)
	delete(w.moved, name)
	datastore, at, _ := w.split(name)
	settled, err := w.isSettled(datastore, at)
	switch {
	case errors.Is(err, source.ErrNotFound) || errors.Is(err, source.ErrMissing):
	case err == nil && !settled:
		if !moved.IsZero() {
			w.moved[name] = moved
		}
		w.wait(name)
	default: // what else is wrong with it, whoever is told will find out
		w.events.Changed(datastore, at, moved)
	}
}

func (w *watcher) isSettled(datastore, at string) (bool, error) {
	d := New(filepath.Join(w.root, datastore))
	root, err := d.open()
	if err != nil {
		return false, err
	}
	defer root.Close()
	info, err := find(root, at)
	if err != nil {
		return false, d.failed(at, err)
	}
	return isSettled(info, w.now()), nil
}

// isFile reports whether something may be a file, or a link to one.
func isFile(mode fs.FileMode) bool { return mode.IsRegular() || mode.Type() == fs.ModeSymlink }

// advice says what to do when something cannot be watched.
func advice(err error) string {
	switch {
	case errors.Is(err, syscall.ENOSPC):
		return " (raise the limit on watches, for instance: sysctl -w fs.inotify.max_user_watches=524288)"
	case isGone(err):
		return ": make the folder"
	case errors.Is(err, syscall.EMFILE):
		return " (raise the limit on open files, or: sysctl -w fs.inotify.max_user_instances=512)"
	}
	return ""
}
