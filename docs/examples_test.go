package docs

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"envgate/authz"
)

// blocks are the indented code blocks of a page that start with the given text, without their indentation.
func blocks(t *testing.T, file, start string) (found []string) {
	t.Helper()
	for _, part := range regexp.MustCompile(`(?m)(^    .*\n|^\n)+`).FindAllString(read(t, file), -1) {
		text := regexp.MustCompile(`(?m)^    `).ReplaceAllString(strings.Trim(part, "\n"), "")
		if strings.HasPrefix(text, start) {
			found = append(found, text+"\n")
		}
	}
	return found
}

// TestWorkedExamplesSeparate reads the env files of securing.md: none may leave a warning, and no two may share what
// separates them.
func TestWorkedExamplesSeparate(t *testing.T) {
	examples := blocks(t, "securing.md", "ENVIRONMENT=")
	if len(examples) != 3 {
		t.Fatalf("%d examples, want development, staging and production", len(examples))
	}
	seen := map[string]bool{}
	for i, text := range examples {
		secret := strings.Repeat(fmt.Sprintf("%02x", 0xa0+i), 32) // for <64 hex digits …>
		environ := strings.Split(strings.TrimSpace(regexp.MustCompile(`<.*>`).ReplaceAllString(text, secret)), "\n")
		c, err := authz.Parse(authz.Source{Environ: append(environ, "KUBERNETES_SERVICE_HOST=127.0.0.1")})
		if err != nil {
			t.Fatalf("%s%v", text, err)
		}
		for _, w := range c.Warnings() {
			t.Errorf("%s: %s: %s", c.Environment, w.Check, w.Message)
		}
		for _, name := range []string{c.Environment, c.Issuer, c.Audience} {
			if seen[name] {
				t.Errorf("two environments share %s", name)
			}
			seen[name] = true
		}
	}
}

