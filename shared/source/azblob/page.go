package azblob

import (
	"encoding/xml"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"carillon/shared/source"
)

// reading is a pipeline policy that reads the answer to List Blobs as it arrives, into the *source.Page that the
// context holds under reading{}, and leaves the SDK an empty body. The SDK would hold the whole text and some sixty
// fields of every blob. The token is the service's marker.
type reading struct{}

func (reading) Do(req *policy.Request) (*http.Response, error) {
	into, ok := req.Raw().Context().Value(reading{}).(*source.Page)
	if !ok {
		return req.Next()
	}
	runtime.SkipBodyDownload(req)
	resp, err := req.Next()
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	read, err := readPage(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, fmt.Errorf("the listing broke off: %w", err)
	}
	*into = read
	resp.Body = http.NoBody
	return resp, nil
}

// entry is what is read of a blob in a listing.
type entry struct {
	Name struct {
		Encoded bool   `xml:",attr"` // for what XML cannot hold
		Text    string `xml:",chardata"`
	}
	Properties struct {
		ETag     string `xml:"Etag"`
		Modified string `xml:"Last-Modified"`
		Size     int64  `xml:"Content-Length"`
		Kind     string `xml:"ResourceType"` // file or directory, of hierarchical accounts only
	}
	Metadata struct {
		All []struct {
			XMLName xml.Name
			Value   string `xml:",chardata"`
		} `xml:",any"`
	}
}

// readPage reads a listing to its very end: one that breaks off is an error.
func readPage(from io.Reader) (source.Page, error) {
	var read page
	decoder, depth, whole := xml.NewDecoder(from), 0, false
	for {
		token, err := decoder.Token()
		switch {
		case err == io.EOF && whole:
			return source.Page(read), nil
		case err == io.EOF:
			return source.Page{}, io.ErrUnexpectedEOF
		case err != nil:
			return source.Page{}, err
		}
		switch t := token.(type) {
		case xml.StartElement:
			into, err := read.element(decoder, &t, depth)
			if err != nil {
				return source.Page{}, err
			}
			if into {
				depth++
			}
		case xml.EndElement:
			depth--
			whole = depth == 0
		}
	}
}

// page is a source.Page that is being read.
type page source.Page

// element reads a whole element, or reports that what it holds comes next.
func (p *page) element(decoder *xml.Decoder, start *xml.StartElement, depth int) (into bool, err error) {
	switch name := start.Name.Local; {
	case depth == 0 && name == "EnumerationResults", depth == 1 && name == "Blobs":
		return true, nil
	case depth == 0:
		return false, fmt.Errorf("it is no listing but %s", name)
	case depth == 1 && name == "NextMarker":
		return false, decoder.DecodeElement(&p.Next, start)
	case depth == 2 && name == "Blob":
		var e entry
		if err := decoder.DecodeElement(&e, start); err != nil {
			return false, err
		}
		return false, p.add(&e)
	}
	return false, decoder.Skip()
}

func (p *page) add(e *entry) error {
	name := e.Name.Text
	if e.Name.Encoded {
		plain, err := url.PathUnescape(name)
		if err != nil {
			return err
		}
		name = plain
	}
	if !isPath(name) || e.Properties.Kind == "directory" {
		return nil
	}
	for _, m := range e.Metadata.All {
		if isFolder(m.XMLName.Local, &m.Value) {
			return nil
		}
	}
	at, err := time.Parse(http.TimeFormat, e.Properties.Modified)
	if err != nil {
		return fmt.Errorf("%q: %w", name, err)
	}
	p.Files = append(p.Files, source.File{
		Path: name, ETag: strings.Trim(e.Properties.ETag, `"`), Modified: at, Size: e.Properties.Size, Tree: e.Properties.Kind != "",
	})
	return nil
}
