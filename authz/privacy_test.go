package authz

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// shown prints a decision and each of its fields in every way that a log, an error or a page could.
func shown(t testing.TB, d Decision) (all []string) {
	t.Helper()
	values := []any{d, &d}
	v := reflect.ValueOf(d)
	for i := range v.NumField() {
		values = append(values, v.Field(i).Interface())
	}
	for _, verdict := range d.Tokens {
		values = append(values, verdict, &verdict)
	}
	for _, v := range values {
		for _, format := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x"} {
			all = append(all, fmt.Sprintf(format, v))
		}
		text, err := json.Marshal(v)
		if err != nil {
			t.Errorf("%T: %v", v, err)
		}
		var log bytes.Buffer
		slog.New(slog.NewJSONHandler(&log, nil)).Info("decision", "value", v)
		slog.New(slog.NewTextHandler(&log, nil)).Info("decision", "value", v)
		all = append(all, string(text), log.String())
	}
	return all
}

// hides fails when a text shows the secret or a segment of a token, as it is or in hexadecimal.
func hides(t rapid.TB, texts []string, tokens ...string) {
	t.Helper()
	leaks := []string{secret, otherSecret}
	for _, token := range tokens {
		for segment := range strings.SplitSeq(token, ".") {
			if len(segment) > 8 {
				leaks = append(leaks, segment)
			}
		}
	}
	for _, text := range texts {
		for _, leak := range leaks {
			if strings.Contains(text, leak) || strings.Contains(text, fmt.Sprintf("%x", leak)) {
				t.Errorf("a printed decision shows %.12s…: %.300s", leak, text)
				return
			}
		}
	}
}

func TestDecisionsPrintNoCredential(t *testing.T) {
	g := newGuard(t)
	all := tokens(t)
	for _, line := range []string{
		"GET /tools | Authorization: Bearer {good} | Cookie: jwt_token={good2}; access_token={foreign}",
		"GET /tools | Authorization: Bearer {forged}",
		"GET /ws?token={good}&token={expired}",
		"GET /ws?token={good}",
		"GET /health | Authorization: Bearer {foreign} | Cookie: jwt_token={envless}; session=0123456789abcdef",
	} {
		d := g.Check(request(t, line))
		var sent []string
		for name, token := range all {
			if strings.Contains(line, name) {
				sent = append(sent, token)
			}
		}
		hides(t, shown(t, d), append(sent, "session=0123456789abcdef")...)
	}
}

// What remains of a verdict when it is printed still tells what happened.
func TestVerdictsPrintTheirReason(t *testing.T) {
	d := newGuard(t).Check(request(t, "GET /tools | Authorization: Bearer {foreign}"))
	if s := fmt.Sprint(d.Tokens[0]); !strings.Contains(s, "environment") {
		t.Errorf("printed as %q", s)
	}
	if b, err := json.Marshal(Credentials{AuthHeader: []string{"x"}}); err != nil || string(b) != `"[credential]"` {
		t.Errorf("credentials as JSON: %s, %v", b, err)
	}
}
