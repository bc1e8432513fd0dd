//go:build cluster

package cluster

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// installation is the chart, installed in a namespace of its own. The API server reaches no Service here, for nothing
// runs in this cluster: its configuration leads to a process on this machine instead.
type installation struct {
	namespace, name string // of objects
	token           string // a file with the service account's token
	replicas        []replica
}

type replica struct{ listen, admin string }

func install(t *testing.T) *installation {
	t.Helper()
	i := &installation{namespace: newNamespace(t, "webhook")}
	i.name = i.namespace + "-envgate"
	i.helm(t, "install", i.namespace, chartFolder)
	t.Cleanup(func() { i.helm(t, "uninstall", i.namespace) })
	token := mustKubectl(t, "", "-n", i.namespace, "create", "token", i.name+"-webhook")
	i.token = filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(i.token, []byte(token), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		ports, err := freePorts(2)
		if err != nil {
			t.Fatal(err)
		}
		i.replicas = append(i.replicas, replica{"127.0.0.1:" + ports[0], "127.0.0.1:" + ports[1]})
	}
	i.ask(t, i.replicas[0])
	return i
}

func (i *installation) helm(t *testing.T, args ...string) {
	t.Helper()
	if out, err := program(t, "", helms(t)["HELM"], append(args, "-n", i.namespace, "--kubeconfig", kubeconfig)...); err != nil {
		t.Fatalf("helm %v: %v: %s", args, err, out)
	}
}

// ask leads the API server to a replica.
func (i *installation) ask(t *testing.T, r replica) {
	t.Helper()
	patch := fmt.Sprintf(`[{"op": "replace", "path": "/webhooks/0/clientConfig", "value": {"url": "https://%s/inject", "caBundle": %q}}]`,
		r.listen, mustKubectl(t, "", "get", "mutatingwebhookconfiguration", i.name, "-o", "jsonpath={.webhooks[0].clientConfig.caBundle}"))
	mustKubectl(t, "", "patch", "mutatingwebhookconfiguration", i.name, "--type=json", "-p", strings.Replace(patch, `, "caBundle": ""`, "", 1))
}

// start runs the built binary as a replica, with the rights that the chart gives it and no others.
func (i *installation) start(t *testing.T, r replica) (stop func()) {
	t.Helper()
	c := exec.Command(binary, "webhook", "--listen="+r.listen, "--admin-listen="+r.admin, "--namespace="+i.namespace, "--service="+i.name+"-webhook",
		"--configuration="+i.name, "--secret="+i.name+"-webhook-tls", "--hostname=127.0.0.1", "--server="+endpoint.url, "--token-file="+i.token,
		"--certificate-authority="+endpoint.ca)
	log := &lockedBuffer{}
	c.Env, c.Stderr = []string{}, log
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		_ = c.Process.Signal(syscall.SIGTERM)
		_ = c.Process.Signal(syscall.SIGTERM)
		if err := c.Wait(); err != nil {
			t.Errorf("the webhook ended with %v", err)
		}
	})
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Log(log.String())
		}
		if strings.Contains(log.String(), "forbidden") {
			t.Errorf("the chart gives too few rights:\n%s", log.String())
		}
	})
	waitFor(t, r)
	return stop
}

func waitFor(t *testing.T, r replica) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(50 * time.Millisecond) {
		if response, err := http.Get("http://" + r.admin + "/readyz"); err == nil {
			response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return
			}
		}
	}
	t.Fatal("the webhook does not get ready")
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// decided is how often a replica has decided so.
func (r replica) decided(t *testing.T, result string) int {
	t.Helper()
	response, err := http.Get("http://" + r.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	_, after, found := strings.Cut(string(text), fmt.Sprintf("\nenvgate_injections_total{result=%q} ", result))
	value, _, _ := strings.Cut(after, "\n")
	n, wrong := strconv.Atoi(value)
	if err != nil || !found || wrong != nil {
		t.Fatalf("no envgate_injections_total of result %s: %v: %s", result, err, text)
	}
	return n
}
