//go:build realgateway

package realgateway

import (
	"fmt"
	"math/rand/v2"
	"regexp"
	"strings"
)

// request is a generated one. Its lines are as they go over the wire, without their ends.
type request struct {
	target
	line    string
	headers []string
	end     string // of lines: CRLF
	trailer string // lines behind a chunked body
}

// raw is the request as it goes over the wire; name is what a recorder files it under.
func (q request) raw(name string) []byte {
	lines := append([]string{q.line}, q.headers...)
	return []byte(strings.Join(append(lines, recordHeader+": "+name), q.end) + q.end + q.end + q.body)
}

var fold = regexp.MustCompile(`\r\n[ \t]+`)

// fields are the header lines, unfolded (RFC 9112, section 5.2).
func (q request) fields() []string {
	return strings.Split(fold.ReplaceAllString(strings.Join(q.headers, "\r\n"), " "), "\r\n")
}

// values lists the values of a header, read off the lines.
func (q request) values(name string) (values []string) {
	for _, line := range q.fields() {
		if key, value, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimRight(key, " "), name) {
			values = append(values, strings.Trim(value, " \t"))
		}
	}
	return values
}

// path is the raw path, and the raw query.
func (q request) path() (path, query string) {
	path = strings.Fields(q.line)[1]
	if _, rest, ok := strings.Cut(path, "://"); ok {
		path = rest[strings.IndexByte(rest, '/'):]
	}
	path, query, _ = strings.Cut(path, "?")
	return path, query
}

// upgrades tells whether it asks for a WebSocket.
func (q request) upgrades() bool {
	v := q.values("Upgrade")
	return len(v) == 1 && strings.EqualFold(v[0], "websocket")
}

// request makes request number n of a seed.
func (g *generator) request(seed, n uint64) request {
	r := rand.New(rand.NewPCG(seed, n))
	q := request{target: pick(r, targets...), end: "\r\n"}
	path := q.target.path
	webSocket := strings.HasSuffix(path, "s") && strings.Contains("/ws /%77s /reverse-proxy/ws", path)
	if query := g.query(r); query != "" && (webSocket || chance(r, 6)) {
		separator := "?"
		if strings.Contains(path, "?") {
			separator = "&"
		}
		path += separator + query
	}
	version := "HTTP/1.1"
	switch r.IntN(100) {
	case 0:
		version = "HTTP/1.0"
	case 1:
		path = "http://" + g.host + path
	}
	q.line = q.method + " " + path + " " + version
	q.headers = append(g.credentials(r), g.surroundings(r, &q, webSocket)...)
	r.Shuffle(len(q.headers), func(i, j int) { q.headers[i], q.headers[j] = q.headers[j], q.headers[i] })
	g.disturb(r, &q)
	return q
}

// written is a header line, spelt in one of the ways that mean the same.
func written(r source, name, value string) string {
	if chance(r, 15) {
		name = pick(r, strings.ToUpper(name), strings.ToLower(name), strings.ToLower(name[:2])+strings.ToUpper(name[2:]))
	}
	separator := ": "
	if chance(r, 10) {
		separator = pick(r, ":", ":  ", ":\t", ": \t ")
	}
	if chance(r, 5) {
		value += pick(r, " ", "\t", "  ")
	}
	return name + separator + value
}

// credentials are the header lines that the gateways read tokens from, and such that they don't.
func (g *generator) credentials(r source) (lines []string) {
	for range pick(r, 0, 0, 0, 1, 1, 1, 1, 1, 1, 1, 1, 1, 2) {
		lines = append(lines, written(r, g.authHeader, g.authorization(r)))
	}
	for range pick(r, 0, 0, 0, 1, 1, 1, 1, 2) {
		lines = append(lines, written(r, "Cookie", g.cookie(r)))
	}
	if g.authHeader != "Authorization" {
		for range pick(r, 0, 0, 1, 1, 1, 2) {
			value := g.authorization(r)
			if chance(r, 20) {
				value = pick(r, "Basic dXBzdHJlYW06cGFzc3dvcmQ=", "Bearer ghp_0123456789", "AWS4-HMAC-SHA256 Credential=x")
			}
			lines = append(lines, written(r, "Authorization", value))
		}
	}
	if chance(r, 12) {
		name := pick(r, "X-API-Key", "X-Authorization", "Proxy-Authorization", "X-Mcp-Gateway-Auth", "X-Upstream-Authorization", "X-Forwarded-Access-Token",
			"X-Authenticated-User", "X_Authorization", "Authentication", "Cookie2", "Set-Cookie", "X-Contextforge-Auth", "X-Forwarded-Authorization")
		lines = append(lines, written(r, name, pick(r, "", "Bearer ", "jwt_token=")+g.token(r)))
	}
	return lines
}

