// Package azblob looks into containers of Azure Storage, flat or with a hierarchical namespace (ADLS Gen2). Each page
// of a listing is one call, read as it arrives, so that it takes less memory and time than the SDK's own reading of it.
package azblob

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/blob"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/container"

	"carillon/shared/source"
)

// Place is where a container is, and one of three ways in: an identity, the account's key, a signature.
type Place struct {
	URL       string // of the account's blobs: https://account.blob.core.windows.net. Address makes it
	Account   string // the account's name; needed with a key
	Container string

	Identity  azcore.TokenCredential // over https only; needs the role Storage Blob Data Reader on the container
	Key       string
	Signature string // of an account or a container, to read and to list
}

var (
	accountName   = regexp.MustCompile(`^[a-z0-9]{3,24}$`)
	containerName = regexp.MustCompile(`^(\$root|\$web|\$logs|[a-z0-9](-?[a-z0-9]){2,62})$`)
	suffix        = regexp.MustCompile(`^[a-z0-9-]+(\.[a-z0-9-]+)+$`)
)

// Address is that of an account's blobs in the cloud whose endpoints end in suffix, which is core.windows.net when "".
// An identity's token goes there: whoever names the suffix has to be trusted with it.
func Address(account, cloud string) (string, error) {
	if cloud == "" {
		cloud = "core.windows.net"
	}
	switch {
	case !accountName.MatchString(account):
		return "", fmt.Errorf("%q is not the name of a storage account (3 to 24 of a-z and 0-9)", account)
	case !suffix.MatchString(cloud):
		return "", fmt.Errorf("%q is not the end of a cloud's endpoints, such as core.windows.net", cloud)
	}
	return "https://" + account + ".blob." + cloud, nil
}

// Container is one container. Safe for concurrent use.
type Container struct {
	client *container.Client
	name   string // for people: which container, where
	advice string // what to do when it may not be read
	page   int32  // how many blobs a page holds
}

var _ source.Source = (*Container)(nil)

// Open opens a container. It sends nothing; no error has a key or a signature in it.
func Open(p Place) (*Container, error) { return open(p, transport) }

func open(p Place, transport policy.Transporter) (*Container, error) {
	at, err := url.Parse(p.URL)
	switch {
	case err != nil || at.Host == "" || at.Scheme != "https" && at.Scheme != "http" || at.User != nil || at.RawQuery != "" || at.Fragment != "":
		return nil, errors.New("the datastore's URL is not an address such as https://account.blob.core.windows.net")
	case !containerName.MatchString(p.Container) || len(p.Container) > 63:
		return nil, fmt.Errorf("%q is not the name of a container (3 to 63 of a-z, 0-9 and single hyphens)", p.Container)
	case p.Identity != nil && at.Scheme != "https":
		return nil, fmt.Errorf("%s: an identity needs https://, or its token could be read on its way", p.URL)
	}
	client, advice, err := p.client(strings.TrimRight(p.URL, "/")+"/"+p.Container, &container.ClientOptions{ClientOptions: policy.ClientOptions{
		Transport:        transport,
		Retry:            retries,
		PerRetryPolicies: []policy.Policy{reading{}},
		Telemetry:        policy.TelemetryOptions{ApplicationID: "carillon"},
	}})
	if err != nil {
		return nil, fmt.Errorf("container %s: %w", p.Container, err)
	}
	return &Container{client, p.Container + " of " + at.Host + strings.TrimRight(at.Path, "/"), advice, source.MaxPage}, nil
}

func (p Place) client(at string, options *container.ClientOptions) (client *container.Client, advice string, err error) {
	switch {
	case p.Identity != nil:
		client, err = container.NewClient(at, p.Identity, options)
		return client, "give Carillon's identity the role Storage Blob Data Reader there; a new role takes some minutes", err
	case p.Key != "":
		key, err := container.NewSharedKeyCredential(p.Account, p.Key)
		if err != nil {
			return nil, "", errors.New("the account's key is not base64: copy the whole key, with the = at its end")
		}
		client, err = container.NewClientWithSharedKeyCredential(at, key, options)
		return client, "does the account's key still hold, and does the account allow keys?", err
	case p.Signature != "":
		client, err = container.NewClientWithNoCredential(at+"?"+strings.TrimPrefix(p.Signature, "?"), options)
		return client, "does the signature still hold, and does it allow to read and to list?", err
	}
	return nil, "", errors.New("no way in: give an identity, a key or a signature")
}

