// Package azure is Carillon on Azure: the Functions host calls it, one Storage account keeps its rows (Account.Store)
// and carries its messages (Account.Queue).
package azure

import (
	"encoding/base64"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/Azure/azure-sdk-for-go/sdk/data/aztables"
	"github.com/Azure/azure-sdk-for-go/sdk/storage/azqueue"
)

// connection is the Functions host's own storage connection. Carillon lives in the same account.
const connection = "AzureWebJobsStorage"

// Account is a storage account and the way in. Safe for concurrent use.
type Account struct {
	tables *aztables.ServiceClient
	queues *azqueue.ServiceClient
}

// Connect finds the account as the Functions host finds it (lookup is os.LookupEnv, the names are case-sensitive), and
// reports everything that is wrong with the settings at once, never with a key in it. It sends nothing.
//
//   - AzureWebJobsStorage: a connection string with AccountKey or SharedAccessSignature, or UseDevelopmentStorage=true;
//   - or, for an identity, AzureWebJobsStorage__accountName, or __tableServiceUri and __queueServiceUri, which go
//     before it. With __credential=managedidentity it is the app's own identity, or the one that __clientId or
//     __managedIdentityResourceId names; without, azidentity's DefaultAzureCredential.
func Connect(lookup func(string) (string, bool)) (*Account, error) {
	return connect(lookup, newTransport())
}

func connect(lookup func(string) (string, bool), transport policy.Transporter) (*Account, error) {
	p, err := read(lookup, connection, "table", "queue")
	if err != nil {
		return nil, err
	}
	options := clientOptions(transport)
	tables, err := p.openTables(&aztables.ClientOptions{ClientOptions: options})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", connection, err)
	}
	queues, err := p.openQueues(&azqueue.ClientOptions{ClientOptions: options})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", connection, err)
	}
	return &Account{tables, queues}, nil
}

// place is where an account is, and one of three ways in: a key (with the account's name), a signature, an identity.
type place struct {
	at        map[string]string // the services' URLs without a slash at their end, by table, queue, blob
	name, key string
	signature string
	identity  azcore.TokenCredential
}

func (p place) openTables(options *aztables.ClientOptions) (*aztables.ServiceClient, error) {
	switch {
	case p.identity != nil:
		return aztables.NewServiceClient(p.at["table"], p.identity, options)
	case p.key == "":
		return aztables.NewServiceClientWithNoCredential(p.at["table"]+"/?"+p.signature, options)
	}
	key, err := aztables.NewSharedKeyCredential(p.name, p.key)
	if err != nil {
		return nil, err
	}
	return aztables.NewServiceClientWithSharedKey(p.at["table"], key, options)
}

func (p place) openQueues(options *azqueue.ClientOptions) (*azqueue.ServiceClient, error) {
	switch {
	case p.identity != nil:
		return azqueue.NewServiceClient(p.at["queue"], p.identity, options)
	case p.key == "":
		return azqueue.NewServiceClientWithNoCredential(p.at["queue"]+"/?"+p.signature, options)
	}
	key, err := azqueue.NewSharedKeyCredential(p.name, p.key)
	if err != nil {
		return nil, err
	}
	return azqueue.NewServiceClientWithSharedKeyCredential(p.at["queue"], key, options)
}

