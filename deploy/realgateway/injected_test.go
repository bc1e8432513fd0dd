//go:build realgateway

package realgateway

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// chart is a Deployment of the shape of the gateway's Helm chart, with each kind of probe: PORT is the port it declares.
const chart = `apiVersion: v1
kind: Secret
metadata: {name: gateway-secret}
stringData:
  JWT_SECRET_KEY: ` + secret + `
  JWT_ALGORITHM: HS256
  JWT_ISSUER: mcpgateway
  JWT_AUDIENCE: mcpgateway-api
---
apiVersion: v1
kind: ConfigMap
metadata: {name: gateway-config}
data:
  ENVIRONMENT: development
  HOST: 0.0.0.0
  PORT: "PORT"
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: gateway}
spec:
  selector: {matchLabels: {app: gateway}}
  template:
    metadata: {labels: {app: gateway}}
    spec:
      containers:
        - name: mcp-context-forge
          image: "ghcr.io/ibm/mcp-context-forge:latest"
          ports:
            - containerPort: PORT
          envFrom:
            - secretRef: {name: gateway-secret}
            - configMapRef: {name: gateway-config}
          startupProbe:
            tcpSocket: {port: PORT}
          readinessProbe:
            httpGet: {path: /ready, port: PORT}
          livenessProbe:
            httpGet: {path: /version, port: PORT}
`

// A Deployment is injected, and its containers are run as a kubelet would run them: the sidecar first, then the gateway;
// then the Pod ends as Pods end, under load and with a stream open.
func TestInjectedPod(t *testing.T) {
	port := freePair(t)
	p := injected(t, withPort(chart, port), "--environment", "production", "--mode", "enforce")
	if len(p.InitContainers) != 1 || len(p.Containers) != 1 || p.InitContainers[0].RestartPolicy != "Always" {
		t.Fatalf("%+v", p)
	}
	sidecar, gatewayContainer := p.InitContainers[0], p.Containers[0]
	gatewayEnv := p.env(gatewayContainer)
	if gatewayEnv["HOST"] != "127.0.0.1" || gatewayEnv["PORT"] != strconv.Itoa(port+10000) || gatewayEnv["JWT_SECRET_KEY"] != secret {
		t.Fatalf("the gateway's environment: %v", gatewayEnv)
	}

	base := "http://127.0.0.1:" + strconv.Itoa(port)
	admin := "http://127.0.0.1:4446"
	envgate := start(t, admin+"/livez", work, environ(p.env(sidecar)), binary)
	if err := sidecar.StartupProbe.run(p, sidecar); err != nil {
		t.Fatalf("the sidecar's startup probe must pass without its gateway: %v", err)
	}
	if err := gatewayContainer.StartupProbe.run(p, gatewayContainer); err == nil {
		t.Error("the gateway's startup probe passes before it runs")
	}
	gateway := startInjectedGateway(t, gatewayEnv)
	for name, probe := range map[string]*action{"startup": gatewayContainer.StartupProbe, "readiness": gatewayContainer.ReadinessProbe} {
		if err := probe.run(p, gatewayContainer); err != nil {
			t.Errorf("the gateway's %s probe: %v", name, err)
		}
	}
	if err := gatewayContainer.LivenessProbe.run(p, gatewayContainer); err == nil || !strings.Contains(err.Error(), "503") {
		t.Errorf("a probe of /version, which the gateway answers 401, passes: %v", err) // as without envgate
	}
	if err := sidecar.ReadinessProbe.run(p, sidecar); err != nil {
		t.Errorf("the sidecar's readiness probe: %v", err)
	}

	token := resign(t, login(t, base), jwt.MapClaims{"env": "production"})
	send(t, base, "GET", "/tools", "", bearer(token)).is(t, "own token", 200)
	if a := send(t, base, "GET", "/tools", "", bearer(staging(t, token))).is(t, "staging token", 401); !strings.Contains(a.body, "environment") {
		t.Error(a.body)
	}
	onlyLoopback(t, port+10000)
	endPod(t, p, base, token, envgate, gateway)
}

// withPort fills in the port, but leaves the name of the variable.
func withPort(manifest string, port int) string {
	const name = "  PORT: "
	return strings.ReplaceAll(strings.ReplaceAll(strings.ReplaceAll(manifest, name, "\x00"), "PORT", strconv.Itoa(port)), "\x00", name)
}

// freePair finds a port that is free together with the one 10000 above.
func freePair(t *testing.T) int {
	t.Helper()
	for port := 21000; port < 30000; port++ {
		if free(port) && free(port+10000) {
			return port
		}
	}
	t.Fatal("no free ports")
	return 0
}

func free(port int) bool {
	l, err := net.Listen("tcp", ":"+strconv.Itoa(port))
	if err == nil {
		l.Close()
	}
	return err == nil
}

