//go:build realgateway

package realgateway

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf16"

	"envgate/authz/attacktest"

	"github.com/golang-jwt/jwt/v5"
)

// sample is a token for generated requests. Its verdict is what the oracle must say of it.
type sample struct {
	name, verdict string
	text          string
}

const plainHeader = `{"alg":"HS256","typ":"JWT"}`

// samples are made of raw JSON, so that odd spellings stay as they are. In claims, @who stands for those that say whom
// the gateway knows, @named for these with issuer and audience, @base for @named with a lifetime.
var samples = []struct{ name, verdict, header, claims, key string }{
	{"own", acceptable, plainHeader, `{@base,"env":"production"}`, ""},
	{"own-2", acceptable, plainHeader, `{@base,"env":"production"}`, ""},
	{"own-3", acceptable, plainHeader, `{@base,"env":"production"}`, ""},
	{"envless", acceptable, plainHeader, `{@base}`, ""},
	{"envless-2", acceptable, plainHeader, `{@base}`, ""},
	{"env-null", acceptable, plainHeader, `{@base,"env":null}`, ""},
	{"env-first", acceptable, plainHeader, `{"env":"production",@base}`, ""},
	{"env-escaped-name", acceptable, plainHeader, `{@base,"\u0065nv":"production"}`, ""},
	{"env-escaped-value", acceptable, plainHeader, `{@base,"env":"produc\u0074ion"}`, ""},
	{"env-other-case-foreign", acceptable, plainHeader, `{@base,"Env":"staging","ENV":"staging"}`, ""},
	{"env-spaced-name", acceptable, plainHeader, `{@base,"env ":"staging"," env":"staging"}`, ""},
	{"env-nested", acceptable, plainHeader, `{@base,"more":{"env":"staging","env":"x"}}`, ""},
	{"aud-list", acceptable, plainHeader, `{@who,"iss":"mcpgateway","aud":["x","mcpgateway-api"],"exp":@future}`, ""},
	{"exp-fraction", acceptable, plainHeader, `{@named,"exp":@future.5}`, ""},
	{"exp-exponent", acceptable, plainHeader, `{@named,"exp":9.9e9}`, ""},
	{"spaced-json", acceptable, "{ \"alg\" : \"HS256\" }\n", " {@base ,\t\"jti\" : \"spaced\", \"env\" : \"production\" }\r\n", ""},
	{"non-ascii", acceptable, plainHeader, `{@base,"naïve":"ß€😀"}`, ""},
	{"header-kid", acceptable, `{"alg":"HS256","kid":"../../dev/null","jku":"http://127.0.0.1:1/"}`, `{@base}`, ""},
	{"header-escaped", acceptable, `{"\u0061lg":"HS\u003256","typ":"at+jwt"}`, `{@base}`, ""},
	{"long", acceptable, plainHeader, `{@base,"more":"` + strings.Repeat("x", 3000) + `"}`, ""},

	{"foreign", "environment", plainHeader, `{@base,"env":"staging"}`, ""},
	{"foreign-2", "environment", plainHeader, `{@base,"env":"development"}`, ""},
	{"foreign-case", "environment", plainHeader, `{@base,"env":"Production"}`, ""},
	{"foreign-space", "environment", plainHeader, `{@base,"env":"production "}`, ""},
	{"foreign-empty", "environment", plainHeader, `{@base,"env":""}`, ""},
	{"foreign-number", "environment", plainHeader, `{@base,"env":7}`, ""},
	{"foreign-false", "environment", plainHeader, `{@base,"env":false}`, ""},
	{"foreign-list", "environment", plainHeader, `{@base,"env":["production"]}`, ""},
	{"foreign-object", "environment", plainHeader, `{@base,"env":{"env":"production"}}`, ""},
	{"foreign-wide", "environment", plainHeader, `{@base,"env":"ｐroduction"}`, ""},
	{"foreign-escaped-name", "environment", plainHeader, `{@base,"\u0065\u006e\u0076":"staging"}`, ""},
	{"foreign-beside-own-case", "environment", plainHeader, `{@base,"Env":"production","env":"staging"}`, ""},
	{"foreign-surrogate", "environment", plainHeader, `{@base,"env":"\ud800"}`, ""},

	{"forged", "signature", plainHeader, `{@base,"env":"production"}`, "other"},
	{"forged-foreign", "signature", plainHeader, `{@base,"env":"staging"}`, "other"},
	{"unsigned", "signature", plainHeader, `{@base}`, "none"},
	{"expired", "expired", plainHeader, `{@named,"exp":@past,"env":"production"}`, ""},
	{"expired-foreign", "expired", plainHeader, `{@named,"exp":@past,"env":"staging"}`, ""},
	{"exp-zero", "expired", plainHeader, `{@named,"exp":0}`, ""},
	{"not-before", "not_yet_valid", plainHeader, `{@base,"nbf":@future}`, ""},
	{"no-expiry", "no_expiry", plainHeader, `{@named}`, ""},
	{"no-issuer", "issuer", plainHeader, `{@who,"aud":"mcpgateway-api","exp":@future}`, ""},
	{"other-issuer", "issuer", plainHeader, `{@who,"iss":"elsewhere","aud":"mcpgateway-api","exp":@future}`, ""},
	{"no-audience", "audience", plainHeader, `{@who,"iss":"mcpgateway","exp":@future}`, ""},
	{"other-audience", "audience", plainHeader, `{@who,"iss":"mcpgateway","aud":["elsewhere"],"exp":@future}`, ""},
	{"alg-none", "algorithm", `{"alg":"none"}`, `{@base}`, "none"},
	{"alg-hs512", "algorithm", `{"alg":"HS512"}`, `{@base}`, "512"},
	{"alg-case", "algorithm", `{"alg":"hs256"}`, `{@base}`, ""},
	{"alg-missing", "algorithm", `{"typ":"JWT"}`, `{@base}`, ""},
	{"alg-list", "algorithm", `{"alg":["HS256"]}`, `{@base}`, ""},

	{"env-twice", "malformed", plainHeader, `{@base,"env":"staging","env":"production"}`, ""},
	{"env-twice-foreign-last", "malformed", plainHeader, `{@base,"env":"production","env":"staging"}`, ""},
	{"env-twice-null-last", "malformed", plainHeader, `{@base,"env":"staging","env":null}`, ""},
	{"env-twice-escaped", "malformed", plainHeader, `{@base,"env":"staging","\u0065nv":"production"}`, ""},
	{"exp-twice", "malformed", plainHeader, `{@named,"exp":@past,"exp":@future}`, ""},
	{"alg-twice", "malformed", `{"alg":"none","alg":"HS256"}`, `{@base}`, ""},
	{"crit", "malformed", `{"alg":"HS256","crit":["exp"]}`, `{@base}`, ""},
	{"exp-text", "malformed", plainHeader, `{@named,"exp":"9999999999"}`, ""},
	{"exp-infinite", "malformed", plainHeader, `{@named,"exp":Infinity}`, ""},
	{"exp-huge", "malformed", plainHeader, `{@named,"exp":1e400}`, ""},
	{"exp-true", "malformed", plainHeader, `{@named,"exp":true}`, ""},
	{"iss-list", "malformed", plainHeader, `{@who,"iss":["mcpgateway"],"aud":"mcpgateway-api","exp":@future}`, ""},
	{"jti-number", "malformed", plainHeader, `{@base,"jti":7}`, ""},
	{"trailing-text", "malformed", plainHeader, `{@base} {}`, ""},
	{"byte-order-mark", "malformed", plainHeader, "\ufeff{@base}", ""},
	{"utf-16", "malformed", plainHeader, `{@base}`, "utf-16"},
	{"latin-1-byte", "malformed", plainHeader, "{@base,\"x\":\"\xe9\"}", ""},
	{"control-in-text", "malformed", plainHeader, "{@base,\"x\":\"\x01\"}", ""},
	{"payload-padded", "malformed", plainHeader, `{@base}`, "padded"},
	{"payload-with-space", "malformed", plainHeader, `{@base}`, "space"},
	{"payload-with-junk", "malformed", plainHeader, `{@base}`, "junk"},
}

