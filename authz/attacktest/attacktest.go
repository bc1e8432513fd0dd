// Package attacktest reads the attack corpus: files that hold one raw HTTP/1.1 request each, headed by what must become
// of it. Only tests import it; the guard's own tests and those over real sockets run the same files.
//
// A file starts with head lines, then a blank line, then the request:
//
//	expect: environment              the reason, or accepted, public, reported
//	status: 401                      the answer's status, where it is not the reason's own (optional)
//	removed: expired, environment    reasons of the credentials taken off, in any order (optional)
//	setting: NAME=VALUE              beside Environ's own (optional, repeatable)
//	policy: name.yaml                a file in ../policies (optional)
//	denied: name.txt                 a file in ../denied (optional)
//	claims NAME: {@base,"env":"x"}   a token of one's own (optional, repeatable)
//	header NAME: {"alg":"none"}      its header, if not {"alg":"HS256","typ":"JWT"}
//	key NAME: other                  its key, if not the secret: see sign
//
// Lines of the request end in LF, which becomes CRLF; \xHH stands for one raw byte; {NAME} for a token, signed when the
// file is read, {NAME:MODIFIER} for a changed one (see modify). In claims, @base stands for the claims of a good
// token, @names for those without exp, @now, @past and @future for times, @env for the environment's name as JSON.
package attacktest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// What the corpus is signed with, and what a guard that runs it is configured with.
const (
	Secret      = "corpus-secret-0123456789abcdef-0123456789abcdef"
	Other       = "other-secret-0123456789abcdef-0123456789abcdef"
	Environment = "production"
	Issuer      = "mcpgateway"
	Audience    = "mcpgateway-api"
)

// Case is one file of the corpus.
type Case struct {
	Name     string   // the file's name without .http
	Expect   string   // a reason, or accepted, public, reported
	Status   int      // 0: the reason's own
	Removed  []string // sorted reasons
	Settings []string // NAME=VALUE, Environ's own among them
	Raw      []byte   // the request as it goes over the wire
	Tokens   []string // every token in it, to search outputs for
}

// Environ are the settings that every case has.
func Environ() []string {
	return []string{"ENVIRONMENT=" + Environment, "JWT_SECRET_KEY=" + Secret}
}

// Read reads every .http file of a folder. It fails the test when there are fewer than least.
func Read(t testing.TB, dir string, least int) []Case {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*.http"))
	if err != nil || len(files) < least {
		t.Fatalf("%s: %d files, want at least %d (%v)", dir, len(files), least, err)
	}
	slices.Sort(files)
	cases := make([]Case, len(files))
	for i, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		cases[i] = parse(t, strings.TrimSuffix(filepath.Base(file), ".http"), dir, string(text))
	}
	return cases
}

// recipe is how one token is made.
type recipe struct{ claims, header, key string }

const plainHeader = `{"alg":"HS256","typ":"JWT"}`

// recipes are the tokens that every file may name.
func recipes() map[string]recipe {
	return map[string]recipe{
		"token":        {`{@base,"env":@env}`, plainHeader, "secret"},
		"token2":       {`{@base,"env":@env,"n":2}`, plainHeader, "secret"},
		"envless":      {`{@base}`, plainHeader, "secret"},
		"foreign":      {`{@base,"env":"staging"}`, plainHeader, "secret"},
		"expired":      {`{@names,"exp":@past,"env":@env}`, plainHeader, "secret"},
		"forged":       {`{@base,"env":@env}`, plainHeader, "other"},
		"none-alg":     {`{@base,"env":@env}`, `{"alg":"none","typ":"JWT"}`, "none"},
		"wrong-issuer": {`{"iss":"elsewhere","aud":"mcpgateway-api","exp":@future,"env":@env}`, plainHeader, "secret"},
		"wrong-aud":    {`{"iss":"mcpgateway","aud":"elsewhere","exp":@future,"env":@env}`, plainHeader, "secret"},
		"additional":   {`{@base,"env":@env}`, plainHeader, "additional"},
	}
}

