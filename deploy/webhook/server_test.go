package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"envgate/deploy/inject"
	"envgate/metrics"
)

// logged collects log lines.
type logged struct {
	mutex sync.Mutex
	text  bytes.Buffer
}

func (l *logged) Write(b []byte) (int, error) {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.Write(b)
}

func (l *logged) String() string {
	l.mutex.Lock()
	defer l.mutex.Unlock()
	return l.text.String()
}

func (l *logged) logger() *slog.Logger { return slog.New(slog.NewJSONHandler(l, nil)) }

const ownName = "envgate-webhook.envgate.svc" // what the API server asks for

func options(f *fakeAPI) Options {
	return Options{
		Listen: "127.0.0.1:0", AdminListen: "127.0.0.1:0", Server: f.URL, TokenFile: filepath.Join(f.dir, "token"),
		CertificateAuthority: filepath.Join(f.dir, "ca.crt"), Namespace: "envgate", Image: "registry.example.com/envgate:1.2.3",
		Build: metrics.Build{Version: "1.2.3"}, SyncInterval: 100 * time.Millisecond, Settle: 100 * time.Millisecond,
		ReloadInterval: 20 * time.Millisecond, DrainDelay: 300 * time.Millisecond, DrainTimeout: 5 * time.Second,
	}
}

// start runs a webhook until the test ends, and waits until it is ready.
func start(t testing.TB, o Options) (*Server, *logged) {
	t.Helper()
	lines := &logged{}
	s, err := New(o, lines.logger())
	if err == nil {
		err = s.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	eventually(t, "ready", func() bool { return s.notReadyBecause() == "" })
	return s, lines
}

// apiClient speaks to a webhook as the API server does: by its Service's name, trusting caBundle alone.
func apiClient(bundle []byte, now func() time.Time) *http.Client {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	return &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		ForceAttemptHTTP2: true, DisableKeepAlives: true, TLSClientConfig: &tls.Config{RootCAs: roots, ServerName: ownName, Time: now},
	}}
}

// question is an AdmissionReview about a Pod.
func question(namespace, pod string) string {
	return fmt.Sprintf(`{"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {"uid": "705ab4f5", "kind": {"group": "", "version": "v1", "kind": "Pod"},
		"resource": {"group": "", "version": "v1", "resource": "pods"}, "namespace": %q, "operation": "CREATE", "dryRun": true, "object": %s}}`, namespace, pod)
}

// ask sends a question over TLS and returns the answer.
func ask(t *testing.T, s *Server, f *fakeAPI, question string) response {
	t.Helper()
	address, _ := s.Addresses()
	eventually(t, "caBundle is there", func() bool { return len(certificates(f.bundle(t))) > 0 })
	r, err := apiClient(f.bundle(t), nil).Post("https://"+address+"/inject?timeout=3s", "application/json", strings.NewReader(question))
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	body, _ := io.ReadAll(r.Body)
	var answer review
	if err := json.Unmarshal(body, &answer); r.StatusCode != http.StatusOK || err != nil || answer.Response == nil || answer.APIVersion != reviewVersion || answer.Kind != reviewKind {
		t.Fatalf("status %d, %v: %s", r.StatusCode, err, body)
	}
	return *answer.Response
}

func fetch(t *testing.T, url string) (int, string) {
	t.Helper()
	r, err := http.Get(url)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(r.Body)
	return r.StatusCode, string(b)
}

