package demo

import "envgate/authz"

// step is one request of the demo, and what must become of it.
type step struct {
	what    string // what is sent, in a few words
	to      string // gateway, staging or production
	request request
	status  int
	outcome authz.Outcome // as the sidecar's metrics count it; "" for the gateway itself
	reason  authz.Reason
	removed authz.Reason // of the credential that was taken off; "" for none
	why     string
}

// decision words what the sidecar must have counted, as counted does.
func (s step) decision() string {
	if s.outcome == "" {
		return "no sidecar"
	}
	text := decisionText(s.outcome, s.reason)
	if s.removed != "" {
		text += removedText(s.removed)
	}
	return text
}

// request says how to send one. Tokens are named, see mintTokens.
type request struct {
	method, path string
	bearers      []string // names of tokens, each in an auth header of its own
	cookie       string   // name of a token; quoted wraps it
	quoted       bool
	kind         kind
}

type kind int

const (
	plain     kind = iota
	login          // its token becomes the one called login
	sse            // wait for the first event, while the stream is open
	webSocket      // send a frame, wait for one
)

func get(bearers ...string) request { return request{method: "GET", path: "/tools", bearers: bearers} }

func header(path string, kind kind, bearer string) request {
	return request{method: "GET", path: path, kind: kind, bearers: []string{bearer}}
}

// scenario is the demo's script. The first rows show the problem, the others what envgate makes of it.
var scenario = []step{
	{"a staging token", "gateway", get("staging"), 200, "", "", "", "let in: production looks alike"},
	{"a production token", "gateway", get("production"), 200, "", "", "", "let in: staging looks alike"},
	{"no token", "production", get(), 401, authz.Refused, authz.NoToken, "", "not a public route"},
	{"a public route", "production", request{method: "GET", path: "/health"}, 200, authz.Public, authz.None, "", "health checks need no token"},
	{"a staging token", "staging", get("staging"), 200, authz.Accepted, authz.None, "", "its env is this environment"},
	{"a production token", "production", get("production"), 200, authz.Accepted, authz.None, "", "its env is this environment"},
	{"a staging token", "production", get("staging"), 401, authz.Refused, authz.Environment, "", "its env is another environment"},
	{"a production token", "staging", get("production"), 401, authz.Refused, authz.Environment, "", "its env is another environment"},
	{"a token without env", "production", get("unbound"), 200, authz.Accepted, authz.None, "", "absent passes by default"},
	{"an expired token", "production", get("expired"), 401, authz.Refused, authz.Expired, "", "exp has passed"},
	{"a token under another key", "production", get("forged"), 401, authz.Refused, authz.Signature, "", "no configured key verifies it"},
	{"a token with alg none", "production", get("none"), 401, authz.Refused, authz.Algorithm, "", "the configuration picks alg"},
	{"a token with a flipped bit", "production", get("flipped"), 401, authz.Refused, authz.Signature, "", "the signature no longer fits"},
	{"two auth headers", "production", get("production", "staging"), 400, authz.Refused, authz.AmbiguousCredential, "", "readers could pick either one"},
	{"a quoted cookie", "production", request{method: "GET", path: "/tools", cookie: "production", quoted: true}, 401, authz.Refused, authz.AmbiguousCredential, "", "a reader might not unquote it"},
	{"a good header, foreign cookie", "production", request{method: "GET", path: "/tools", bearers: []string{"production"}, cookie: "staging"}, 200, authz.Accepted, authz.None, authz.Environment, "only the cookie is taken off"},
	{"login page, foreign cookie", "production", request{method: "GET", path: "/admin/login", cookie: "staging"}, 200, authz.Public, authz.None, authz.Environment, "a stale cookie locks none out"},
	{"a login", "production", request{method: "POST", path: "/auth/login", kind: login}, 200, authz.Public, authz.None, "", "logging in needs no token"},
	{"the token of that login", "production", get("login"), 200, authz.Accepted, authz.None, "", "legacy gateways set no env"},
	{"an event stream", "production", header("/sse", sse, "production"), 200, authz.Accepted, authz.None, "", "events come while it is open"},
	{"a WebSocket", "production", header("/ws", webSocket, "production"), 101, authz.Accepted, authz.None, "", "a frame went there and back"},
	{"a WebSocket, staging token", "production", header("/ws", webSocket, "staging"), 401, authz.Refused, authz.Environment, "", "refused before the upgrade"},
}
