package proxy

import (
	"bytes"
	"embed"
	"encoding/json"
	"fmt"
	"html/template"
	"net/http"
	"time"

	"envgate/authz"
	"envgate/metrics"
)

// statusFiles are the page's template and what it loads: nothing comes from anywhere else.
//
//go:embed status
var statusFiles embed.FS

var statusPage = template.Must(template.New("page.html").Funcs(template.FuncMap{
	"stamp": stamp, "span": span, "meaning": meaning,
}).ParseFS(statusFiles, "status/page.html"))

// page is a status with what is counted up for people.
type page struct {
	status
	Totals  []total
	Foreign int
}

// total is all requests of one decision.
type total struct {
	Decision authz.Outcome
	Count    int
}

func newPage(s status) page {
	p := page{status: s}
	for _, outcome := range authz.Outcomes {
		t := total{Decision: outcome}
		for _, d := range s.Decisions {
			if d.Decision == outcome {
				t.Count += d.Count
			}
		}
		p.Totals = append(p.Totals, t)
	}
	for _, e := range s.Environments {
		p.Foreign += e.Total()
	}
	return p
}

// Reasons are the decisions that need a look.
func (p page) Reasons() (list []metrics.DecisionCount) {
	for _, d := range p.Decisions {
		if d.Decision == authz.Refused || d.Decision == authz.Reported {
			list = append(list, d)
		}
	}
	return list
}

// Share is a count in percent of the largest, for a bar.
func (p page) Share(count int) int { return max(1, 100*count/p.Reasons()[0].Count) }

// Clock is a time of today, or with its date.
func (p page) Clock(t time.Time) string {
	if t.Format(time.DateOnly) == p.Time.Format(time.DateOnly) {
		return t.Format(time.TimeOnly)
	}
	return t.Format(time.DateTime)
}

func stamp(t time.Time) string { return t.Format(time.RFC3339) }

// span is the time between two moments in its two largest units.
func span(from, to time.Time) string {
	switch d := to.Sub(from); {
	case d < time.Minute:
		return fmt.Sprintf("%d s", int(d.Seconds()))
	case d < time.Hour:
		return fmt.Sprintf("%d min", int(d.Minutes()))
	case d < 48*time.Hour:
		return fmt.Sprintf("%d h %d min", int(d.Hours()), int(d.Minutes())%60)
	default:
		return fmt.Sprintf("%d days %d h", int(d.Hours())/24, int(d.Hours())%24)
	}
}

// meaning words a reason as its challenge does, if it has one.
func meaning(r authz.Reason) string {
	if text := r.Text(); text.Description != "" {
		return text.Description
	}
	return r.Text().When
}

// statusPolicy lets the page load its own files and nothing else; no other page may frame it.
const statusPolicy = "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// pagesAtOnce is how many pages are made at a time.
const pagesAtOnce = 4

// statusRoutes serves the page, its files and the same as JSON, all behind one guard.
func statusRoutes(mux *http.ServeMux, guard func(http.HandlerFunc) http.HandlerFunc, current func() status) {
	made := make(chan struct{}, pagesAtOnce)
	route := func(pattern, contentType string, body func() ([]byte, error)) {
		mux.HandleFunc(pattern, guard(func(w http.ResponseWriter, _ *http.Request) {
			select {
			case made <- struct{}{}:
			default: // whoever may look could otherwise take the proxy's time
				w.Header().Set("Retry-After", "1")
				plainText(w, http.StatusServiceUnavailable, "too many readers at once\n")
				return
			}
			b, err := body()
			<-made
			if err != nil { // by a template that doesn't fit its data
				plainText(w, http.StatusInternalServerError, "the status can't be shown\n")
				return
			}
			h := w.Header()
			h.Set("Content-Type", contentType)
			h.Set("Cache-Control", "no-store")
			h.Set("Content-Security-Policy", statusPolicy)
			h.Set("Cross-Origin-Resource-Policy", "same-origin")
			h.Set("Referrer-Policy", "no-referrer")
			h.Set("X-Content-Type-Options", "nosniff")
			_, _ = w.Write(b)
		}))
	}
	route("GET /api/status", "application/json", func() ([]byte, error) { return json.Marshal(current()) })
	route("GET /{$}", "text/html; charset=utf-8", func() ([]byte, error) {
		var b bytes.Buffer
		err := statusPage.Execute(&b, newPage(current()))
		return b.Bytes(), err
	})
	for name, contentType := range map[string]string{
		"status.css": "text/css; charset=utf-8", "status.js": "text/javascript; charset=utf-8", "status.svg": "image/svg+xml",
	} {
		route("GET /"+name, contentType, func() ([]byte, error) { return statusFiles.ReadFile("status/" + name) })
	}
}
