// Package azureml makes runs in an Azure Machine Learning workspace, and never claims to know more of a submission than
// the workspace proved: it was taken, it certainly started nothing, it will never be taken, or nobody can say.
//
// Published pipelines and pipeline endpoints (v1) take no caller's name: two requests are two runs. So the id of the
// occurrence travels with each run as a tag, and a submission that is made Again, as after a lost answer, only looks
// for a run that bears the tag. That none is found proves nothing, as nobody documents how soon a run can be found:
// it never leads to a second request.
//
// The facts of the v1 service come from Microsoft's client and public code, not from a specification. Where a
// comment says "inferred" or "not established", that one function is the place to change.
package azureml

import (
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	_ "github.com/Azure/azure-sdk-for-go/sdk/azcore/arm/runtime" // fills in the resource manager of each cloud
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"

	"carillon/shared/pipeline"
)

// The kinds of pipelines here.
const (
	Published        = "published"         // a published pipeline of v1
	PipelineEndpoint = "pipeline_endpoint" // an endpoint of v1, which runs its default version
)

// OccurrenceTag is the tag by which a run of v1 is found again. Its value is the id of the occurrence.
const OccurrenceTag = "carillon_occurrence"

// Config says which workspace it is, and who asks.
type Config struct {
	Subscription  string // a GUID
	ResourceGroup string
	Workspace     string
	Region        string // the workspace's location, such as westeurope; not needed with BaseURL

	// BaseURL is the address of the v1 service where it is another than the region's public one, such as a
	// private endpoint's. It has a scheme and a host only; plain http is for this machine alone.
	BaseURL string

	Cloud      cloud.Configuration // as the SDK has it; zero is the public cloud
	Credential azcore.TokenCredential

	// Transport carries the requests; nil for one made for it. Redirects are never followed.
	Transport http.RoundTripper
}

// Workspace is one workspace. It is safe for concurrent use, needs no closing, and calls no host but its own (a
// Credential calls those that it needs by its own means).
type Workspace struct {
	v1     service
	scope  string // the workspace's resource id, escaped for a path
	studio string // where people look at it, "" when the cloud is not known
	wsid   string // how the studio names it
}

// places are the hosts of a cloud that the SDK's configuration does not have. The regional ones are those that
// Microsoft's firewall lists name; the studios' are inferred but for the public one.
var places = map[string]struct{ regional, studio string }{
	cloud.AzurePublic.ActiveDirectoryAuthorityHost:     {"api.azureml.ms", "https://ml.azure.com"},
	cloud.AzureGovernment.ActiveDirectoryAuthorityHost: {"api.ml.azure.us", "https://ml.azure.us"},
	cloud.AzureChina.ActiveDirectoryAuthorityHost:      {"api.ml.azure.cn", "https://studio.ml.azure.cn"},
}

// Open checks the configuration, all of it, and asks nobody.
func Open(c Config) (*Workspace, error) {
	if c.Cloud.ActiveDirectoryAuthorityHost == "" && c.Cloud.Services == nil {
		c.Cloud = cloud.AzurePublic
	}
	base, err := c.base()
	if err := errors.Join(c.check(), err); err != nil {
		return nil, fmt.Errorf("the Azure ML workspace is not well described:\n%w", err)
	}
	group, name := url.PathEscape(c.ResourceGroup), url.PathEscape(c.Workspace)
	return &Workspace{
		v1: newService(base, c.tokenScope(), c.Credential, c.Transport),
		scope: "/subscriptions/" + c.Subscription + "/resourceGroups/" + group +
			"/providers/Microsoft.MachineLearningServices/workspaces/" + name,
		studio: places[c.Cloud.ActiveDirectoryAuthorityHost].studio,
		wsid:   "/subscriptions/" + c.Subscription + "/resourcegroups/" + group + "/workspaces/" + name,
	}, nil
}

// Targets returns what runs the pipelines of the workspace, by their kind. Each lists its own kind alone.
func (w *Workspace) Targets() map[string]pipeline.Target {
	return map[string]pipeline.Target{
		Published:        &v1{w: w, kind: Published, submit: "/PipelineRuns/PipelineSubmit/", list: "/Pipelines"},
		PipelineEndpoint: &v1{w: w, kind: PipelineEndpoint, submit: "/PipelineRuns/PipelineEndpointSubmit/Id/", list: "/PipelineEndpoints"},
	}
}

var (
	guid      = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	groupName = regexp.MustCompile(`^[\p{L}\p{N}_().-]{0,89}[\p{L}\p{N}_()-]$`)
	spaceName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{1,254}$`)
	region    = regexp.MustCompile(`^[a-z0-9]{1,64}$`)
)

func (c Config) check() error {
	var wrong []error
	say := func(holds bool, format string, args ...any) {
		if !holds {
			wrong = append(wrong, fmt.Errorf(format, args...))
		}
	}
	say(guid.MatchString(c.Subscription), "subscription: has to be a GUID, not %q", c.Subscription)
	say(groupName.MatchString(c.ResourceGroup), "resource group: %q cannot name one", c.ResourceGroup)
	say(spaceName.MatchString(c.Workspace), "workspace: %q cannot name one", c.Workspace)
	say(c.Credential != nil, "credential: is missing")
	say(c.tokenScope() != "", "cloud: it lacks its resource manager's endpoint")
	return errors.Join(wrong...)
}

// base is the scheme and host of the v1 service.
func (c Config) base() (*url.URL, error) {
	if c.BaseURL == "" {
		suffix := places[c.Cloud.ActiveDirectoryAuthorityHost].regional
		if suffix == "" {
			return nil, errors.New("base URL: is required, as this cloud's hosts are not known here")
		}
		if !region.MatchString(c.Region) {
			return nil, fmt.Errorf("region: has to be a location such as westeurope, not %q", c.Region)
		}
		return &url.URL{Scheme: "https", Host: c.Region + "." + suffix}, nil
	}
	u, err := url.Parse(c.BaseURL)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return nil, errors.New("base URL: has to be like https://host, with nothing behind the host")
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return nil, errors.New("base URL: has to begin with https; tokens go over plain http on this machine only")
	}
	return &url.URL{Scheme: u.Scheme, Host: strings.ToLower(u.Host)}, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// tokenScope is what tokens are asked for: the resource manager's, which the v1 service takes too. It is made of the
// endpoint: the documented scope is https://management.azure.com, and the SDK's audience another name of it.
func (c Config) tokenScope() string {
	endpoint := strings.TrimRight(c.Cloud.Services[cloud.ResourceManager].Endpoint, "/")
	if endpoint == "" {
		return ""
	}
	return endpoint + "/.default"
}
