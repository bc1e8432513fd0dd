package proxy

import (
	"encoding/json"
	"encoding/xml"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"

	"envgate/authz"

	"github.com/golang-jwt/jwt/v5"
	"github.com/google/jsonschema-go/jsonschema"
)

// current reads /api/status.
func (s *sidecar) current() status {
	s.t.Helper()
	var st status
	if err := json.Unmarshal([]byte(s.adminGet("/api/status")), &st); err != nil {
		s.t.Fatal(err)
	}
	return st
}

// TestStatusAnswersFitTheSchema validates answers of every kind, and that together they held every field.
func TestStatusAnswersFitTheSchema(t *testing.T) {
	text, err := os.ReadFile("../docs/status.schema.json")
	if err != nil {
		t.Fatal(err)
	}
	var schema jsonschema.Schema
	if err := json.Unmarshal(text, &schema); err != nil {
		t.Fatal(err)
	}
	resolved, err := schema.Resolve(nil)
	if err != nil {
		t.Fatal(err)
	}
	u := newRecorder(t, nil)
	seen := map[string]bool{}
	for _, row := range [][]string{
		{"DERIVE_KEY_PER_ENVIRONMENT=true", "JWT_ISSUER=a", "JWT_AUDIENCE=b"},
		{"ENVGATE_ADDITIONAL_SECRET_KEY=another-secret-0123456789abcdefghijkl", "ENVGATE_MISSING_ENVIRONMENT=deny"},
		{"ENVGATE_MODE=report"},
		{"ENVGATE_ENVIRONMENT_RULE=report"},
		{"ENVGATE_ENVIRONMENT_RULE=off"},
		{"ENVGATE_KNOWN_ENVIRONMENTS=", "ENVGATE_ENVIRONMENT=development"},
	} {
		s := startSidecar(t, u.URL, row...)
		for _, traffic := range []func(){
			func() {},
			func() {
				s.get("/health")
				s.get("/tools")
				s.get("/tools", bearer(token(t, nil)))
				s.get("/tools", bearer(token(t, jwt.MapClaims{"env": nil})))
				s.get("/tools", bearer(token(t, jwt.MapClaims{"env": "staging"})))
				s.get("/health", bearer(token(t, jwt.MapClaims{"env": []any{strings.Repeat("é", 90)}})))
				s.get("/tools", bearer(token(t, jwt.MapClaims{"exp": 1, "jti": strings.Repeat("j", 900)})))
				s.raw("BREW /" + strings.Repeat("x/", 90) + " HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
				s.raw("OPTIONS * HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n")
			},
			s.Drain,
		} {
			traffic()
			var answer any
			if err := json.Unmarshal([]byte(s.adminGet("/api/status")), &answer); err != nil {
				t.Fatal(err)
			}
			if err := resolved.Validate(answer); err != nil {
				t.Errorf("%v: %v", row, err)
			}
			fields("", answer, seen)
		}
	}
	for _, name := range properties("", &schema) {
		if !seen[name] {
			t.Errorf("no answer had the field %s", name)
		}
	}
}

// fields adds the names in a JSON value, as a.b.
func fields(at string, value any, seen map[string]bool) {
	switch value := value.(type) {
	case []any:
		for _, v := range value {
			fields(at, v, seen)
		}
	case map[string]any:
		for name, v := range value {
			seen[at+name] = true
			fields(at+name+".", v, seen)
		}
	}
}

// properties are the names in a schema, as fields has them.
func properties(at string, s *jsonschema.Schema) (names []string) {
	if s.Items != nil {
		return properties(at, s.Items)
	}
	for name, p := range s.Properties {
		names = append(append(names, at+name), properties(at+name+".", p)...)
	}
	return names
}

// TestTheStatusPageShowsHostileTextAsText sends markup in everything that a client chooses, and reads the page as
// strictly as XML is read: any text that became markup would end it, or be an element that the template doesn't have.
func TestTheStatusPageShowsHostileTextAsText(t *testing.T) {
	s := startSidecar(t, newRecorder(t, nil).URL, `JWT_AUDIENCE=</dd><script>a()</script>"'&amp;`, "JWT_AUDIENCE_VERIFICATION=false", "JWT_ISSUER=mcpgateway<img/src=x onerror=a()>", "JWT_ISSUER_VERIFICATION=false")
	const hostile = `"'><script>alert(1)</script><img src=x onerror=alert(1)>{{.}}`
	for _, claims := range []jwt.MapClaims{
		{"env": hostile}, {"env": "staging", "jti": hostile}, {"exp": 1, "sub": hostile}, {"env": "staging", "iss": hostile}, {"env": []string{hostile}},
		{"env": strings.Repeat("e", 5000)}, {"env": "\u202e\u0000\r\nstaging"}, {"env": "staging", "jti": strings.Repeat("j", 5000)},
	} {
		s.get("/tools", bearer(token(t, claims)), "User-Agent: "+hostile)
	}
	s.get("/%3Cscript%3Ealert(1)%3C/script%3E", "User-Agent: "+hostile)
	s.get("/<img/src=x/onerror=a()>", "X-Forwarded-For: "+hostile)
	s.raw("<script> /tools HTTP/1.1\r\nHost: " + "h\r\nConnection: close\r\n\r\n")
	page := s.adminGet("/")
	elements := wellFormed(t, page)
	for _, name := range []string{"script", "img"} {
		if elements[name] != 1 {
			t.Errorf("%d elements %s, want the page's own", elements[name], name)
		}
	}
	if elements["tr"] < 8 {
		t.Errorf("%d rows: %s", elements["tr"], page)
	}
	for _, bad := range []string{"onerror=alert(1)>", strings.Repeat("e", 65), strings.Repeat("j", 65), "\u202e", "\x00"} {
		if strings.Contains(page, bad) {
			t.Errorf("the page holds %.20q", bad)
		}
	}
	for _, f := range s.current().Recent {
		for _, text := range []string{f.Method, f.Path, f.Client, f.Token.Environment, f.Token.ID, f.Token.SubjectHash} {
			if len(text) > 67 || strings.ContainsAny(text, "<>\"'\x00\r\n\x1b") {
				t.Errorf("not cut or not printable: %.90q", text)
			}
		}
	}
}

// wellFormed counts the elements of a page.
func wellFormed(t *testing.T, page string) map[string]int {
	t.Helper()
	elements, ids := map[string]int{}, map[string]bool{}
	d := xml.NewDecoder(strings.NewReader(page))
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return elements
		}
		if err != nil {
			t.Fatalf("not well-formed: %v", err)
		}
		element, ok := token.(xml.StartElement)
		if !ok {
			continue
		}
		elements[element.Name.Local]++
		for _, a := range element.Attr {
			if a.Name.Local == "style" || strings.HasPrefix(a.Name.Local, "on") {
				t.Errorf("%s has the attribute %s", element.Name.Local, a.Name.Local)
			}
			if a.Name.Local == "id" && ids[a.Value] {
				t.Errorf("two elements are called %s", a.Value)
			}
			ids[a.Value] = ids[a.Value] || a.Name.Local == "id"
		}
	}
}

