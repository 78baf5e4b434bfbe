package azblob

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"carillon/shared/source"
)

const secret = "SECRETsecretSECRETsecret"

// against opens a container whose service is answer.
func against(t *testing.T, answer http.HandlerFunc) *Container {
	t.Helper()
	server := httptest.NewServer(answer)
	t.Cleanup(server.Close)
	c, err := open(Place{URL: server.URL, Container: "inbox", Signature: "sig=" + secret}, transport)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// quick lets tries follow one another without a pause.
func quick(t *testing.T) {
	before := retries.RetryDelay
	retries.RetryDelay = 1
	t.Cleanup(func() { retries.RetryDelay = before })
}

func TestAnswers(t *testing.T) {
	var plain = errors.New("none of source's") // stands for an error that wraps none of them
	for _, c := range []struct {
		status     int
		code       string
		list, stat error
		says       []string
	}{
		{404, "ContainerNotFound", source.ErrMissing, source.ErrMissing, []string{"inbox", "create it"}},
		{409, "ContainerBeingDeleted", source.ErrMissing, source.ErrMissing, []string{"inbox", "ContainerBeingDeleted"}},
		{404, "BlobNotFound", source.ErrMissing, source.ErrNotFound, []string{"inbox"}},
		{404, "PathNotFound", nil, source.ErrNotFound, nil},
		{404, "", source.ErrMissing, source.ErrNotFound, []string{"inbox"}},
		{403, "AuthorizationPermissionMismatch", source.ErrDenied, source.ErrDenied, []string{"inbox", "403 AuthorizationPermissionMismatch", "signature"}},
		{403, "AuthorizationFailure", source.ErrDenied, source.ErrDenied, []string{"inbox", "network rules"}},
		{403, "AuthenticationFailed", source.ErrDenied, source.ErrDenied, []string{"signature still hold"}},
		{401, "NoAuthenticationInformation", source.ErrDenied, source.ErrDenied, []string{"inbox"}},
		{400, "InvalidInput", plain, plain, []string{"400 InvalidInput"}},
		{302, "", plain, plain, []string{"302"}},
		{429, "", plain, plain, []string{"429"}},
		{503, "ServerBusy", plain, plain, []string{"503 ServerBusy"}},
	} {
		var calls atomic.Int64
		source := against(t, func(w http.ResponseWriter, r *http.Request) {
			calls.Add(1)
			w.Header().Set("x-ms-error-code", c.code)
			w.Header().Set("Location", "https://example.com/?sig="+secret)
			w.WriteHeader(c.status)
			if r.Method == http.MethodGet {
				fmt.Fprintf(w, `<?xml version="1.0"?><Error><Code>%s</Code><Message>no, %s</Message></Error>`, c.code, r.URL.RawQuery)
			}
		})
		check := func(what string, want, err error) {
			t.Helper()
			if want == plain {
				want = nil
				if sentinel(err) != nil || err == nil {
					t.Errorf("%d %s, %s: %v", c.status, c.code, what, err)
				}
			} else if sentinel(err) != want {
				t.Errorf("%d %s, %s: %v, want %v", c.status, c.code, what, err, want)
			}
			for _, says := range c.says {
				if err == nil || !strings.Contains(err.Error(), says) {
					t.Errorf("%d %s, %s: %q is not in %v", c.status, c.code, what, says, err)
				}
			}
			if err != nil && (strings.Contains(err.Error(), secret) || strings.Contains(err.Error(), "\n")) {
				t.Errorf("%d %s, %s: %v", c.status, c.code, what, err)
			}
		}
		for _, recursive := range []bool{false, true} {
			_, err := source.List(t.Context(), "in", recursive, "")
			check("list", c.list, err)
		}
		_, err := source.Stat(t.Context(), "in/a")
		check("stat", c.stat, err)
		if calls.Load() != 3 {
			t.Errorf("%d %s: %d calls, want 3: an answer is not asked for again", c.status, c.code, calls.Load())
		}
	}
}

// sentinel is the one of source's errors that err wraps.
func sentinel(err error) error {
	for _, s := range []error{source.ErrNotFound, source.ErrMissing, source.ErrDenied, source.ErrToken} {
		if errors.Is(err, s) {
			return s
		}
	}
	return nil
}

// A marker that the service refuses ends the listing; without one the same answer is a fault.
func TestRefusedMarker(t *testing.T) {
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("x-ms-error-code", "InvalidQueryParameterValue")
		w.WriteHeader(http.StatusBadRequest)
	})
	if _, err := c.List(t.Context(), "in", true, "all:"+secret); !errors.Is(err, source.ErrToken) {
		t.Error(err)
	}
	if _, err := c.List(t.Context(), "in", true, ""); err == nil || errors.Is(err, source.ErrToken) {
		t.Error(err)
	}
}

