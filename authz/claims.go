package authz

import (
	"bytes"
	"encoding/json"
	"strconv"
)

// text reads a raw JSON string.
func text(raw []byte) (string, bool) {
	if len(raw) < 2 || raw[0] != '"' {
		return "", false
	}
	if bytes.IndexByte(raw, '\\') < 0 {
		return string(raw[1 : len(raw)-1]), true
	}
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return "", false
	}
	return s, true
}

// number reads a raw JSON number as seconds (RFC 7519, section 2, NumericDate). JSON's other values are none to ParseFloat, and
// what is beyond a float64 is an error.
func number(raw []byte) (float64, bool) {
	f, err := strconv.ParseFloat(string(raw), 64)
	return f, err == nil
}

// claims are the claims that envgate judges, each of its right type. Whether they are true is the verifier's business.
type claims struct {
	issuer, subject, id string
	audience            []string
	expiry, notBefore   float64
	issuedAt            float64
	hasID, hasExpiry    bool
	environment         []byte // raw JSON; nil when absent or null
}

// parseClaims reads the registered claims (RFC 7519, section 4.1) and env; ok is false when one has a wrong type.
func parseClaims(o object) (c claims, ok bool) {
	for _, m := range o {
		good := true
		switch string(m.name) {
		case "iss":
			c.issuer, good = text(m.value)
		case "sub":
			c.subject, good = text(m.value)
		case "jti":
			c.id, good = text(m.value)
			c.hasID = true
		case "aud":
			c.audience, good = audience(m.value)
		case "exp":
			c.expiry, good = number(m.value)
			c.hasExpiry = true
		case "nbf":
			c.notBefore, good = number(m.value)
		case "iat":
			c.issuedAt, good = number(m.value)
		case "env":
			if string(m.value) != "null" {
				c.environment = m.value
			}
		}
		if !good {
			return c, false
		}
	}
	return c, true
}

// audience reads a string or a list of strings (RFC 7519, section 4.1.3).
func audience(raw []byte) ([]string, bool) {
	if s, ok := text(raw); ok {
		return []string{s}, true
	}
	if raw[0] != '[' {
		return nil, false
	}
	var items []*string // a pointer tells null from ""
	if json.Unmarshal(raw, &items) != nil {
		return nil, false
	}
	list := make([]string, len(items))
	for i, s := range items {
		if s == nil {
			return nil, false
		}
		list[i] = *s
	}
	return list, true
}