func TestTheStatusPageSaysWhatIsAmissAtOnce(t *testing.T) {
	u := newRecorder(t, nil)
	for _, row := range []struct{ setting, want, without string }{
		{"ENVGATE_MODE=enforce", "environment rule: enforce", "notice"},
		{"ENVGATE_MODE=report", "Report mode: no token is refused.", "bad"},
		{"ENVGATE_ENVIRONMENT_RULE=report", "The environment rule only reports:", "bad"},
		{"ENVGATE_ENVIRONMENT_RULE=off", "The environment rule is off:", "bad"},
	} {
		s := startSidecar(t, u.URL, row.setting)
		page := s.adminGet("/")
		wellFormed(t, page)
		if !strings.Contains(page, row.want) || strings.Contains(page, `class="notice `+row.without) || row.without == "notice" && strings.Contains(page, `class="notice`) {
			t.Errorf("%s: %s", row.setting, page)
		}
		s.Drain()
		page = s.adminGet("/")
		wellFormed(t, page)
		if !strings.Contains(page, "<title>not ready: production · envgate</title>") || !strings.Contains(page, "<strong>Not ready: draining.</strong>") {
			t.Errorf("%s, draining: %s", row.setting, page)
		}
	}
}

func TestTheStatusSaysWhatHappened(t *testing.T) {
	s := startSidecar(t, newRecorder(t, nil).URL)
	for range 3 {
		s.get("/tools/12?q=1", bearer(token(t, jwt.MapClaims{"env": "staging"})))
	}
	s.get("/tools", bearer(token(t, nil)))
	s.get("/health", bearer(token(t, jwt.MapClaims{"env": "test"})))
	s.get("/tools", bearer(token(t, jwt.MapClaims{"env": nil})))
	st := s.current()
	if d := st.Decisions; len(d) != 3 || d[0].Reason != authz.Environment || d[0].Count != 3 {
		t.Errorf("decisions %+v", d)
	}
	if e := st.Environments; len(e) != 3 || e[1].Environment != "staging" || e[1].Refused != 3 || e[2].Environment != "other" || e[2].Removed != 1 {
		t.Errorf("environments %+v", e)
	}
	if st.Tokens.Verified != 6 || st.Tokens.WithoutEnvironment != 1 || st.Tokens.WithoutEnvironmentLastExpiry.IsZero() {
		t.Errorf("tokens %+v", st.Tokens)
	}
	f := st.Recent
	if len(f) != 3 || f[0].Path != "/tools/12" || f[0].Route != "protected" || f[0].Status != 401 || f[0].Token.Environment != "staging" ||
		f[0].Token.ID != "test-id" || !strings.Contains(s.logs.String(), `"subject_hash":"`+f[0].Token.SubjectHash+`"`) {
		t.Errorf("recent %+v", f)
	}
}