const head = `<?xml version="1.0" encoding="utf-8"?>` + "\n" + `<EnumerationResults ContainerName="x"><Prefix>in/</Prefix><Blobs>`

func blobXML(name, properties, metadata string) string {
	return `<Blob><Name>` + name + `</Name><Properties><Etag>0x8D</Etag><Last-Modified>Tue, 01 Sep 2026 10:00:00 GMT</Last-Modified>` +
		`<Content-Length>7</Content-Length>` + properties + `</Properties><Metadata>` + metadata + `</Metadata></Blob>`
}

// A hierarchical account says what is a folder and what a file.
func TestHierarchical(t *testing.T) {
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		kind := "file"
		if strings.HasSuffix(r.URL.Path, "/sub") {
			kind = "directory"
		}
		w.Header().Set("x-ms-resource-type", kind)
		w.Header().Set("ETag", `"0x8D"`)
		w.Header().Set("Last-Modified", "Tue, 01 Sep 2026 10:00:00 GMT")
		if r.Method == http.MethodGet {
			fmt.Fprint(w, head+blobXML("in/sub", "<ResourceType>directory</ResourceType>", "")+
				"<BlobPrefix><Name>in/other/</Name><Properties><ResourceType>directory</ResourceType></Properties></BlobPrefix>"+
				blobXML("in/a", "<ResourceType>file</ResourceType>", "")+`</Blobs><NextMarker/></EnumerationResults>`)
		} else {
			w.Header().Set("Content-Length", "7")
		}
	})
	want := source.File{Path: "in/a", ETag: "0x8D", Modified: time.Date(2026, 9, 1, 10, 0, 0, 0, time.UTC), Size: 7, Tree: true}
	for _, recursive := range []bool{false, true} {
		page, err := c.List(t.Context(), "in", recursive, "")
		if err != nil || len(page.Files) != 1 || page.Files[0] != want || page.Next != "" {
			t.Errorf("%+v, %v", page, err)
		}
	}
	if f, err := c.Stat(t.Context(), "in/a"); err != nil || f != want {
		t.Errorf("%+v, %v", f, err)
	}
	if f, err := c.Stat(t.Context(), "in/sub"); !errors.Is(err, source.ErrNotFound) {
		t.Errorf("%+v, %v", f, err)
	}
}

