//go:build browser

package statuspage

import (
	"context"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/golang-jwt/jwt/v5"
)

// TestThePageIsAccessibleAndKeepsToItself looks at the page in every state and form, takes a picture of each, lets axe
// judge it, and counts what its Content-Security-Policy stopped.
func TestThePageIsAccessibleAndKeepsToItself(t *testing.T) {
	axe, screenshots := axeScript(t), os.Getenv("ENVGATE_TEST_SCREENSHOTS")
	if screenshots == "" {
		var err error
		if screenshots, err = os.MkdirTemp("", "envgate-screenshots-"); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("screenshots: %s", screenshots)
	own := []string{"JWT_ISSUER=gateway.production.example.com", "JWT_AUDIENCE=production", "JWT_ISSUER_VERIFICATION=true"}
	quiet := start(t, own...)
	busy := start(t)
	busy.mix(t)
	go func() { // a stream that is open while the page is looked at
		r, _ := http.NewRequestWithContext(t.Context(), "GET", busy.url+"/sse", nil)
		r.Header.Set("Authorization", "Bearer "+token(t, secret, nil))
		if res, err := http.DefaultClient.Do(r); err == nil {
			<-t.Context().Done()
			res.Body.Close()
		}
	}()
	reporting := start(t, "ENVGATE_MODE=report")
	reporting.mix(t)
	drain(t, reporting)
	for _, row := range []struct {
		name    string
		sidecar sidecar
		scheme  string
		width   int64
		height  int64
		rows    int // of refusals
	}{
		{"quiet-light", quiet, "light", 1180, 800, 0},
		{"quiet-dark", quiet, "dark", 1180, 800, 0},
		{"quiet-narrow", quiet, "light", 390, 1300, 0},
		{"light", busy, "light", 1180, 1500, 100},
		{"dark", busy, "dark", 1180, 1500, 100},
		{"narrow", busy, "light", 390, 1300, 100},
		{"narrow-dark", busy, "dark", 320, 1300, 100},
		{"report-light", reporting, "light", 1180, 1500, 100},
		{"report-dark", reporting, "dark", 1180, 1500, 100},
	} {
		t.Run(row.name, func(t *testing.T) {
			b := open(t, row.sidecar)
			b.visit(row.scheme, row.width, row.height)
			b.picture(screenshots, row.name)
			if row.width < 400 { // a phone shows a part at a time: the last one, too
				evaluate[bool](b, `document.querySelector('.recent').scrollIntoView(); true`)
				b.picture(screenshots, row.name+"-recent")
			}
			if n := evaluate[int](b, `document.querySelectorAll('#recent tbody tr').length`); n != row.rows {
				t.Errorf("%d rows, want %d", n, row.rows)
			}
			if wide := evaluate[int64](b, `document.documentElement.scrollWidth`); wide > row.width {
				t.Errorf("the page is %d wide, the window %d", wide, row.width)
			}
			if title := evaluate[string](b, `document.title`); !strings.HasSuffix(title, "production · envgate") {
				t.Errorf("title %q", title)
			}
			if n := evaluate[int](b, `document.querySelectorAll('script, img, style, iframe, [onerror]').length`); n != 2 {
				t.Errorf("%d scripts and images, want the page's own two", n)
			}
			if j := b.accessible(axe); j.Passes < 20 {
				t.Errorf("axe checked only %d rules", j.Passes)
			}
			b.clean()
			evaluate[bool](b, `const e = document.createElement('script'); e.src = 'http://127.0.0.1:9/'; document.body.append(e); true`)
			b.eventually("a violation is seen when there is one", `violations.length == 1`)
		})
	}
}

func (b *tab) picture(folder, name string) {
	b.t.Helper()
	png, err := chromedp.Run(b.ctx, chromedp.CaptureScreenshot())
	if err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(folder, "status-"+name+".png"), png, 0o644); err != nil {
		b.t.Fatal(err)
	}
}

