package proxy

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// gateway stands for one that knows a single secret until it restarts.
type gateway struct {
	address string
	server  *http.Server
}

func (g *gateway) start(t *testing.T, secret string) {
	t.Helper()
	address := g.address
	if address == "" {
		address = "127.0.0.1:0"
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	g.address = l.Addr().String()
	g.server = &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		bearer := strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")
		if _, err := jwt.Parse(bearer, func(*jwt.Token) (any, error) { return []byte(secret), nil }); err != nil {
			w.WriteHeader(http.StatusForbidden) // so that it isn't taken for envgate's
		}
	})}
	server := g.server
	go func() { _ = server.Serve(l) }()
	t.Cleanup(func() { _ = server.Close() })
}

func signed(t *testing.T, secret string) string {
	t.Helper()
	claims := jwt.MapClaims{"iss": "mcpgateway", "aud": "mcpgateway-api", "env": "production", "exp": time.Now().Add(time.Hour).Unix()}
	s, err := jwt.NewWithClaims(jwt.SigningMethodHS256, claims).SignedString([]byte(secret))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// rotation is a sidecar whose secret is a file, and a gateway that knows one of three secrets.
type rotation struct {
	*sidecar
	gateway          *gateway
	file, additional string
	reloads, noticed int
}

var rotated = []string{strings.Repeat("first-", 8), strings.Repeat("second", 8), strings.Repeat("third-", 8)}

// startRotation starts both with the first secret; with an additional file, that holds the second.
func startRotation(t *testing.T, additional bool) *rotation {
	t.Helper()
	folder := t.TempDir()
	r := &rotation{gateway: &gateway{}, file: filepath.Join(folder, "secret")}
	r.gateway.start(t, rotated[0])
	write(t, r.file, rotated[0]+"\n")
	settings := []string{"JWT_SECRET_KEY=", "JWT_SECRET_KEY_FILE=" + r.file}
	if additional {
		r.additional = filepath.Join(folder, "additional")
		write(t, r.additional, rotated[1])
		settings = append(settings, "ENVGATE_ADDITIONAL_SECRET_KEY_FILE="+r.additional)
	}
	r.sidecar, _ = startReloading(t, "http://"+r.gateway.address, settings...)
	return r
}

// do does one thing, and waits until the sidecar knows what it can know of it.
func (r *rotation) do(t *testing.T, what string) {
	t.Helper()
	verb, with, _ := strings.Cut(what, " ")
	n := strings.Index("123", with)
	switch verb {
	case "file":
		write(t, r.file, rotated[n]+"\n")
		r.reloads++
	case "swap":
		write(t, r.additional, rotated[0]) // broken until the other file follows: both are the same
		write(t, r.file, rotated[1])
		r.reloads++
	case "restart", "awaited":
		_ = r.gateway.server.Close()
		r.gateway.start(t, rotated[n])
		if verb == "awaited" {
			r.noticed++
		}
	case "neighbour": // something else on that port number of another address, and long enough to be seen
		_, port, _ := net.SplitHostPort(r.gateway.address)
		l, err := net.Listen("tcp", "127.0.0.2:"+port)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = l.Close() })
		time.Sleep(restartInterval + 200*time.Millisecond)
	}
	eventually(t, fmt.Sprintf("%s: %d reloads", what, r.reloads), func() bool { return r.value(`envgate_reloads_total{result="success"}`) == strconv.Itoa(r.reloads) })
	eventually(t, fmt.Sprintf("%s: %d restarts noticed", what, r.noticed), func() bool { return strings.Count(r.logs.String(), "the gateway has restarted") == r.noticed })
}

// codes are those that tokens under the three secrets get. 401 is the sidecar's, 403 the gateway's.
func (r *rotation) codes(t *testing.T) string {
	t.Helper()
	var codes []string
	for _, secret := range rotated {
		res, _ := r.get("/tools", bearer(signed(t, secret)))
		codes = append(codes, strconv.Itoa(res.StatusCode))
	}
	return strings.Join(codes, " ")
}

