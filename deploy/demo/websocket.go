package demo

import (
	"crypto/sha1" //nolint:gosec // RFC 6455 asks for it
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"
)

// Bits of a frame's first two bytes (RFC 6455, section 5.2).
const (
	textFrame = 0x81 // a whole text message
	masked    = 0x80 // set in the second byte by clients
)

// echo upgrades to a WebSocket (RFC 6455, section 4.2.2) and sends one short text frame back.
func echo(w http.ResponseWriter, r *http.Request) {
	conn, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		answer(w, http.StatusInternalServerError, "can't upgrade")
		return
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	_, _ = fmt.Fprintf(conn, "HTTP/1.1 101 Switching Protocols\r\nServer: %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: %s\r\n\r\n",
		standInName, acceptKey(r.Header.Get("Sec-WebSocket-Key")))
	text, err := readFrame(buffered)
	if err != nil {
		return
	}
	_, _ = conn.Write(append([]byte{textFrame, byte(len(text))}, text...))
}

// acceptKey proves that the handshake was read as one.
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // RFC 6455 asks for it
	return base64.StdEncoding.EncodeToString(sum[:])
}

// readFrame reads one text frame of fewer than 126 bytes, masked or not.
func readFrame(r io.Reader) ([]byte, error) {
	var head [2]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	length := head[1] &^ masked
	if head[0] != textFrame || length > 125 {
		return nil, errors.New("not a short text frame")
	}
	var mask [4]byte
	if head[1]&masked != 0 {
		if _, err := io.ReadFull(r, mask[:]); err != nil {
			return nil, err
		}
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, err
	}
	for i := range text {
		text[i] ^= mask[i%4]
	}
	return text, nil
}
