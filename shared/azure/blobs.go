package azure

import (
	"net"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
)

// Blobs is where a storage account's blobs are, and one of three ways in: an identity, the account's key, a signature.
// It holds secrets.
type Blobs struct {
	URL     string // without a slash at its end
	Account string // its name, as events about its blobs have it; "" when an address of one's own hides it

	Identity  azcore.TokenCredential
	Key       string
	Signature string
}

// BlobsOf finds the blobs of a connection as the Functions host finds them for a blob trigger, and reports everything that
// is wrong with the settings at once, never with a key in it. It sends nothing. The settings are those of Connect, named
// for the connection, and with BlobEndpoint and __blobServiceUri.
func BlobsOf(lookup func(string) (string, bool), connection string) (Blobs, error) {
	p, err := read(lookup, connection, "blob")
	if err != nil {
		return Blobs{}, err
	}
	b := Blobs{URL: p.at["blob"], Account: p.name, Identity: p.identity, Key: p.key, Signature: p.signature}
	if b.Account == "" {
		b.Account = accountAt(b.URL)
	}
	return b, nil
}

// accountAt is the account's name in the address of its blobs: account.blob.core.windows.net, account.z1.blob.storage.azure.net,
// 127.0.0.1:10000/account.
func accountAt(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	name, rest, _ := strings.Cut(u.Hostname(), ".")
	if net.ParseIP(u.Hostname()) != nil || rest == "" {
		name, rest = strings.Trim(u.Path, "/"), "blob."
	}
	if !accountName.MatchString(name) || !strings.Contains("."+rest, ".blob.") {
		return ""
	}
	return name
}
