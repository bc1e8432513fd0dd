//go:build realgateway

package realgateway

import (
	"context"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/modelcontextprotocol/go-sdk/mcp"
)

const (
	toolsList = `{"jsonrpc":"2.0","id":1,"method":"tools/list"}`
	acceptMCP = "Accept: application/json, text/event-stream"
)

// An MCP session of the official SDK, over both of the gateway's transports, sees the tool that was registered.
func TestMCP(t *testing.T) {
	eachInstallation(t, plainInstallations, func(t *testing.T, g *gateway) {
		token := login(t, g.sidecar.url)
		send(t, g.sidecar.url, "POST", "/tools", tool, bearer(token)).is(t, "registering a tool", 200)
		streamable := "/mcp"
		if g.release == legacy {
			streamable = "/mcp/" // it redirects from the other
		}
		authorized := &http.Client{Transport: withBearer(token)}
		for _, row := range []struct {
			name      string
			transport mcp.Transport
		}{
			{"streamable HTTP", &mcp.StreamableClientTransport{Endpoint: g.sidecar.url + streamable, HTTPClient: authorized}},
			{"SSE", &mcp.SSEClientTransport{Endpoint: g.sidecar.url + "/sse", HTTPClient: authorized}},
		} {
			t.Run(row.name, func(t *testing.T) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				session, err := mcp.NewClient(&mcp.Implementation{Name: "realgateway", Version: "1"}, nil).Connect(ctx, row.transport, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer session.Close()
				if n := g.sidecar.metrics(t)[`envgate_streams_open{kind="sse"}`]; row.name == "SSE" && n < 1 {
					t.Errorf("%v streams are open", n)
				}
				if err := session.Ping(ctx, nil); err != nil {
					t.Error(err)
				}
				list, err := session.ListTools(ctx, nil)
				if err != nil {
					t.Fatal(err)
				}
				if !slices.ContainsFunc(list.Tools, func(tool *mcp.Tool) bool { return tool.Name == "greet" }) {
					t.Errorf("%d tools, none of them greet", len(list.Tools))
				}
			})
		}
	})
}

const tool = `{"tool":{"name":"greet","url":"http://127.0.0.1:9/greet","description":"says hello","integration_type":"REST",
	"request_type":"POST","input_schema":{"type":"object","properties":{}}},"team_id":null,"visibility":"public"}`

// withBearer is a transport that adds a token to each request.
type withBearer string

func (token withBearer) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	r.Header.Set("Authorization", "Bearer "+string(token))
	return http.DefaultTransport.RoundTrip(r)
}
