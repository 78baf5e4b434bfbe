package azuremltest

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// IdentityHeader is what a caller of Identity has to send as X-IDENTITY-HEADER: IDENTITY_HEADER in its environment.
const IdentityHeader = "azuremltest"

// Identity answers as the token endpoint of an app's managed identity (IDENTITY_ENDPOINT, version 2019-08-01), with
// tokens of a Credential. The app has the user-assigned identities of these client ids, and without any its own: a
// request has to name one of those, and none for its own. It does not prove that an identity exists, or has a role.
func Identity(clients ...string) http.Handler {
	credential := &Credential{}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		resource := query.Get("resource")
		if r.Method != http.MethodGet || r.Header.Get("X-IDENTITY-HEADER") != IdentityHeader || resource == "" ||
			query.Get("api-version") != "2019-08-01" || len(query) > 2 && !query.Has("client_id") || len(query) > 3 {
			http.Error(w, `{"statusCode": 400, "message": "this is not how a token is asked for"}`, http.StatusBadRequest)
			return
		}
		if query.Has("client_id") != (len(clients) > 0) || len(clients) > 0 && !slices.Contains(clients, query.Get("client_id")) {
			http.Error(w, `{"statusCode": 400, "message": "the app has no such identity"}`, http.StatusBadRequest)
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
