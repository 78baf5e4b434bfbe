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
)

// Config says which workspace it is, and who asks.
type Config struct {
	Subscription  string // a GUID
	ResourceGroup string
	Workspace     string
	Region        string // the workspace's location, such as westeurope; not needed with BaseURL

	// BaseURL is the address of the v1 service and the run history where it is another than the region's public one,
	// such as a private endpoint's. Like the addresses below it has a scheme and a host only; plain http is for this
	// machine alone. An address of this machine is also the default of the two below.
	BaseURL string
	// ARMURL is the address of the resource manager where it is another than the cloud's.
	ARMURL string
	// InferenceURL is the one address that batch endpoints may be called at, instead of
	// <endpoint>.<region>.inference.ml.azure.com.
	InferenceURL string

	// Compute is what the steps of pipeline jobs made of components run on that name none themselves: a compute of the
	// workspace, or serverless. With "" such a step makes the workspace refuse the job; that it is not made and failed
	// is inferred.
	Compute string

	Cloud      cloud.Configuration // as the SDK has it; zero is the public cloud
	Credential azcore.TokenCredential

	// Transport carries the requests; nil for one made for it. Redirects are never followed.
	Transport http.RoundTripper
}

// place is what the SDK's configuration of a cloud does not have.
type place struct {
	regional  string // the hosts of the v1 service, after the region
	studio    string
	inference string // the hosts of endpoints, after their name and the region
	audience  string // that endpoints want tokens for
	storage   string // the hosts of storage accounts, after their name and the service
}

// places: the regional hosts and those of endpoints are those that Microsoft's firewall lists name; the studios' are
// inferred but for the public one. The audiences are those of Microsoft's own client; for China its documentation of
// batch endpoints says https://studio.ml.azure.cn, and which one holds there is not established.
var places = map[string]place{
	cloud.AzurePublic.ActiveDirectoryAuthorityHost:     {"api.azureml.ms", "https://ml.azure.com", "inference.ml.azure.com", "https://ml.azure.com", "core.windows.net"},
	cloud.AzureGovernment.ActiveDirectoryAuthorityHost: {"api.ml.azure.us", "https://ml.azure.us", "inference.ml.azure.us", "https://ml.azure.us", "core.usgovcloudapi.net"},
	cloud.AzureChina.ActiveDirectoryAuthorityHost:      {"api.ml.azure.cn", "https://studio.ml.azure.cn", "inference.ml.azure.cn", "https://ml.azure.cn", "core.chinacloudapi.cn"},
}

func (c Config) place() place { return places[c.Cloud.ActiveDirectoryAuthorityHost] }

var (
	guid      = regexp.MustCompile(`^[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}$`)
	groupName = regexp.MustCompile(`^[\p{L}\p{N}_().-]{0,89}[\p{L}\p{N}_()-]$`)
	spaceName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_-]{1,254}$`)
	region    = regexp.MustCompile(`^[a-z0-9]{1,64}$`)
	compute   = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9-]{0,31}$`)
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
	say(c.Compute == "" || compute.MatchString(c.Compute), "compute: %q cannot name one", c.Compute)
	return errors.Join(wrong...)
}

// addresses are the scheme and host of the v1 service, of the resource manager, and of batch endpoints where there is
// only one.
func (c Config) addresses() (base, arm, inference *url.URL, err error) {
	base, baseErr := c.base()
	if base != nil && loopback(base.Hostname()) {
		arm, inference = base, base
	}
	arm, armErr := address("ARM URL", c.ARMURL, arm)
	inference, inferenceErr := address("inference URL", c.InferenceURL, inference)
	if arm == nil && armErr == nil {
		arm, armErr = address("the cloud's resource manager", strings.TrimRight(c.Cloud.Services[cloud.ResourceManager].Endpoint, "/"), nil)
	}
	return base, arm, inference, errors.Join(baseErr, armErr, inferenceErr)
}

func (c Config) base() (*url.URL, error) {
	if c.BaseURL != "" {
		return address("base URL", c.BaseURL, nil)
	}
	suffix := c.place().regional
	if suffix == "" {
		return nil, errors.New("base URL: is required, as this cloud's hosts are not known here")
	}
	if !region.MatchString(c.Region) {
		return nil, fmt.Errorf("region: has to be a location such as westeurope, not %q", c.Region)
	}
	return &url.URL{Scheme: "https", Host: c.Region + "." + suffix}, nil
}

// address reads a scheme and a host; without a text it is otherwise.
func address(name, text string, otherwise *url.URL) (*url.URL, error) {
	if text == "" {
		return otherwise, nil
	}
	u, err := url.Parse(text)
	switch {
	case err != nil || u.Host == "" || u.User != nil || u.RawQuery != "" || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		return nil, fmt.Errorf("%s: has to be like https://host, with nothing behind the host", name)
	case u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())):
		return nil, fmt.Errorf("%s: has to begin with https; tokens go over plain http on this machine only", name)
	}
	return &url.URL{Scheme: u.Scheme, Host: host(u)}, nil
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
