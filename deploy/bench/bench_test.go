package main

import (
	"encoding/xml"
	"errors"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestTheLineOfWrkIsRead(t *testing.T) {
	o, err := parse("Running 10m test\n  3 requests in 1.50s\nmeasured requests=3000 microseconds=1500000 refused=2 broken=1 p50=900 p99=12000\n")
	if want := (outcome{3000, 1500 * time.Millisecond, 2, 1, 900 * time.Microsecond, 12 * time.Millisecond}); err != nil || o != want {
		t.Errorf("%+v, %v, want %+v", o, err, want)
	}
	if o.rate() != 2000 {
		t.Errorf("%v requests per second, want 2000", o.rate())
	}
	for _, text := range []string{"", "unable to connect to 127.0.0.1:1 Connection refused\n", "measured requests=3 microseconds=x\n"} {
		if _, err := parse(text); err == nil {
			t.Errorf("%q is read", text)
		}
	}
}

func TestAnswersOtherThanExpectedStopTheBenchmark(t *testing.T) {
	guard, open := named("envgate"), named("bare")
	accepting, refusing := scenario{name: "a", tokens: seen}, scenario{name: "r", tokens: forged}
	for _, row := range []struct {
		name string
		o    outcome
		s    scenario
		p    peer
		want string
	}{
		{"a guard accepts good tokens", outcome{requests: 9}, accepting, guard, ""},
		{"a guard refuses a good token", outcome{requests: 9, refused: 1}, accepting, guard, "1 of 9 answers were refusals, want 0"},
		{"a guard refuses forged tokens", outcome{requests: 9, refused: 9}, refusing, guard, ""},
		{"a guard accepts a forged token", outcome{requests: 9, refused: 8}, refusing, guard, "8 of 9 answers were refusals, want 9"},
		{"who checks nothing forwards forged tokens", outcome{requests: 9}, refusing, open, ""},
		{"who checks nothing fails", outcome{requests: 9, refused: 9}, refusing, open, "want 0"},
		{"a connection breaks", outcome{requests: 9, broken: 1}, accepting, guard, "1 connections failed"},
		{"nothing is answered", outcome{}, accepting, guard, "no request was answered"},
	} {
		t.Run(row.name, func(t *testing.T) {
			err := row.o.expected(row.s, row.p)
			if (err == nil) != (row.want == "") || err != nil && !strings.Contains(err.Error(), row.want) {
				t.Errorf("%v, want %q", err, row.want)
			}
		})
	}
}

func TestMediansAndRatios(t *testing.T) {
	if odd, even := median([]float64{9, 1, 5}), median([]float64{4, 1, 2, 100}); odd != 5 || even != 3 {
		t.Errorf("%v and %v, want 5 and 3", odd, even)
	}
	// a disturbed second run slows both: the ratio stays
	own, bare := []sample{{cpu: 10}, {cpu: 40}, {cpu: 12}}, []sample{{cpu: 20}, {cpu: 80}, {cpu: 20}}
	if r := ratio(own, bare, cpu); r != 0.5 {
		t.Errorf("ratio %v, want 0.5", r)
	}
	for v, want := range map[float64]string{0.904: "0.90", 10.04: "10.0", 123.4: "123"} {
		if got := digits(v); got != want {
			t.Errorf("%v is written %s, want %s", v, got, want)
		}
	}
}

func TestTheKernelsFiguresAreRead(t *testing.T) {
	var rss, peak int64
	text := "Name:\tx\nRss:                1234 kB\nVmHWM:\t  99 kB\n"
	if err := kilobytes(text, map[string]*int64{"Rss": &rss, "VmHWM": &peak}); err != nil || rss != 1234 || peak != 99 {
		t.Errorf("%d, %d, %v", rss, peak, err)
	}
	if err := kilobytes(text, map[string]*int64{"Pss": &rss}); err == nil {
		t.Error("a missing line is no error")
	}
}

func TestOptionsAreChecked(t *testing.T) {
	for args, want := range map[string]string{
		"":                          "",
		"-quick":                    "",
		"-only seen-32,streams":     "",
		"-only seen-33":             `only: "seen-33"`,
		"-runs 0":                   "runs: 0",
		"-duration 1ms":             "duration: 1ms",
		"-cores 1":                  `cores: "1"`,
		"-write -cores 1,1":         "write: what is published",
		"-write -quick":             "five runs",
		"-write -runs 4":            "five runs",
		"-write -only seen-32":      "all scenarios",
		"seen-32":                   "want flags only",
		"-write -runs 7 -cores 1,0": "",
	} {
		_, err := parseOptions(strings.Fields(args))
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", args, err, want)
		}
	}
}

