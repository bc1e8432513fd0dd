package demo

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"envgate/authz"
)

func TestTheDemoPassesAndShowsEveryStep(t *testing.T) {
	var out bytes.Buffer
	if err := Run(Options{Out: &out}); err != nil {
		t.Fatalf("%v\n%s", err, &out)
	}
	for _, s := range scenario {
		row := func(line string) bool {
			return strings.HasPrefix(line, "ok  "+s.what) && strings.Contains(line, s.to) && strings.Contains(line, s.decision()) && strings.HasSuffix(line, s.why)
		}
		if !slices.ContainsFunc(strings.Split(out.String(), "\n"), row) {
			t.Errorf("%q to %s is not shown", s.what, s.to)
		}
	}
	for _, want := range []string{
		"indistinguishable_environments", "ok  no token in any log or metric", "22 requests, every outcome as expected.\n",
		"envgate_decisions_total", "envgate_cross_environment_tokens_total", "envgate_credentials_removed_total", "envgate_tokens_without_environment_total",
	} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q", want)
		}
	}
	for line := range strings.SplitSeq(out.String(), "\n") {
		if len(line) > 110 {
			t.Errorf("%d columns: %s", len(line), line)
		}
	}
	if strings.Contains(out.String(), "eyJ") || strings.Contains(out.String(), "\x1b") {
		t.Error("a token or a colour was printed")
	}
}

func TestTheDemoFailsWhenAnOutcomeIsNotTheExpectedOne(t *testing.T) {
	beside := request{method: "GET", path: "/tools", bearers: []string{"production"}, cookie: "staging"}
	for _, wrong := range []step{
		{"another status", "production", get("production"), 418, authz.Accepted, authz.None, "", ""},
		{"another decision", "production", get("production"), 200, authz.Refused, authz.Environment, "", ""},
		{"another reason", "production", get("expired"), 401, authz.Refused, authz.Signature, "", ""},
		{"nothing removed", "production", get("production"), 200, authz.Accepted, authz.None, authz.Environment, ""},
		{"an unexpected removal", "production", beside, 200, authz.Accepted, authz.None, "", ""},
		{"refused by the gateway", "gateway", get("expired"), 200, "", "", "", ""},
		{"no event stream", "production", header("/tools", sse, "production"), 200, authz.Accepted, authz.None, "", ""},
	} {
		var out bytes.Buffer
		err := run(Options{Out: &out}, []step{wrong})
		if err == nil || err.Error() != "1 of 2 outcomes not as expected" || !strings.Contains(out.String(), "NO  "+wrong.what) {
			t.Errorf("%s: %v\n%s", wrong.what, err, &out)
		}
	}
}

func TestAWebSocketThatCarriesNothingFails(t *testing.T) {
	mute := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/ws" {
			return
		}
		conn, _, _ := http.NewResponseController(w).Hijack()
		_, _ = io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+acceptKey(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
		_ = conn.Close()
	}))
	defer mute.Close()
	var out bytes.Buffer
	upgrade := step{"a WebSocket", "production", header("/ws", webSocket, "production"), 101, authz.Accepted, authz.None, "", ""}
	err := run(Options{Out: &out, Gateway: mute.URL, Environ: realEnviron}, []step{upgrade})
	if err == nil || !strings.Contains(out.String(), "no frame came back") {
		t.Errorf("%v\n%s", err, &out)
	}
}

var realEnviron = []string{"JWT_SECRET_KEY=a-secret-of-a-real-gateway-0123456789", "PLATFORM_ADMIN_PASSWORD=password"}

func TestARealGatewayWithoutWebSocketsPasses(t *testing.T) {
	gateway := &standIn{[]byte("a-secret-of-a-real-gateway-0123456789"), "mcpgateway", "mcpgateway-api"}
	real := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/ws" {
			http.NotFound(w, r)
			return
		}
		gateway.handler().ServeHTTP(w, r)
	}))
	defer real.Close()
	var out bytes.Buffer
	if err := Run(Options{Out: &out, Gateway: real.URL + "/", Environ: realEnviron}); err != nil {
		t.Errorf("%v\n%s", err, &out)
	}
	if !strings.Contains(out.String(), "as it answers without envgate") || strings.Contains(out.String(), "stand-in") {
		t.Error(out.String())
	}
}

