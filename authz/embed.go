package authz

import (
	"bytes"
	"encoding/base64"
	"errors"
	"strings"
)

// Embedding says what became of a token that the gateway handed out, or of the answer that holds it. The list is closed.
type Embedding string

// The embeddings.
const (
	Embedded       Embedding = "embedded"
	AlreadyBound   Embedding = "already_bound"   // it carries this environment's name
	UnboundRequest Embedding = "unbound_request" // asked for with a token that isn't bound to this environment
	ForeignToken   Embedding = "foreign"         // it carries another environment's name
	NotOurs        Embedding = "not_ours"        // no token, or one that the gateway's own key and issuer didn't make
	Unreadable     Embedding = "unreadable"      // the answer can't be read
	TooLong        Embedding = "too_large"       // the answer is longer than 1 MiB, or the token would become longer than is accepted
)

// Embeddings lists them all, in the order of the documentation.
var Embeddings = []Embedding{Embedded, AlreadyBound, UnboundRequest, ForeignToken, NotOurs, Unreadable, TooLong}

// Issuance says where a successful answer hands out tokens in its JSON body: one of Path or Prefix, and methods, as for a
// Route.
type Issuance struct {
	Path    string   `yaml:"path" json:"path,omitempty"`
	Prefix  string   `yaml:"prefix" json:"prefix,omitempty"`
	Methods []string `yaml:"methods" json:"methods"`
	Tokens  []string `yaml:"tokens" json:"tokens"` // JSON pointers (RFC 6901) through objects
}

func (i Issuance) check() error {
	route := Route{Path: i.Path, Prefix: i.Prefix, Methods: i.Methods, Access: AccessProtected}
	if len(i.Methods) == 0 {
		return errors.New("methods: missing: want those whose answers hand out tokens")
	}
	if len(i.Tokens) == 0 {
		return errors.New("tokens: missing: want JSON pointers to them")
	}
	for _, pointer := range i.Tokens {
		if !strings.HasPrefix(pointer, "/") {
			return errors.New("tokens: want JSON pointers, which start with /")
		}
	}
	return route.check()
}

// Issuance lists the JSON pointers at which a successful answer to this request hands out tokens; nil where it doesn't, or
// where nothing is embedded.
func (g *Guard) Issuance(method, path string) (pointers []string) {
	if !g.c.Embed {
		return nil
	}
	for _, p := range withoutRoot(path, g.c.RootPath) {
		for _, i := range g.c.Policy.Issuance {
			if (Route{Methods: i.Methods}).covers(method) && (p == i.Path || i.Prefix != "" && strings.HasPrefix(p, i.Prefix)) {
				pointers = append(pointers, i.Tokens...)
			}
		}
	}
	return pointers
}

// Embed gives a token that the gateway hands out the env claim, and signs it with the same algorithm and key, or with the
// derived one where keys are translated. All other claims, and the header, stay the same bytes. bound says that the request
// carried no token that isn't bound to this environment: a token can't buy itself a better one.
//
// Only what the gateway itself made is signed again: a compact JWS under its own key, with its own issuer, and without env.
// Everything else comes back as it is.
func (g *Guard) Embed(token string, bound bool) (string, Embedding) {
	k := g.c.keys
	p, ok := newParsed(token)
	if !ok || len(token) > g.c.MaxTokenBytes || p.algorithm != k.signing || p.signature == nil || p.claims.issuer != g.c.Issuer {
		return token, NotOurs
	}
	key := k.maker(p)
	if key == nil {
		return token, NotOurs
	}
	if p.claims.environment != nil {
		if _, foreign := environmentOf(p.claims.environment, g.c.Environment); foreign {
			return token, ForeignToken
		}
		return token, AlreadyBound
	}
	if !bound {
		return token, UnboundRequest
	}
	if k.issue != nil {
		key = k.issue
	}
	header := token[:strings.IndexByte(token, '.')]
	signed := header + "." + base64.RawURLEncoding.EncodeToString(withEnvironment(p.payload, p.object, g.c.Environment))
	signature, err := k.method.Sign(signed, key)
	if err != nil {
		return token, NotOurs
	}
	again := signed + "." + base64.RawURLEncoding.EncodeToString(signature)
	if len(again) > g.c.MaxTokenBytes {
		return token, TooLong
	}
	return again, Embedded
}

// maker is the key with which the gateway signed a token: nil where it didn't, or where that can't be done again.
func (k *keySet) maker(p *parsed) any {
	for i := range k.keys {
		verify := k.keys[i].verify
		if secret, ok := k.keys[i].gateway.([]byte); ok {
			verify = secret
		}
		if k.method.Verify(p.signed, p.signature, verify) == nil {
			return k.keys[i].gateway
		}
	}
	return nil
}

// withEnvironment writes the claims with env: in the place of a null, or as the last member, behind iss at least. Every other
// byte stays.
func withEnvironment(text []byte, claims object, environment string) []byte {
	value := []byte(`"` + environment + `"`) // a name needs no escapes
	if null := claims.get("env"); null != nil {
		at := offset(text, null)
		return bytes.Join([][]byte{text[:at], value, text[at+len(null):]}, nil)
	}
	at := bytes.LastIndexByte(text, '}')
	return bytes.Join([][]byte{text[:at], []byte(`,"env":`), value, text[at:]}, nil)
}

// offset is where a part that shares its memory lies in a text.
func offset(text, part []byte) int { return cap(text) - cap(part) }

// EmbedBody gives the tokens at these pointers of a JSON body what embed makes of them, and tells what became of each that
// is there. The body differs from what it was in those strings only; unchanged, it is the same slice. It fails where the
// body is no JSON object, or a name stands twice on the way.
func EmbedBody(body []byte, pointers []string, embed func(token string) (string, Embedding)) ([]byte, []Embedding, error) {
	var found []Embedding
	for _, pointer := range pointers {
		value, err := at(body, pointer)
		if err != nil {
			return body, nil, err
		}
		token, ok := text(value)
		if !ok {
			continue // null, or nothing
		}
		again, what := embed(token)
		found = append(found, what)
		if again != token {
			from := offset(body, value)
			body = bytes.Join([][]byte{body[:from], []byte(`"` + again + `"`), body[from+len(value):]}, nil)
		}
	}
	return body, found, nil
}

// at is the raw value at a JSON pointer (RFC 6901) through objects; nil where there is none.
func at(body []byte, pointer string) ([]byte, error) {
	value := body
	for name := range strings.SplitSeq(pointer[1:], "/") {
		o, err := parseObject(value, nil)
		if err != nil {
			return nil, err
		}
		if value = o.get(strings.NewReplacer("~1", "/", "~0", "~").Replace(name)); value == nil {
			return nil, nil
		}
	}
	return value, nil
}
