package demo

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// client is the demo's own: no environment's proxy, no redirects. Requests are bounded by their context, not by its
// Timeout, which would make upgraded connections read-only.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

const requestTimeout = 10 * time.Second

// send sends one request of the scenario and returns the status. For streams it also waits for what flows.
func (d *demo) send(ctx context.Context, base string, q request) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, q.method, base+q.path, nil)
	if err != nil {
		return 0, err
	}
	for _, name := range q.bearers {
		r.Header.Add("Authorization", "Bearer "+d.tokens[name])
	}
	if q.cookie != "" {
		value := d.tokens[q.cookie]
		if q.quoted {
			value = `"` + value + `"`
		}
		r.Header.Set("Cookie", "jwt_token="+value)
	}
	switch q.kind {
	case login:
		return d.login(r)
	case sse:
		return stream(r)
	case webSocket:
		return upgrade(r)
	}
	res, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	_, err = io.Copy(io.Discard, res.Body)
	return res.StatusCode, err
}

// login logs in and keeps the token that it gets.
func (d *demo) login(r *http.Request) (int, error) {
	credentials, err := json.Marshal(map[string]string{"email": d.email(), "password": d.password()})
	if err != nil {
		return 0, err
	}
	r.Body = io.NopCloser(bytes.NewReader(credentials))
	r.Header.Set("Content-Type", "application/json")
	res, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	var body struct {
		Token string `json:"access_token"`
	}
	if err := json.NewDecoder(res.Body).Decode(&body); err != nil || body.Token == "" {
		return res.StatusCode, errors.New("the login returned no token")
	}
	d.tokens["login"] = body.Token
	return res.StatusCode, nil
}

// stream reads the first event. Gateways keep the stream open, so a buffering proxy would never deliver it.
func stream(r *http.Request) (int, error) {
	res, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return res.StatusCode, nil
	}
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "event:") {
		err = errors.New("the stream does not begin with an event")
	}
	return res.StatusCode, err
}

// upgrade opens a WebSocket (RFC 6455, section 4.1), sends a text and reads one back.
func upgrade(r *http.Request) (int, error) {
	key := base64.StdEncoding.EncodeToString([]byte("sixteen bytes ok"))
	r.Header.Set("Connection", "Upgrade")
	r.Header.Set("Upgrade", "websocket")
	r.Header.Set("Sec-WebSocket-Version", "13")
	r.Header.Set("Sec-WebSocket-Key", key)
	res, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusSwitchingProtocols {
		return res.StatusCode, nil
	}
	if res.Header.Get("Sec-WebSocket-Accept") != acceptKey(key) {
		return res.StatusCode, errors.New("the handshake's answer is wrong")
	}
	conn, ok := res.Body.(io.ReadWriter)
	if !ok {
		return res.StatusCode, errors.New("the upgraded connection can't be written to")
	}
	defer context.AfterFunc(r.Context(), func() { _ = res.Body.Close() })() // an upgraded connection has left the context
	if _, err := conn.Write([]byte{textFrame, masked | 2, 0, 0, 0, 0, '{', '}'}); err != nil {
		return res.StatusCode, err
	}
	if _, err = readFrame(conn); err != nil {
		err = fmt.Errorf("no frame came back: %w", err)
	}
	return res.StatusCode, err
}

// fetch reads a page of a sidecar or gateway; any status but 200 is an error.
func fetch(ctx context.Context, url string) (string, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(r)
	if err != nil {
		return "", errors.Unwrap(err) // without method and URL, which the caller names
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != http.StatusOK {
		return "", fmt.Errorf("GET %s answers %d", r.URL.Path, res.StatusCode)
	}
	b, err := io.ReadAll(res.Body)
	return string(b), err
}
