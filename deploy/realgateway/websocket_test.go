//go:build realgateway

package realgateway

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"
)

// A WebSocket opens and answers behind the sidecar as it does directly.
func TestWebSocket(t *testing.T) {
	eachInstallation(t, plainInstallations, func(t *testing.T, g *gateway) {
		token := login(t, g.sidecar.url)
		t.Run("with the token in the header", func(t *testing.T) {
			direct, behind := converse(t, g.url+"/ws", bearer(token)), converse(t, g.sidecar.url+"/ws", bearer(token))
			if direct != behind {
				t.Errorf("%q, want %q", behind, direct)
			}
			t.Logf("the gateway says %q", behind)
		})
		if g.release == legacy {
			t.Run("with the token in the query", func(t *testing.T) {
				direct, behind := converse(t, g.url+"/ws?token="+token), converse(t, g.sidecar.url+"/ws?token="+token)
				if direct != behind {
					t.Errorf("%q, want %q", behind, direct)
				}
			})
		}
		t.Run("without a token", func(t *testing.T) {
			if status := dial(t, g.sidecar.url+"/ws"); status != 401 {
				t.Errorf("%d, want 401", status)
			}
		})
		t.Run("open ones are counted", func(t *testing.T) {
			open := `envgate_streams_open{kind="websocket"}`
			conn, _, err := connect(t, g.sidecar.url+"/ws", bearer(token))
			if err != nil {
				t.Fatal(err)
			}
			if n := g.sidecar.metrics(t)[open]; n < 1 {
				t.Errorf("%v open, want one", n)
			}
			conn.CloseNow()
			for range 100 {
				if g.sidecar.metrics(t)[open] == 0 {
					return
				}
				time.Sleep(50 * time.Millisecond)
			}
			t.Errorf("%v open, want 0", g.sidecar.metrics(t)[open])
		})
	})
}

func connect(t *testing.T, url string, headers ...string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	header := http.Header{}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		header.Set(name, value)
	}
	return websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: header})
}

// dial returns the status of an upgrade: 101, or why not.
func dial(t *testing.T, url string, headers ...string) int {
	t.Helper()
	conn, resp, err := connect(t, url, headers...)
	if err == nil {
		conn.CloseNow()
	} else if resp == nil {
		t.Fatal(err)
	}
	return resp.StatusCode
}

// converse sends a JSON-RPC ping over a new WebSocket and returns the reply.
func converse(t *testing.T, url string, headers ...string) string {
	t.Helper()
	conn, _, err := connect(t, url, headers...)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.CloseNow()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	if err := conn.Write(ctx, websocket.MessageText, []byte(`{"jsonrpc":"2.0","id":1,"method":"ping","params":{}}`)); err != nil {
		t.Fatal(err)
	}
	_, reply, err := conn.Read(ctx)
	if err != nil {
		t.Fatal(err)
	}
	return string(reply)
}
