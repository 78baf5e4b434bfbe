package azure

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"carillon/shared/azure/azuritetest"
	"carillon/shared/store"
)

// transport answers requests in place of a service.
type transport func(*http.Request) (*http.Response, error)

func (f transport) Do(r *http.Request) (*http.Response, error) { return f(r) }

// Every problem is named at once, and nothing secret is in the text.
func TestWrongSettings(t *testing.T) {
	const secret = "SECRETsecretSECRETsecretSECRETsecret"
	for _, c := range []struct {
		name     string
		settings map[string]string
		want     []string
	}{
		{"nothing", nil, []string{"AzureWebJobsStorage a connection string", "AzureWebJobsStorage__accountName"}},
		{"empty", map[string]string{"": " "}, []string{"AzureWebJobsStorage__accountName"}},
		{"other case", map[string]string{"__ACCOUNTNAME": "carillon"}, []string{"no storage account is set"}},
		{"a key alone", map[string]string{"": secret}, []string{"not name=value", "neither AccountKey", "neither AccountName nor TableEndpoint", "nor QueueEndpoint"}},
		{"no key", map[string]string{"": "AccountName=carillon"}, []string{"neither AccountKey nor SharedAccessSignature"}},
		{"no name", map[string]string{"": "AccountKey=" + secret + ";TableEndpoint=https://a;QueueEndpoint=https://b"}, []string{"no AccountName"}},
		{"a cut key", map[string]string{"": "AccountName=carillon;AccountKey=" + secret + "x"}, []string{"AccountKey is not base64"}},
		{"addresses", map[string]string{"": "AccountName=carillon;AccountKey=" + secret + ";TableEndpoint=" + secret + ";QueueEndpoint=https://b?sig=" + secret},
			[]string{"TableEndpoint is not an address", "QueueEndpoint has a ? or #"}},
		{"scheme", map[string]string{"": "DefaultEndpointsProtocol=ftp;AccountName=carillon;AccountKey=" + secret}, []string{"TableEndpoint is not an address"}},
		{"a proxy for the emulator", map[string]string{"": "UseDevelopmentStorage=true;DevelopmentStorageProxyUri=http://azurite"}, []string{"DevelopmentStorageProxyUri"}},
		{"name", map[string]string{"__accountName": "Not_A_Name"}, []string{`__accountName: "Not_A_Name"`}},
		{"only blobs", map[string]string{"__blobServiceUri": "https://carillon.blob.core.windows.net"}, []string{"__tableServiceUri: is not set", "__queueServiceUri: is not set"}},
		{"only tables", map[string]string{"__tableServiceUri": "https://carillon.table.core.windows.net"}, []string{"__queueServiceUri: is not set"}},
		{"no TLS", map[string]string{"__tableServiceUri": "http://a", "__queueServiceUri": "queues"}, []string{"__tableServiceUri: has to begin with https://", "__queueServiceUri: has to"}},
		{"signature", map[string]string{"__tableServiceUri": "https://a/?sig=" + secret, "__queueServiceUri": "https://b"}, []string{"__tableServiceUri: has a ?"}},
		{"kind", map[string]string{"__accountName": "no", "__credential": "password"}, []string{"__accountName", `__credential: "password"`}},
		{"client alone", map[string]string{"__accountName": "carillon", "__clientId": "x"}, []string{"__credential: has to be managedidentity"}},
		{"two identities", map[string]string{"__accountName": "carillon", "__credential": "managedidentity", "__clientId": "x", "__managedIdentityResourceId": "y"}, []string{"both set"}},
	} {
		values := map[string]string{}
		for name, value := range c.settings {
			values[connection+name] = value
		}
		_, err := Connect(settings(values))
		if err == nil {
			t.Errorf("%s: no error", c.name)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %q is not in\n%v", c.name, want, err)
			}
		}
		if strings.Contains(strings.ToLower(err.Error()), strings.ToLower(secret)) {
			t.Errorf("%s: the secret is in\n%v", c.name, err)
		}
	}
}

