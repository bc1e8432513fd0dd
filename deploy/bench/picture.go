package main

import (
	"encoding/xml"
	"fmt"
	"slices"
	"strings"
)

// Measures of the picture, in pixels.
const (
	width    = 860
	margin   = 16
	labels   = 130 // for the peers' names
	bar      = 13  // height of one, with its gap
	heading  = 24
	gap      = 10
	unit     = 240 // length of a bar of 1.0
	longest  = 580 // bars of more end here, open
	headSize = 84
)

// pictured are the scenarios in the picture; the tables have all.
var pictured = []string{"seen-1", "seen-32", "seen-512", "new-32", "forged-512", "none-512", "rs256-seen-32", "rs256-new-32", "unix-32", "download-4", "upload-4"}

// style is legible on light and dark pages: the picture has its own ground, and follows the reader's preference.
const style = `<style>
text { font: 12px system-ui, -apple-system, "Segoe UI", Helvetica, Arial, sans-serif; fill: #1f2328 }
.title { font-size: 16px; font-weight: 600 }
.heading { font-weight: 600 }
.note, .value { fill: #59636e }
.ground { fill: #f6f8fa; stroke: #d1d9e0 }
.line { stroke: #59636e; stroke-dasharray: 3 3 }
.other { fill: #8c959f }
.bare { fill: #57606a }
.own { fill: #1a7f64 }
@media (prefers-color-scheme: dark) {
text { fill: #f0f6fc }
.note, .value { fill: #9198a1 }
.ground { fill: #151b23; stroke: #3d444d }
.line { stroke: #9198a1 }
.other { fill: #6e7681 }
.bare { fill: #9198a1 }
.own { fill: #3fb68b }
}
</style>
`

// picture draws the CPU time of each request as a multiple of bare.
func (r report) picture() string {
	var body strings.Builder
	y := headSize
	for _, s := range r.scenarios {
		if !slices.Contains(pictured, s.name) {
			continue
		}
		bare := r.results[s.name]["bare"]
		top := y
		text(&body, margin, y+14, "heading", fmt.Sprintf("%s (bare: %s µs)", s.title, figure(bare, cpu)))
		y += heading
		for _, p := range in(s) {
			drawBar(&body, y, p, ratio(r.results[s.name][p.name], bare, cpu), s.refuses())
			y += bar
		}
		fmt.Fprintf(&body, `<line class="line" x1="%[1]d" y1="%[2]d" x2="%[1]d" y2="%[3]d"/>`+"\n", margin+labels+unit, top+heading-3, y)
		y += gap
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%[1]d" height="%[2]d" viewBox="0 0 %[1]d %[2]d" role="img" aria-labelledby="title">`+"\n", width, y+margin)
	b.WriteString(`<title id="title">CPU time for each request of envgate and others, as a multiple of a bare httputil.ReverseProxy</title>` + "\n" + style)
	fmt.Fprintf(&b, `<rect class="ground" x="0.5" y="0.5" width="%d" height="%d" rx="8"/>`+"\n", width-1, y+margin-1)
	text(&b, margin, 30, "title", "CPU time for each request, as a multiple of a bare httputil.ReverseProxy (dashed)")
	text(&b, margin, 50, "note", "Shorter is better. The bare proxy and nginx check nothing, and forward forged and missing tokens, too.")
	text(&b, margin, 66, "note", "Pooled: with 512 idle upstream connections instead of two. Caching: with Envoy's cache of tokens, which is off by default.")
	b.WriteString(body.String() + "</svg>\n")
	return b.String()
}

func drawBar(b *strings.Builder, y int, p peer, times float64, refused bool) {
	class := "other"
	switch p.name {
	case "envgate":
		class = "own"
	case "bare":
		class = "bare"
	}
	length, value := int(times*unit), fmt.Sprintf("%.2f", times)
	if length > longest {
		length, value = longest, value+" →"
	}
	if refused && !p.guard {
		value += " forwards"
	}
	text(b, margin, y+10, "name", p.name)
	fmt.Fprintf(b, `<rect class="%s" x="%d" y="%d" width="%d" height="%d"/>`+"\n", class, margin+labels, y, max(length, 1), bar-3)
	text(b, margin+labels+length+6, y+10, "value", value)
}

func text(b *strings.Builder, x, y int, class, content string) {
	fmt.Fprintf(b, `<text class="%s" x="%d" y="%d">`, class, x, y)
	_ = xml.EscapeText(b, []byte(content)) // a strings.Builder never fails
	b.WriteString("</text>\n")
}
