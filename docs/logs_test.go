package docs

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestEveryLogFieldIsDocumented runs the binary through everything that it logs of requests, and looks every field up.
func TestEveryLogFieldIsDocumented(t *testing.T) {
	page := read(t, "logs.md")
	var documented []string
	for _, m := range regexp.MustCompile("`([a-z_]+)`").FindAllStringSubmatch(page, -1) {
		documented = append(documented, m[1])
	}
	cmd := exec.Command(filepath.Join(bin, "envgate"), "serve", "--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0", "--upstream", "http://127.0.0.1:1", "--access-log", "--drain-delay", "0s")
	cmd.Env = quickSettings
	var log lines
	cmd.Stderr = &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	address := ""
	for deadline := time.Now().Add(10 * time.Second); address == ""; time.Sleep(10 * time.Millisecond) {
		if m := regexp.MustCompile(`"msg":"listening","address":"([^"]+)"`).FindStringSubmatch(log.String()); m != nil {
			address = m[1]
		} else if time.Now().After(deadline) {
			t.Fatal(log.String())
		}
	}
	const trace = "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for range 20 { // more than ten a second
		ask(t, address, "GET /tools", "Authorization: Bearer "+mint(t, "staging")+"\n"+trace)
	}
	ask(t, address, "GET /health", trace)
	time.Sleep(1100 * time.Millisecond) // the next second's line tells how many were left out
	ask(t, address, "GET /tools", "Authorization: Bearer "+mint(t, "staging")+"\n"+trace)
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{}
	for line := range strings.Lines(log.String()) {
		var fields map[string]any
		if err := json.Unmarshal([]byte(line), &fields); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		for name, value := range fields {
			seen[name] = true
			if below, ok := value.(map[string]any); ok {
				for name := range below {
					seen[name] = true
				}
			}
		}
	}
	for name := range seen {
		if !slices.Contains(documented, name) {
			t.Errorf("docs/logs.md does not know the field %s", name)
		}
	}
	for _, name := range strings.Fields("reason method route path client status detail token issuer environment jti subject_hash suppressed trace_id span_id decision source duration kind check set") {
		if !seen[name] {
			t.Errorf("no line has the field %s, which docs/logs.md promises:\n%s", name, log.String())
		}
	}
}

// lines is a buffer for a process to write to.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