// mint makes the samples for a user of the gateway, given the claims of a token of its own.
func mint(t *testing.T, claims map[string]any) (pool []sample) {
	t.Helper()
	claims = maps.Clone(claims)
	for _, name := range []string{"iss", "aud", "exp", "iat", "nbf", "jti", "env"} {
		delete(claims, name)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	at := func(d time.Duration) string { return strconv.FormatInt(time.Now().Add(d).Unix(), 10) }
	for _, s := range samples {
		words := strings.NewReplacer(
			"@who", string(text[1:len(text)-1]), "@future", at(2*time.Hour), "@past", at(-time.Hour),
			"@named", string(text[1:len(text)-1])+`,"iss":"mcpgateway","aud":"mcpgateway-api"`,
			"@base", string(text[1:len(text)-1])+`,"iss":"mcpgateway","aud":"mcpgateway-api","exp":`+at(2*time.Hour)+`,"iat":`+at(-time.Minute))
		body := words.Replace(s.claims)
		if !strings.Contains(s.claims, `"jti"`) && strings.HasSuffix(body, "}") && strings.Count(s.claims, "} {") == 0 {
			body = strings.TrimSuffix(body, "}") + `,"jti":"sample-` + s.name + `"}`
		}
		pool = append(pool, sample{s.name, s.verdict, signed(t, s.header, body, s.key)})
	}
	return pool
}

// signed signs as key says: with the gateway's secret unless it names another, over an odd writing of the payload where
// it names that.
func signed(t *testing.T, header, claims, key string) string {
	encode := base64.RawURLEncoding.EncodeToString
	payload := encode([]byte(claims))
	switch key {
	case "other":
		return attacktest.Sign(t, header, claims, jwt.SigningMethodHS256, []byte(attacktest.Other))
	case "512":
		return attacktest.Sign(t, header, claims, jwt.SigningMethodHS512, []byte(secret))
	case "none":
		return encode([]byte(header)) + "." + payload + "."
	case "utf-16":
		var wide []byte
		for _, unit := range utf16.Encode([]rune(claims)) {
			wide = append(wide, byte(unit), byte(unit>>8))
		}
		payload = encode(wide)
	case "padded":
		for payload += "="; len(payload)%4 != 0; {
			payload += "="
		}
	case "space":
		payload = payload[:40] + "    " + payload[40:]
	case "junk":
		payload = payload[:40] + "!*~$" + payload[40:]
	}
	over := encode([]byte(header)) + "." + payload
	signature, err := jwt.SigningMethodHS256.Sign(over, []byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return over + "." + encode(signature)
}

// altered changes a token's text as some decoder would let pass, or break it.
func (s sample) altered(r source) string {
	dot := strings.LastIndexByte(s.text, '.')
	at := r.IntN(len(s.text))
	switch r.IntN(12) {
	case 0: // trailing bits of the signature, which a lenient decoder drops
		const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
		last := strings.IndexByte(alphabet, s.text[len(s.text)-1])
		return s.text[:len(s.text)-1] + string(alphabet[max(0, last)^1])
	case 1:
		return s.text + strings.Repeat("=", 1+r.IntN(3))
	case 2: // the other alphabet
		return s.text[:dot] + strings.NewReplacer("-", "+", "_", "/").Replace(s.text[dot:])
	case 3: // what Python's decoder skips, in the signature
		at = dot + 1 + r.IntN(len(s.text)-dot)
		return s.text[:at] + pick(r, "=", "==", "!", "*", "~", "%", "(", "\xa0", "\x85", "\xe9") + s.text[at:]
	case 4:
		return s.text[:at] + pick(r, " ", "\t", "=", ".", "\"", ",", "Bearer ", "bearer ", "\xa0") + s.text[at:]
	case 5:
		return s.text[:at]
	case 6:
		return s.text[:at] + s.text[min(at+1, len(s.text)):]
	case 7:
		return s.text + pick(r, ".", ".x", ",x", " x", "\xa0", "\x85", "\\", "%20", "+")
	case 8:
		return pick(r, ".", "=", "\xa0", "\x85", "Bearer ", "bearer ", "\"", "%65") + s.text
	case 9:
		return strings.ReplaceAll(s.text, ".", pick(r, "..", "%2E", `\056`, ",", " . "))
	case 10:
		return s.text[:dot+1] + strings.ToUpper(s.text[dot+1:])
	}
	return s.text + s.text
}

// withVerdict lists the samples of a pool by what the oracle says.
func withVerdict(pool []sample, wanted func(verdict string) bool) []sample {
	return slices.Collect(func(yield func(sample) bool) {
		for _, s := range pool {
			if wanted(s.verdict) && !yield(s) {
				return
			}
		}
	})
}
