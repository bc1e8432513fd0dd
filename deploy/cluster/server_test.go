//go:build cluster

// Package cluster tries what envgate has for Kubernetes on a real API server: injected manifests, the webhook, the chart,
// the admission guard, the Kustomize component and the post-renderers.
//
//	go test -tags cluster ./deploy/cluster/ -v -timeout 20m
//
// It needs etcd (Debian's etcd-server) in PATH and both versions of Helm (helm and helm4 in PATH, or HELM and HELM4), and
// fails without them. The API server is built from deploy/apiserver into the user's cache, once: some nine minutes of CPU
// time; ENVGATE_TEST_APISERVER names one that is built already. ENVGATE_TEST_KUBECONFIG names a server that runs already,
// and must be able to reach this machine's loopback addresses.
package cluster

import (
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"
)

var (
	work       string // this run's folder
	binary     string // envgate
	apiserver  string // with kubectl in it
	kubeconfig string
	endpoint   server
)

// server is the API server as a client needs it.
type server struct {
	url, ca string // ca is a file
}

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var err error
	if work, err = os.MkdirTemp("", "envgate-cluster-"); err != nil {
		return fail(err)
	}
	defer os.RemoveAll(work)
	binary = filepath.Join(work, "envgate")
	if err := command("../..", "go", "build", "-trimpath", "-ldflags", "-X main.version=0.1.0 -X main.repository=registry.example.com/envgate", "-o", binary, "."); err != nil {
		return fail(fmt.Errorf("building envgate: %w", err))
	}
	kubeconfig = os.Getenv("ENVGATE_TEST_KUBECONFIG")
	if _, err := exec.LookPath("etcd"); err != nil && kubeconfig == "" { // said before minutes of compiling
		return fail(fmt.Errorf("%w: install Debian's etcd-server", err))
	}
	if apiserver, err = builtServer(); err != nil {
		return fail(err)
	}
	if kubeconfig != "" {
		if endpoint, err = runningServer(); err != nil {
			return fail(err)
		}
		return m.Run()
	}
	stop, err := startServer()
	defer stop()
	if err != nil {
		return fail(err)
	}
	return m.Run()
}

func command(dir, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Dir, c.Stdout, c.Stderr = dir, os.Stderr, os.Stderr
	return c.Run()
}

// startServer starts etcd and the API server on loopback. The server trusts one token, and authorises by RBAC.
func startServer() (stop func(), err error) {
	var started []*daemon
	stop = func() {
		for _, d := range slices.Backward(started) {
			d.stop()
		}
	}
	start := func(name string, args ...string) error {
		d, err := startDaemon(name, args...)
		if err == nil {
			started = append(started, d)
		}
		return err
	}
	ports, err := freePorts(3)
	if err != nil {
		return stop, err
	}
	etcd, peer := "http://127.0.0.1:"+ports[0], "http://127.0.0.1:"+ports[1]
	if err := start("etcd", "--data-dir", filepath.Join(work, "etcd"), "--listen-client-urls", etcd, "--advertise-client-urls", etcd,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer); err != nil {
		return stop, err
	}
	key, token, certs := filepath.Join(work, "sa.key"), filepath.Join(work, "tokens.csv"), filepath.Join(work, "certs")
	if err := errors.Join(writeKey(key), os.WriteFile(token, []byte("local-admin,admin,admin,system:masters\n"), 0o600)); err != nil {
		return stop, err
	}
	if err := start(apiserver, "serve", "--etcd-servers="+etcd, "--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", "--endpoint-reconciler-type=none",
		"--secure-port="+ports[2], "--cert-dir="+certs, "--service-account-issuer=https://kubernetes.default.svc", "--service-account-key-file="+key,
		"--service-account-signing-key-file="+key, "--authorization-mode=RBAC", "--token-auth-file="+token, "--service-cluster-ip-range=10.0.0.0/24",
		"--disable-admission-plugins=ServiceAccount"); err != nil {
		return stop, err
	}
	endpoint = server{url: "https://127.0.0.1:" + ports[2], ca: filepath.Join(certs, "apiserver.crt")}
	kubeconfig = filepath.Join(work, "kubeconfig")
	text := fmt.Sprintf(`{"apiVersion": "v1", "kind": "Config", "current-context": "local",
"clusters": [{"name": "local", "cluster": {"server": %q, "certificate-authority": %q}}],
"users": [{"name": "admin", "user": {"token": "local-admin"}}],
"contexts": [{"name": "local", "context": {"cluster": "local", "user": "admin", "namespace": "default"}}]}`, endpoint.url, endpoint.ca)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		return stop, err
	}
	return stop, waitReady(started)
}

func writeKey(path string) error {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "RSA PRIVATE KEY", Bytes: x509.MarshalPKCS1PrivateKey(key)}), 0o600)
}

// freePorts finds ports that nothing listens on.
func freePorts(n int) (ports []string, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, strconv.Itoa(l.Addr().(*net.TCPAddr).Port))
	}
	return ports, nil
}

// waitReady gives up at once when one of the two has ended.
func waitReady(started []*daemon) error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	request, err := http.NewRequest(http.MethodGet, endpoint.url+"/readyz", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer local-admin")
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		for _, d := range started {
			if d.hasEnded() {
				return fmt.Errorf("%s ended before it was ready:\n%s", d.name, d.lastLines())
			}
		}
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	last := started[len(started)-1]
	return fmt.Errorf("%s is not ready after two minutes:\n%s", last.name, last.lastLines())
}
