//go:build browser

package statuspage

import (
	"context"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/chromedp/cdproto/cdp"
	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
)

// tab is a fresh Chromium that looks at one sidecar's page.
type tab struct {
	t     *testing.T
	ctx   context.Context
	admin string

	mu       sync.Mutex
	fetched  int      // requests of the page itself
	outside  []string // requests to anywhere else
	messages []string // what the browser complained of
}

// violations collects what the Content-Security-Policy stopped, from the first moment of a page on.
const violations = `window.violations = []; document.addEventListener('securitypolicyviolation', (e) => violations.push(e.violatedDirective + ' ' + e.blockedURI))`

// open starts a headless Chromium that resolves no name. It is ended with the test.
func open(t *testing.T, s sidecar) *tab {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal("these tests need Debian's package chromium:", err)
	}
	profile, err := os.MkdirTemp(work, "chromium-")
	if err != nil {
		t.Fatal(err)
	}
	b := &tab{t: t, admin: s.admin}
	options := []chromedp.ExecAllocatorOption{
		chromedp.ExecPath(chromium), chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU, chromedp.NoFirstRun, chromedp.NoDefaultBrowserCheck,
		chromedp.UserDataDir(profile), chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true), chromedp.Flag("host-resolver-rules", "MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"),
		chromedp.Flag("hide-scrollbars", true),
	}
	ctx, cancelAllocator := chromedp.NewExecAllocator(t.Context(), options...)
	ctx, cancelBrowser := chromedp.NewContext(ctx, chromedp.WithListener(b.listen))
	ctx, cancelTimeout := context.WithTimeout(ctx, 120*time.Second)
	t.Cleanup(func() {
		cancelTimeout()
		cancelBrowser()
		cancelAllocator()
	})
	b.ctx = ctx
	call(b, page.AddScriptToEvaluateOnNewDocument, page.AddScriptToEvaluateOnNewDocumentParams{Source: violations})
	call(b, log.Enable, cdp.Empty{})
	return b
}

func (b *tab) listen(event any) {
	b.mu.Lock()
	defer b.mu.Unlock()
	switch e := event.(type) {
	case *network.EventRequestWillBeSent:
		if !strings.HasPrefix(e.Request.URL, b.admin+"/") {
			b.outside = append(b.outside, e.Request.URL)
		}
		if e.Request.URL == b.admin+"/" {
			b.fetched++
		}
	case *log.EventEntryAdded:
		b.messages = append(b.messages, e.Entry.Text)
	}
}

func (b *tab) fetches() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.fetched
}

// visit loads the page in a colour scheme and a width.
func (b *tab) visit(scheme string, width, height int64) {
	b.t.Helper()
	call(b, emulation.SetEmulatedMedia, emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}})
	call(b, emulation.SetDeviceMetricsOverride, emulation.SetDeviceMetricsOverrideParams{Width: width, Height: height, DeviceScaleFactor: 1})
	if _, err := chromedp.Run(b.ctx, chromedp.Navigate(b.admin+"/")); err != nil {
		b.t.Fatal(err)
	}
}

// clean fails if the policy stopped anything, the page asked for anything else, or the browser complained.
func (b *tab) clean() {
	b.t.Helper()
	if v := evaluate[[]string](b, "violations"); len(v) != 0 {
		b.t.Errorf("%d violations of the Content-Security-Policy: %v", len(v), v)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.outside) != 0 || len(b.messages) != 0 {
		b.t.Errorf("asked elsewhere: %v; the browser says: %v", b.outside, b.messages)
	}
}

func call[P, R any](b *tab, command cdp.Command[P, R], params P) R {
	b.t.Helper()
	r, err := chromedp.Call(b.ctx, command, params)
	if err != nil {
		b.t.Fatal(err)
	}
	return r
}

func evaluate[T any](b *tab, script string) T {
	b.t.Helper()
	value, err := chromedp.Run(b.ctx, chromedp.Evaluate[T](script, chromedp.EvalAwaitPromise))
	if err != nil {
		b.t.Fatalf("%.80s: %v", script, err)
	}
	return value
}

// eventually waits for a script to be true.
func (b *tab) eventually(what, script string) {
	b.t.Helper()
	for deadline := time.Now().Add(15 * time.Second); !evaluate[bool](b, script); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			b.t.Fatalf("waited in vain: %s", what)
		}
	}
}