func TestTheLastHundredAreKeptNewestFirst(t *testing.T) {
	s := startSidecar(t, newRecorder(t, nil).URL)
	for i := range recentLength + 23 {
		s.get("/n/" + itoa(i))
	}
	list := s.current().Recent
	if len(list) != recentLength || list[0].Path != "/n/122" || list[recentLength-1].Path != "/n/23" {
		t.Errorf("%d, first %+v, last %+v", len(list), list[0], list[len(list)-1])
	}
	if rows := wellFormed(t, s.adminGet("/"))["tr"]; rows < recentLength || rows > recentLength+10 {
		t.Errorf("%d rows", rows)
	}
}

func TestTheLastHundredAreSafeForConcurrentUse(t *testing.T) {
	var r recent
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for i := range 500 {
				r.add(finding{Status: i, Path: itoa(i)})
				for _, f := range r.list() {
					if f.Path != itoa(f.Status) {
						t.Errorf("torn: %+v", f)
						return
					}
				}
			}
		})
	}
	wg.Wait()
	if len(r.list()) != recentLength || r.total != 4000 {
		t.Errorf("%d of %d", len(r.list()), r.total)
	}
}

var statusPaths = []string{"/", "/api/status", "/status.css", "/status.js", "/status.svg"}

func TestTheStatusIsGuardedAndSentWithItsHeaders(t *testing.T) {
	u := newRecorder(t, nil)
	for _, row := range []struct {
		setting, remote, host string
		want                  int
	}{
		{"loopback", "127.0.0.1:9", "localhost:4446", 200},
		{"loopback", "[::1]:9", "[::1]:4446", 200},
		{"loopback", "127.0.0.1:9", "127.0.0.1", 200},
		{"loopback", "192.0.2.1:9", "localhost:4446", 403},
		{"loopback", "127.0.0.1:9", "rebound.example.com:4446", 403},
		{"loopback", "127.0.0.1:9", "localhost.example.com", 403},
		{"all", "192.0.2.1:9", "envgate.example.com", 200},
	} {
		h := startSidecar(t, u.URL, "ENVGATE_ADMIN_STATUS="+row.setting).Server.admin.Handler
		for _, path := range statusPaths {
			r := httptest.NewRequest("GET", path, nil)
			r.RemoteAddr, r.Host = row.remote, row.host
			w := httptest.NewRecorder()
			h.ServeHTTP(w, r)
			if w.Code != row.want {
				t.Errorf("%v %s: %d", row, path, w.Code)
			}
			if row.want != 200 {
				continue
			}
			for name, value := range map[string]string{
				"Content-Security-Policy": statusPolicy, "X-Content-Type-Options": "nosniff", "Referrer-Policy": "no-referrer",
				"Cache-Control": "no-store", "Cross-Origin-Resource-Policy": "same-origin",
			} {
				if got := w.Header().Get(name); got != value {
					t.Errorf("%s: %s: %q", path, name, got)
				}
			}
		}
		open := httptest.NewRequest("GET", "/livez", nil)
		open.RemoteAddr, open.Host = row.remote, row.host
		w := httptest.NewRecorder()
		if h.ServeHTTP(w, open); w.Code != http.StatusOK {
			t.Errorf("%v /livez: %d", row, w.Code)
		}
	}
	for _, directive := range []string{"default-src 'none'", "frame-ancestors 'none'"} {
		if !slices.Contains(strings.Split(statusPolicy, "; "), directive) || strings.Contains(statusPolicy, "unsafe") {
			t.Errorf("the policy is %s", statusPolicy)
		}
	}
}

func TestTheDrainCommandCallsTheSidecarLocalhost(t *testing.T) {
	var host string
	sidecar := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { host = r.Host }))
	defer sidecar.Close()
	if err := RequestDrain(&authz.Config{AdminListen: sidecar.Listener.Addr().String()}); err != nil || host != "localhost" {
		t.Errorf("%v, host %q", err, host)
	}
}

// Readers of the status page take a bounded part of the process, however many there are.
func TestOnlySoManyPagesAreMadeAtOnce(t *testing.T) {
	mux, entered, leave := http.NewServeMux(), make(chan struct{}, 100), make(chan struct{})
	statusRoutes(mux, func(h http.HandlerFunc) http.HandlerFunc { return h }, func() status {
		entered <- struct{}{}
		<-leave
		return status{}
	})
	server := httptest.NewServer(mux)
	t.Cleanup(server.Close)
	codes := make(chan int, 100)
	get := func() {
		res, err := http.Get(server.URL + "/api/status")
		if err != nil {
			codes <- 0
			return
		}
		res.Body.Close()
		codes <- res.StatusCode
	}
	for range pagesAtOnce {
		go get()
		<-entered
	}
	for range 20 {
		get()
		if code := <-codes; code != http.StatusServiceUnavailable {
			t.Fatalf("got %d, want 503", code)
		}
	}
	close(leave)
	for range pagesAtOnce {
		if code := <-codes; code != http.StatusOK {
			t.Errorf("got %d, want 200", code)
		}
	}
}