// Where requests go to, and what they bear.
func TestAddresses(t *testing.T) {
	identity := identityEndpoint(t, azuritetest.Token("https://storage.azure.com", time.Now().Add(time.Hour)))
	resource := "/subscriptions/" + fresh()
	for _, c := range []struct {
		name                  string
		settings              map[string]string
		tables, queues, bears string
	}{
		{"emulator", map[string]string{"": "UseDevelopmentStorage=true"},
			"http://127.0.0.1:10002/devstoreaccount1/rows()", "http://127.0.0.1:10001/devstoreaccount1/hints/messages", "SharedKey"},
		{"key", map[string]string{"": "accountname=carillon;AccountKey=QUJD;EndpointSuffix=core.chinacloudapi.cn"},
			"https://carillon.table.core.chinacloudapi.cn/rows()", "https://carillon.queue.core.chinacloudapi.cn/hints/messages", "SharedKey"},
		{"key, addresses", map[string]string{"": "AccountName=c;AccountKey=QUJD;TableEndpoint=http://t:1/c/;QueueEndpoint=http://q:2/c;"},
			"http://t:1/c/rows()", "http://q:2/c/hints/messages", "SharedKey"},
		{"signature", map[string]string{"": "AccountName=carillon;SharedAccessSignature=?sv=1&sig=QUJD"},
			"https://carillon.table.core.windows.net/rows()", "https://carillon.queue.core.windows.net/hints/messages", "sig=QUJD"},
		{"identity", map[string]string{"__accountName": "carillon", "__credential": "ManagedIdentity"},
			"https://carillon.table.core.windows.net/rows()", "https://carillon.queue.core.windows.net/hints/messages", "Bearer"},
		{"identity, resource", map[string]string{"__accountName": "carillon", "__credential": "managedidentity", "__managedIdentityResourceId": resource},
			"https://carillon.table.core.windows.net/rows()", "https://carillon.queue.core.windows.net/hints/messages", "Bearer"},
		{"identity, one address", map[string]string{"__accountName": "carillon", "__credential": "managedidentity", "__tableServiceUri": "https://t/"},
			"https://t/rows()", "https://carillon.queue.core.windows.net/hints/messages", "Bearer"},
		{"default identity", map[string]string{"__accountName": "carillon"},
			"https://carillon.table.core.windows.net/rows()", "https://carillon.queue.core.windows.net/hints/messages", "Bearer"},
		{"string before identity", map[string]string{"": "UseDevelopmentStorage=true", "__accountName": "carillon"},
			"http://127.0.0.1:10002/devstoreaccount1/rows()", "http://127.0.0.1:10001/devstoreaccount1/hints/messages", "SharedKey"},
	} {
		values := map[string]string{}
		for name, value := range c.settings {
			values[connection+name] = value
		}
		var last *http.Request
		a, err := connect(settings(values), transport(func(r *http.Request) (*http.Response, error) {
			last = r
			return text(http.StatusForbidden, ""), nil
		}))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		check := func(what, want string, err error) {
			if err == nil || last == nil {
				t.Fatalf("%s, %s: no request, %v", c.name, what, err)
			}
			if got := last.URL.Scheme + "://" + last.URL.Host + last.URL.Path; got != want {
				t.Errorf("%s, %s: sent to %s, want %s", c.name, what, got, want)
			}
			if in := last.Header.Get("Authorization") + " " + last.URL.RawQuery; !strings.Contains(in, c.bears) {
				t.Errorf("%s, %s: bears %q, want %s", c.name, what, in, c.bears)
			}
			last = nil
		}
		_, err = a.Store("rows").Get(t.Context(), "p", "row")
		check("tables", c.tables, err)
		check("queues", c.queues, a.Queue("hints").Send(t.Context(), []byte("x"), 0))
	}
	if text := identity(); !strings.Contains(text, "mi_res_id="+url.QueryEscape(resource)) {
		t.Errorf("the identity's resource was not asked for: %s", text)
	}
}

// identityEndpoint stands for the managed identities of an app: every one has this token.
// azidentity remembers tokens for as long as the process lives: each test asks for an identity of its own.
func identityEndpoint(t *testing.T, token string) (asked func() string) {
	var mu sync.Mutex
	var all strings.Builder
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		fmt.Fprintln(&all, r.URL.RawQuery)
		mu.Unlock()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]string{
			"access_token": token, "token_type": "Bearer", "resource": r.URL.Query().Get("resource"),
			"expires_on": fmt.Sprint(time.Now().Add(time.Hour).Unix()),
		})
	}))
	t.Cleanup(server.Close)
	t.Setenv("IDENTITY_ENDPOINT", server.URL)
	t.Setenv("IDENTITY_HEADER", "header")
	return func() string {
		mu.Lock()
		defer mu.Unlock()
		return all.String()
	}
}

// The way of the deployed app: a managed identity's token, over https.
func TestManagedIdentity(t *testing.T) {
	azurite, roots := azuritetest.StartTLS(t)
	token := azuritetest.Token("https://storage.azure.com", time.Now().Add(time.Hour))
	asked := identityEndpoint(t, token)
	client := fresh()
	values := map[string]string{
		connection + "__tableServiceUri": azurite.Tables,
		connection + "__queueServiceUri": azurite.Queues,
		connection + "__credential":      "managedidentity",
		connection + "__clientId":        client,
	}
	a, err := connect(settings(values), trusting(roots))
	if err != nil {
		t.Fatal(err)
	}
	d := a.Store("rows")
	for range 2 { // created, then warm
		if err := d.Apply(t.Context(), "p", store.Op{Kind: store.Put, Sort: "row", Value: []byte("x")}); err != nil {
			t.Fatal(err)
		}
	}
	if row, err := d.Get(t.Context(), "p", "row"); err != nil || string(row.Value) != "x" {
		t.Errorf("read %q, %v", row.Value, err)
	}
	if err := a.Queue("hints").Send(t.Context(), []byte("x"), 0); err != nil {
		t.Error(err)
	}
	if text := asked(); !strings.Contains(text, "client_id="+client) ||
		!strings.Contains(text, "resource=https%3A%2F%2Fstorage.azure.com") {
		t.Errorf("asked for %s", text)
	}
}

// A token that the service does not take: what to do about it is said, the token is not.
func TestRefusedToken(t *testing.T) {
	azurite, roots := azuritetest.StartTLS(t)
	token := azuritetest.Token("https://example.com", time.Now().Add(time.Hour))
	identityEndpoint(t, token)
	a, err := connect(settings(map[string]string{
		connection + "__tableServiceUri": azurite.Tables,
		connection + "__queueServiceUri": azurite.Queues,
		connection + "__credential":      "managedidentity",
		connection + "__clientId":        fresh(),
	}), trusting(roots))
	if err != nil {
		t.Fatal(err)
	}
	each(a.Store("rows"), a.Queue("hints"), "row", store.Op{Kind: store.Put, Sort: "row"}, func(what string, err error) {
		if err == nil || !strings.Contains(err.Error(), "Data Contributor") {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil && strings.Contains(err.Error(), token[:40]) {
			t.Errorf("%s: the token is in %v", what, err)
		}
	})
}

func trusting(roots *x509.CertPool) *http.Client {
	client := newTransport().(*http.Client)
	client.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: roots}
	return client
}