func TestReadyOnlyWithNamespacesAndACertificate(t *testing.T) {
	for _, row := range []struct{ name, broken, because string }{
		{"namespaces can't be listed", namespacesPath, "namespaces not listed\n"},
		{"the Secret can't be read", namespacesPath + "/envgate/secrets/envgate-webhook-tls", "no certificate\n"},
		{"the version can't be read", "/version", "server version not known\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			t.Parallel()
			f := newFakeAPI(t)
			f.answerWith(row.broken, http.StatusInternalServerError)
			s, err := New(options(f), (&logged{}).logger())
			if err == nil {
				err = s.Start()
			}
			if err != nil {
				t.Fatal(err)
			}
			defer s.Stop()
			_, admin := s.Addresses()
			eventually(t, "everything else is ready", func() bool { return s.notReadyBecause()+"\n" == row.because })
			time.Sleep(50 * time.Millisecond)
			if code, text := fetch(t, "http://"+admin+"/readyz"); code != http.StatusServiceUnavailable || text != row.because {
				t.Errorf("%d %q", code, text)
			}
			if code, text := fetch(t, "http://"+admin+"/livez"); code != http.StatusOK || text != "ok\n" {
				t.Errorf("%d %q", code, text)
			}
			f.answerWith(row.broken, 0)
			eventually(t, "ready", func() bool { code, _ := fetch(t, "http://"+admin+"/readyz"); return code == http.StatusOK })
			if _, text := fetch(t, "http://"+admin+"/readyz?verbose"); strings.Count(text, ": true\n") != 4 {
				t.Errorf("%q", text)
			}
		})
	}
}

func TestSIGTERMFirstMakesUnreadyAndGoesOnAnswering(t *testing.T) {
	f := newFakeAPI(t)
	o := options(f)
	lines := &logged{}
	signals, ended := make(chan os.Signal, 1), make(chan error, 1)
	s, err := New(o, lines.logger())
	if err != nil {
		t.Fatal(err)
	}
	go func() { ended <- s.Run(signals) }()
	var admin, address string
	eventually(t, "listening", func() bool {
		for line := range strings.SplitSeq(lines.String(), "\n") {
			var l struct{ Msg, Address, Admin string }
			if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "listening" {
				admin, address = l.Admin, l.Address
			}
		}
		return admin != ""
	})
	eventually(t, "ready", func() bool { code, _ := fetch(t, "http://"+admin+"/readyz"); return code == http.StatusOK })
	eventually(t, "caBundle is there", func() bool { return len(certificates(f.bundle(t))) > 0 })
	signals <- syscall.SIGTERM
	eventually(t, "unready", func() bool { code, _ := fetch(t, "http://"+admin+"/readyz"); return code != http.StatusOK })
	if r, err := apiClient(f.bundle(t), nil).Post("https://"+address+"/inject", "application/json", strings.NewReader(question("a", "{}"))); err != nil || r.StatusCode != http.StatusOK {
		t.Errorf("no answer while draining: %v", err)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if !strings.Contains(lines.String(), `"msg":"stopped"`) || strings.Contains(lines.String(), "cut off") {
		t.Error(lines.String())
	}
}

func TestAPortInUseIsAnError(t *testing.T) {
	f := newFakeAPI(t)
	o := options(f)
	o.Listen = strings.TrimPrefix(f.URL, "https://")
	s, err := New(o, (&logged{}).logger())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Run(nil); err == nil || !strings.HasPrefix(err.Error(), "listen: ") {
		t.Errorf("got %v", err)
	}
}

func TestWrongOptionsAreOneLineEach(t *testing.T) {
	f := newFakeAPI(t)
	t.Setenv("KUBERNETES_SERVICE_HOST", "")
	for _, row := range []struct {
		name string
		set  func(*Options)
		want string
	}{
		{"no image", func(o *Options) { o.Image = "" }, `image: "": want the sidecar's image`},
		{"a mode that isn't one", func(o *Options) { o.Mode = "off" }, `mode: "off": want report or enforce`},
		{"a native that isn't one", func(o *Options) { o.Native = "yes" }, `native: "yes": want auto, true or false`},
		{"env-from none without the Secret", func(o *Options) { o.EnvFrom = "none" }, `secret: missing`},
		{"a memory limit without unit", func(o *Options) { o.MemoryLimit = "128" }, `memory-limit: "128": want a whole number of Mi or Gi`},
		{"a CPU limit below the request", func(o *Options) { o.CPULimit = "5m" }, `cpu-limit: "5m": want at least 10m`},
		{"a hostname that isn't one", func(o *Options) { o.Hostnames = []string{"a_b"} }, `hostname: "a_b"`},
		{"a Service that isn't one", func(o *Options) { o.Service = "A" }, `service: "A"`},
		{"no namespace outside a cluster", func(o *Options) { o.Namespace = "" }, `namespace: missing`},
		{"no server outside a cluster", func(o *Options) { o.Server = "" }, `server: missing`},
		{"a server that isn't a URL", func(o *Options) { o.Server = "10.0.0.1:6443" }, `server: "10.0.0.1:6443": want a URL`},
		{"a token in clear", func(o *Options) { o.Server = "http://10.0.0.1" }, `server: "http://10.0.0.1": want https`},
		{"a CA that isn't there", func(o *Options) { o.CertificateAuthority = "/nowhere" }, `certificate-authority: open /nowhere`},
		{"a CA that isn't one", func(o *Options) { o.CertificateAuthority = o.TokenFile }, `holds no PEM certificate`},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := options(f)
			row.set(&o)
			if _, err := New(o, (&logged{}).logger()); err == nil || !strings.Contains(err.Error(), row.want) || strings.Contains(err.Error(), "\n") {
				t.Errorf("got %v, want %s", err, row.want)
			}
		})
	}
}

