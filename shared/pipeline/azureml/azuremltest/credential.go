package azuremltest

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// Credential gives out tokens, unsigned, for whatever scope it is asked.
type Credential struct {
	mu   sync.Mutex
	fail error
}

// Fail makes every further request for a token fail; nil ends that.
func (c *Credential) Fail(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.fail = err
}

// GetToken is azcore.TokenCredential's. The token is for the one scope's resource, and holds an hour.
func (c *Credential) GetToken(ctx context.Context, o policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return azcore.AccessToken{}, err
	}
	if c.fail != nil {
		return azcore.AccessToken{}, c.fail
	}
	if len(o.Scopes) != 1 || !strings.HasSuffix(o.Scopes[0], "/.default") {
		return azcore.AccessToken{}, fmt.Errorf("%q is not one scope that ends in /.default", o.Scopes)
	}
	expires := time.Now().Add(time.Hour)
	claims, err := json.Marshal(map[string]any{"aud": strings.TrimSuffix(o.Scopes[0], "/.default"), "exp": expires.Unix()})
	if err != nil {
		return azcore.AccessToken{}, err
	}
	part := base64.RawURLEncoding.EncodeToString
	return azcore.AccessToken{
		Token: part([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + part(claims) + ".", ExpiresOn: expires,
	}, nil
}

// checkToken says what is wrong with a request's token, "" for nothing.
func (s *Service) checkToken(r *http.Request, audience string) string {
	values := r.Header.Values("Authorization")
	if len(values) != 1 {
		return fmt.Sprintf("it has %d Authorization headers", len(values))
	}
	token, ok := strings.CutPrefix(values[0], "Bearer ")
	parts := strings.Split(token, ".")
	if !ok || len(parts) != 3 {
		return "its Authorization is no bearer token"
	}
	data, err := base64.RawURLEncoding.DecodeString(parts[1])
	var claims struct {
		Aud string `json:"aud"`
		Exp int64  `json:"exp"`
	}
	if err != nil || json.Unmarshal(data, &claims) != nil {
		return "its token cannot be read"
	}
	if strings.TrimRight(claims.Aud, "/") != audience {
		return fmt.Sprintf("its token is for %q, not %q", claims.Aud, audience)
	}
	if claims.Exp < s.Now().Unix() {
		return "its token is over"
	}
	return ""
}
