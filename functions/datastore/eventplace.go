package datastore

import (
	"cmp"
	"fmt"
	"net"
	"net/url"
	"strings"
)

// place is where a blob lies.
type place struct{ account, container, path string }

// place reads where the blob of an event of Event Grid lies: from its URL, else from the event's subject. The account is
// the one that sent the event, where it says so: a URL may be on a domain of the account's own.
func (e *element) place(address string) (place, error) {
	container, name, ok := e.subject()
	p, err := locate(address, name)
	switch {
	case err != nil && !ok:
		return place{}, fmt.Errorf("neither its data (%w) nor its subject %.80q says which file has changed", err, e.Subject)
	case err != nil:
		p = place{container: container, path: name}
	}
	p.account = cmp.Or(accountOf(cmp.Or(e.Topic, e.Source)), p.account)
	return p, nil
}

// subject is what the subject names: /blobServices/default/containers/NAME/blobs/PATH, not encoded.
func (e *element) subject() (container, path string, ok bool) {
	rest, ok := strings.CutPrefix(e.Subject, "/blobServices/default/containers/")
	if !ok {
		return "", "", false
	}
	container, path, ok = strings.Cut(rest, "/blobs/")
	return container, path, ok && container != "" && path != ""
}

// accountOf is the storage account in a resource's id; "" when there is none.
func accountOf(resource string) string {
	const part = "/storageaccounts/"
	at := strings.Index(strings.ToLower(resource), part)
	if at < 0 || len(strings.ToLower(resource)) != len(resource) {
		return ""
	}
	account, _, _ := strings.Cut(resource[at+len(part):], "/")
	return account
}

// locate reads the URL of a blob, of the endpoints blob. and dfs. alike: the account is the first part of the host, or
// of the path where the host has none (emulators). known is the blob's name where something else tells it, else "".
func locate(address, known string) (place, error) {
	scheme, rest, ok := strings.Cut(address, "://")
	if !ok || !strings.EqualFold(scheme, "https") && !strings.EqualFold(scheme, "http") {
		return place{}, fmt.Errorf("the URL %.80q is none of a blob", address)
	}
	host, rest, _ := strings.Cut(rest, "/")
	account, _, _ := strings.Cut(host, ".")
	if isBare(host) {
		account, rest, _ = strings.Cut(rest, "/")
	}
	container, name, ok := strings.Cut(rest, "/")
	if !ok { // a blob in the root container, which URLs leave out
		container, name = "$root", container
	}
	container, err := url.PathUnescape(container)
	path, readable := decoded(name, known)
	if err != nil || !readable || account == "" || container == "" || path == "" {
		return place{}, fmt.Errorf("the URL %.80q is none of a blob", address)
	}
	return place{account, container, path}, nil
}

// isBare reports whether a host is an address or a machine's name, so that it cannot have an account's name in it.
func isBare(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	return !strings.Contains(host, ".") || net.ParseIP(host) != nil
}

// decoded is a blob's name from its URL, decoded once. Not everything that goes by the name of URL is encoded as one
// (a # was seen to stand for itself), and it may have a query: where another source knows the name, that one decides.
func decoded(name, known string) (string, bool) {
	whole, err := url.PathUnescape(name)
	if err == nil && (whole == known || !strings.Contains(name, "?")) {
		return whole, true
	}
	if known != "" {
		return known, true
	}
	name, _, _ = strings.Cut(name, "?")
	path, err := url.PathUnescape(name)
	return path, err == nil
}
