package azuremltest

import (
	"encoding/json"
	"net/http"
	"strconv"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// IdentityHeader is what a caller of Identity has to send as X-IDENTITY-HEADER: IDENTITY_HEADER in its environment.
const IdentityHeader = "azuremltest"

// Identity answers as the token endpoint of an app's managed identity (IDENTITY_ENDPOINT, version 2019-08-01), with
// tokens of a Credential. It does not prove that an identity exists, or has a role.
func Identity() http.Handler {
	credential := &Credential{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		resource := r.URL.Query().Get("resource")
		if r.Method != http.MethodGet || r.Header.Get("X-IDENTITY-HEADER") != IdentityHeader || resource == "" ||
			r.URL.Query().Get("api-version") != "2019-08-01" {
			http.Error(w, `{"statusCode": 400, "message": "this is not how a token is asked for"}`, http.StatusBadRequest)
			return
		}
		token, err := credential.GetToken(r.Context(), policy.TokenRequestOptions{Scopes: []string{resource + "/.default"}})
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		w.Header().Set("Content-Type", "application/json")
		json.NewEncoder(w).Encode(map[string]string{
			"access_token": token.Token, "expires_on": strconv.FormatInt(token.ExpiresOn.Unix(), 10),
			"resource": resource, "token_type": "Bearer",
		})
	})
}