// Additional is the second secret of a rotation, for files that set ENVGATE_ADDITIONAL_SECRET_KEY.
const Additional = "additional-secret-0123456789abcdef-0123456789ab"

var (
	placeholder = regexp.MustCompile(`\{([a-z][a-z0-9-]*)(?::([a-z]+))?\}`)
	rawByte     = regexp.MustCompile(`\\x([0-9A-Fa-f]{2})`)
)

func parse(t testing.TB, name, dir, text string) Case {
	t.Helper()
	head, body, ok := strings.Cut(text, "\n\n")
	if !ok {
		t.Fatalf("%s: no blank line between head and request", name)
	}
	c := Case{Name: name, Settings: Environ()}
	tokens := recipes()
	for line := range strings.SplitSeq(head, "\n") {
		key, value, ok := strings.Cut(line, ": ")
		word, what, _ := strings.Cut(key, " ")
		r := tokens[what]
		if what != "" && r == (recipe{}) {
			r = recipe{`{@base,"env":@env}`, plainHeader, "secret"}
		}
		switch {
		case !ok:
			t.Fatalf("%s: head line %q: want key: value", name, line)
		case word == "expect":
			c.Expect = value
		case word == "status":
			c.Status = number(t, name, value)
		case word == "removed":
			c.Removed = strings.Split(value, ", ")
			slices.Sort(c.Removed)
		case word == "setting":
			c.Settings = append(c.Settings, setting(t, value))
		case word == "policy":
			c.Settings = append(c.Settings, "ENVGATE_POLICY="+filepath.Join(dir, "..", "policies", value))
		case word == "denied":
			c.Settings = append(c.Settings, "ENVGATE_DENY_LIST="+filepath.Join(dir, "..", "denied", value))
		case word == "claims" && what != "":
			r.claims = value
		case word == "header" && what != "":
			r.header = value
		case word == "key" && what != "":
			r.key = value
		default:
			t.Fatalf("%s: unknown head line %q", name, line)
		}
		if what != "" {
			tokens[what] = r
		}
	}
	if c.Expect == "" {
		t.Fatalf("%s: no expect line", name)
	}
	body = strings.ReplaceAll(body, "\n", "\r\n")
	body = placeholder.ReplaceAllStringFunc(body, func(s string) string {
		m := placeholder.FindStringSubmatch(s)
		r, ok := tokens[m[1]]
		if !ok {
			t.Fatalf("%s: no token %q", name, m[1])
		}
		token := r.sign(t)
		c.Tokens = append(c.Tokens, token)
		return modify(t, token, m[2])
	})
	c.Raw = []byte(rawByte.ReplaceAllStringFunc(body, func(s string) string {
		n, _ := strconv.ParseUint(s[2:], 16, 8)
		return string([]byte{byte(n)})
	}))
	return c
}

// setting fills in the names of key files and the additional secret.
func setting(t testing.TB, value string) string {
	value = strings.ReplaceAll(value, "{additional-secret}", Additional)
	if strings.Contains(value, "{rsa-file}") || strings.Contains(value, "{ec-file}") {
		p, dir := keys(t), t.TempDir()
		for name, key := range map[string]crypto.PublicKey{"rsa": p.rsa.Public(), "ec": p.ec.Public()} {
			file := filepath.Join(dir, name+".pem")
			if err := os.WriteFile(file, PublicPEM(key), 0o600); err != nil {
				t.Fatal(err)
			}
			value = strings.ReplaceAll(value, "{"+name+"-file}", file)
		}
	}
	return value
}

func number(t testing.TB, name, value string) int {
	n, err := strconv.Atoi(value)
	if err != nil {
		t.Fatalf("%s: %q: not a number", name, value)
	}
	return n
}

// Claims expands the @ words of raw JSON claims, for tokens around a point in time.
func Claims(text string, now time.Time) string {
	at := func(d time.Duration) string { return strconv.FormatInt(now.Add(d).Unix(), 10) }
	text = strings.ReplaceAll(text, "@base", `@names,"exp":@future`)
	text = strings.ReplaceAll(text, "@names", `"iss":"`+Issuer+`","aud":"`+Audience+`","sub":"a@example.com","jti":"7d1c","iat":@now`)
	return strings.NewReplacer("@env", strconv.Quote(Environment), "@now", at(-time.Minute), "@past", at(-time.Hour), "@future", at(time.Hour)).Replace(text)
}

