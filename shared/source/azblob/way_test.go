package azblob

import (
	"crypto/tls"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/storage/azblob/sas"

	"carillon/shared/azure"
	"carillon/shared/azure/azuritetest"
	"carillon/shared/source"
)

// place is what main makes of the settings of a connection.
func place(t *testing.T, settings map[string]string, container string) Place {
	t.Helper()
	b, err := azure.BlobsOf(func(name string) (string, bool) { v, ok := settings[name]; return v, ok }, "LAKE")
	if err != nil {
		t.Fatal(err)
	}
	if b.Account != azuritetest.Account {
		t.Errorf("the account is %q", b.Account)
	}
	return Place{URL: b.URL, Account: b.Account, Container: container, Identity: b.Identity, Key: b.Key, Signature: b.Signature}
}

func wantOne(t *testing.T, what string, c *Container) {
	t.Helper()
	page, err := c.List(t.Context(), "in", true, "")
	if err != nil || len(page.Files) != 1 || page.Files[0].Path != "in/a b" {
		t.Fatalf("%s: %+v, %v", what, page, err)
	}
	if f, err := c.Stat(t.Context(), "in/a b"); err != nil || f != page.Files[0] {
		t.Errorf("%s: %+v, %v", what, f, err)
	}
}

func TestKeyAndSignature(t *testing.T) {
	azurite := azuritetest.Start(t)
	owner, p := fresh(t, azurite)
	write(t, owner.client, "in/a b", "x", nil)
	signature := func(rights sas.ContainerPermissions) string {
		at, err := owner.client.GetSASURL(rights, time.Now().Add(time.Hour), nil)
		if err != nil {
			t.Fatal(err)
		}
		_, signature, _ := strings.Cut(at, "?")
		return signature
	}
	by := func(settings string) *Container {
		c, err := Open(place(t, map[string]string{"LAKE": "BlobEndpoint=" + azurite.Blobs + ";" + settings}, p.Container))
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	wantOne(t, "key", by("AccountName="+azuritetest.Account+";AccountKey="+azuritetest.Key))
	wantOne(t, "signature", by("SharedAccessSignature="+signature(sas.ContainerPermissions{Read: true, List: true})))

	blind := signature(sas.ContainerPermissions{Read: true})
	for what, c := range map[string]*Container{
		"another key":            by("AccountName=" + azuritetest.Account + ";AccountKey=QUJD"),
		"a signature to read":    by("SharedAccessSignature=" + blind),
		"a signature of nothing": by("SharedAccessSignature=sv=1"),
	} {
		_, err := c.List(t.Context(), "in", true, "")
		if !errors.Is(err, source.ErrDenied) || !strings.Contains(err.Error(), p.Container) {
			t.Errorf("%s: %v", what, err)
		}
		if err != nil && (strings.Contains(err.Error(), "sig") && strings.Contains(err.Error(), blind[:20])) {
			t.Errorf("%s: the secret is in %v", what, err)
		}
	}
}

// The way of the deployed app: a managed identity's token, over https.
func TestIdentity(t *testing.T) {
	azurite, roots := azuritetest.StartTLS(t)
	trusting := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: roots}}}
	owner, err := open(Place{URL: azurite.Blobs, Account: azuritetest.Account, Container: "inbox", Key: azuritetest.Key}, trusting)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := owner.client.Create(t.Context(), nil); err != nil {
		t.Fatal(err)
	}
	write(t, owner.client, "in/a b", "x", nil)
	for client, audience := range map[string]string{"good": "https://storage.azure.com", "foreign": "https://example.com"} {
		token := azuritetest.Token(audience, time.Now().Add(time.Hour))
		identities := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, `{"access_token": %q, "token_type": "Bearer", "resource": %q, "expires_on": "%d"}`,
				token, r.URL.Query().Get("resource"), time.Now().Add(time.Hour).Unix())
		}))
		t.Setenv("IDENTITY_ENDPOINT", identities.URL)
		t.Setenv("IDENTITY_HEADER", "header")
		c, err := open(place(t, map[string]string{
			"LAKE__blobServiceUri": azurite.Blobs, "LAKE__credential": "managedidentity", "LAKE__clientId": client,
		}, "inbox"), trusting)
		if err != nil {
			t.Fatal(err)
		}
		if client == "good" {
			wantOne(t, "identity", c)
		} else if _, err := c.List(t.Context(), "in", true, ""); !errors.Is(err, source.ErrDenied) ||
			!strings.Contains(err.Error(), "Storage Blob Data Reader") || strings.Contains(err.Error(), token[:40]) {
			t.Error(err)
		}
		identities.Close()
	}
}
