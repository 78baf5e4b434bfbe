package dir

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"carillon/shared/source"
)

// List is source.Source's. Files come by name, folder by folder. At any time at most two pages of names are held for each
// level of folders; each page reads its folder again. A file that has not settled is marked. Links to folders are not
// followed, so there are no circles.
func (d *Dir) List(ctx context.Context, folder string, recursive bool, token string) (source.Page, error) {
	after, err := d.after(folder, recursive, token)
	if err != nil {
		return source.Page{}, err
	}
	root, err := d.open()
	if err != nil {
		return source.Page{}, err
	}
	defer root.Close()
	switch {
	case folder == "":
		folder = "."
	case !fs.ValidPath(folder) || !isShown(folder):
		return source.Page{}, ctx.Err()
	}
	l := listing{Dir: d, ctx: ctx, root: root, recursive: recursive}
	if err = isFolder(root, folder); err == nil {
		err = l.folder(folder, after)
	}
	switch {
	case errors.Is(err, errFull):
		kind, _ := kinds(recursive)
		return source.Page{Files: l.files, Next: kind + l.last}, nil
	case err == nil || isGone(err):
		return source.Page{Files: l.files}, ctx.Err()
	case ctx.Err() != nil:
		return source.Page{}, ctx.Err()
	}
	return source.Page{}, d.failed(folder, err)
}

func kinds(recursive bool) (this, other string) {
	if recursive {
		return "all:", "children:"
	}
	return "children:", "all:"
}

// after is where a token goes on: a path below the folder.
func (d *Dir) after(folder string, recursive bool, token string) (string, error) {
	if token == "" {
		return "", nil
	}
	kind, _ := kinds(recursive)
	at, known := strings.CutPrefix(token, kind)
	below := at
	if folder != "" {
		var inside bool
		below, inside = strings.CutPrefix(at, folder+"/")
		known = known && inside
	}
	if !known || !fs.ValidPath(below) || below == "." || !recursive && strings.Contains(below, "/") {
		return "", fmt.Errorf("%s: %w: its token is not one of this listing", d.root, source.ErrToken)
	}
	return below, nil
}

// listing is one page in the making.
type listing struct {
	*Dir
	ctx       context.Context
	root      *os.Root
	recursive bool
	files     []source.File
	last      string // the path of the last file that was looked at
}

var errFull = errors.New("the page is full")

// folder lists what comes after a path below it; "" is the beginning.
func (l *listing) folder(folder, after string) error {
	here, err := l.root.OpenRoot(folder)
	if err != nil {
		return err
	}
	defer here.Close()
	first, rest, within := strings.Cut(after, "/")
	for more := true; more; within = false {
		var names []string
		if names, more, err = l.names(here, first, within); err != nil {
			return err
		}
		for _, name := range names {
			if name != first {
				rest = ""
			}
			if err := l.entry(here, path.Join(folder, name), rest); err != nil && !isGone(err) {
				return err
			}
			first = name
		}
	}
	return nil
}

// entry lists one thing in a folder: of a folder, what comes after a path below it.
func (l *listing) entry(here *os.Root, at, after string) error {
	if len(l.files) == l.page {
		return errFull
	}
	if err := l.ctx.Err(); err != nil {
		return err
	}
	info, err := here.Lstat(path.Base(at))
	switch {
	case err != nil:
		return err
	case info.IsDir() && l.recursive:
		return l.folder(at, after)
	case info.IsDir():
		return nil
	}
	l.last = at
	info, err = regular(l.root, at, info)
	if err == nil {
		found := file(at, info)
		found.Unsettled = !isSettled(info, l.now())
		l.files = append(l.files, found)
	}
	return err
}

// names returns the names in a folder that come after one (or with it), in order: a page of them, and whether there are
// more. They come without their kinds: a Root would ask the system for those of all names one by one.
func (l *listing) names(here *os.Root, after string, inclusive bool) (names []string, more bool, err error) {
	f, err := here.Open(".")
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	limit := l.page + 1
	for l.ctx.Err() == nil {
		some, err := f.Readdirnames(1024)
		for _, name := range some {
			if isShown(name) && (name > after || inclusive && name == after) {
				names = append(names, name)
			}
		}
		if len(names) >= 2*limit || err == io.EOF {
			slices.Sort(names)
			more = more || len(names) > limit
			names = names[:min(len(names), limit)]
		}
		switch {
		case err == io.EOF:
			return names, more, nil
		case err != nil:
			return nil, false, err
		}
	}
	return nil, false, l.ctx.Err()
}