// synthetic is a report in which each peer needs a little more than the one before.
func synthetic() report {
	r := report{scenarios: scenarios, results: results{}, machine: []fact{{"kernel", "Linux <6> & more"}}}
	for _, s := range scenarios {
		r.results[s.name] = map[string][]sample{}
		for i, p := range in(s) {
			r.results[s.name][p.name] = []sample{{cpu: 10 + 20*float64(i), rate: 1000, p50: time.Millisecond, p99: 2 * time.Millisecond, idle: memory{rss: 1000}, loaded: memory{rss: 2000}}}
		}
	}
	r.streams = streamResults{map[string]int{"sse": 9900, "websocket": 5000}, map[string]map[string][]streamSample{}}
	for _, k := range kinds {
		r.streams.samples[k.name] = map[string][]streamSample{"bare": {{50, 50, 100, 20, 4}}, "envgate": {{55, 55, 200, 30, 6}}}
	}
	r.shipped = shipped{15_000_000, []float64{20, 51, 60}, []float64{13}}
	return r
}

func TestOnlyCompleteRunsAreKept(t *testing.T) {
	r := results{"a": {"bare": {{cpu: 1}, {cpu: 2}}, "envgate": {{cpu: 3}}}, "b": {"bare": {{cpu: 4}}}}.first(1)
	if len(r["a"]["bare"]) != 1 || len(r["a"]["envgate"]) != 1 || len(r["b"]["bare"]) != 1 || r["a"]["bare"][0].cpu != 1 {
		t.Errorf("%+v", r)
	}
}

func TestThePictureIsWellFormed(t *testing.T) {
	picture := synthetic().picture()
	decoder, bars := xml.NewDecoder(strings.NewReader(picture)), 0
	for {
		token, err := decoder.Token()
		if errors.Is(err, io.EOF) {
			break
		} else if err != nil {
			t.Fatalf("%v in\n%s", err, picture)
		}
		if start, ok := token.(xml.StartElement); ok && start.Name.Local == "rect" {
			bars++
		}
	}
	want := 1 // the ground
	for _, s := range scenarios {
		if slices.Contains(pictured, s.name) {
			want += len(in(s))
		}
	}
	if bars != want {
		t.Errorf("%d rectangles, want %d", bars, want)
	}
	for _, colours := range []string{"prefers-color-scheme: dark", `class="own"`, "forwards"} {
		if !strings.Contains(picture, colours) {
			t.Errorf("no %s in the picture", colours)
		}
	}
}

func TestTablesHaveOneCellPerColumn(t *testing.T) {
	columns := 0
	for line := range strings.Lines(synthetic().markdown()) {
		n := strings.Count(line, "|")
		switch {
		case n == 0:
			columns = 0
		case columns == 0:
			columns = n
		case n != columns:
			t.Errorf("%d of %d columns: %s", n, columns, line)
		}
	}
}

func TestTargetsAreJudged(t *testing.T) {
	verdicts := map[string]string{}
	for _, row := range synthetic().targets() {
		verdicts[row[0]] = row[3]
	}
	for what, want := range map[string]string{
		"CPU, token seen before, 32 connections, of bare":               "**missed**", // 50 to 10
		"CPU, token seen before, of HAProxy":                            "reached",    // 50 to 110
		"CPU, forged token refused, of an accepted one, 32 connections": "**missed**",
		"memory of each of 9900 idle SSE streams, of bare":              "reached",
		"binary, stripped": "reached",
		"start to ready":   "**missed**",
	} {
		if verdicts[what] != want {
			t.Errorf("%s: %q, want %q", what, verdicts[what], want)
		}
	}
}

func TestThePagesProseStays(t *testing.T) {
	page, err := between("# A\n\n"+begin+"old\n"+end+"\n\nB\n", "new\n")
	if want := "# A\n\n" + begin + "\nnew\n\n" + end + "\n\nB\n"; err != nil || page != want {
		t.Errorf("%q, %v, want %q", page, err, want)
	}
	if _, err := between("# A\n", "new\n"); err == nil {
		t.Error("a page without the lines is written")
	}
	text, err := os.ReadFile("../../docs/benchmarks.md")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := between(string(text), ""); err != nil {
		t.Error(err)
	}
	for _, m := range regexp.MustCompile("-only ([a-z0-9,-]+)").FindAllStringSubmatch(string(text), -1) {
		if _, err := parseOptions([]string{"-only", m[1]}); err != nil {
			t.Errorf("docs/benchmarks.md: %v", err)
		}
	}
}

func TestAFileOfTokensTellsWhereTheWarmUpStarts(t *testing.T) {
	file, err := writeTokens(t.TempDir()+"/tokens", []string{"aa", "bbb", "c", "d", "e"}, 2)
	if want := (tokenFile{file.path, 2, 7, 2}); err != nil || file != want {
		t.Errorf("%+v, %v, want %+v", file, err, want)
	}
}
