package authz

import (
	"net/http"
	"strconv"
	"testing"

	"envgate/authz/attacktest"

	"github.com/golang-jwt/jwt/v5"
)

// longToken is a token of about 640 bytes, as gateways issue them.
func longToken(b *testing.B, n int, how ...signing) string {
	b.Helper()
	token := sign(b, `{@base,"env":"production","n":`+strconv.Itoa(1000000+n)+`,"user":{"email":"somebody@example.com","full_name":"Somebody With A Rather Long Name, Of Accounting","n":1,"is_admin":false,"auth_provider":"local"},`+
		`"teams":["7d1c2f0a5b"],"namespaces":["user:somebody@example.com","public"],"scopes":{"server_id":null,"permissions":["*"]}}`, how...)
	if len(how) == 0 && (len(token) < 630 || len(token) > 650) {
		b.Fatalf("the token has %d bytes", len(token))
	}
	return token
}

func benchCheck(b *testing.B, g *Guard, want Reason, credentials ...string) {
	b.Helper()
	requests := make([]*http.Request, max(1, len(credentials)))
	for i := range requests {
		line := "GET /servers/1/tools?limit=10 | User-Agent: bench | Accept: application/json | Content-Type: application/json"
		if len(credentials) > 0 {
			line += " | Authorization: Bearer " + credentials[i]
		}
		requests[i] = request(b, line)
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		if d := g.Check(requests[i]); d.Reason != want {
			b.Fatalf("%s, want %s", d.Reason, want)
		}
		if i++; i == len(requests) {
			i = 0
		}
	}
}

func BenchmarkCheckAccepted(b *testing.B) {
	token := longToken(b, 0)
	b.SetBytes(int64(len(token)))
	benchCheck(b, newGuard(b), None, token)
}

// BenchmarkCheckRemembered is the same with the verdict cache, as the sidecar runs.
func BenchmarkCheckRemembered(b *testing.B) {
	b.Run("HS256", func(b *testing.B) { benchCheck(b, remembering(newGuard(b)), None, longToken(b, 0)) })
	for _, a := range []string{"RS256", "ES256", "EdDSA"} {
		b.Run(a, func(b *testing.B) {
			g := newGuard(b, "JWT_ALGORITHM="+a, "JWT_PUBLIC_KEY_PATH="+publicFile(b, keyOf[a]))
			benchCheck(b, remembering(g), None, longToken(b, 0, signing{method: jwt.GetSigningMethod(a), key: testKeys()[keyOf[a]]}))
		})
	}
}

// BenchmarkCheckNewTokenRemembered is what remembering adds to a token that is new.
func BenchmarkCheckNewTokenRemembered(b *testing.B) {
	all := make([]string, 20000)
	for i := range all {
		all[i] = longToken(b, i)
	}
	g := newGuard(b)
	cached := NewCached(g.c, NewCache(1<<20)) // too small for them: each is judged, remembered and evicted
	cached.v.now = g.v.now
	benchCheck(b, cached, None, all...)
}

func remembering(g *Guard) *Guard {
	cached := NewCached(g.c, NewCache(8<<20))
	cached.v.now = g.v.now
	return cached
}

func BenchmarkCheckNewToken(b *testing.B) {
	all := make([]string, 4096)
	for i := range all {
		all[i] = longToken(b, i)
	}
	benchCheck(b, newGuard(b), None, all...)
}

func BenchmarkCheckForged(b *testing.B) {
	all := make([]string, 1024)
	for i := range all {
		all[i] = longToken(b, i, signing{key: []byte(otherSecret)})
	}
	benchCheck(b, newGuard(b), Signature, all...)
}

func BenchmarkCheckNoToken(b *testing.B) { benchCheck(b, newGuard(b), NoToken) }

func BenchmarkCheckPublic(b *testing.B) {
	g, r := newGuard(b), request(b, "GET /health | User-Agent: kube-probe/1.31")
	b.ReportAllocs()
	for b.Loop() {
		if d := g.Check(r); d.Outcome != Public {
			b.Fatal(d.Reason)
		}
	}
}

func BenchmarkCheckCookie(b *testing.B) {
	g, r := newGuard(b), request(b, "GET /admin/ | Cookie: theme=dark; lang=en; jwt_token="+longToken(b, 0)+"; other=1")
	b.ReportAllocs()
	for b.Loop() {
		if d := g.Check(r); d.Outcome != Accepted {
			b.Fatal(d.Reason)
		}
	}
}

func BenchmarkCheckAdditionalKey(b *testing.B) {
	benchCheck(b, newGuard(b, "ENVGATE_ADDITIONAL_SECRET_KEY="+attacktest.Additional), None, longToken(b, 0, signing{key: []byte(attacktest.Additional)}))
}

func BenchmarkCheckAlgorithm(b *testing.B) {
	for _, a := range []string{"RS256", "ES256", "EdDSA"} {
		b.Run(a, func(b *testing.B) {
			g := newGuard(b, "JWT_ALGORITHM="+a, "JWT_PUBLIC_KEY_PATH="+publicFile(b, keyOf[a]))
			benchCheck(b, g, None, longToken(b, 0, signing{method: jwt.GetSigningMethod(a), key: testKeys()[keyOf[a]]}))
		})
	}
}