func TestReadPage(t *testing.T) {
	const foot = `</Blobs><NextMarker>2!m&amp;1</NextMarker></EnumerationResults>`
	marker := func(name, value string) string { return "<" + name + ">" + value + "</" + name + ">" }
	for _, c := range []struct{ name, text, want, next string }{
		{"nothing", head + "</Blobs><NextMarker /></EnumerationResults>", "", ""},
		{"no blobs at all", "<EnumerationResults/>", "", ""},
		{"a byte order mark", "\ufeff" + head + blobXML("a", "", "") + foot, "a", "2!m&1"},
		{"escapes", head + blobXML("in/a &amp; b&#x41;", "", "") + foot, "in/a & bA", "2!m&1"},
		{"what XML cannot hold", head + strings.Replace(blobXML("in%2Fa%EF%BF%BE+b", "", ""), "<Name>", `<Name Encoded="true">`, 1) + foot, "in/a\ufffe+b", "2!m&1"},
		{"quotes", head + strings.Replace(blobXML("a", "", ""), "0x8D", "&quot;0x8D&quot;", 1) + foot, "a", "2!m&1"},
		{"no paths", head + blobXML("/a", "", "") + blobXML("b/", "", "") + blobXML("/", "", "") + blobXML("c//d", "", "") + foot, "c//d", "2!m&1"},
		{"folders", head + blobXML("a", "", marker("hdi_isfolder", "true")) + blobXML("b", "", marker("x", "y")+marker("Hdi_isfolder", "True")) +
			blobXML("c", "", marker("hdi_isfolder", "false")) + blobXML("d", "<Metadata><hdi_isfolder>true</hdi_isfolder></Metadata>", "") + foot, "c d", "2!m&1"},
		{"elements to come", head + "<New><Blob/></New>" + blobXML("a", "<Name>b</Name>", "") + "</Blobs><Blobs2/><NextMarker/><New/></EnumerationResults>", "a", ""},
	} {
		page, err := readPage(strings.NewReader(c.text))
		var names []string
		for _, f := range page.Files {
			names = append(names, f.Path)
			if f.ETag != "0x8D" || f.Size != 7 || f.Tree {
				t.Errorf("%s: %+v", c.name, f)
			}
		}
		if got := strings.Join(names, " "); err != nil || got != c.want || page.Next != c.next {
			t.Errorf("%s: got %q, %q, %v, want %q, %q", c.name, got, page.Next, err, c.want, c.next)
		}
	}
}

// A listing is read to its end or not at all.
func TestReadBrokenPage(t *testing.T) {
	whole := head + blobXML("a", "", "") + "</Blobs><NextMarker>m</NextMarker></EnumerationResults>"
	for n := range len(whole) {
		if page, err := readPage(strings.NewReader(whole[:n])); err == nil {
			t.Fatalf("broken off after %d bytes: %+v", n, page)
		}
	}
	for _, text := range []string{
		"<html><body>Sign in</body></html>", "{}", "<Error><Code>x</Code></Error>", whole + "<",
		strings.Replace(whole, "Sep", "???", 1), strings.Replace(whole, ">7<", ">seven<", 1),
		strings.Replace(whole, "<Name>a", `<Name Encoded="true">%zz`, 1),
	} {
		if page, err := readPage(strings.NewReader(text)); err == nil {
			t.Errorf("%.40q: %+v", text, page)
		}
	}
}

// What the network cuts off is asked for again, twice.
func TestCutOff(t *testing.T) {
	quick(t)
	for _, failures := range []int{2, 3} {
		for _, where := range []string{"before the answer", "within it"} {
			var calls atomic.Int64
			c := against(t, func(w http.ResponseWriter, r *http.Request) {
				if calls.Add(1) > int64(failures) {
					fmt.Fprint(w, head+blobXML("in/a", "", "")+"</Blobs></EnumerationResults>")
					return
				}
				if where == "within it" {
					fmt.Fprint(w, head+blobXML("in/b", "", ""))
					w.(http.Flusher).Flush()
				}
				panic(http.ErrAbortHandler)
			})
			page, err := c.List(t.Context(), "in", true, "")
			switch {
			case failures == 2 && (err != nil || len(page.Files) != 1 || page.Files[0].Path != "in/a"):
				t.Errorf("%s, %d: %+v, %v", where, failures, page, err)
			case failures == 3 && (err == nil || sentinel(err) != nil || len(page.Files) != 0 || strings.Contains(err.Error(), secret)):
				t.Errorf("%s, %d: %+v, %v", where, failures, page, err)
			case calls.Load() != 3:
				t.Errorf("%s, %d: %d calls", where, failures, calls.Load())
			}
		}
	}
}

