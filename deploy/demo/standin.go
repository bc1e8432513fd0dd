package demo

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// standIn is a small gateway for the demo, and says so in every answer. Like release 0.9.0 it verifies signature,
// issuer, audience and lifetime of a token, from header or cookie, and knows nothing of env.
type standIn struct {
	secret           []byte
	issuer, audience string
}

const standInName = "stand-in gateway of envgate demo"

func (g *standIn) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "healthy") })
	mux.HandleFunc("GET /admin/login", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "a login page") })
	mux.HandleFunc("POST /auth/login", g.login)
	mux.HandleFunc("GET /tools", g.protected(func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "a list of tools") }))
	mux.HandleFunc("GET /sse", g.protected(events))
	mux.HandleFunc("GET /ws", g.protected(echo))
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Server", standInName)
		mux.ServeHTTP(w, r)
	})
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"stand_in_gateway": text})
}

// login hands out a token without env, as a legacy gateway does. It asks for no password.
func (g *standIn) login(w http.ResponseWriter, _ *http.Request) {
	now := time.Now()
	token, err := jwt.NewWithClaims(jwt.SigningMethodHS256, jwt.MapClaims{
		"iss": g.issuer, "aud": g.audience, "sub": "admin@example.com", "iat": now.Unix(), "exp": now.Add(time.Hour).Unix(),
	}).SignedString(g.secret)
	if err != nil {
		answer(w, http.StatusInternalServerError, "can't sign")
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(map[string]string{"stand_in_gateway": "a login", "access_token": token, "token_type": "bearer"})
}

func (g *standIn) protected(next http.HandlerFunc) http.HandlerFunc {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(g.issuer), jwt.WithAudience(g.audience), jwt.WithIssuedAt())
	return func(w http.ResponseWriter, r *http.Request) {
		token := tokenOf(r)
		if token == "" {
			answer(w, http.StatusUnauthorized, "Authorization token required")
			return
		}
		if _, err := parser.Parse(token, func(*jwt.Token) (any, error) { return g.secret, nil }); err != nil {
			answer(w, http.StatusUnauthorized, "Invalid authentication credentials")
			return
		}
		next(w, r)
	}
}

// tokenOf finds the token where release 0.9.0 does on its API routes: in the first auth header if it is a bearer token,
// else in the last cookie called jwt_token, else in the last access_token.
func tokenOf(r *http.Request) string {
	if scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " "); strings.EqualFold(scheme, "Bearer") && token != "" {
		return token
	}
	for _, name := range []string{"jwt_token", "access_token"} {
		if cookies := r.CookiesNamed(name); len(cookies) > 0 {
			return cookies[len(cookies)-1].Value
		}
	}
	return ""
}

// events sends one event and keeps the stream open, as gateways do.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	_, _ = fmt.Fprintf(w, "event: endpoint\ndata: from the %s\n\n", standInName)
	_ = http.NewResponseController(w).Flush()
	<-r.Context().Done()
}

// startStandIn serves the stand-in on a free port of loopback.
func startStandIn(ctx context.Context, g *standIn) (url string, stop func(), err error) {
	var listen net.ListenConfig
	l, err := listen.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: g.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	return "http://" + l.Addr().String(), func() { _ = server.Close() }, nil
}
