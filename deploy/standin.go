package deploy

import (
	"bufio"
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// standIn is a small gateway for the demo, and says so in every answer. Like a legacy release it verifies signature,
// issuer, audience and lifetime of a token, from header or cookie, and knows nothing of env.
type standIn struct {
	secret           []byte
	issuer, audience string
}

func (g *standIn) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /health", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "healthy") })
	mux.HandleFunc("GET /admin/login", func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "a login page") })
	mux.HandleFunc("POST /auth/login", g.login)
	mux.HandleFunc("GET /tools", g.protected(func(w http.ResponseWriter, _ *http.Request) { answer(w, http.StatusOK, "a list of tools") }))
	mux.HandleFunc("GET /sse", g.protected(events))
	mux.HandleFunc("GET /ws", g.protected(echo))
	return mux
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	_ = json.NewEncoder(w).Encode(map[string]string{"stand_in_gateway": text})
}

// login hands out a token without env, as a legacy gateway does.
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
	_ = json.NewEncoder(w).Encode(map[string]string{"access_token": token, "token_type": "bearer"})
}

func (g *standIn) protected(next http.HandlerFunc) http.HandlerFunc {
	parser := jwt.NewParser(jwt.WithValidMethods([]string{"HS256"}), jwt.WithIssuer(g.issuer), jwt.WithAudience(g.audience))
	return func(w http.ResponseWriter, r *http.Request) {
		scheme, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
		if !strings.EqualFold(scheme, "Bearer") {
			if c, err := r.Cookie("jwt_token"); err == nil {
				token = c.Value
			}
		}
		if _, err := parser.Parse(token, func(*jwt.Token) (any, error) { return g.secret, nil }); err != nil {
			answer(w, http.StatusUnauthorized, "Invalid authentication credentials")
			return
		}
		next(w, r)
	}
}

// events sends two events and ends.
func events(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	flush := http.NewResponseController(w).Flush
	for _, event := range []string{"endpoint", "keepalive"} {
		_, _ = fmt.Fprintf(w, "event: %s\ndata: from the stand-in gateway\n\n", event)
		_ = flush()
		select {
		case <-time.After(50 * time.Millisecond):
		case <-r.Context().Done():
			return
		}
	}
}

// echo upgrades to a WebSocket (RFC 6455, section 4.2.2) and sends one short text frame back.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		answer(w, http.StatusInternalServerError, "can't upgrade")
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		acceptKey(r.Header.Get("Sec-WebSocket-Key")))
	text, err := readFrame(buffered.Reader)
	if err != nil {
		return
	}
	_, _ = conn.Write(append([]byte{0x81, byte(len(text))}, text...))
}

// acceptKey proves that the handshake was read as one.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455 asks for it
	return base64.StdEncoding.EncodeToString(sum[:])
}

// readFrame reads one text frame of fewer than 126 bytes, masked or not.
func readFrame(r *bufio.Reader) ([]byte, error) {
	var head [2]byte
	for i := range head {
		b, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		head[i] = b
	}
	masked, length := head[1]&0x80 != 0, int(head[1]&0x7f)
	if head[0] != 0x81 || length > 125 {
		return nil, fmt.Errorf("not a short text frame")
	}
	var mask [4]byte
	if masked {
		for i := range mask {
			mask[i], _ = r.ReadByte()
		}
	}
	text := make([]byte, length)
	for i := range text {
		b, err := r.ReadByte()
		if err != nil {
			return nil, err
		}
		text[i] = b ^ mask[i%4]
	}
	return text, nil
}

// startStandIn serves the stand-in on a free port of loopback.
func startStandIn(g *standIn) (url string, stop func(), err error) {
	var listen net.ListenConfig
	l, err := listen.Listen(background, "tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	server := &http.Server{Handler: g.handler(), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(l) }()
	return "http://" + l.Addr().String(), func() { _ = server.Close() }, nil
}
