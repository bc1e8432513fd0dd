package deploy

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"
)

// client is the demo's own: no environment's proxy, no redirects, bounded in time.
var client = &http.Client{
	Transport:     &http.Transport{DisableKeepAlives: true},
	Timeout:       10 * time.Second,
	CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
}

// send sends one request of the scenario and returns the status. For streams it also waits for what flows.
func (d *demo) send(base string, q request) (int, error) {
	r, err := http.NewRequestWithContext(background, q.method, base+q.path, nil)
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

// login logs in and uses the token that it gets.
func (d *demo) login(r *http.Request) (int, error) {
	r.Body = io.NopCloser(strings.NewReader(`{"email":"` + d.email() + `","password":"` + d.password() + `"}`))
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
	return d.send(r.URL.Scheme+"://"+r.URL.Host, request{method: "GET", path: "/tools", bearers: []string{"login"}})
}

// email and password log in at a real gateway: the bootstrap admin's, by the gateway's own variables.
func (d *demo) email() string {
	if v := value(d.Environ, "PLATFORM_ADMIN_EMAIL"); v != "" {
		return v
	}
	return "admin@example.com"
}

func (d *demo) password() string { return value(d.Environ, "PLATFORM_ADMIN_PASSWORD") }

// stream reads the first event.
func stream(r *http.Request) (int, error) {
	res, err := client.Do(r)
	if err != nil {
		return 0, err
	}
	defer func() { _ = res.Body.Close() }()
	line, err := bufio.NewReader(res.Body).ReadString('\n')
	if err == nil && !strings.HasPrefix(line, "event:") {
		err = fmt.Errorf("not an event")
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
	conn, ok := res.Body.(io.ReadWriter)
	if res.StatusCode != http.StatusSwitchingProtocols || !ok {
		return res.StatusCode, nil
	}
	if res.Header.Get("Sec-WebSocket-Accept") != acceptKey(key) {
		return res.StatusCode, errors.New("the handshake's answer is wrong")
	}
	if _, err := conn.Write([]byte{0x81, 0x80 | 2, 0, 0, 0, 0, '{', '}'}); err != nil {
		return res.StatusCode, err
	}
	_, err = readFrame(bufio.NewReader(conn))
	return res.StatusCode, err
}

func fetch(url string) (string, error) {
	r, err := http.NewRequestWithContext(background, http.MethodGet, url, nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(r)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	b, err := io.ReadAll(res.Body)
	return string(b), err
}