// The account that every storage emulator has. The key is public.
const (
	emulatorName = "devstoreaccount1"
	emulatorKey  = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// emulatorPorts are those that storage emulators listen on.
var emulatorPorts = map[string]string{"blob": "10000", "queue": "10001", "table": "10002"}

// read reads the settings of a connection, for the services that are needed.
func read(lookup func(string) (string, bool), connection string, services ...string) (place, error) {
	w := wrongs{connection: connection}
	if text, _ := lookup(connection); strings.TrimSpace(text) != "" {
		p := w.readString(text, services)
		return p, w.join()
	}
	p := w.readIdentity(func(name string) string {
		value, _ := lookup(connection + "__" + name)
		return strings.TrimSpace(value)
	}, services)
	return p, w.join()
}

// readString reads a connection string. Nothing of it is ever quoted but the names and addresses in it.
func (w *wrongs) readString(text string, services []string) place {
	p := place{at: map[string]string{}}
	fields := map[string]string{}
	for part := range strings.SplitSeq(text, ";") {
		name, value, ok := strings.Cut(strings.TrimSpace(part), "=")
		if ok {
			fields[strings.ToLower(name)] = value
		} else if name != "" {
			w.add("", "a part of the connection string is not name=value")
		}
	}
	if strings.EqualFold(fields["usedevelopmentstorage"], "true") {
		if fields["developmentstorageproxyuri"] != "" {
			w.add("", "DevelopmentStorageProxyUri is not supported: give AccountName, AccountKey and the services' endpoints, such as TableEndpoint")
		}
		p.name, p.key = emulatorName, emulatorKey
		for _, service := range services {
			p.at[service] = "http://127.0.0.1:" + emulatorPorts[service] + "/" + emulatorName
		}
		return p
	}
	p.name, p.key = fields["accountname"], fields["accountkey"]
	p.signature = strings.TrimPrefix(fields["sharedaccesssignature"], "?")
	switch _, err := base64.StdEncoding.DecodeString(p.key); {
	case p.key == "" && p.signature == "":
		w.add("", "the connection string has neither AccountKey nor SharedAccessSignature")
	case err != nil:
		w.add("", "AccountKey is not base64: copy the whole key, with the = at its end")
	case p.key != "" && p.name == "":
		w.add("", "the connection string has an AccountKey and no AccountName")
	}
	for _, service := range services {
		p.at[service] = w.endpoint(fields, service)
	}
	return p
}

// endpoint is a service's address, written out in a connection string or made of the account's name.
func (w *wrongs) endpoint(fields map[string]string, service string) string {
	title := strings.ToUpper(service[:1]) + service[1:] + "Endpoint"
	if at := fields[service+"endpoint"]; at != "" {
		return w.address("", title, service, at)
	}
	name, scheme, suffix := fields["accountname"], fields["defaultendpointsprotocol"], fields["endpointsuffix"]
	if name == "" {
		w.add("", "the connection string has neither AccountName nor "+title)
		return ""
	}
	if scheme == "" {
		scheme = "https"
	}
	if suffix == "" {
		suffix = "core.windows.net"
	}
	return w.address("", title, service, scheme+"://"+name+"."+service+"."+suffix)
}

var accountName = regexp.MustCompile(`^[a-z0-9]{3,24}$`)

// readIdentity reads the settings of a connection without a secret.
func (w *wrongs) readIdentity(setting func(string) string, services []string) place {
	p := place{at: map[string]string{}, name: setting("accountName")}
	switch {
	case p.name == "" && setting("tableServiceUri") == "" && setting("queueServiceUri") == "" && setting("blobServiceUri") == "":
		w.all = append(w.all, fmt.Errorf("no storage account is set: give %s a connection string, or %[1]s__accountName "+
			"the name of an account that this app's identity may use", w.connection))
		return p
	case p.name != "" && !accountName.MatchString(p.name):
		w.add("__accountName", fmt.Sprintf("%q is not the name of a storage account (3 to 24 of a-z and 0-9)", p.name))
	}
	for _, service := range services {
		field := service + "ServiceUri"
		switch uri := setting(field); {
		case uri == "" && p.name == "":
			w.add("__"+field, "is not set, and there is no __accountName either")
		case uri == "":
			p.at[service] = "https://" + p.name + "." + service + ".core.windows.net"
		case !strings.HasPrefix(uri, "https://"):
			w.add("__"+field, "has to begin with https://, or the identity's token could be read on its way")
		default:
			p.at[service] = w.address("__"+field, "", service, uri)
		}
	}
	p.identity = w.identity(setting)
	return p
}

func (w *wrongs) identity(setting func(string) string) azcore.TokenCredential {
	kind, client, resource := setting("credential"), setting("clientId"), setting("managedIdentityResourceId")
	var options azidentity.ManagedIdentityCredentialOptions
	switch {
	case kind != "" && !strings.EqualFold(kind, "managedidentity"):
		w.add("__credential", fmt.Sprintf("%q is not supported: it is managedidentity or not set", kind))
		return nil
	case kind == "" && (client != "" || resource != ""):
		w.add("__credential", "has to be managedidentity when __clientId or __managedIdentityResourceId is set")
		return nil
	case client != "" && resource != "":
		w.add("__clientId", "and __managedIdentityResourceId are both set: keep one")
		return nil
	case client != "":
		options.ID = azidentity.ClientID(client)
	case resource != "":
		options.ID = azidentity.ResourceID(resource)
	}
	var credential azcore.TokenCredential
	var err error
	if kind == "" {
		credential, err = azidentity.NewDefaultAzureCredential(nil)
	} else {
		credential, err = azidentity.NewManagedIdentityCredential(&options)
	}
	if err != nil {
		w.add("__credential", err.Error())
	}
	return credential
}

// wrongs collects what is wrong with the settings of a connection.
type wrongs struct {
	connection string
	all        []error
}

func (w *wrongs) add(setting, problem string) {
	w.all = append(w.all, fmt.Errorf("%s%s: %s", w.connection, setting, problem))
}

func (w *wrongs) join() error { return errors.Join(w.all...) }

// address checks a service's URL and cuts the slash at its end. A query would be a signature: it is refused unseen.
func (w *wrongs) address(setting, name, service, at string) string {
	u, err := url.Parse(at)
	switch {
	case err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" || u.User != nil:
		w.add(setting, strings.TrimSpace(name+" is not an address such as https://account."+service+".core.windows.net"))
	case u.RawQuery != "" || u.Fragment != "":
		w.add(setting, strings.TrimSpace(name+" has a ? or # in it: a signature belongs in SharedAccessSignature"))
	}
	return strings.TrimRight(at, "/")
}
