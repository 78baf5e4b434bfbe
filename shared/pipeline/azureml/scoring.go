package azureml

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
)

// scoring says where batch endpoints may be called, and with what tokens.
type scoring struct {
	only     *url.URL // the one scheme and host; nil for the cloud's
	suffix   string   // of the cloud's hosts; "" when they are not known
	region   string   // that the hosts have to name; "" for any
	audience string
}

// service lets nothing through but scoring addresses.
func (s scoring) service(c Config) service {
	return newService(s.allows, s.audience+"/.default", s.only != nil && s.only.Scheme == "http", c)
}

var label = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// allows reports whether it is the address of some endpoint: https://<endpoint>.<region>.inference.ml.azure.com.
func (s scoring) allows(u *url.URL) bool {
	if s.only != nil {
		return u.Scheme == s.only.Scheme && host(u) == s.only.Host
	}
	endpoint, rest, _ := strings.Cut(host(u), ".")
	region, suffix, _ := strings.Cut(rest, ".")
	return u.Scheme == "https" && label.MatchString(endpoint) && label.MatchString(region) &&
		(s.region == "" || region == s.region) && suffix == s.suffix && s.suffix != ""
}

// address checks what the workspace gives as the scoring address of an endpoint.
func (s scoring) address(endpoint, text string) (string, error) {
	if s.audience == "" {
		return "", errors.New("the hosts of batch endpoints are not known in this cloud")
	}
	u, err := url.Parse(text)
	if err != nil || u.User != nil || u.RawQuery != "" || u.Fragment != "" || !s.allows(u) ||
		s.only == nil && !strings.HasPrefix(host(u), strings.ToLower(endpoint)+".") {
		return "", fmt.Errorf("its scoring address, %q, is no address of a batch endpoint of the workspace, and is not called", tidy(text))
	}
	return u.Scheme + "://" + host(u) + u.EscapedPath(), nil
}
