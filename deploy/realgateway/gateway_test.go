//go:build realgateway

package realgateway

import (
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
)

const (
	secret        = "envgate-test-secret-0123456789abcdef"
	adminEmail    = "admin@example.com"
	adminPassword = "Adm1n-Passw0rd!x"
)

// installation is a gateway as an owner has set it up, started once and shared by all tests.
type installation struct {
	name     string
	release  release
	root     string // APP_ROOT_PATH
	settings map[string]string

	// accepts tells whether the gateway itself accepts a token of another environment.
	accepts bool

	recorded bool // runs below testdata/recorder

	running *gateway
}

// The charts give every installation the same ENVIRONMENT: 0.9.0 development, 1.0.7 production. That of 1.0.7 switches
// its own environment check off.
var (
	legacyInstallation  = &installation{name: "0.9.0", release: legacy, settings: map[string]string{"ENVIRONMENT": "development"}, accepts: true}
	currentInstallation = &installation{name: "1.0.7", release: current, settings: map[string]string{"ENVIRONMENT": "production", "MCPGATEWAY_WS_RELAY_ENABLED": "true", "SSRF_ALLOW_LOCALHOST": "true"}}
	legacyPrefixed      = &installation{name: "0.9.0 below /gw", release: legacy, root: "/gw", settings: map[string]string{"ENVIRONMENT": "development"}, accepts: true}
	currentPrefixed     = &installation{name: "1.0.7 below /gw, as its chart sets it up", release: current, root: "/gw", settings: map[string]string{"ENVIRONMENT": "production", "EMBED_ENVIRONMENT_IN_TOKENS": "false", "VALIDATE_TOKEN_ENVIRONMENT": "false"}, accepts: true}

	plainInstallations = []*installation{legacyInstallation, currentInstallation}
	installations      = []*installation{legacyInstallation, currentInstallation, legacyPrefixed, currentPrefixed}
)

// gateway is a running one, with the enforcing sidecar in front of it.
type gateway struct {
	*process
	*installation
	url     string
	env     []string // its settings, which the sidecar is given too, as by a shared Secret and ConfigMap
	sidecar *sidecar
}

// eachInstallation runs a test against installations, which it starts where they don't run.
func eachInstallation(t *testing.T, of []*installation, test func(t *testing.T, g *gateway)) {
	for _, i := range of {
		t.Run(i.name, func(t *testing.T) { test(t, i.start(t)) })
	}
}

func (i *installation) start(t *testing.T) *gateway {
	t.Helper()
	if i.running != nil {
		return i.running
	}
	python := i.release.python(t)
	dir, err := os.MkdirTemp(work, "gateway-") // it reads .env and writes its files in the current folder
	if err != nil {
		t.Fatal(err)
	}
	address := freeAddress(t)
	host, port, _ := net.SplitHostPort(address)
	settings := map[string]string{
		"HOST": host, "PORT": port, "APP_ROOT_PATH": i.root,
		"DATABASE_URL": "sqlite:///" + filepath.Join(dir, "mcp.db"), "LOG_LEVEL": "INFO",
		"JWT_SECRET_KEY": secret, "JWT_ALGORITHM": "HS256", "JWT_ISSUER": "mcpgateway", "JWT_AUDIENCE": "mcpgateway-api",
		"AUTH_REQUIRED": "true", "AUTH_ENCRYPTION_SECRET": "envgate-test-encryption-0123456789ab",
		"EMAIL_AUTH_ENABLED": "true", "PLATFORM_ADMIN_EMAIL": adminEmail, "PLATFORM_ADMIN_PASSWORD": adminPassword,
		"DEFAULT_USER_PASSWORD": "User-Passw0rd!x", "BASIC_AUTH_USER": "basicuser", "BASIC_AUTH_PASSWORD": "Basic-Passw0rd!x",
		"PASSWORD_CHANGE_ENFORCEMENT_ENABLED": "false", "ADMIN_REQUIRE_PASSWORD_CHANGE_ON_BOOTSTRAP": "false",
		"MCPGATEWAY_UI_ENABLED": "true", "MCPGATEWAY_ADMIN_API_ENABLED": "true", "SECURE_COOKIES": "false",
		"RATE_LIMITING_ENABLED": "false", "PLUGINS_ENABLED": "false",
		"SSE_KEEPALIVE_ENABLED": "false", // the MCP SDK takes the gateway's "keepalive" events for messages and gives up
	}
	maps.Copy(settings, i.settings)
	g := &gateway{installation: i, url: "http://" + address, env: environ(settings)}
	app, env := "mcpgateway.main:app", g.env
	if i.recorded {
		app, env = "recorder:app", append(recorderEnviron(t), env...)
	}
	g.process = start(t, g.url+"/health", dir, env, python, "-m", "uvicorn", app, "--host", host, "--port", port, "--workers", "1")
	clearPasswordFlag(t, python, filepath.Join(dir, "mcp.db"))
	g.sidecar = startSidecar(t, g)
	i.running = g
	return g
}

// clearPasswordFlag takes the bootstrap admin's "must change password" off, which no setting of 0.9.0 does.
func clearPasswordFlag(t *testing.T, python, database string) {
	t.Helper()
	must(t, exec.Command(python, "-c", `import sqlite3, sys
db = sqlite3.connect(sys.argv[1], timeout=10)
db.execute("UPDATE email_users SET password_change_required = 0 WHERE email = ?", (sys.argv[2],))
db.commit()`, database, adminEmail))
}

// environ writes settings as a process wants them.
func environ(settings map[string]string) []string {
	var env []string
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		env = append(env, name+"="+settings[name])
	}
	return env
}
