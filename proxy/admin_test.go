package proxy

import (
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"envgate/authz"
)

func (s *sidecar) adminStatus(method, path string) (int, string) {
	s.t.Helper()
	request, _ := http.NewRequest(method, "http://"+s.admin+path, nil)
	res, err := http.DefaultClient.Do(request)
	if err != nil {
		s.t.Fatal(err)
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

func TestAdminEndpoints(t *testing.T) {
	s := startSidecar(t, newRecorder(t, nil).URL)
	for _, row := range []struct {
		method, path string
		status       int
		contains     string
	}{
		{"GET", "/livez", 200, "ok"},
		{"GET", "/readyz", 200, "ok"},
		{"GET", "/readyz?verbose", 200, "keys: ok (1 of mcpgateway)"},
		{"GET", "/metrics", 200, `envgate_config_info{algorithm="HS256",audience="mcpgateway-api",environment_rule="enforce",issuer="mcpgateway",mode="enforce",server_environment="production"} 1`},
		{"GET", "/metrics", 200, `envgate_build_info{goversion="`},
		{"GET", "/", 200, "<h1>production</h1>"},
		{"GET", "/api/status", 200, `"check":"default_issuer"`},
		{"GET", "/nothing", 404, ""},
		{"POST", "/metrics", 405, ""},
		{"GET", "/drain", 405, ""},
	} {
		if code, body := s.adminStatus(row.method, row.path); code != row.status || !strings.Contains(body, row.contains) {
			t.Errorf("%s %s: %d %.200s", row.method, row.path, code, body)
		}
	}
	var st status
	if _, body := s.adminStatus("GET", "/api/status"); json.Unmarshal([]byte(body), &st) != nil || !st.Ready || st.Environment != "production" {
		t.Errorf("status %+v", st)
	}
}

func TestAForeignPageCanNotDrain(t *testing.T) {
	s := startSidecar(t, newRecorder(t, nil).URL)
	request, _ := http.NewRequest("POST", "http://"+s.admin+"/drain", nil)
	request.Header.Set("Origin", "https://evil.example.com")
	request.Header.Set("Sec-Fetch-Site", "cross-site")
	res, err := http.DefaultClient.Do(request)
	if err != nil || res.StatusCode != http.StatusForbidden {
		t.Fatalf("%v %v", res, err)
	}
	res.Body.Close()
	if code, _ := s.adminStatus("GET", "/readyz"); code != 200 {
		t.Error("it drains")
	}
}

func TestADrainIsUnreadyServesOnAndClosesConnections(t *testing.T) {
	u := newRecorder(t, nil)
	s := startSidecar(t, u.URL, "ENVGATE_DRAIN_DELAY=700ms")
	client := &http.Client{}
	first, err := client.Get("http://" + s.addr + "/health")
	if err != nil || first.Close {
		t.Fatalf("%v %v", first, err)
	}
	first.Body.Close()
	done := make(chan int)
	go func() { code, _ := s.adminStatus("POST", "/drain"); done <- code }()
	eventually(t, "unready", func() bool { code, _ := s.adminStatus("GET", "/readyz"); return code == 503 })
	if s.value("envgate_ready") != "0" {
		t.Error("envgate_ready is not 0")
	}
	select {
	case <-done:
		t.Error("drain returned before the delay was over")
	default:
	}
	res, err := client.Get("http://" + s.addr + "/health")
	if err != nil || res.StatusCode != 200 || !res.Close {
		t.Errorf("while draining: %v %v", res, err)
	}
	res.Body.Close()
	if code := <-done; code != 200 {
		t.Errorf("drain answered %d", code)
	}
	if code, _ := s.adminStatus("GET", "/livez"); code != 200 {
		t.Error("not live while draining")
	}
}

// TestASignalDrainsAndStops runs the whole life: requests in flight end, new ones still come in during the delay, and a
// signal after a drain skips the delay.
func TestASignalDrainsAndStops(t *testing.T) {
	release := make(chan struct{})
	u := newRecorder(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			<-release
		}
	})
	s := startSidecar(t, u.URL, "ENVGATE_DRAIN_DELAY=700ms")
	s.Stop() // another one is run below
	again := NewServer(s.config, buildForTests, s.log)
	signals, stopped := make(chan os.Signal, 2), make(chan error, 1)
	go func() { stopped <- again.Run(signals) }()
	eventually(t, "started", func() bool { return strings.Count(s.logs.String(), `"msg":"listening"`) == 2 })
	addr, _ := again.Addresses()

	slow := make(chan error, 1)
	go func() {
		request, _ := http.NewRequest("GET", "http://"+addr+"/slow", nil)
		request.Header.Set("Authorization", "Bearer "+token(t, nil))
		res, err := http.DefaultClient.Do(request)
		if err == nil && res.StatusCode != 200 {
			err = io.ErrUnexpectedEOF
		}
		slow <- err
	}()
	eventually(t, "the slow request is in flight", func() bool { return len(u.requests()) == 1 })
	signals <- syscall.SIGTERM
	eventually(t, "draining", func() bool { return again.proxy.draining.Load() })
	if res, err := http.Get("http://" + addr + "/health"); err != nil || res.StatusCode != 200 {
		t.Errorf("during the delay: %v %v", res, err)
	}
	time.Sleep(800 * time.Millisecond)
	close(release)
	if err := <-slow; err != nil {
		t.Errorf("the request in flight: %v", err)
	}
	if err := <-stopped; err != nil {
		t.Error(err)
	}
	if _, err := net.Dial("tcp", addr); err == nil {
		t.Error("still listening")
	}
}

