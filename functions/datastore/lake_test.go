package datastore_test

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"sync"
	"time"

	"carillon/shared/source"
)

// lake is a datastore that keeps its history, and sends events, or is polled, or both.
type lake struct {
	w      *simulation
	name   string
	events bool
	polled bool

	mu      sync.Mutex
	mem     source.Mem
	files   map[string]string  // the version of each file
	history map[string]history // of each version of each file, by path and version
}

// history is when a version came to be at its path, and when it came back there last. A renamed one is older than that.
type history struct {
	at, back time.Time
	renamed  bool
}

func newLake(w *simulation, name string, events, polled bool) *lake {
	return &lake{w: w, name: name, events: events, polled: polled, mem: source.Mem{PageSize: 3}, files: map[string]string{}, history: map[string]history{}}
}

// List fails now and then, and files change while a listing is under way.
func (l *lake) List(ctx context.Context, folder string, recursive bool, token string) (page source.Page, err error) {
	if l.polled && l.w.chance(200) {
		l.change()
	}
	err = l.w.call(ctx, func() (err error) {
		page, err = l.mem.List(ctx, folder, recursive, token)
		return err
	})
	return page, l.fault(err)
}

func (l *lake) Stat(ctx context.Context, path string) (f source.File, err error) {
	err = l.w.call(ctx, func() (err error) {
		f, err = l.mem.Stat(ctx, path)
		return err
	})
	return f, l.fault(err)
}

func (l *lake) fault(err error) error {
	switch {
	case err == nil && l.w.chance(5):
		return source.ErrDenied
	case err == nil && l.w.chance(5):
		return source.ErrToken
	}
	return err
}

// change changes something: a file is written, mostly, or deleted, or a folder is renamed.
func (l *lake) change() {
	kind, folder := l.w.below(100), []string{"in", "in", "in/d", "in/e", "other"}[l.w.below(5)]
	path := fmt.Sprintf("%s/%02d%s", folder, l.w.below(12), []string{".csv", ".txt"}[l.w.below(2)])
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case kind < 5:
		l.rename("in/d", "in/e")
	case kind < 10:
		l.rename("in/e", "in/d")
	case kind < 25:
		l.mem.Delete(path)
		delete(l.files, path)
	default:
		f := l.mem.Put(path, time.Now())
		l.came(path, f.ETag, false)
		l.tell("BlobCreated", map[string]any{"api": "PutBlob", "eTag": f.ETag, "url": "https://acme.blob.core.windows.net/" + l.name + "/" + escape(path), "sequencer": "1"})
	}
}

func (l *lake) came(path, etag string, renamed bool) {
	l.files[path] = etag
	h, before := l.history[path+"\x00"+etag]
	if h.back = time.Now(); !before {
		h.at, h.renamed = h.back, renamed
	}
	l.history[path+"\x00"+etag] = h
}

// rename moves a folder where none is.
func (l *lake) rename(from, to string) {
	var moved []string
	for path := range l.files {
		if strings.HasPrefix(path, to+"/") {
			return
		}
		if strings.HasPrefix(path, from+"/") {
			moved = append(moved, path)
		}
	}
	l.mem.Rename(from, to)
	for _, path := range moved {
		l.came(to+strings.TrimPrefix(path, from), l.files[path], true)
		delete(l.files, path)
	}
	url := "https://acme.dfs.core.windows.net/" + l.name + "/"
	l.tell("DirectoryRenamed", map[string]any{"api": "RenameDirectory", "sourceUrl": url + from, "destinationUrl": url + to, "sequencer": "1"})
}

// tell sends an event. Where folders are looked at as well, it may be lost.
func (l *lake) tell(kind string, data map[string]any) {
	if !l.events {
		return
	}
	body, _ := json.Marshal(map[string]any{"eventType": "Microsoft.Storage." + kind, "eventTime": time.Now().Format(time.RFC3339Nano), "data": data})
	l.w.events.post(body, time.Duration(l.w.below(2000))*time.Millisecond, l.polled)
}

// change changes something in one of the lakes.
func (w *simulation) change() { w.lakes[w.below(len(w.lakes))].change() }
