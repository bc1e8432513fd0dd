package main

import (
	"context"
	"crypto/sha1" // as RFC 6455 wants
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"time"
)

// What an idle stream carries: a comment as SSE servers send to keep connections alive, and a WebSocket's text frame.
const (
	comment = ": ping\n\n"
	frame   = "\x81\x04ping"
)

// streamsUpstream serves /sse and /websocket on a socket. Each stream gets a message at once and then one per period.
func streamsUpstream(args []string) error {
	if len(args) != 2 {
		return fmt.Errorf("%d arguments: want SOCKET PERIOD", len(args))
	}
	every, err := time.ParseDuration(args[1])
	if err != nil {
		return err
	}
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "unix", args[0])
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /sse", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		control := http.NewResponseController(w)
		beat(r.Context(), every, func() error {
			if _, err := w.Write([]byte(comment)); err != nil {
				return err
			}
			return control.Flush()
		})
	})
	mux.HandleFunc("GET /websocket", func(w http.ResponseWriter, r *http.Request) {
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) // as RFC 6455 wants
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			return
		}
		defer conn.Close()
		if _, err := fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: %s\r\n\r\n", base64.StdEncoding.EncodeToString(sum[:])); err != nil {
			return
		}
		beat(context.Background(), every, func() error {
			_, err := conn.Write([]byte(frame))
			return err
		})
	})
	mux.HandleFunc("/", func(http.ResponseWriter, *http.Request) {}) // for the question whether it is there
	return (&http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}).Serve(listener)
}

// beat sends at once and then every period, until it fails or the client is gone.
func beat(ctx context.Context, every time.Duration, send func() error) {
	ticker := time.NewTicker(every)
	defer ticker.Stop()
	for send() == nil {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}