func TestASignalAfterADrainSkipsTheDelay(t *testing.T) {
	s := startSidecar(t, newRecorder(t, nil).URL, "ENVGATE_DRAIN_DELAY=1m")
	s.Stop()
	again := NewServer(s.config, buildForTests, s.log)
	signals, stopped := make(chan os.Signal, 2), make(chan error, 1)
	go func() { stopped <- again.Run(signals) }()
	eventually(t, "started", func() bool { return strings.Count(s.logs.String(), `"msg":"listening"`) == 2 })
	again.Drain()
	signals <- syscall.SIGTERM
	select {
	case err := <-stopped:
		if err != nil {
			t.Error(err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the delay was not skipped")
	}
}

func TestATakenPortIsAnError(t *testing.T) {
	l, _ := net.Listen("tcp", "127.0.0.1:0")
	defer l.Close()
	c, err := authz.Parse(authz.Source{Environ: []string{"JWT_SECRET_KEY=" + testSecret, "ENVGATE_LISTEN=" + l.Addr().String(), "ENVGATE_ADMIN_LISTEN=127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	logs := &logBuffer{}
	if err := NewServer(c, buildForTests, testLogger(logs)).Start(); err == nil || !strings.HasPrefix(err.Error(), "ENVGATE_LISTEN: ") {
		t.Errorf("got %v", err)
	}
}

func TestAnUpstreamThatIsReachableAroundTheSidecarIsExposed(t *testing.T) {
	l, err := net.Listen("tcp", "0.0.0.0:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	s := startSidecar(t, "http://127.0.0.1:"+port)
	series := `envgate_configuration_warnings{check="upstream_exposed"}`
	if s.value(series) != "1" || !strings.Contains(s.logs.String(), `"check":"upstream_exposed"`) {
		t.Error("not raised")
	}
	_ = l.Close()
	s.proxy.warnings.checkExposure()
	if s.value(series) != "0" {
		t.Error("not cleared")
	}
	closed := startSidecar(t, newRecorder(t, nil).URL) // listens on loopback only
	if closed.value(series) != "0" {
		t.Error("raised for a loopback upstream")
	}
}

func TestBaseKeySeenIsRaisedByTraffic(t *testing.T) {
	s := startSidecar(t, newRecorder(t, nil).URL, "DERIVE_KEY_PER_ENVIRONMENT=true")
	series := `envgate_configuration_warnings{check="base_key_seen"}`
	s.get("/tools", bearer(forged(t)))
	if s.value(series) != "0" {
		t.Error("raised by a forged token")
	}
	if res, body := s.get("/tools", bearer(token(t, nil))); res.StatusCode != 401 || decodeProblem(t, body).Reason != authz.Signature {
		t.Errorf("%d %s", res.StatusCode, body)
	}
	if s.value(series) != "1" {
		t.Error("not raised")
	}
	if logs := s.logs.String(); strings.Count(logs, `"hint":"signed with the secret itself, but DERIVE_KEY_PER_ENVIRONMENT expects the derived key"`) != 1 {
		t.Errorf("one refusal has a hint, the forged one none: %s", logs)
	}
}

func TestSocketTablesAreReadInHostOrder(t *testing.T) {
	table := "  sl  local_address rem_address   st\n" +
		"   0: 0100007F:115C 00000000:0000 0A 0 0 0 0 0 77\n" +
		"   1: 00000000:115D 00000000:0000 0A 0 0 0 0 0 77\n" +
		"   2: 0100007F:115E 0100007F:D431 01 0 0 0 0 0 77\n" +
		"   3: 00000000000000000000000001000000:115F 00000000000000000000000000000000:0000 0A 0 0 0 0 0 77\n" +
		"   4: 0000000000000000FFFF00000100007F:1160 00000000000000000000000000000000:0000 0A 0 0 0 0 0 77\n" +
		"nonsense\n   5: zz:1 x 0A\n"
	var got []string
	for l := range listeners(strings.NewReader(table)) {
		got = append(got, l.at.String()+"/"+l.inode)
	}
	if want := "127.0.0.1:4444/77 0.0.0.0:4445/77 [::1]:4447/77 [::ffff:127.0.0.1]:4448/77"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s", got, want)
	}
}
