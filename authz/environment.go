package authz

import (
	"fmt"
	"slices"
)

// Rule is how the environment rule is applied: the rule this product exists for.
type Rule string

// The values of Rule.
const (
	RuleEnforce Rule = "enforce" // a foreign token is refused
	RuleReport  Rule = "report"  // a foreign token is counted and logged, and goes on
	RuleOff     Rule = "off"     // env is not looked at
)

// OtherEnvironment stands for every environment name that is not configured as known: a claim is never a label.
const OtherEnvironment = "other"

// environmentOf judges the raw env claim (nil: absent or null) by the gateway's own rule, exact string equality
// (mcpgateway/utils/verify_credentials.py of 1.0.5 and newer).
//
// It returns the claim as text ("" when absent) and whether it is foreign. What is present but not a string is
// foreign, never an absence.
func environmentOf(raw []byte, own string) (name string, foreign bool) {
	if raw == nil {
		return "", false
	}
	if s, ok := text(raw); ok {
		return s, s != own
	}
	return string(raw), true
}

// mismatch is the detail of a foreign token, in the words of the gateway.
func mismatch(token, own string) string {
	return fmt.Sprintf("Token environment mismatch: token is for '%s', server is '%s'", Printable(token), own)
}

// KnownEnvironment returns name if it may be a metric label, else OtherEnvironment.
func (c *Config) KnownEnvironment(name string) string {
	if name == c.Environment || slices.Contains(c.KnownEnvironments, name) {
		return name
	}
	return OtherEnvironment
}

// Printable makes text that came from outside fit to be logged or answered: control characters and quotes become
// '?', so does everything that is not printable ASCII, and at most 64 bytes are kept.
func Printable(s string) string {
	const most = 64
	if len(s) > most {
		return printable(s[:most]) + "..."
	}
	return printable(s)
}

// printable is Printable, uncut.
func printable(s string) string {
	b := []byte(s)
	for i, c := range b {
		if c < 0x20 || c > 0x7e || c == '"' || c == '\\' || c == '\'' || c == '<' || c == '>' {
			b[i] = '?'
		}
	}
	return string(b)
}
