package proxy

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// probed starts a server that stands for a gateway's port, and a sidecar that runs one probe of it.
func probed(t *testing.T, h http.HandlerFunc, action string) (s *sidecar, port string) {
	t.Helper()
	server := httptest.NewUnstartedServer(h)
	server.Config.Protocols = new(http.Protocols)
	server.Config.Protocols.SetHTTP1(true)
	server.Config.Protocols.SetUnencryptedHTTP2(true)
	server.Start()
	t.Cleanup(server.Close)
	_, port, _ = net.SplitHostPort(server.Listener.Addr().String())
	action = strings.ReplaceAll(action, "PORT", port)
	return startSidecar(t, server.URL, `ENVGATE_PROBES={"gateway/liveness":`+action+`}`), port
}

// health answers gRPC health checks for one service name, as a gRPC server does.
func health(status string, serving byte) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		if r.ProtoMajor != 2 || r.URL.Path != "/grpc.health.v1.Health/Check" || r.Header.Get("Te") != "trailers" || string(body) != "\x00\x00\x00\x00\x04\x0a\x02mc" {
			http.Error(w, "not a health check", http.StatusBadRequest)
			return
		}
		w.Header().Set("Content-Type", "application/grpc")
		w.Header().Set("Trailer", "Grpc-Status")
		_, _ = w.Write([]byte{0, 0, 0, 0, 2, 8, serving})
		w.Header().Set("Grpc-Status", status)
	}
}

func TestTheGatewaysProbesRunOnLoopback(t *testing.T) {
	answer := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if r.URL.RequestURI() != "/deep?x=1" || r.Header.Get("X-Probe") != "yes" || r.Host != "gateway.example.com" {
				code = http.StatusTeapot
			}
			w.Header().Set("Location", "/elsewhere")
			w.WriteHeader(code)
		}
	}
	get := `{"httpGet":{"path":"/deep?x=1","port":PORT,"httpHeaders":[{"name":"x-probe","value":"yes"},{"name":"Host","value":"gateway.example.com"}]}}`
	for _, row := range []struct {
		name    string
		handler http.HandlerFunc
		action  string
		code    int
		says    string
	}{
		{"200", answer(200), get, 200, "ok"},
		{"a redirect is not followed", answer(307), get, 200, "ok"},
		{"404", answer(404), get, 503, "status 404"},
		{"500", answer(500), get, 503, "status 500"},
		{"a port that accepts", answer(500), `{"tcpSocket":{"port":PORT}}`, 200, "ok"},
		{"a port that refuses", answer(200), `{"tcpSocket":{"port":1}}`, 503, "no connection"},
		{"a get from a port that refuses", answer(200), `{"httpGet":{"path":"/","port":1}}`, 503, "no answer"},
		{"serving", health("0", 1), `{"grpc":{"port":PORT,"service":"mc"}}`, 200, "ok"},
		{"not serving", health("0", 2), `{"grpc":{"port":PORT,"service":"mc"}}`, 503, "not serving"},
		{"another service", health("0", 1), `{"grpc":{"port":PORT,"service":"mcp"}}`, 503, "status 400"},
		{"unknown service", health("5", 1), `{"grpc":{"port":PORT,"service":"mc"}}`, 503, "grpc status 5"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, _ := probed(t, row.handler, row.action)
			if code, body := s.adminStatus("GET", "/probe/gateway/liveness"); code != row.code || strings.TrimSpace(body) != row.says {
				t.Errorf("%d %q, want %d %q", code, body, row.code, row.says)
			}
			for _, path := range []string{"/probe/gateway/readiness", "/probe/other/liveness", "/probe/gateway"} {
				if code, _ := s.adminStatus("GET", path); code != 404 {
					t.Errorf("%s: %d", path, code)
				}
			}
		})
	}
}

func TestAFloodOfProbesDoesNotReachTheGateway(t *testing.T) {
	var seen atomic.Int64
	s, _ := probed(t, func(http.ResponseWriter, *http.Request) { seen.Add(1) }, `{"httpGet":{"port":PORT}}`)
	start := time.Now()
	codes := make(chan int)
	for range 200 {
		go func() {
			code, _ := s.adminStatus("GET", "/probe/gateway/liveness")
			codes <- code
		}()
	}
	for range 200 {
		if code := <-codes; code != 200 {
			t.Error(code)
		}
	}
	if most := 1 + int64(time.Since(start)/probeFresh); seen.Load() > most {
		t.Errorf("%d requests in %s, want at most %d", seen.Load(), time.Since(start), most)
	}
}

func TestAnImpatientProbeSaysNothingOfTheGateway(t *testing.T) {
	release := make(chan struct{})
	s, _ := probed(t, func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}, `{"httpGet":{"port":PORT}}`)
	client := http.Client{Timeout: 100 * time.Millisecond}
	if res, err := client.Get("http://" + s.admin + "/probe/gateway/liveness"); err == nil {
		t.Fatal(res.Status)
	}
	close(release)
	if code, body := s.adminStatus("GET", "/probe/gateway/liveness"); code != 200 {
		t.Error(fmt.Sprint(code, body))
	}
}
