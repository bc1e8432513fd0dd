package deploy

import "envgate/authz"

// step is one request of the demo, and what must become of it.
type step struct {
	what    string // what is sent, in a few words
	to      string // gateway, staging or production
	request request
	status  int
	outcome authz.Outcome // as the sidecar's metrics count it; "" for the gateway itself
	reason  authz.Reason
	why     string
}

// request says how to send one. Tokens are named, see tokens.
type request struct {
	method, path string
	bearers      []string // names of tokens, each in an auth header of its own
	cookie       string   // name of a token; quoted wraps it
	quoted       bool
	kind         kind
}

type kind int

const (
	plain kind = iota
	login
	sse
	webSocket
)

func get(bearers ...string) request { return request{method: "GET", path: "/tools", bearers: bearers} }

// scenario is the demo's script. The first rows show the problem, the others what envgate makes of it.
var scenario = []step{
	{"a staging token", "gateway", get("staging"), 200, "", "", "the gateway alone can't tell"},
	{"no token", "production", get(), 401, authz.Refused, authz.NoToken, "not listed as public, so protected"},
	{"a public route", "production", request{method: "GET", path: "/health"}, 200, authz.Public, authz.None, "health checks need no token"},
	{"a production token", "production", get("production"), 200, authz.Accepted, authz.None, "its env is this environment"},
	{"a staging token", "staging", get("staging"), 200, authz.Accepted, authz.None, "its env is this environment"},
	{"a staging token", "production", get("staging"), 401, authz.Refused, authz.Environment, "its env is another environment"},
	{"a production token", "staging", get("production"), 401, authz.Refused, authz.Environment, "its env is another environment"},
	{"a token without env", "production", get("unbound"), 200, authz.Accepted, authz.None, "absent passes by default"},
	{"an expired token", "production", get("expired"), 401, authz.Refused, authz.Expired, "exp has passed"},
	{"a token under another key", "production", get("forged"), 401, authz.Refused, authz.Signature, "no configured key verifies it"},
	{"a token with alg none", "production", get("none"), 401, authz.Refused, authz.Algorithm, "the algorithm is configured"},
	{"a token with a flipped bit", "production", get("flipped"), 401, authz.Refused, authz.Signature, "the signature covers every byte"},
	{"two auth headers", "production", get("production", "staging"), 400, authz.Refused, authz.AmbiguousCredential, "two readers could pick two tokens"},
	{"a quoted cookie", "production", request{method: "GET", path: "/tools", cookie: "production", quoted: true}, 401, authz.Refused, authz.AmbiguousCredential, "two readers could read it differently"},
	{"a stale foreign cookie beside it", "production", request{method: "GET", path: "/tools", bearers: []string{"production"}, cookie: "staging"}, 200, authz.Accepted, authz.None, "the cookie is taken off and counted"},
	{"a login, then its token", "production", request{method: "POST", path: "/auth/login", kind: login}, 200, authz.Accepted, authz.None, "login is public, its token is judged"},
	{"an event stream", "production", request{method: "GET", path: "/sse", bearers: []string{"production"}, kind: sse}, 200, authz.Accepted, authz.None, "streams flow through, event by event"},
	{"a WebSocket", "production", request{method: "GET", path: "/ws", bearers: []string{"production"}, kind: webSocket}, 101, authz.Accepted, authz.None, "upgraded once the token was judged"},
	{"a WebSocket, staging token", "production", request{method: "GET", path: "/ws", bearers: []string{"staging"}, kind: webSocket}, 401, authz.Refused, authz.Environment, "refused before the upgrade"},
}
