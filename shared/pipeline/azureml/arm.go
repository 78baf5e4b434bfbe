package azureml

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"
)

const (
	// apiVersion is the newest stable one that the SDK for Go has (armmachinelearning/v4).
	apiVersion = "2024-04-01"

	// mostPages is how many pages of one list are read. The service decides how much a page holds.
	mostPages = 200
)

// entityName is what may name a component, its version, an endpoint, a deployment or a job in a path here.
const entityName = `[A-Za-z0-9][A-Za-z0-9_.-]{0,254}`

// resource is the path of something in the workspace, for the resource manager. The query is names and values in turn.
func (w *Workspace) resource(route string, query ...string) string {
	values := url.Values{"api-version": {apiVersion}}
	for i := 0; i+1 < len(query); i += 2 {
		values.Set(query[i], query[i+1])
	}
	return w.scope + route + "?" + strings.ReplaceAll(values.Encode(), "+", "%20")
}

func (w *Workspace) get(ctx context.Context, route string, out any) error {
	return w.arm.do(ctx, http.MethodGet, w.resource(route), nil, out)
}

// eachListed shows the entries of a list of the resource manager, as far as visit wants them and up to so many pages.
func eachListed[E any](ctx context.Context, w *Workspace, path string, pages int, visit func(E) bool) error {
	for range pages {
		var page struct {
			Value    *[]E
			NextLink string
		}
		if err := w.arm.do(ctx, http.MethodGet, path, nil, &page); err != nil {
			return err
		}
		if page.Value == nil {
			return errNotAList
		}
		for _, e := range *page.Value {
			if !visit(e) {
				return nil
			}
		}
		if page.NextLink == "" {
			return nil
		}
		var err error
		if path, err = w.next(page.NextLink); err != nil {
			return err
		}
	}
	return errTooLong
}

var errTooLong = errors.New("the list does not end")

// next is the path of a list's next page, which lies in the workspace or is not asked for.
func (w *Workspace) next(link string) (string, error) {
	path := w.own(link, w.id)
	if path == "" {
		return "", fmt.Errorf("the list goes on at %q, which is not in the workspace", tidy(link))
	}
	return path, nil
}

// own is the path, with its query, of an address that the resource manager gives, if it is one of its own and lies
// below a place; else "".
func (w *Workspace) own(link, place string) string {
	u, err := url.Parse(link)
	if err != nil || u.Scheme+"://"+host(u) != w.arm.base || !below(u, place) {
		return ""
	}
	return u.RequestURI()
}

// host is an address's host in small letters, without the port that its scheme has anyway.
func host(u *url.URL) string {
	return strings.TrimSuffix(strings.ToLower(u.Host), map[string]string{"https": ":443", "http": ":80"}[u.Scheme])
}

// below reports whether an address's path goes on from a place. Names are compared, as services escape other characters
// than their callers, and write other letter case. A path with a name that might lead elsewhere is below nothing.
func below(u *url.URL, place string) bool {
	path, from := strings.Split(u.EscapedPath(), "/"), strings.Split(place, "/")
	for i, part := range path {
		name, err := url.PathUnescape(part)
		if err != nil || name == "." || name == ".." || strings.ContainsAny(name, `/\`) || i < len(from) && !strings.EqualFold(name, from[i]) {
			return false
		}
	}
	return len(path) > len(from)
}