func drain(t *testing.T, s sidecar) {
	t.Helper()
	res, err := http.Post(s.admin+"/drain", "", nil)
	if err != nil || res.StatusCode != http.StatusOK {
		t.Fatalf("%v %v", res, err)
	}
	res.Body.Close()
}

func TestThePageUpdatesItselfWithoutAReload(t *testing.T) {
	s := start(t)
	s.mix(t)
	b := open(t, s)
	b.visit("light", 1180, 900)
	evaluate[bool](b, `window.mark = 1; const region = document.querySelector('.scroll'); region.focus(); region.scrollTop = 150; scrollTo(0, 120); true`)
	s.request(t, "PUT", "/newest", token(t, secret, jwt.MapClaims{"env": hostile}))
	b.eventually("the newest refusal is shown", `document.querySelector('#recent tbody tr').textContent.includes('PUT /newest')`)
	drain(t, s)
	b.eventually("the drain is shown", `document.querySelector('#notices').textContent.includes('Not ready: draining')`)
	b.eventually("the drain is said", `document.querySelector('#announcement').textContent.includes('not ready')`)
	if title := evaluate[string](b, `document.title`); title != "not ready: production · envgate" {
		t.Errorf("title %q", title)
	}
	for _, kept := range []string{`window.mark === 1`, `document.activeElement.className === 'scroll'`, `document.querySelector('.scroll').scrollTop === 150`, `scrollY >= 120`} {
		if !evaluate[bool](b, kept) {
			t.Errorf("not so after the update: %s", kept)
		}
	}

	evaluate[bool](b, `document.querySelector('#pause').click(); true`)
	b.rests("paused")
	if !evaluate[bool](b, `document.querySelector('#pause').getAttribute('aria-pressed') === 'true' && document.querySelector('#reach').textContent === 'Paused'`) {
		t.Error("the button does not say that it is pressed")
	}
	s.request(t, "PUT", "/later", "")
	evaluate[bool](b, `document.querySelector('#pause').click(); true`)
	b.eventually("going on updates at once", `document.querySelector('#recent tbody tr').textContent.includes('PUT /later')`)

	evaluate[bool](b, `Object.defineProperty(document, 'hidden', {value: true, configurable: true}); document.dispatchEvent(new Event('visibilitychange')); true`)
	b.rests("hidden")
	s.request(t, "PUT", "/last", "")
	evaluate[bool](b, `delete document.hidden; document.dispatchEvent(new Event('visibilitychange')); true`)
	b.eventually("coming back updates at once", `document.querySelector('#recent tbody tr').textContent.includes('PUT /last')`)
	b.clean()
}

// rests fails if the page asks for anything in the time of more than one update.
func (b *tab) rests(when string) {
	b.t.Helper()
	time.Sleep(300 * time.Millisecond) // what was under way ends
	before := b.fetches()
	time.Sleep(6 * time.Second)
	if n := b.fetches() - before; n != 0 {
		b.t.Errorf("%s, but %d updates", when, n)
	}
}

func TestThePageSaysWhenNobodyAnswers(t *testing.T) {
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	s := startUntil(ctx, t)
	b := open(t, s)
	b.visit("light", 1180, 900)
	b.eventually("the script runs", `!document.querySelector('#pause').hidden`)
	stop()
	b.eventually("it says so", `document.querySelector('#reach').textContent.startsWith('No answer') && document.querySelector('#announcement').textContent.includes('does not answer')`)
}

func TestThePageWorksWithoutJavaScript(t *testing.T) {
	s := start(t)
	s.mix(t)
	b := open(t, s)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.visit("light", 1180, 900)
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{}) // to look: the page's script stays unrun
	for _, so := range []string{
		`document.querySelector('h1').textContent === 'production'`, `document.querySelector('#pause').hidden`,
		`document.querySelector('noscript').textContent.includes('Reload')`, `document.querySelectorAll('#recent tbody tr').length === 100`,
	} {
		if !evaluate[bool](b, so) {
			t.Errorf("not so: %s", so)
		}
	}
	if n := b.fetches(); n != 1 {
		t.Errorf("%d requests of the page, want 1", n)
	}
}