func TestTheAPIServerIsFoundFromInsideACluster(t *testing.T) {
	t.Setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
	t.Setenv("KUBERNETES_SERVICE_PORT", "443")
	_, err := newClient(Options{})
	if err == nil || !strings.Contains(err.Error(), serviceAccount+"ca.crt") { // which isn't there
		t.Errorf("got %v", err)
	}
	c, err := newClient(Options{CertificateAuthority: filepath.Join(newFakeAPI(t).dir, "ca.crt")})
	if err != nil || c.server != "https://10.96.0.1:443" || c.tokenFile != serviceAccount+"token" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestARotatedTokenIsReadAnew(t *testing.T) {
	f := newFakeAPI(t)
	s, _ := start(t, options(f))
	f.mutex.Lock()
	f.token = "second-token"
	f.mutex.Unlock()
	if _, err := s.admission.namespaces.ask(context.Background(), "a"); !answered(err, http.StatusUnauthorized) {
		t.Errorf("the old token: %v", err)
	}
	if err := os.WriteFile(filepath.Join(f.dir, "token"), []byte("second-token"), 0o600); err != nil {
		t.Fatal(err)
	}
	f.namespace("a", "", "")
	if _, err := s.admission.namespaces.ask(context.Background(), "a"); err != nil {
		t.Errorf("the new token: %v", err)
	}
}

func TestAPlainContainerWhereNativeSidecarsAreMissing(t *testing.T) {
	for _, row := range []struct{ minor, option, at string }{
		{"28", "auto", "/spec/containers/-"}, {"29", "auto", "/spec/initContainers"}, {"29+", "auto", "/spec/initContainers"},
		{"9", "auto", "/spec/containers/-"}, {"34", "false", "/spec/containers/-"}, {"28", "true", "/spec/initContainers"},
	} {
		t.Run("1."+row.minor+" "+row.option, func(t *testing.T) {
			t.Parallel()
			f := newFakeAPI(t)
			f.minor = row.minor
			f.namespace("gateways", `"envgate/inject": "enabled", "envgate/environment": "staging"`, "")
			o := options(f)
			o.Native = row.option
			s, _ := start(t, o)
			var operations []inject.Operation
			if err := json.Unmarshal(ask(t, s, f, question("gateways", gatewayPod)).Patch, &operations); err != nil {
				t.Fatal(err)
			}
			found := false
			for _, o := range operations {
				found = found || o.Path == row.at
			}
			if !found {
				t.Errorf("no operation at %s: %v", row.at, operations)
			}
		})
	}
}
