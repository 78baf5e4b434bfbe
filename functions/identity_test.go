package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"carillon/shared/pipeline/azureml"
	"carillon/shared/pipeline/azureml/azuremltest"
	"carillon/shared/schedule"
)

// The workspace is asked by the identity that the settings name, and by no other. The SDK keeps tokens for the process, by
// client and cloud: no two rows have both in common.
func TestIdentityOfAnApp(t *testing.T) {
	const own, storage, general = "CARILLON_AZUREML_CLIENT_ID", "AzureWebJobsStorage__clientId", "AZURE_CLIENT_ID"
	for i, c := range []struct {
		name     string
		cloud    string
		settings []string // that name an identity: the first one the first, and so on
		has      int      // which of them the app has; 0 for its own
		fails    bool
	}{
		{"its own", "public", nil, 0, false},
		{"none is named, and the app has another", "china", nil, 1, true},
		{"user-assigned", "public", []string{own}, 1, false},
		{"as for storage", "public", []string{storage}, 1, false},
		{"as for all SDKs", "public", []string{general}, 1, false},
		{"named for the workspace", "public", []string{own, storage, general}, 1, false},
		{"named for storage", "public", []string{storage, general}, 1, false},
		{"one that the app does not have", "public", []string{own, storage}, 2, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := func(n int) string { return fmt.Sprintf("aaaaaaaa-1111-4000-8000-%010d%02d", i, n) }
			for n, name := range c.settings {
				t.Setenv(name, client(n+1))
			}
			var clients []string
			if c.has > 0 {
				clients = []string{client(c.has)}
			}
			t.Setenv("CARILLON_AZUREML_CLOUD", c.cloud)
			err := askAs(t, map[string]string{"public": "https://management.azure.com", "china": "https://management.chinacloudapi.cn"}[c.cloud], clients)
			if (err != nil) != c.fails || err != nil && !strings.Contains(err.Error(), "no token for the workspace") {
				t.Error(err)
			}
		})
	}
}

// askAs asks a workspace for a pipeline, in an app that has these user-assigned identities, or its own.
func askAs(t *testing.T, audience string, clients []string) error {
	workspace := azuremltest.New()
	workspace.Audience = audience
	workspace.Put(azuremltest.Pipeline{ID: train})
	mux := http.NewServeMux()
	mux.Handle("/identity", azuremltest.Identity(clients...))
	mux.Handle("/", workspace)
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	for name, value := range map[string]string{
		"CARILLON_AZUREML_SUBSCRIPTION": workspace.Subscription, "CARILLON_AZUREML_RESOURCE_GROUP": workspace.ResourceGroup,
		"CARILLON_AZUREML_WORKSPACE": workspace.Workspace, "CARILLON_AZUREML_BASE_URL": server.URL,
		"IDENTITY_ENDPOINT": server.URL + "/identity", "IDENTITY_HEADER": azuremltest.IdentityHeader, "AZURE_TOKEN_CREDENTIALS": "prod",
	} {
		t.Setenv(name, value)
	}
	c, err := readConfig()
	if err != nil {
		t.Fatal(err)
	}
	w, err := c.workspace()
	if err != nil {
		t.Fatal(err)
	}
	_, err = w.targets()[azureml.Published].Get(t.Context(), schedule.PipelineRef{Kind: azureml.Published, ID: train})
	return err
}

func TestAClientIDThatIsNone(t *testing.T) {
	t.Setenv("CARILLON_AZUREML_CLIENT_ID", "my-identity")
	if _, err := readConfig(); err == nil || !strings.Contains(err.Error(), `CARILLON_AZUREML_CLIENT_ID: has to be the client id of a user-assigned identity, a GUID, not "my-identity"`) {
		t.Error(err)
	}
}

// entra is as much of Microsoft Entra ID as trusts a workload's token: it gives the client a token for it.
type entra struct {
	t                         *testing.T
	tenant, client, assertion string
	asked                     int
}

func (e *entra) Do(r *http.Request) (*http.Response, error) {
	const host = "https://login.microsoftonline.com/"
	status, body := http.StatusOK, map[string]any{}
	switch at := r.URL.Scheme + "://" + r.URL.Host + r.URL.Path; at {
	case host + "common/discovery/instance":
		body = map[string]any{"tenant_discovery_endpoint": host + e.tenant + "/v2.0/.well-known/openid-configuration", "metadata": []any{}}
	case host + e.tenant + "/v2.0/.well-known/openid-configuration":
		body = map[string]any{"token_endpoint": host + e.tenant + "/oauth2/v2.0/token", "authorization_endpoint": host + e.tenant + "/oauth2/v2.0/authorize", "issuer": host + e.tenant + "/v2.0"}
	case host + e.tenant + "/oauth2/v2.0/token":
		e.asked++
		if err := r.ParseForm(); err != nil {
			return nil, err
		}
		if r.PostForm.Get("client_id") != e.client || r.PostForm.Get("client_assertion") != e.assertion || r.PostForm.Get("grant_type") != "client_credentials" {
			status, body = http.StatusBadRequest, map[string]any{"error": "invalid_client"}
			break
		}
		body = map[string]any{"token_type": "Bearer", "expires_in": 3600, "access_token": "token of " + e.client}
	default:
		e.t.Errorf("%s is asked for", at)
		status = http.StatusNotFound
	}
	text, err := json.Marshal(body)
	return &http.Response{
		StatusCode: status, Header: http.Header{"Content-Type": {"application/json"}}, Body: io.NopCloser(strings.NewReader(string(text))), Request: r,
	}, err
}

// A workload on Kubernetes is known by the token in a file, as the client that the platform or the setting names.
func TestIdentityOfAWorkload(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("signed by the cluster"), 0o600); err != nil {
		t.Fatal(err)
	}
	const tenant, first, second = "bbbbbbbb-1111-4000-8000-000000000001", "aaaaaaaa-2222-4000-8000-000000000001", "aaaaaaaa-2222-4000-8000-000000000002"
	for name, value := range map[string]string{"AZURE_FEDERATED_TOKEN_FILE": file, "AZURE_TENANT_ID": tenant, "AZURE_CLIENT_ID": first} {
		t.Setenv(name, value)
	}
	for setting, client := range map[string]string{"": first, second: second} {
		far := &entra{t: t, tenant: tenant, client: client, assertion: "signed by the cluster"}
		c := config{Cloud: "public", ClientID: setting}
		credential, err := c.identity(policy.ClientOptions{Cloud: clouds[c.Cloud], Transport: far})
		if err != nil {
			t.Fatal(err)
		}
		token, err := credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://management.azure.com/.default"}})
		if err != nil || token.Token != "token of "+client || far.asked != 1 {
			t.Errorf("%q: %q after %d questions, %v", setting, token.Token, far.asked, err)
		}
	}
}
