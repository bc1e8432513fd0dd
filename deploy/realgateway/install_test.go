//go:build realgateway

package realgateway

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// release is one published version of the gateway.
type release struct {
	version string
	// pins are the dependencies of its time: the package sets lower bounds only, and 0.9.0 doesn't import with what is
	// current today.
	pins string
}

var (
	legacy  = release{"0.9.0", "mcp==1.24.0 fastapi==0.124.4 starlette==0.50.0 sse-starlette==3.0.4 uvicorn==0.38.0 pydantic==2.12.5 pydantic-settings==2.12.0 sqlalchemy==2.0.45 alembic==1.17.2 pyjwt==2.10.1 starlette-compress==1.6.1 prometheus-fastapi-instrumentator==7.1.0 httpx==0.28.1 python-multipart==0.0.20 websockets==15.0.1"}
	current = release{"1.0.7", "mcp==1.28.1 fastapi==0.140.0 starlette==1.3.1 sse-starlette==3.4.6 uvicorn==0.51.0 pydantic==2.13.4 pydantic-settings==2.14.2 sqlalchemy==2.0.51 alembic==1.18.5 pyjwt==2.13.0 starlette-compress==1.8.0 prometheus-fastapi-instrumentator==8.1.0 httpx==0.28.1"}
)

// python returns the interpreter of the release's virtual environment, which it makes if it isn't there. Its marker
// holds the pins: other pins are another installation. Of two runs at once the second waits and finds it made.
func (r release) python(t *testing.T) string {
	t.Helper()
	root := cacheFolder(t)
	defer lock(t, filepath.Join(root, r.version+".lock"))()
	venv := filepath.Join(root, r.version)
	python, ready := filepath.Join(venv, "bin", "python"), filepath.Join(venv, ".ready")
	if made, err := os.ReadFile(ready); err == nil && string(made) == r.pins {
		return python
	}
	t.Logf("installing gateway %s", r.version)
	if err := os.RemoveAll(venv); err != nil {
		t.Fatal(err)
	}
	must(t, exec.Command("python3", "-m", "venv", venv))
	packages := append([]string{"mcp-contextforge-gateway==" + r.version}, strings.Fields(r.pins)...)
	must(t, exec.Command(python, append(strings.Fields("-m pip install -q --only-binary mcp-contextforge-gateway"), packages...)...))
	if err := os.WriteFile(ready, []byte(r.pins), 0o644); err != nil {
		t.Fatal(err)
	}
	return python
}

func cacheFolder(t *testing.T) string {
	t.Helper()
	root := os.Getenv("ENVGATE_TEST_CACHE")
	if root == "" {
		user, err := os.UserCacheDir()
		if err != nil {
			t.Fatal(err)
		}
		root = filepath.Join(user, "envgate-realgateway")
	}
	if err := os.MkdirAll(root, 0o755); err != nil {
		t.Fatal(err)
	}
	return root
}

// lock waits for the lock of a file and returns the function that gives it back.
func lock(t *testing.T, name string) func() error {
	t.Helper()
	f, err := os.OpenFile(name, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	return f.Close
}

func must(t *testing.T, cmd *exec.Cmd) {
	t.Helper()
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", cmd, err, out)
	}
}
