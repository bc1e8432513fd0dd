package proxy

import (
	"fmt"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"pgregory.net/rapid"
)

// headerText draws a header value as clients may send it.
func headerText(r *rapid.T, label string) string {
	return strings.TrimSpace(rapid.StringOfN(rapid.RuneFrom([]rune("aZ09 ,;:=\"'/\\()<>@[]{}?!#$%&*+-._^`|~\té")), 0, 30, -1).Draw(r, label))
}

// TestAcceptedRequestsPassUnchanged is invariant I4: for any accepted request and any answer, both sides see what the other
// sent, save for the documented exceptions.
func TestAcceptedRequestsPassUnchanged(t *testing.T) {
	var answerHeader http.Header
	var answerStatus int
	var answerBody string
	u := newRecorder(t, func(w http.ResponseWriter, _ *http.Request) {
		h := w.Header()
		h["Date"], h["Content-Type"] = nil, nil
		for name, values := range answerHeader {
			h[name] = values
		}
		w.WriteHeader(answerStatus)
		if answerStatus != http.StatusNoContent && answerStatus != http.StatusNotModified {
			_, _ = w.Write([]byte(answerBody))
		}
	})
	s := startSidecar(t, u.URL)
	good := token(t, nil)

	rapid.Check(t, func(r *rapid.T) {
		method := rapid.SampledFrom([]string{"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "PROPFIND", "get"}).Draw(r, "method")
		path := "/" + rapid.StringOfN(rapid.RuneFrom([]rune("abc019/._-~!$&'()*+,;=:@")), 0, 20, -1).Draw(r, "path")
		for _, escape := range rapid.SliceOfN(rapid.SampledFrom([]string{"%20", "%2F", "%2f", "%25", "%C3%A9", "%00", "%41"}), 0, 3).Draw(r, "escapes") {
			path += escape
		}
		if rapid.Bool().Draw(r, "query") {
			path += "?" + rapid.StringOfN(rapid.RuneFrom([]rune("ab01/?:@!$&'()*+,;=%~.-_{}|\\^`\"<>[]é")), 0, 40, -1).Draw(r, "raw query")
		}
		sent := map[string][]string{}
		var lines []string
		for range rapid.IntRange(0, 5).Draw(r, "headers") {
			name := rapid.SampledFrom([]string{"X-A", "X-B", "Accept", "Accept-Encoding", "Content-Type", "If-None-Match", "Referer", "User-Agent", "X-Api-Key", "Mcp-Session-Id", "Range"}).Draw(r, "name")
			value := headerText(r, "value")
			if name == "User-Agent" && (value == "" || sent[name] != nil) { // net/http sends one, and no empty one
				continue
			}
			sent[name] = append(sent[name], value)
			lines = append(lines, name+": "+value)
		}
		body := rapid.StringN(0, 40, -1).Draw(r, "body")
		head := method + " " + path + " HTTP/1.1\r\nHost: gw.example.com:8080\r\nAuthorization: Bearer " + good + "\r\nConnection: close\r\n" + strings.Join(append(lines, ""), "\r\n")
		if rapid.Bool().Draw(r, "chunked") {
			head += "Transfer-Encoding: chunked\r\n\r\n"
			if body != "" {
				head += fmt.Sprintf("%x\r\n%s\r\n", len(body), body)
			}
			head += "0\r\n\r\n"
		} else {
			head += "Content-Length: " + itoa(len(body)) + "\r\n\r\n" + body
		}
		answerStatus = rapid.SampledFrom([]int{200, 201, 204, 302, 304, 400, 401, 404, 418, 500, 503}).Draw(r, "status")
		answerHeader = http.Header{"X-Answer": {headerText(r, "answer")}, "Set-Cookie": {"a=1", "b=" + rapid.StringMatching(`[a-z]{0,9}`).Draw(r, "cookie")}}
		if rapid.Bool().Draw(r, "typed") && answerStatus != http.StatusNotModified { // net/http leaves it out of a 304
			answerHeader["Content-Type"] = []string{"application/x-test; q=\"1\""}
		}
		answerBody = rapid.StringN(0, 200, -1).Draw(r, "answer body")
		u.mu.Lock()
		u.seen = nil
		u.mu.Unlock()

		answers := s.rawAll(head, 1)
		if len(answers) == 0 {
			r.Fatalf("no answer to %q", head)
		}
		res := answers[0].res
		seen := u.requests()
		if len(seen) == 0 {
			if res.StatusCode != 400 { // bad_path, or what net/http itself refuses
				r.Fatalf("%q: %d %s", head, res.StatusCode, answers[0].body)
			}
			return
		}
		got := seen[0]
		if len(seen) != 1 || got.method != method || got.uri != path || got.host != "gw.example.com:8080" || got.body != body {
			r.Fatalf("sent %q\narrived %d times as %s %s, host %s, body %q", head, len(seen), got.method, got.uri, got.host, got.body)
		}
		for name, values := range sent {
			if !slices.Equal(got.header[name], values) {
				r.Fatalf("%s: %q arrived as %q", name, values, got.header[name])
			}
		}
		for name := range got.header {
			switch name {
			case "Authorization", "X-Forwarded-For", "X-Forwarded-Proto", "X-Forwarded-Host", "Content-Length":
			default:
				if _, ok := sent[name]; !ok {
					r.Fatalf("%s: %q was added", name, got.header[name])
				}
			}
		}
		if res.StatusCode != answerStatus {
			r.Fatalf("status %d came back as %d", answerStatus, res.StatusCode)
		}
		if answerStatus != 204 && answerStatus != 304 && answers[0].body != answerBody {
			r.Fatalf("body %q came back as %q", answerBody, answers[0].body)
		}
		for name, values := range answerHeader {
			if !slices.Equal(res.Header[name], values) {
				r.Fatalf("%s: %q came back as %q", name, values, res.Header[name])
			}
		}
		for name := range res.Header {
			switch name {
			case "Connection", "Content-Length":
			default:
				if _, ok := answerHeader[name]; !ok {
					r.Fatalf("%s: %q was added to the answer", name, res.Header[name])
				}
			}
		}
	})
}

// TestNothingGrowsWithTraffic is invariant I5 for what one client can do: after any mixture of requests there are as many
// series, goroutines and streams as before, and the log is bounded.
func TestNothingGrowsWithTraffic(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL)
	count := func() (n int) {
		families, err := s.Metrics().Gatherer().(*prometheus.Registry).Gather()
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range families {
			if strings.HasPrefix(f.GetName(), "envgate_") && f.GetName() != "envgate_http_requests_total" {
				n += len(f.GetMetric())
			}
		}
		return n
	}
	series, goroutines, started := count(), runtime.NumGoroutine(), time.Now()
	requests := 0
	rapid.Check(t, func(r *rapid.T) {
		requests++
		text := rapid.StringMatching(`[a-zA-Z0-9._-]{0,60}`)
		s.rawAll(fmt.Sprintf("%s /%s?%s HTTP/1.1\r\nHost: %s\r\nUser-Agent: %s\r\nAuthorization: Bearer %s\r\nCookie: jwt_token=%s\r\nOrigin: http://%s\r\nConnection: close\r\n\r\n",
			rapid.StringMatching(`[A-Z]{1,12}`).Draw(r, "method"), text.Draw(r, "path"), text.Draw(r, "query"), text.Draw(r, "host"), text.Draw(r, "agent"),
			text.Draw(r, "token"), text.Draw(r, "cookie"), text.Draw(r, "origin")), 1)
	})
	if after := count(); after != series {
		t.Errorf("%d series, before %d", after, series)
	}
	seconds := int(time.Since(started).Seconds()) + 1
	if lines, most := strings.Count(s.logs.String(), `"msg":"refused"`), 6*perSecond*(seconds+1); lines > most {
		t.Errorf("%d log lines in %d seconds for %d requests", lines, seconds, requests)
	}
	eventually(t, "the goroutines are gone", func() bool { return runtime.NumGoroutine() <= goroutines+4 })
}
