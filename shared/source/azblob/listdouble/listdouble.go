// Package listdouble stands for a container of Azure Storage with any number of blobs in one folder. It keeps none of
// them: what it answers to List Blobs and Get Blob Properties it makes up as it goes. For tests and benchmarks.
package listdouble

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"
)

// Container is an http.Handler. Its address is the server's, with the container's name as the last part of the path.
// Nobody is asked who they are. The fields do not change while it serves.
type Container struct {
	Folder  string          // all blobs lie directly in it; "" is the root
	Count   int             // at most 10,000,000
	Version func(i int) int // how often blob i has been written; nil: once each

	Lists atomic.Int64 // calls answered
	Heads atomic.Int64
}

// Path is that of blob i, which come in this order.
func (c *Container) Path(i int) string { return c.prefix() + fmt.Sprintf("%07d.csv", i) }

// ETag is that of blob i, without quotes.
func (c *Container) ETag(i int) string { return fmt.Sprintf("0x8DD%012X", i<<16+c.version(i)) }

func (c *Container) version(i int) int {
	if c.Version == nil {
		return 1
	}
	return c.Version(i)
}

func (c *Container) prefix() string {
	if c.Folder == "" {
		return ""
	}
	return c.Folder + "/"
}

// modified has whole seconds, as the service's.
func (c *Container) modified(i int) string {
	return time.Date(2026, 1, 1, 0, 0, i+c.version(i), 0, time.UTC).Format(http.TimeFormat)
}

func (c *Container) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	query := r.URL.Query()
	switch {
	case r.Method == http.MethodHead:
		c.Heads.Add(1)
		c.head(w, r.URL.Path)
	case r.Method == http.MethodGet && query.Get("comp") == "list" && query.Get("restype") == "container":
		c.Lists.Add(1)
		c.list(w, query.Get)
	default:
		http.Error(w, "the double lists blobs and tells their properties, no more", http.StatusNotImplemented)
	}
}

func (c *Container) head(w http.ResponseWriter, path string) {
	name := path[strings.LastIndex(path, "/")+1:]
	i, err := strconv.Atoi(strings.TrimSuffix(name, ".csv"))
	if err != nil || i < 0 || i >= c.Count || !strings.HasSuffix(path, "/"+c.Path(i)) {
		w.Header().Set("x-ms-error-code", "BlobNotFound")
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("ETag", `"`+c.ETag(i)+`"`)
	w.Header().Set("Last-Modified", c.modified(i))
	w.Header().Set("Content-Length", strconv.Itoa(1000+i))
	w.Header().Set("x-ms-blob-type", "BlockBlob")
}

// list answers one page. A marker is the number of the first blob that is still to come.
func (c *Container) list(w http.ResponseWriter, query func(string) string) {
	from, marker, size := 0, query("marker"), 5000
	if marker != "" {
		n, err := strconv.Atoi(marker)
		if err != nil || n < 0 || n > c.Count {
			w.Header().Set("x-ms-error-code", "InvalidQueryParameterValue")
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		from = n
	}
	if n, err := strconv.Atoi(query("maxresults")); err == nil && n > 0 && n < size {
		size = n
	}
	prefix, metadata := query("prefix"), strings.Contains(query("include"), "metadata")
	to := min(from+size, c.Count)
	below, inside := strings.CutPrefix(prefix, c.prefix())
	w.Header().Set("Content-Type", "application/xml")
	text := fmt.Appendf(nil, `<?xml version="1.0" encoding="utf-8"?><EnumerationResults ServiceEndpoint="http://127.0.0.1/" ContainerName="double">`+
		`<Prefix>%s</Prefix><MaxResults>%d</MaxResults><Blobs>`, prefix, size)
	switch {
	case !inside && strings.HasPrefix(c.prefix(), prefix) && query("delimiter") != "":
		first, _, _ := strings.Cut(c.prefix()[len(prefix):], "/")
		text = fmt.Appendf(text, `<BlobPrefix><Name>%s%s/</Name></BlobPrefix>`, prefix, first)
		to = c.Count
	case inside && below == "" || !inside && strings.HasPrefix(c.prefix(), prefix):
		for i := from; i < to; i++ {
			if text = c.blob(text, i, metadata); len(text) > 32<<10 {
				_, _ = w.Write(text)
				text = text[:0]
			}
		}
	default:
		to = c.Count
	}
	text = append(text, "</Blobs>"...)
	if to < c.Count {
		text = fmt.Appendf(text, "<NextMarker>%d</NextMarker>", to)
	} else {
		text = append(text, "<NextMarker />"...)
	}
	_, _ = w.Write(append(text, "</EnumerationResults>"...))
}

// blob has all that the service tells of a block blob.
func (c *Container) blob(text []byte, i int, metadata bool) []byte {
	at := c.modified(i)
	text = fmt.Appendf(text, `<Blob><Name>%s</Name><Properties><Creation-Time>%s</Creation-Time><Last-Modified>%s</Last-Modified>`+
		`<Etag>%s</Etag><Content-Length>%d</Content-Length><Content-Type>text/csv</Content-Type><Content-Encoding />`+
		`<Content-Language /><Content-CRC64 /><Content-MD5>sQqNsWTgdUEFt6mb5y4/5Q==</Content-MD5><Cache-Control />`+
		`<Content-Disposition /><BlobType>BlockBlob</BlobType><AccessTier>Hot</AccessTier>`+
		`<AccessTierInferred>true</AccessTierInferred><LeaseStatus>unlocked</LeaseStatus><LeaseState>available</LeaseState>`+
		`<ServerEncrypted>true</ServerEncrypted></Properties>`, c.Path(i), at, at, c.ETag(i), 1000+i)
	if metadata {
		text = append(text, `<Metadata />`...)
	}
	return append(text, `<OrMetadata /></Blob>`...)
}
