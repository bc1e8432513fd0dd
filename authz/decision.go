package authz

import (
	"fmt"
	"io"
	"net/http"
)

// Outcome says what happens to a request. The list is closed: metrics, logs and docs read it.
type Outcome string

// The outcomes.
const (
	Accepted Outcome = "accepted" // an accepted token goes on to the upstream
	Public   Outcome = "public"   // a public route, a preflight, or a lone Basic header where the policy allows it
	Refused  Outcome = "refused"  // answered by envgate, the upstream saw nothing
	Reported Outcome = "reported" // would be refused, but a mode or rule only reports
)

// Outcomes lists every outcome, in the order of the documentation.
var Outcomes = []Outcome{Accepted, Public, Refused, Reported}

// Reason says why a request was refused or reported, or a credential removed.
// The list is closed: see Reasons.
type Reason string

// The reasons, in the order of Reasons.
const (
	None                Reason = "none"
	MethodNotAllowed    Reason = "method_not_allowed"
	BadPath             Reason = "bad_path"
	NoToken             Reason = "no_token"
	AmbiguousCredential Reason = "ambiguous_credential"
	UnsupportedScheme   Reason = "unsupported_scheme"
	TooLarge            Reason = "too_large"
	Malformed           Reason = "malformed"
	KeysUnavailable     Reason = "keys_unavailable"
	Algorithm           Reason = "algorithm"
	UnknownKey          Reason = "unknown_key"
	Signature           Reason = "signature"
	Issuer              Reason = "issuer"
	Audience            Reason = "audience"
	Revoked             Reason = "revoked"
	Limited             Reason = "limited"
	NoExpiry            Reason = "no_expiry"
	Expired             Reason = "expired"
	NotYetValid         Reason = "not_yet_valid"
	NoJTI               Reason = "no_jti"
	Environment         Reason = "environment"
	NoEnvironment       Reason = "no_environment"
)

// ReasonText describes one reason: its HTTP status, what the answer's detail says (the words that the gateway's
// own clients already read), what error_description says, and when it is given.
type ReasonText struct {
	Reason      Reason
	Status      int
	Detail      string
	Description string
	When        string
}

const invalidCredentials = "Invalid authentication credentials"