func TestCancelledUnderWay(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	c := against(t, func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, head+blobXML("in/b", "", ""))
		w.(http.Flusher).Flush()
		cancel()
		<-r.Context().Done()
	})
	if page, err := c.List(ctx, "in", true, ""); !errors.Is(err, context.Canceled) || len(page.Files) != 0 {
		t.Errorf("%+v, %v", page, err)
	}
}

// unreachable stands for a network that cannot get there.
type unreachable struct{}

func (unreachable) Do(r *http.Request) (*http.Response, error) {
	return nil, &net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "no such host", Name: r.URL.Host, IsNotFound: true}}
}

// noToken stands for an identity that there is none of.
type noToken struct{}

func (noToken) GetToken(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
	return azcore.AccessToken{}, azidentity.NewCredentialUnavailableError("ManagedIdentityCredential: no identity\nhas been assigned")
}

func TestNoWayIn(t *testing.T) {
	c, err := open(Place{URL: "https://inbox.blob.core.windows.net", Container: "inbox", Identity: noToken{}}, unreachable{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.List(t.Context(), "", true, "")
	if !errors.Is(err, source.ErrDenied) || !strings.Contains(err.Error(), "no identity has been assigned") {
		t.Error(err)
	}
	quick(t)
	c, err = open(Place{URL: "https://inbox.blob.core.windows.net", Container: "inbox", Signature: secret}, unreachable{})
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Stat(t.Context(), "a")
	if err == nil || sentinel(err) != nil || !strings.Contains(err.Error(), "inbox.blob.core.windows.net: no such host") || strings.Contains(err.Error(), secret) {
		t.Error(err)
	}
}

func TestWrongPlaces(t *testing.T) {
	good := Place{URL: "https://inbox.blob.core.windows.net", Account: "inbox", Container: "inbox", Key: "QUJD"}
	if _, err := Open(good); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		change func(*Place)
		want   string
	}{
		{func(p *Place) { p.URL = "" }, "not an address"},
		{func(p *Place) { p.URL = "inbox" }, "not an address"},
		{func(p *Place) { p.URL = "ftp://inbox" }, "not an address"},
		{func(p *Place) { p.URL += "?sig=" + secret }, "not an address"},
		{func(p *Place) { p.URL = "https://" + secret + "@x/" }, "not an address"},
		{func(p *Place) { p.Container = "" }, "name of a container"},
		{func(p *Place) { p.Container = "In" }, "name of a container"},
		{func(p *Place) { p.Container = "a--b" }, "name of a container"},
		{func(p *Place) { p.Container = "../x" }, "name of a container"},
		{func(p *Place) { p.Container = strings.Repeat("a", 64) }, "name of a container"},
		{func(p *Place) { p.Key = "" }, "no way in"},
		{func(p *Place) { p.Key = secret + "!" }, "base64"},
		{func(p *Place) { p.URL, p.Identity = "http://127.0.0.1/", noToken{} }, "needs https"},
	} {
		p := good
		c.change(&p)
		if _, err := Open(p); err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), secret) {
			t.Errorf("%v, want %s", err, c.want)
		}
	}
	for _, c := range []struct{ account, cloud, want string }{
		{"inbox", "", "https://inbox.blob.core.windows.net"},
		{"inbox", "core.chinacloudapi.cn", "https://inbox.blob.core.chinacloudapi.cn"},
		{"In", "", ""},
		{"inbox", "evil.com/", ""},
		{"inbox", "x", ""},
		{"inbox", "a..b", ""},
	} {
		if got, err := Address(c.account, c.cloud); got != c.want || (err == nil) != (c.want != "") {
			t.Errorf("%s, %s: %s, %v", c.account, c.cloud, got, err)
		}
	}
}
