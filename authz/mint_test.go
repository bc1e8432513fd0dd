package authz

import (
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func mintOptions() MintOptions {
	return MintOptions{Kind: KindSession, Subject: "a@example.com", Environment: "production", IssuedAt: clock, Expiry: clock.Add(time.Hour)}
}

// A minted token is accepted by the guard of the same configuration and by the library.
func TestMintedTokensAreAccepted(t *testing.T) {
	for _, settings := range [][]string{nil, {"JWT_ALGORITHM=HS512"}, {"DERIVE_KEY_PER_ENVIRONMENT=true"}, {"REQUIRE_JTI=true", "ENVGATE_MISSING_ENVIRONMENT=deny"}} {
		g := newGuard(t, settings...)
		for _, kind := range []string{KindSession, KindAPI} {
			o := mintOptions()
			o.Kind = kind
			token, err := g.Config().Mint(o)
			if err != nil {
				t.Fatal(err)
			}
			v := g.v.verify(token)
			if v.Reason != None || v.Environment != "production" || v.Subject != o.Subject || len(v.ID) != 36 || !v.Expiry.Equal(o.Expiry) {
				t.Errorf("%v %s: %s, env %q, sub %q, jti %q", settings, kind, v.Reason, v.Environment, v.Subject, v.ID)
			}
		}
	}
}

// The claims are those of the gateway's own tokens.
func TestMintedClaims(t *testing.T) {
	o := mintOptions()
	o.Admin, o.ID, o.Environment = true, "id-1", ""
	token, err := newGuard(t).Config().Mint(o)
	if err != nil {
		t.Fatal(err)
	}
	parsed, _, err := jwt.NewParser().ParseUnverified(token, jwt.MapClaims{})
	if err != nil {
		t.Fatal(err)
	}
	claims := parsed.Claims.(jwt.MapClaims)
	if _, ok := claims["env"]; ok {
		t.Error("env is there, though none was asked for")
	}
	user, _ := claims["user"].(map[string]any)
	if claims["sub"] != "a@example.com" || claims["jti"] != "id-1" || claims["aud"] != "mcpgateway-api" || user["is_admin"] != true || user["email"] != "a@example.com" || user["auth_provider"] != "local" {
		t.Errorf("%v", claims)
	}
	if header, _ := json.Marshal(parsed.Header); string(header) != `{"alg":"HS256","typ":"JWT"}` {
		t.Errorf("header %s", header)
	}
}

func TestMintRefusesNonsense(t *testing.T) {
	tests := []struct {
		change func(*MintOptions)
		want   string
	}{
		{func(o *MintOptions) { o.Kind = "x" }, `kind: "x": want session or api`},
		{func(o *MintOptions) { o.Subject = "" }, "subject: empty: want the user's e-mail address"},
		{func(o *MintOptions) { o.Subject = "a b" }, `subject: "a b": want an e-mail address of at most 255 characters without blanks`},
		{func(o *MintOptions) { o.Subject = repeat("a", 256) }, `subject: "` + repeat("a", 64) + `...": want an e-mail address of at most 255 characters without blanks`},
		{func(o *MintOptions) { o.Environment = "a/b" }, `token environment: "a/b": want 1 to 63 characters of A-Z a-z 0-9 . _ -`},
		{func(o *MintOptions) { o.ID = "a\n" }, `id: "a?": want at most 255 printable characters without blanks`},
		{func(o *MintOptions) { o.Expiry = o.IssuedAt }, "expires in: not positive: want a duration such as 1h"},
		{func(o *MintOptions) { o.Expiry = o.IssuedAt.AddDate(11, 0, 0) }, "expires in: longer than 87600h0m0s"},
	}
	c := newGuard(t).Config()
	for _, tt := range tests {
		o := mintOptions()
		tt.change(&o)
		if token, err := c.Mint(o); err == nil || token != "" || err.Error() != tt.want {
			t.Errorf("got %v, want %s", err, tt.want)
		}
	}
}

// Public-key algorithms sign with the private key, whose file is read then.
func TestMintWithPrivateKeys(t *testing.T) {
	for _, algorithm := range []string{"RS256", "PS512", "ES256", "ES512", "EdDSA"} {
		key := testKeys()[keyOf[algorithm]]
		pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			t.Fatal(err)
		}
		private := writeFile(t, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8}))
		g := newGuard(t, "JWT_ALGORITHM="+algorithm, "JWT_PUBLIC_KEY_PATH="+publicFile(t, keyOf[algorithm]), "JWT_PRIVATE_KEY_PATH="+private)
		token, err := g.Config().Mint(mintOptions())
		if err != nil {
			t.Fatal(err)
		}
		if v := g.v.verify(token); v.Reason != None {
			t.Errorf("%s: %s", algorithm, v.Reason)
		}
	}
}

func TestMintRefusesPrivateKeys(t *testing.T) {
	ec := publicFile(t, "P-256")
	block := func(kind, content string) string {
		return writeFile(t, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: []byte(content)}))
	}
	p384, err := x509.MarshalPKCS8PrivateKey(testKeys()["P-384"])
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct{ name, file, want string }{
		{"none", "", "JWT_PRIVATE_KEY_PATH: not set: ES256 signs with a private key"},
		{"absent", "absent", `JWT_PRIVATE_KEY_PATH: "absent": no such file or directory`},
		{"public", ec, `holds a PEM block "PUBLIC KEY": want PRIVATE KEY, RSA PRIVATE KEY or EC PRIVATE KEY`},
		{"broken", block("EC PRIVATE KEY", "x"), "not a readable private key"},
		{"broken RSA", block("RSA PRIVATE KEY", "x"), "not a readable private key"},
		{"other curve", block("PRIVATE KEY", string(p384)), "an EC key on P-384, but JWT_ALGORITHM is ES256"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			c := newGuard(t, "JWT_ALGORITHM=ES256", "JWT_PUBLIC_KEY_PATH="+ec, "JWT_PRIVATE_KEY_PATH="+tt.file).Config()
			if _, err := c.Mint(mintOptions()); err == nil || !strings.HasSuffix(err.Error(), tt.want) {
				t.Errorf("got %v, want …%s", err, tt.want)
			}
		})
	}
}