// Reasons is the decision table, in the order in which a request or token is judged: the first failure is the reason.
var Reasons = []ReasonText{
	{MethodNotAllowed, http.StatusMethodNotAllowed, "Method not allowed", "the method is not forwarded", "CONNECT, TRACE, or no token (RFC 9110, section 5.6.2)"},
	{BadPath, http.StatusBadRequest, "Bad request path", "the path can't be forwarded unchanged", "a path that would be re-encoded, or a Host that would be changed, on its way to the upstream"},
	{NoToken, http.StatusUnauthorized, "Authorization token required", "", "a protected route without any candidate"},
	{AmbiguousCredential, http.StatusUnauthorized, invalidCredentials, "the credential could be read in two ways", "the auth header twice or named in Connection (400); a quoted or escaped token cookie as the only credential (401)"},
	{UnsupportedScheme, http.StatusUnauthorized, invalidCredentials, "the authentication scheme is not Bearer", "a protected route with nothing but an auth header of another scheme"},
	{TooLarge, http.StatusUnauthorized, invalidCredentials, "the token is too long", "a candidate longer than ENVGATE_MAX_TOKEN_BYTES; it is not parsed"},
	{Malformed, http.StatusUnauthorized, invalidCredentials, "the token is malformed", "not a compact JWS of two JSON objects; a claim of a wrong type; a duplicate name; crit"},
	{KeysUnavailable, http.StatusServiceUnavailable, "No key to verify the token is available yet", "no key to verify the token is available yet", "no key of the token's issuer is available yet (with Retry-After)"},
	{Algorithm, http.StatusUnauthorized, invalidCredentials, "the token's algorithm is not the configured one", "alg is not the issuer's one algorithm; none in any spelling"},
	{UnknownKey, http.StatusUnauthorized, invalidCredentials, "the token's key is unknown", "no key with this kid in a fetched key set (the gateway's own key ignores kid)"},
	{Signature, http.StatusUnauthorized, invalidCredentials, "the signature does not verify", "no key verifies the signature"},
	{Issuer, http.StatusUnauthorized, invalidCredentials, "the issuer is not the expected one", "iss is missing or not JWT_ISSUER"},
	{Audience, http.StatusUnauthorized, invalidCredentials, "the audience is not the expected one", "aud is missing, or neither is nor contains JWT_AUDIENCE"},
	{Revoked, http.StatusUnauthorized, "Token has been revoked", "the token has been revoked", "jti, or sub with an iat before the time given there, is on the list that ENVGATE_DENY_LIST names; no iat counts as before"},
	{Limited, http.StatusTooManyRequests, "Too many refused requests", "too many requests of this client were refused", "over a limit: of refusals (429), of requests at once (503, with Retry-After, too), of header lines (431) or of a declared body (413); but for the first, nothing of the request is judged"},
	{NoExpiry, http.StatusUnauthorized, "Token is missing required expiration claim. Set REQUIRE_TOKEN_EXPIRATION=false to allow.", "the token has no exp", "no exp, and REQUIRE_TOKEN_EXPIRATION is on"},
	{Expired, http.StatusUnauthorized, "Token has expired", "the token has expired", "exp has passed"},
	{NotYetValid, http.StatusUnauthorized, invalidCredentials, "the token is not valid yet", "nbf or iat lies in the future"},
	{NoJTI, http.StatusUnauthorized, "Token is missing required JTI claim. Set REQUIRE_JTI=false to allow.", "the token has no jti", "no jti, and REQUIRE_JTI is on"},
	{Environment, http.StatusUnauthorized, "", "the token belongs to another environment", "env is present and not exactly this environment's name; a number, list, object, boolean or \"\" is a mismatch"},
	{NoEnvironment, http.StatusUnauthorized, "Token carries no environment", "the token carries no environment", "env is absent or null, the rule is on, and ENVGATE_MISSING_ENVIRONMENT is deny"},
}

var reasonIndex = func() map[Reason]ReasonText {
	m := make(map[Reason]ReasonText, len(Reasons))
	for _, t := range Reasons {
		m[t.Reason] = t
	}
	return m
}()

// Text returns the row of Reasons for r; the zero row for None.
func (r Reason) Text() ReasonText { return reasonIndex[r] }

// Decision is what Check found, and what the proxy has to do. It holds no secret outside of Credentials,
// which prints as [credential].
type Decision struct {
	Outcome Outcome
	Reason  Reason // None when accepted or public
	Status  int    // HTTP status of the refusal; 0 unless refused or reported
	Detail  string // the refusal's detail, safe to answer and to log
	Route   string // the route that matched, or "protected" / "preflight"

	Tokens  []Verdict // every candidate that was judged, accepted or not
	Removed []Reason  // reasons of the credentials taken off a request that goes on

	Forward Credentials // what the upstream may see; meaningless when refused

	Bound bool // what goes on holds no token that isn't bound to this environment: neither are tokens that it gets

	LoginPage string // where a browser goes instead of being refused; empty: nowhere
	Basic     bool   // the refusal also offers Basic
}

// Credentials are the credential-bearing parts of the request as the upstream shall see them.
type Credentials struct {
	AuthHeader []string // values of the auth header; nil: none
	Cookie     []string // raw Cookie lines; nil: none
	RawQuery   string

	// Authorization holds the values of that header, where the auth header is another one.
	Authorization []string
}

const credential = "[credential]"

// String keeps credentials out of every log and error.
func (Credentials) String() string { return credential }

// GoString does the same for %#v.
func (Credentials) GoString() string { return credential }

// Format does the same for every other verb.
func (Credentials) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, credential) }

// MarshalText keeps them out of JSON.
func (Credentials) MarshalText() ([]byte, error) { return []byte(credential), nil }
