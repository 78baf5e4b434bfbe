package azuritetest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// StartTLS is Start with https, under a certificate for 127.0.0.1 that roots alone holds good, and with tokens
// accepted: Token makes them.
func StartTLS(t testing.TB) (a *Azurite, roots *x509.CertPool) {
	t.Helper()
	folder := t.TempDir()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1),
		Subject:      pkix.Name{CommonName: "Azurite"},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
		KeyUsage:     x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
		IPAddresses:  []net.IP{net.IPv4(127, 0, 0, 1)},
		IsCA:         true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	roots = x509.NewCertPool()
	if parsed, err := x509.ParseCertificate(certificate); err != nil {
		t.Fatal(err)
	} else {
		roots.AddCert(parsed)
	}
	return start(t, "--oauth", "basic",
		"--cert", write("cert.pem", "CERTIFICATE", certificate), "--key", write("key.pem", "PRIVATE KEY", private)), roots
}

// Token makes a bearer token for Azurite. Nobody signed it; Azurite looks at audience, issuer and times.
func Token(audience string, expires time.Time) string {
	part := func(claims map[string]any) string {
		text, _ := json.Marshal(claims)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return part(map[string]any{"alg": "none", "typ": "JWT"}) + "." + part(map[string]any{
		"aud": audience,
		"iss": "https://sts.windows.net/00000000-0000-0000-0000-000000000000/",
		"nbf": time.Now().Add(-time.Hour).Unix(),
		"iat": time.Now().Add(-time.Hour).Unix(),
		"exp": expires.Unix(),
	}) + "." + base64.RawURLEncoding.EncodeToString([]byte("unsigned"))
}
