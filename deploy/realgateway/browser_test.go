//go:build realgateway

package realgateway

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/chromedp"
)

// A person logs in to the Admin UI in Chromium and sees the first page. What the page asks for is answered as it is
// without the sidecar.
func TestAdminInBrowser(t *testing.T) {
	screenshots := os.Getenv("ENVGATE_TEST_SCREENSHOTS")
	if screenshots == "" {
		var err error
		if screenshots, err = os.MkdirTemp("", "envgate-screenshots-"); err != nil {
			t.Fatal(err)
		}
	}
	eachInstallation(t, installations, func(t *testing.T, g *gateway) {
		direct := visit(t, g, g.url)
		behind := visit(t, g, g.sidecar.url)
		for path, status := range behind.failed {
			if direct.failed[path] != status {
				t.Errorf("%s: %d, not so without the sidecar", path, status)
			}
		}
		for _, page := range []*visited{direct, behind} {
			if page.title != "ContextForge - Gateway Administration" || page.heading != "Gateway Administration" {
				t.Errorf("title %q, heading %q", page.title, page.heading)
			}
			if page.tools != 200 {
				t.Errorf("fetching the tools from the page: %d, want 200", page.tools)
			}
		}
		if !strings.HasPrefix(behind.cookie, "eyJ") {
			t.Error("no session cookie")
		}
		t.Logf("%d requests of the page answered, %d directly; failed in both: %v", behind.answered, direct.answered, behind.failed)
		file := filepath.Join(screenshots, "admin-"+strings.NewReplacer(" ", "-", "/", "", ",", "").Replace(g.name)+".png")
		if err := os.WriteFile(file, behind.screenshot, 0o644); err != nil {
			t.Fatal(err)
		}
		t.Logf("screenshot: %s", file)
	})
}

// visited is what a browser saw.
type visited struct {
	title, heading string
	tools          int // status of a request by a script of the page, with nothing but the cookie
	cookie         string
	screenshot     []byte
	loggedOut      bool

	mu       sync.Mutex
	answered int
	failed   map[string]int // path to status, from 400
}

func visit(t *testing.T, g *gateway, base string) *visited {
	seen := &visited{failed: map[string]int{}}
	ctx, cancel := browser(t, func(event any) {
		if e, ok := event.(*network.EventResponseReceived); ok && strings.HasPrefix(e.Response.URL, base) {
			seen.add(e.Response)
		}
	})
	defer cancel()
	do := func(action chromedp.Action[chromedp.Void]) {
		t.Helper()
		perform(t, ctx, action)
	}

	do(chromedp.Navigate(base + g.root + "/admin/login"))
	do(chromedp.SendKeys(chromedp.ID("email"), adminEmail))
	do(chromedp.SendKeys(chromedp.ID("password"), adminPassword))
	if _, err := chromedp.RunResponse(ctx, chromedp.Submit(chromedp.ID("password"))); err != nil {
		t.Fatal(err)
	}
	do(chromedp.WaitReady(chromedp.CSS("h1")))
	do(chromedp.Sleep(2 * time.Second)) // scripts of the page ask for more once it is loaded
	seen.title = perform(t, ctx, chromedp.Title())
	seen.heading = perform(t, ctx, chromedp.TextContent(chromedp.CSS("h1")))
	script := `fetch("` + g.root + `/tools", {headers: {"HX-Request": "true", "Authorization": "Bearer "}}).then(r => r.status)`
	seen.tools = perform(t, ctx, chromedp.Evaluate[int](script, chromedp.EvalAwaitPromise))
	seen.screenshot = perform(t, ctx, chromedp.CaptureScreenshot())
	cookies, err := chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range cookies.Cookies {
		if c.Name == "jwt_token" {
			seen.cookie = c.Value
		}
	}
	if g.release == legacy { // which logs out by POST only
		perform(t, ctx, chromedp.Evaluate[int](`fetch("`+g.root+`/admin/logout", {method: "POST"}).then(r => r.status)`, chromedp.EvalAwaitPromise))
	} else {
		do(chromedp.Navigate(base + g.root + "/admin/logout"))
	}
	do(chromedp.Navigate(base + g.root + "/admin/"))
	do(chromedp.WaitReady(chromedp.ID("email"))) // the login page again
	if cookies, err = chromedp.Call(ctx, network.GetCookies, network.GetCookiesParams{}); err != nil {
		t.Fatal(err)
	}
	seen.loggedOut = !slices.ContainsFunc(cookies.Cookies, func(c *network.Cookie) bool { return c.Name == "jwt_token" })
	return seen
}

func perform[T any](t *testing.T, ctx context.Context, action chromedp.Action[T]) T {
	t.Helper()
	value, err := chromedp.Run(ctx, action)
	if err != nil {
		t.Fatal(err)
	}
	return value
}

func (v *visited) add(r *network.Response) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.answered++
	if r.Status >= 400 {
		u, err := url.Parse(r.URL)
		if err != nil {
			u = &url.URL{Path: fmt.Sprint(err)}
		}
		v.failed[u.Path] = int(r.Status)
	}
}

// browser starts a fresh headless Chromium that resolves no name, so that a page loads from loopback only.
func browser(t *testing.T, listener func(event any)) (context.Context, context.CancelFunc) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("these tests need Debian's package chromium:", err)
	}
	profile, err := os.MkdirTemp(work, "chromium-")
	if err != nil {
		t.Fatal(err)
	}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.UserDataDir(profile), chromedp.WindowSize(1280, 900),
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
	}
	ctx, cancelAllocator := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, cancelBrowser := chromedp.NewContext(ctx, chromedp.WithListener(listener))
	ctx, cancelTimeout := context.WithTimeout(ctx, 120*time.Second)
	return ctx, func() {
		cancelTimeout()
		cancelBrowser()
		cancelAllocator()
	}
}