// TestThePolicyExampleHasEveryKey loads the example of configuration.md and looks for keys that it does not show.
func TestThePolicyExampleHasEveryKey(t *testing.T) {
	examples := blocks(t, "configuration.md", "routes:")
	if len(examples) != 1 {
		t.Fatalf("%d examples of a policy, want 1", len(examples))
	}
	file := filepath.Join(t.TempDir(), "policy.yaml")
	if err := os.WriteFile(file, []byte(examples[0]), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := authz.Parse(authz.Source{Environ: []string{"JWT_SECRET_KEY=0123456789abcdef0123456789abcdef", "ENVGATE_PUBLIC_URL=https://gateway.example.com", "ENVGATE_POLICY=" + file}})
	if err != nil {
		t.Fatal(err)
	}
	var route authz.Route // with what any of the routes has
	for _, r := range c.Policy.Routes {
		for i := range reflect.ValueOf(r).NumField() {
			if f := reflect.ValueOf(r).Field(i); !f.IsZero() {
				reflect.ValueOf(&route).Elem().Field(i).Set(f)
			}
		}
	}
	for _, shown := range []any{*c.Policy, c.Policy.Tokens, route} {
		v := reflect.ValueOf(shown)
		for i := range v.NumField() {
			if v.Field(i).IsZero() {
				t.Errorf("the example does not show %s of %s", v.Type().Field(i).Tag.Get("yaml"), v.Type())
			}
		}
	}
}

// TestNamedTestsExist keeps the threat model from naming tests and attacks that are gone.
func TestNamedTestsExist(t *testing.T) {
	var code strings.Builder
	for _, pattern := range []string{"../*/*_test.go", "../*/*/*_test.go"} {
		files, _ := filepath.Glob(pattern)
		for _, file := range files {
			code.WriteString(read(t, file))
		}
	}
	named := 0
	for _, file := range pages(t) {
		text := read(t, file)
		for _, name := range regexp.MustCompile(`\b(Test|Fuzz)[A-Z]\w+`).FindAllString(text, -1) {
			if named++; !strings.Contains(code.String(), "func "+name+"(") {
				t.Errorf("%s: no test %s", file, name)
			}
		}
		for _, line := range strings.Split(text, "\n") {
			_, corpus, _ := strings.Cut(line, "corpus `")
			for _, m := range regexp.MustCompile("([a-z]+)-\\*`").FindAllStringSubmatch(corpus, -1) {
				if attacks, _ := filepath.Glob("../authz/testdata/attacks/" + m[1] + "-*"); len(attacks) == 0 {
					t.Errorf("%s: no attack %s-*", file, m[1])
				}
			}
		}
	}
	if named < 10 {
		t.Errorf("%d tests named", named)
	}
}

// answersTable shows what the built binary answers, asked over a raw connection.
func answersTable(t *testing.T) string {
	sidecar := startSidecar(t)
	own, foreign := mint(t, "production"), mint(t, "staging")
	var b strings.Builder
	b.WriteString("| sent | answer | headers | body |\n|---|---|---|---|\n")
	for _, row := range []struct{ line, headers string }{
		{"GET /tools", ""},
		{"GET /tools", "Authorization: Bearer FOREIGN"},
		{"GET /tools", "Authorization: Bearer garbage"},
		{"GET /tools", "Authorization: Basic YTpi"},
		{"GET /tools", "Authorization: Bearer OWN\nAuthorization: Bearer OWN"},
		{"GET /tools", "Cookie: jwt_token=\"OWN\""},
		{"GET /health/../tools", ""},
		{"POST /static/mcp", ""},
		{"GET /a|b", ""},
		{"TRACE /health", ""},
		{"GET /admin/", "Accept: text/html"},
		{"GET /admin/", "HX-Request: true"},
		{"GET /mcp", "Accept: text/html"},
		{"GET /tools", "Authorization: Bearer OWN"},
		{"GET /health", "Cookie: jwt_token=FOREIGN"},
	} {
		sent := strings.NewReplacer("OWN", own, "FOREIGN", foreign).Replace(row.headers)
		status, headers, body := ask(t, sidecar, row.line, sent)
		shown := code(row.line)
		for line := range strings.SplitSeq(row.headers, "\n") {
			if line != "" {
				shown += "<br>" + code(line)
			}
		}
		fmt.Fprintf(&b, "| %s | %d | %s | %s |\n", shown, status, headers, code(body))
	}
	return b.String()
}

var quickSettings = []string{"JWT_SECRET_KEY=0123456789abcdef0123456789abcdef", "ENVGATE_ENVIRONMENT=production"}

// startSidecar runs the binary before a port that nobody listens on, and returns its address.
func startSidecar(t *testing.T) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "envgate"), "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:1")
	cmd.Env = quickSettings
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			go func() { _, _ = io.Copy(io.Discard, stderr) }()
			return line.Address
		}
	}
	t.Fatal("the sidecar did not start")
	return ""
}

func mint(t *testing.T, environment string) string {
	t.Helper()
	cmd := exec.Command(filepath.Join(bin, "envgate"), "token", "mint", "--subject", "user@example.com", "--token-environment", environment)
	cmd.Env = quickSettings
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

func ask(t *testing.T, address, line, headers string) (status int, shown, body string) {
	t.Helper()
	conn, err := net.DialTimeout("tcp", address, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	request := line + " HTTP/1.1\nHost: gateway\n"
	if headers != "" {
		request += headers + "\n"
	}
	if _, err := io.WriteString(conn, strings.ReplaceAll(request+"\n", "\n", "\r\n")); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatalf("%s: %v", line, err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatal(err)
	}
	var kept []string
	for _, name := range []string{"WWW-Authenticate", "Location", "HX-Redirect", "Allow"} {
		for _, value := range response.Header.Values(name) {
			kept = append(kept, code(name+": "+value))
		}
	}
	return response.StatusCode, strings.Join(kept, "<br>"), string(text)
}