// startInjectedGateway starts a legacy gateway where its environment says, as its image does.
func startInjectedGateway(t *testing.T, settings map[string]string) *process {
	t.Helper()
	python := legacy.python(t)
	dir, err := os.MkdirTemp(work, "gateway-")
	if err != nil {
		t.Fatal(err)
	}
	settings["DATABASE_URL"] = "sqlite:///" + filepath.Join(dir, "mcp.db")
	for name, value := range map[string]string{
		"AUTH_REQUIRED": "true", "AUTH_ENCRYPTION_SECRET": "envgate-test-encryption-0123456789ab", "EMAIL_AUTH_ENABLED": "true",
		"PLATFORM_ADMIN_EMAIL": adminEmail, "PLATFORM_ADMIN_PASSWORD": adminPassword, "PASSWORD_CHANGE_ENFORCEMENT_ENABLED": "false",
		"RATE_LIMITING_ENABLED": "false", "PLUGINS_ENABLED": "false",
	} {
		settings[name] = value
	}
	url := "http://" + net.JoinHostPort(settings["HOST"], settings["PORT"])
	g := start(t, url+"/health", dir, environ(settings), python, "-m", "uvicorn", "mcpgateway.main:app", "--host", settings["HOST"], "--port", settings["PORT"], "--workers", "1")
	clearPasswordFlag(t, python, filepath.Join(dir, "mcp.db"))
	return g
}

// onlyLoopback tells if a port answers on any address of this machine but loopback.
func onlyLoopback(t *testing.T, port int) {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		ip, _, err := net.ParseCIDR(a.String())
		if err != nil || ip.IsLoopback() || ip.IsLinkLocalUnicast() {
			continue
		}
		address := net.JoinHostPort(ip.String(), strconv.Itoa(port))
		if conn, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			conn.Close()
			t.Errorf("the gateway can be reached around envgate at %s", address)
		}
	}
	resp, err := http.Get("http://127.0.0.1:4446/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if want := `envgate_configuration_warnings{check="upstream_exposed"} 0`; !strings.Contains(string(text), want) {
		t.Errorf("no %s", want)
	}
}

// endPod ends the Pod as a kubelet does: all preStop hooks at once; the gateway's SIGTERM when its hook has ended; the
// native sidecar's when the gateway has. Clients go on for a while, as endpoints take time to go away, on kept and on new
// connections. Nothing may fail.
func endPod(t *testing.T, p pod, base, token string, envgate, gateway *process) {
	began := time.Now()
	stream := openStream(t, base, token)
	ctx, endpointsGone := context.WithTimeout(context.Background(), 3*time.Second)
	defer endpointsGone()
	var answered, failed atomic.Int64
	var clients sync.WaitGroup
	for i := range 8 {
		clients.Go(func() {
			c := &http.Client{Transport: &http.Transport{DisableKeepAlives: i%2 == 0}}
			for ctx.Err() == nil {
				req, _ := http.NewRequest("GET", base+"/tools", nil)
				req.Header.Set("Authorization", "Bearer "+token)
				resp, err := c.Do(req)
				if err == nil {
					io.Copy(io.Discard, resp.Body)
					resp.Body.Close()
				}
				if err != nil || resp.StatusCode != http.StatusOK {
					failed.Add(1)
					t.Errorf("a request during the end: %v %v", err, resp)
					return
				}
				answered.Add(1)
			}
		})
	}
	time.Sleep(500 * time.Millisecond)

	var hooks sync.WaitGroup
	hooks.Go(func() {
		if err := p.InitContainers[0].Lifecycle.PreStop.run(p, p.InitContainers[0]); err != nil {
			t.Errorf("the sidecar's preStop hook: %v", err)
		}
	})
	time.Sleep(time.Duration(p.Containers[0].Lifecycle.PreStop.Sleep.Seconds) * time.Second)
	hooks.Wait()
	clients.Wait()
	select {
	case err := <-stream:
		if err != nil {
			t.Errorf("the open stream did not end well: %v", err)
		}
	case <-time.After(time.Second):
		t.Error("the stream is still open when the gateway is stopped")
	}
	syscall.Kill(gateway.cmd.Process.Pid, syscall.SIGTERM)
	ended(t, "the gateway", gateway, began, p.Grace)
	syscall.Kill(envgate.cmd.Process.Pid, syscall.SIGTERM)
	ended(t, "the sidecar", envgate, began, p.Grace)
	if code := envgate.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the sidecar ended with %d", code)
	}
	t.Logf("%d requests answered while the Pod ended, %d failed; all over in %.1f of %d s", answered.Load(), failed.Load(), time.Since(began).Seconds(), p.Grace)
}

func ended(t *testing.T, what string, p *process, began time.Time, grace int) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(time.Until(began.Add(time.Duration(grace) * time.Second))):
		t.Errorf("%s has not ended after the grace period of %d s", what, grace)
	}
}

// openStream opens an event stream, and tells how it ends: nil if as a stream should.
func openStream(t *testing.T, base, token string) <-chan error {
	t.Helper()
	req, _ := http.NewRequest("GET", base+"/sse", nil)
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	if resp.StatusCode != http.StatusOK || !strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		t.Fatalf("no stream: %v", resp)
	}
	end := make(chan error, 1)
	go func() {
		defer resp.Body.Close()
		lines := bufio.NewReader(resp.Body)
		for {
			if _, err := lines.ReadString('\n'); errors.Is(err, io.EOF) {
				end <- nil
				return
			} else if err != nil {
				end <- fmt.Errorf("after its headers: %w", err)
				return
			}
		}
	}()
	return end
}
