//go:build cluster

// Package cluster tries what envgate has for Kubernetes on a real API server: injected manifests, the webhook, the chart,
// the admission guard, the Kustomize component and the post-renderers.
//
//	go test -tags cluster ./deploy/cluster/ -v -timeout 20m
//
// It needs etcd (Debian's etcd-server) in PATH and both versions of Helm (helm and helm4 in PATH, or HELM and HELM4), and
// fails without them. The API server is built from deploy/apiserver into the user's cache, once: some six minutes of CPU
// time; ENVGATE_TEST_APISERVER names one that is built already. ENVGATE_TEST_KUBECONFIG names a server that runs already.
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
	"strconv"
	"syscall"
	"testing"
	"time"
)

// The version that deploy/apiserver's go.mod names.
const kubernetesVersion = "1.37.2"

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
	if apiserver, err = builtServer(); err != nil {
		return fail(err)
	}
	if kubeconfig = os.Getenv("ENVGATE_TEST_KUBECONFIG"); kubeconfig == "" {
		stop, err := startServer()
		defer stop()
		if err != nil {
			return fail(err)
		}
	}
	return m.Run()
}

func command(dir, name string, args ...string) error {
	c := exec.Command(name, args...)
	c.Dir, c.Stdout, c.Stderr = dir, os.Stderr, os.Stderr
	return c.Run()
}

// builtServer is the API server's binary, built into the cache where it isn't there yet.
func builtServer() (string, error) {
	if path := os.Getenv("ENVGATE_TEST_APISERVER"); path != "" {
		return path, nil
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	path := filepath.Join(cache, "envgate-apiserver", kubernetesVersion, "apiserver")
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	const version = "k8s.io/component-base/version.git"
	flags := fmt.Sprintf("-s -w -X %sVersion=v%s -X %sMajor=1 -X %sMinor=37", version, kubernetesVersion, version, version)
	if err := command("../apiserver", "go", "build", "-trimpath", "-p", "2", "-ldflags", flags, "-o", path+".new", "."); err != nil {
		return "", fmt.Errorf("building the API server: %w", err)
	}
	return path, os.Rename(path+".new", path)
}

// startServer starts etcd and the API server on loopback. The server trusts one token, and authorises by RBAC.
func startServer() (stop func(), err error) {
	var started []*exec.Cmd
	stop = func() {
		for i := len(started) - 1; i >= 0; i-- {
			_ = started[i].Process.Signal(syscall.SIGTERM)
			timer := time.AfterFunc(10*time.Second, func() { _ = started[i].Process.Kill() })
			_ = started[i].Wait()
			timer.Stop()
		}
	}
	start := func(name string, args ...string) error {
		log, err := os.Create(filepath.Join(work, filepath.Base(name)+".log"))
		if err != nil {
			return err
		}
		c := exec.Command(name, args...)
		c.Dir, c.Stdout, c.Stderr = work, log, log
		// The kernel ends it with us, so that a run that is killed leaves nothing behind.
		c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
		if err := c.Start(); err != nil {
			return fmt.Errorf("%s: %w: install Debian's etcd-server, or see the head of deploy/cluster/server_test.go", name, err)
		}
		started = append(started, c)
		return nil
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
"clusters": [{"name": "local", "cluster": {"server": %q, "insecure-skip-tls-verify": true}}],
"users": [{"name": "admin", "user": {"token": "local-admin"}}],
"contexts": [{"name": "local", "context": {"cluster": "local", "user": "admin", "namespace": "default"}}]}`, endpoint.url)
	if err := os.WriteFile(kubeconfig, []byte(text), 0o600); err != nil {
		return stop, err
	}
	return stop, waitReady()
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

func waitReady() error {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	request, err := http.NewRequest(http.MethodGet, endpoint.url+"/readyz", nil)
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer local-admin")
	for deadline := time.Now().Add(2 * time.Minute); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		if response, err := client.Do(request); err == nil {
			_ = response.Body.Close()
			if response.StatusCode == http.StatusOK {
				return nil
			}
		}
	}
	log, _ := os.ReadFile(filepath.Join(work, "apiserver.log"))
	return fmt.Errorf("the API server is not ready after two minutes:\n%s", log[max(0, len(log)-2000):])
}