// A secret file changes, and the gateway restarts at another time: tokens that are accepted are signed as it knows them. At
// first all know secret 1, and where there is an additional file it holds 2.
func TestASecretFileChanges(t *testing.T) {
	for _, row := range []struct {
		name       string
		additional bool
		steps      [][2]string // what happens; what tokens of the three secrets get then
	}{
		{"before the gateway restarts", false, [][2]string{{"", "200 401 401"}, {"file 2", "200 200 401"}, {"awaited 2", "200 200 401"}, {"file 3", "401 200 200"}, {"awaited 3", "401 200 200"}}},
		{"and is put back before the gateway restarts", false, [][2]string{{"file 2", "200 200 401"}, {"file 1", "200 200 401"}, {"restart 1", "200 200 401"}}},
		{"twice before the gateway restarts", false, [][2]string{{"file 2", "200 200 401"}, {"file 3", "200 200 200"}, {"awaited 3", "200 200 200"}}},
		{"twice and back before the gateway restarts", false, [][2]string{{"file 2", "200 200 401"}, {"file 3", "200 200 200"}, {"file 2", "200 200 200"}, {"file 1", "200 200 401"}}},
		{"after the gateway restarted with the new value", false, [][2]string{{"restart 2", "403 401 401"}, {"file 2", "403 200 401"}, {"awaited 2", "200 200 401"}}},
		{"while something else listens on that port of another address", false, [][2]string{{"file 2", "200 200 401"}, {"neighbour", "200 200 401"}, {"awaited 2", "200 200 401"}}},
		{"in place of the additional one before the gateway restarts", true, [][2]string{{"", "200 200 401"}, {"swap", "200 200 401"}, {"awaited 2", "200 200 401"}}},
		{"beside an additional one: a former value is not kept", true, [][2]string{{"", "200 200 401"}, {"restart 3", "403 403 401"}, {"file 3", "401 200 200"}}},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			r := startRotation(t, row.additional)
			for _, step := range row.steps {
				if step[0] != "" {
					r.do(t, step[0])
				}
				if got := r.codes(t); got != step[1] {
					t.Errorf("after %q: %s, want %s", step[0], got, step[1])
				}
			}
			if former := r.value("envgate_tokens_verified_by_additional_key_total"); former == "0" {
				t.Error("tokens of the former secret are not counted")
			}
		})
	}
}

// Which sockets a gateway's restart is told by, of several on one port number.
func TestSocketsOfTheUpstream(t *testing.T) {
	all := func(addresses ...string) (all []listener) {
		for i, a := range addresses {
			all = append(all, listener{netip.AddrPortFrom(netip.MustParseAddr(a), 4444), strconv.Itoa(i)})
		}
		return all
	}
	for _, row := range []struct {
		host      string
		listeners []listener
		want      string
	}{
		{"127.0.0.1", all("127.0.0.1", "127.0.0.2", "0.0.0.0", "::"), "0"},
		{"127.0.0.1", all("127.0.0.1", "127.0.0.1"), "0 1"},
		{"127.0.0.1", all("127.0.0.2", "0.0.0.0", "::"), "1"},
		{"127.0.0.1", all("127.0.0.2", "::1", "::"), "2"},
		{"127.0.0.1", all("::ffff:127.0.0.1"), "0"},
		{"127.0.0.1", all("127.0.0.2", "::1"), ""},
		{"::1", all("127.0.0.1", "::", "::1"), "2"},
		{"::1", all("127.0.0.1", "::"), "1"},
		{"localhost", all("10.0.0.1", "::1", "0.0.0.0"), "1"},
		{"localhost", all("10.0.0.1", "::"), "1"},
	} {
		if got := strings.Join(taking(row.host, row.listeners), " "); got != row.want {
			t.Errorf("%s, %v: %q, want %q", row.host, row.listeners, got, row.want)
		}
	}
}

// What is seen at one look after the other, and whether the last tells of a restart.
func TestRestartsOfTheGateway(t *testing.T) {
	for _, row := range []struct {
		name  string
		looks string
		want  bool
	}{
		{"at first there is nothing to compare with", "1", false},
		{"the same socket", "1|1", false},
		{"another socket", "1|2", true},
		{"another socket after none", "1||2", true},
		{"down", "1|", false},
		{"up for the first time", "|1", false},
		{"a further worker", "1|1 2", false},
		{"workers that follow one another", "1 2|2 3|3 4", false},
		{"all workers are others", "1 2|3 4", true},
	} {
		r, restarted := &restarts{}, false
		for look := range strings.SplitSeq(row.looks, "|") {
			restarted = r.look(strings.Fields(look))
		}
		if restarted != row.want {
			t.Errorf("%s: %v", row.name, restarted)
		}
	}
	now := time.Now()
	for _, row := range []struct {
		name string
		r    restarts
		want bool
	}{
		{"never up", restarts{}, false},
		{"never restarted", restarts{seen: []string{"1"}}, true},
		{"restarted a minute ago", restarts{[]string{"1"}, now.Add(-time.Minute)}, false},
		{"restarted yesterday", restarts{[]string{"1"}, now.Add(-24 * time.Hour)}, true},
	} {
		if got := row.r.certain(now); got != row.want {
			t.Errorf("%s: certain is %v", row.name, got)
		}
	}
}