// failer is the part of testing.TB that signing needs, and that property tests have too.
type failer interface {
	Helper()
	Fatal(args ...any)
}

// Sign makes a compact token of raw JSON: nothing is parsed, so that duplicates and odd spellings stay as they are.
func Sign(t failer, header, claims string, method jwt.SigningMethod, key any) string {
	t.Helper()
	signed := encode([]byte(header)) + "." + encode([]byte(claims))
	signature, err := method.Sign(signed, key)
	if err != nil {
		t.Fatal(err)
	}
	return signed + "." + encode(signature)
}

func encode(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

// sign makes the token. Keys are secret, other, additional, none (an empty signature), zero (64 zero bytes), rsa and ec
// (the private halves of {rsa-file} and {ec-file}), and rsa-pem, rsa-der, rsa-pkcs1: the public half as an HMAC secret.
func (r recipe) sign(t testing.TB) string {
	t.Helper()
	claims := Claims(r.claims, time.Now())
	hmac := func(key []byte) string { return Sign(t, r.header, claims, jwt.SigningMethodHS256, key) }
	signed := encode([]byte(r.header)) + "." + encode([]byte(claims))
	switch r.key {
	case "secret":
		return hmac([]byte(Secret))
	case "other":
		return hmac([]byte(Other))
	case "additional":
		return hmac([]byte(Additional))
	case "none":
		return signed + "."
	case "zero":
		return signed + "." + encode(make([]byte, 64))
	case "rsa":
		return Sign(t, r.header, claims, jwt.SigningMethodRS256, keys(t).rsa)
	case "ec":
		return Sign(t, r.header, claims, jwt.SigningMethodES256, keys(t).ec)
	case "rsa-pem":
		return hmac(PublicPEM(keys(t).rsa.Public()))
	case "rsa-der":
		return hmac(must(x509.MarshalPKIXPublicKey(&keys(t).rsa.PublicKey)))
	case "rsa-pkcs1":
		return hmac(x509.MarshalPKCS1PublicKey(&keys(t).rsa.PublicKey))
	}
	t.Fatalf("no key %q", r.key)
	return ""
}

// modify changes a token after it was signed.
func modify(t testing.TB, token, how string) string {
	t.Helper()
	last := strings.LastIndexByte(token, '.')
	switch how {
	case "":
		return token
	case "octal": // as Python's cookie parser unescapes it inside quotes
		return strings.Replace(token, ".", `\056`, 1)
	case "percent":
		return strings.ReplaceAll(token, ".", "%2E")
	case "flip": // one bit of the signature's first byte
		c := byte('A')
		if token[last+1] == 'A' {
			c = 'B'
		}
		return token[:last+1] + string(c) + token[last+2:]
	case "unsigned":
		return token[:last+1]
	case "stub":
		return token[:last]
	case "padded":
		return token + "="
	case "inner": // padding that a lenient decoder skips
		return token[:last+3] + "=" + token[last+3:]
	case "twice":
		return token + "." + token
	case "long":
		return token + strings.Repeat("A", 1<<15)
	case "dots":
		return strings.Repeat(".", 1<<16)
	}
	t.Fatalf("no modifier %q", how)
	return ""
}

// pair are the key pairs of the corpus: made once a process, as making an RSA key takes long.
type pair struct {
	rsa *rsa.PrivateKey
	ec  *ecdsa.PrivateKey
}

var made = sync.OnceValues(func() (*pair, error) {
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return nil, err
	}
	e, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	return &pair{r, e}, err
})

func keys(t testing.TB) *pair {
	p, err := made()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// PublicPEM writes a public key as the gateway's JWT_PUBLIC_KEY_PATH holds it.
func PublicPEM(key crypto.PublicKey) []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: must(x509.MarshalPKIXPublicKey(key))})
}

func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("attacktest: %v", err))
	}
	return v
}
