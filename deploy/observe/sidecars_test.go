//go:build observe

package observe

import (
	"crypto/ed25519"
	"crypto/rand"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"envgate/authz"
	"envgate/authz/issuertest"
)

// sidecar is a running envgate, and how Prometheus knows it.
type sidecar struct {
	environment, url, admin string
	config                  *authz.Config
	end                     func()
}

func (s *sidecar) namespace() string { return "gateway-" + s.environment }
func (s *sidecar) pod() string       { return "gateway-" + s.environment + "-7d4b9" }

// settings of the environments. Staging and production are as their owners left them: one secret, default names; staging
// still reports. Development is as it should be, and nothing bad happens there.
var settings = map[string][]string{
	"staging":     {"ENVGATE_MODE=report"},
	"production":  {"ENVGATE_MODE=enforce"},
	"development": {"JWT_ISSUER=mcpgateway-development", "JWT_AUDIENCE=mcpgateway-api-development"},
}

func (s *stack) startSidecars(binary string) error {
	s.secret, s.sidecars = rand.Text()+rand.Text(), map[string]*sidecar{}
	gateway := "http://" + s.serve(gateway())
	policy, err := trustingPolicy(gateway)
	if err != nil {
		return err
	}
	for environment, own := range settings {
		traffic, err := freeAddress()
		if err != nil {
			return err
		}
		admin, err := freeAddress()
		if err != nil {
			return err
		}
		secret := s.secret
		if environment == "development" {
			secret = rand.Text() + rand.Text()
		}
		if environment == "production" {
			own = append(own, "ENVGATE_POLICY="+policy)
		}
		environ := append([]string{"JWT_SECRET_KEY=" + secret, "ENVGATE_ENVIRONMENT=" + environment, "ENVGATE_ENVIRONMENT_RULE=enforce"}, own...)
		config, err := authz.Parse(authz.Source{Environ: environ})
		if err != nil {
			return err
		}
		log, err := s.launch("envgate-"+environment, append(environ, "ENVGATE_UPSTREAM="+gateway, "ENVGATE_LISTEN="+traffic, "ENVGATE_ADMIN_LISTEN="+admin), binary)
		if err != nil {
			return err
		}
		s.sidecars[environment] = &sidecar{environment, "http://" + traffic, admin, config, s.stops[len(s.stops)-1]}
		if err := waitFor("http://"+admin+"/readyz", log); err != nil {
			return err
		}
	}
	return nil
}

// trustingPolicy writes the built-in policy with a further issuer, whose keys are at an address.
func trustingPolicy(address string) (file string, err error) {
	text, err := authz.PolicyText("contextforge")
	if err != nil {
		return "", err
	}
	folder, err := os.MkdirTemp("", "envgate-observe")
	if err != nil {
		return "", err
	}
	file = filepath.Join(folder, "policy.yaml")
	text = append(text, "\nissuers: [{issuer: https://login.example.com, audiences: [gateway], algorithms: [EdDSA], jwks_url: \""+address+"/keys\"}]\n"...)
	return file, os.WriteFile(file, text, 0o600)
}

// token mints one for an environment ("": without env) that expires at a time.
func (s *sidecar) token(environment string, issued time.Time) (string, error) {
	return s.config.Mint(authz.MintOptions{Kind: authz.KindSession, Subject: "user@example.com", Environment: environment, IssuedAt: issued, Expiry: issued.Add(time.Hour)})
}

// gateway is a small one: what it answers to is what came through.
func gateway() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprintln(w, "{}") })
	mux.HandleFunc("/sse", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprint(w, "data: hello\n\n")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	mux.HandleFunc("/ws", func(w http.ResponseWriter, r *http.Request) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		fmt.Fprint(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: "+acceptKey(r.Header.Get("Sec-WebSocket-Key"))+"\r\n\r\n")
		_, _ = conn.Read(make([]byte, 1)) // until the client leaves
	})
	mux.HandleFunc("/missing", http.NotFound)
	mux.HandleFunc("/keys", func(w http.ResponseWriter, _ *http.Request) {
		_, key, _ := ed25519.GenerateKey(rand.Reader)
		fmt.Fprintf(w, `{"keys": [%s]}`, issuertest.JWK("key-1", "EdDSA", key.Public()))
	})
	mux.HandleFunc("/slow", func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
	mux.HandleFunc("/hangup", func(w http.ResponseWriter, _ *http.Request) {
		if conn, _, err := http.NewResponseController(w).Hijack(); err == nil {
			conn.Close()
		}
	})
	return mux
}