// transport leaves connections before the servers do (Node, under Azurite, after 5 s).
var transport = &http.Client{
	Transport: &http.Transport{
		Proxy:               http.ProxyFromEnvironment,
		DialContext:         (&net.Dialer{Timeout: 5 * time.Second}).DialContext,
		TLSHandshakeTimeout: 5 * time.Second,
		MaxIdleConnsPerHost: 16,
		IdleConnTimeout:     4 * time.Second,
		ForceAttemptHTTP2:   true,
	},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// retries try again what the network has cut off, twice, and nothing that the service has answered. A try takes a
// minute at most, as on the service's side.
var retries = policy.RetryOptions{
	MaxRetries:    2,
	TryTimeout:    time.Minute,
	RetryDelay:    200 * time.Millisecond,
	MaxRetryDelay: 2 * time.Second,
	ShouldRetry:   func(_ *http.Response, err error) bool { return err != nil },
}

// List is source.Source's. Blobs come by name. Names that begin or end with "/" are no paths: they are left out, as are
// the markers of folders. What is not committed, and older versions, are not seen.
func (c *Container) List(ctx context.Context, folder string, recursive bool, token string) (source.Page, error) {
	kind := "children:"
	if recursive {
		kind = "all:"
	}
	marker, ok := strings.CutPrefix(token, kind)
	if !ok && token != "" {
		return source.Page{}, fmt.Errorf("container %s: %w: its token is not one of this listing", c.name, source.ErrToken)
	}
	if folder != "" {
		folder += "/"
	}
	read, err := c.list(ctx, folder, recursive, marker)
	if err != nil {
		return source.Page{}, c.refused(err, marker != "")
	}
	if read.Next != "" {
		read.Next = kind + read.Next
	}
	return read, nil
}

func (c *Container) list(ctx context.Context, prefix string, recursive bool, marker string) (source.Page, error) {
	var read source.Page
	ctx = context.WithValue(ctx, reading{}, &read)
	var from *string
	if marker != "" {
		from = &marker
	}
	metadata := container.ListBlobsInclude{Metadata: true} // where a flat account marks folders; hierarchical ones say so by themselves
	var err error
	if recursive {
		_, err = c.client.NewListBlobsFlatPager(&container.ListBlobsFlatOptions{
			Prefix: &prefix, Marker: from, MaxResults: &c.page, Include: metadata,
		}).NextPage(ctx)
	} else {
		_, err = c.client.NewListBlobsHierarchyPager("/", &container.ListBlobsHierarchyOptions{
			Prefix: &prefix, Marker: from, MaxResults: &c.page, Include: metadata,
		}).NextPage(ctx)
	}
	return read, err
}

// Stat is source.Source's.
func (c *Container) Stat(ctx context.Context, path string) (source.File, error) {
	if !isPath(path) {
		return source.File{}, fmt.Errorf("%q in container %s: %w", path, c.name, source.ErrNotFound)
	}
	var raw *http.Response
	got, err := c.client.NewBlobClient(path).GetProperties(policy.WithCaptureResponse(ctx, &raw), nil)
	if err != nil {
		return source.File{}, c.notFound(path, err)
	}
	kind := raw.Header.Get("x-ms-resource-type") // only hierarchical accounts have it
	if kind == "directory" || marksFolder(got) {
		return source.File{}, fmt.Errorf("%q in container %s is a folder: %w", path, c.name, source.ErrNotFound)
	}
	f := source.File{Path: path, Tree: kind != ""}
	if got.ETag != nil {
		f.ETag = strings.Trim(string(*got.ETag), `"`)
	}
	if got.LastModified != nil {
		f.Modified = got.LastModified.UTC()
	}
	if got.ContentLength != nil {
		f.Size = *got.ContentLength
	}
	return f, nil
}

// isPath reports whether a blob's name is a path.
func isPath(name string) bool {
	return name != "" && name[0] != '/' && name[len(name)-1] != '/'
}

// marksFolder reports whether a blob stands for a folder, as Hadoop and the SDKs of ADLS write it. Names of metadata
// have no case.
func marksFolder(got blob.GetPropertiesResponse) bool {
	for name, value := range got.Metadata {
		if isFolder(name, value) {
			return true
		}
	}
	return false
}

func isFolder(name string, value *string) bool {
	return value != nil && strings.EqualFold(name, "hdi_isfolder") && strings.EqualFold(*value, "true")
}
