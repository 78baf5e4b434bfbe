// Package source looks into datastores: which files a folder holds, and what one file is like now. azblob looks into
// containers of Azure Storage, dir into folders of this machine.
package source

import (
	"context"
	"errors"
	"time"
)

// Source looks into one datastore. Paths go from its root, with "/" between their parts and none at either end. All
// methods may be called concurrently and obey ctx. They try again only what a network has cut off: the caller retries.
type Source interface {
	// List returns one page of the files in a folder ("" is the root), those of its subfolders too when recursive,
	// after the token of an earlier page. What stands for a folder itself is no file. A folder that does not exist
	// is empty. The order is the same from one listing to the next as far as the files are; a file that is written
	// while a listing is under way may be in it or not. The error wraps ErrToken when the listing has to be begun
	// again, ErrMissing when there is no such datastore, and ErrDenied when it may not be read.
	List(ctx context.Context, folder string, recursive bool, token string) (Page, error)

	// Stat returns a file as it is now. The error wraps ErrNotFound when there is none (a folder is none), else as List's.
	Stat(ctx context.Context, path string) (File, error)
}

// MaxPage is how many files one page holds at most.
const MaxPage = 5000

// File is one version of a file.
type File struct {
	Path     string
	ETag     string    // without quotes; every change of the content gives another one
	Modified time.Time // UTC; where the source measures whole seconds, cut to them. A rename may keep it
	Size     int64     // bytes

	// Tree: the datastore has real folders (ADLS Gen2), so a file is created empty before it gets its content.
	Tree bool

	// Unsettled: the file may be being written still. A listing says so where it can tell; what it will be is not known.
	Unsettled bool
}

// Page is a part of a listing.
type Page struct {
	Files []File
	Next  string // the token of the page after this one; "" at the end
}

var (
	// ErrNotFound: the datastore has no such file.
	ErrNotFound = errors.New("there is no such file")
	// ErrMissing: the datastore itself is not there.
	ErrMissing = errors.New("the datastore does not exist")
	// ErrDenied: Carillon's identity may not look into the datastore.
	ErrDenied = errors.New("the datastore may not be read")
	// ErrToken: the listing cannot be gone on with.
	ErrToken = errors.New("the listing has to begin again")
	// ErrUnknown: no datastore of that name is configured.
	ErrUnknown = errors.New("no datastore of that name is configured")
)
