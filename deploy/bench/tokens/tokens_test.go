package tokens_test

import (
	"net/http"
	"testing"

	"envgate/authz"
	"envgate/deploy/bench/tokens"
)

func TestTokensAreJudgedAsTheBenchmarkExpects(t *testing.T) {
	rsa, err := tokens.NewRSA(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	for _, keys := range []tokens.Keys{{Algorithm: "HS256"}, rsa} {
		c, err := authz.Parse(authz.Source{Environ: keys.Environ()})
		if err != nil {
			t.Fatal(err)
		}
		guard := authz.New(c)
		mint := func(environment string, change ...string) string {
			token, err := keys.Mint(environment, change...)
			if err != nil {
				t.Fatal(err)
			}
			return token
		}
		expired, err := keys.Expired()
		if err != nil {
			t.Fatal(err)
		}
		for _, row := range []struct {
			name, token string
			want        authz.Reason
		}{
			{"good", mint(tokens.Environment), authz.None},
			{"another environment", mint("staging"), authz.Environment},
			{"another issuer", mint(tokens.Environment, "JWT_ISSUER=somebody-else"), authz.Issuer},
			{"another audience", mint(tokens.Environment, "JWT_AUDIENCE=something-else"), authz.Audience},
			{"expired", expired, authz.Expired},
			{"forged", tokens.Forged(mint(tokens.Environment)), authz.Signature},
		} {
			t.Run(keys.Algorithm+" "+row.name, func(t *testing.T) {
				r, _ := http.NewRequest(http.MethodGet, "http://gateway/tools", nil)
				r.Header.Set("Authorization", "Bearer "+row.token)
				if got := guard.Check(r).Reason; got != row.want {
					t.Errorf("%s, want %s", got, row.want)
				}
			})
		}
	}
}