// surroundings are the header lines that no token is in, but that some gateways read tokens by.
func (g *generator) surroundings(r source, q *request, webSocket bool) []string {
	lines := []string{"Host: " + g.host}
	switch {
	case strings.Contains(q.target.path, "mcp"):
		lines = append(lines, acceptMCP)
	case chance(r, 30):
		lines = append(lines, written(r, "Accept", pick(r, "text/html", "text/html,application/xhtml+xml;q=0.9", "*/*", "application/json")))
	}
	if chance(r, 6) {
		lines = append(lines, "HX-Request: true")
	}
	if chance(r, 15) {
		lines = append(lines, "Referer: http://"+g.host+"/admin/")
	}
	if q.body != "" {
		kind := "application/json"
		if q.body == formBody {
			kind = "application/x-www-form-urlencoded"
		}
		lines = append(lines, "Content-Type: "+kind)
		if chance(r, 30) {
			lines = append(lines, "Transfer-Encoding: chunked")
			q.trailer = g.trailers(r)
			q.body = fmt.Sprintf("%x\r\n%s\r\n0\r\n%s\r\n", len(q.body), q.body, q.trailer)
		} else {
			lines = append(lines, fmt.Sprintf("Content-Length: %d", len(q.body)))
		}
	}
	switch {
	case q.method == "GET" && (webSocket && chance(r, 80) || chance(r, 2)):
		lines = append(lines, "Connection: Upgrade", "Upgrade: "+pick(r, "websocket", "websocket", "WebSocket"), "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==")
	case chance(r, 2):
		lines = append(lines, "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c", "HTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA")
	case chance(r, 4):
		lines = append(lines, "Connection: "+pick(r, "close", "keep-alive", g.authHeader, "close, "+strings.ToLower(g.authHeader), "Cookie", "close,Cookie", "Authorization", "Host, Accept"))
	}
	if chance(r, 3) {
		lines = append(lines, pick(r, "X-Forwarded-Proto: https", "X-Forwarded-For: 10.0.0.1", "Forwarded: for=10.0.0.1", "Origin: http://localhost:3000", "X-Forwarded-Prefix: /x"))
	}
	if q.method == "OPTIONS" && chance(r, 50) {
		lines = append(lines, "Origin: http://localhost:3000", "Access-Control-Request-Method: GET")
	}
	return lines
}

// trailers are header lines behind the body: some servers take them for headers.
func (g *generator) trailers(r source) (lines string) {
	for range r.IntN(3) {
		lines += pick(r, "Authorization: ", g.authHeader+": ") + g.authorization(r) + "\r\n"
	}
	if chance(r, 30) {
		lines += "Cookie: " + g.cookie(r) + "\r\n"
	}
	return lines
}

// disturb breaks the framing of every fiftieth request.
func (g *generator) disturb(r source, q *request) {
	at := r.IntN(len(q.headers))
	line := q.headers[at]
	switch r.IntN(300) {
	case 0:
		q.end = "\n"
	case 1:
		q.headers[at] = strings.Replace(line, ":", " :", 1)
	case 2:
		q.headers[at] = line + "\r\n\t" + pick(r, "", "x", g.token(r)) // folded
	case 3:
		q.headers[at] = " " + line
	case 4:
		q.headers[at] = line + pick(r, "\x00", "\x01", "\x7f", "\r")
	case 5:
		q.headers = append(q.headers, pick(r, "Nonsense", "X Y: z", "Höst: x", ": x", "Host: other.example.com"))
	}
}
