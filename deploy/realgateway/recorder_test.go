//go:build realgateway

package realgateway

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// recorderEnviron is what makes Python find testdata/recorder, and leave nothing there.
func recorderEnviron(t *testing.T) []string {
	t.Helper()
	dir, err := filepath.Abs("testdata/recorder")
	if err != nil {
		t.Fatal(err)
	}
	return []string{"PYTHONPATH=" + dir, "PYTHONDONTWRITEBYTECODE=1"}
}

// recordHeader names the record of a request.
const recordHeader = "X-Recorded-As"

// record is what a gateway saw of one request; nil: the request did not reach its code.
type record struct {
	Parsed   []string
	Honoured []string // texts whose claims it took for true
	Headers  [][2]string
	Query    string
	Cookies  map[string]string
	Over     bool
}

// header lists the values of a header, as the gateway got them.
func (r *record) header(name string) (values []string) {
	for _, h := range r.Headers {
		if strings.EqualFold(h[0], name) {
			values = append(values, h[1])
		}
	}
	return values
}

// taken fetches a record, once the gateway is done with the request.
func taken(address, name string) (*record, error) {
	resp, err := client.Get("http://" + address + "/recorded/" + name)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	var r *record
	if err := json.NewDecoder(resp.Body).Decode(&r); err != nil || r == nil {
		return nil, err
	}
	r.Query = latin1(r.Query)
	for i, h := range r.Headers {
		r.Headers[i] = [2]string{h[0], latin1(h[1])}
	}
	return r, nil
}

// latin1 gives the bytes that a text was decoded from.
func latin1(s string) string {
	b := make([]byte, 0, len(s))
	for _, c := range s {
		b = append(b, byte(c))
	}
	return string(b)
}

// wired is the answer to a raw request.
type wired struct {
	status int    // 0: none came
	hung   bool   // it didn't come in time
	reason string // of an answer of envgate's own; "-" where it doesn't say
	login  bool   // a person was sent to the login page
}

// exchange sends bytes as they are over a connection of their own, and reads the answer. A connection that is closed
// without one is no error.
func exchange(address, method string, raw []byte) (w wired, err error) {
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		return w, err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	_, _ = conn.Write(raw)
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		timeout := net.Error(nil)
		w.hung = errors.As(err, &timeout) && timeout.Timeout()
		return w, nil
	}
	w.status = resp.StatusCode
	if resp.StatusCode == http.StatusSwitchingProtocols || strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		return w, nil
	}
	body, _ := io.ReadAll(io.LimitReader(resp.Body, 4<<20))
	if resp.Header.Get("Content-Type") == "application/problem+json" {
		w.reason = "-"
		var p struct{ Reason string }
		if json.Unmarshal(bytes.TrimSpace(body), &p) == nil && p.Reason != "" {
			w.reason = p.Reason
		}
	}
	w.login = strings.HasSuffix(resp.Header.Get("Location"), "/admin/login") || resp.Header.Get("Hx-Redirect") != ""
	return w, nil
}