func TestTheDemoNamesWhatARealGatewayLacks(t *testing.T) {
	lost := httptest.NewServer(http.NotFoundHandler())
	defer lost.Close()
	want := "want a URL such as http://127.0.0.1:4444"
	for _, row := range []struct {
		gateway string
		environ []string
		want    string
	}{
		{"nonsense", nil, `gateway: "nonsense": ` + want},
		{"ftp://127.0.0.1", nil, `gateway: "ftp://127.0.0.1": ` + want},
		{"unix:///gateway", nil, `gateway: "unix:///gateway": ` + want},
		{"http://127.0.0.1:99999", nil, `gateway: "http://127.0.0.1:99999": ` + want},
		{"http://127.0.0.1:1/path", nil, `gateway: "http://127.0.0.1:1/path": ` + want},
		{"http://user:password@127.0.0.1:1", nil, `gateway: "[secret]@127.0.0.1:1": ` + want},
		{"http://127.0.0.1:1", nil, "JWT_SECRET_KEY: not set: the demo signs tokens with the gateway's own HS256 secret"},
		{"http://127.0.0.1:1", realEnviron[:1], "PLATFORM_ADMIN_PASSWORD: not set: the demo logs in as the gateway's bootstrap admin (PLATFORM_ADMIN_EMAIL)"},
		{"http://127.0.0.1:1", realEnviron, `gateway: "http://127.0.0.1:1": dial tcp 127.0.0.1:1: connect: connection refused: want the URL of a running gateway`},
		{lost.URL, realEnviron, `gateway: "` + lost.URL + `": GET /health answers 404: want the URL of a running gateway`},
	} {
		var out bytes.Buffer
		if err := Run(Options{Out: &out, Gateway: row.gateway, Environ: row.environ}); err == nil || err.Error() != row.want || out.Len() > 0 {
			t.Errorf("%s: %v", row.gateway, err)
		}
	}
}

func TestStayPrintsCurlLinesAndEndsWithASignal(t *testing.T) {
	stop := make(chan os.Signal, 1)
	out := &buffer{}
	done := make(chan error, 1)
	go func() { done <- Run(Options{Out: out, Stay: true, Stop: stop}) }()
	for deadline := time.Now().Add(20 * time.Second); !strings.Contains(out.String(), "status page\n"); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal(out.String())
		}
	}
	_, file, _ := strings.Cut(out.String(), "$(cat ")
	file, _, _ = strings.Cut(file, ")")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", info, err)
	}
	if strings.Contains(out.String(), "eyJ") {
		t.Error("a token was printed")
	}
	stop <- os.Interrupt
	if err := <-done; err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(file); err == nil {
		t.Error("the token files were left behind")
	}
}

func TestASignalEndsARunThatHangs(t *testing.T) {
	hangs := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/health" {
			<-r.Context().Done()
		}
	}))
	defer hangs.Close()
	stop := make(chan os.Signal, 1)
	out := &buffer{}
	done := make(chan error, 1)
	go func() { done <- Run(Options{Out: out, Gateway: hangs.URL, Environ: realEnviron, Stop: stop}) }()
	time.Sleep(100 * time.Millisecond)
	stop <- os.Interrupt
	select {
	case err := <-done:
		if err == nil || err.Error() != "interrupted" {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it goes on")
	}
}

func TestAPartOfATokenIsFoundInTheOutputs(t *testing.T) {
	const token = "header-header.claims-claims.signature-signature"
	for text, want := range map[string]bool{
		"a line with claims-claims in it": true, "a signature-signature": true, "header-header": true, "a header, claims": false, "": false,
	} {
		if leaks(text, []string{token, ""}) != want {
			t.Errorf("%q: want %v", text, want)
		}
	}
}

func TestEveryStepNamesATokenThatExists(t *testing.T) {
	tokens := []string{"staging", "production", "unbound", "expired", "forged", "none", "flipped", "login"}
	for _, s := range scenario {
		for _, name := range append(slices.Clone(s.request.bearers), s.request.cookie) {
			if name != "" && !slices.Contains(tokens, name) {
				t.Errorf("%s: no token %q", s.what, name)
			}
		}
	}
}
