package proxy

import (
	"net/http"
	"strings"
	"testing"
)

func TestTraceIdsAreThoseOfAValidTraceparent(t *testing.T) {
	const trace, span = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
	for _, row := range []struct {
		name   string
		values []string
		valid  bool
	}{
		{"version 00", []string{"00-" + trace + "-" + span + "-01"}, true},
		{"a later version", []string{"01-" + trace + "-" + span + "-01"}, true},
		{"a later version with more", []string{"cc-" + trace + "-" + span + "-01-more"}, true},
		{"none", nil, false},
		{"two", []string{"00-" + trace + "-" + span + "-01", "00-" + trace + "-" + span + "-01"}, false},
		{"version 00 with more", []string{"00-" + trace + "-" + span + "-01-more"}, false},
		{"version ff", []string{"ff-" + trace + "-" + span + "-01"}, false},
		{"no trace", []string{"00-" + strings.Repeat("0", 32) + "-" + span + "-01"}, false},
		{"no span", []string{"00-" + trace + "-" + strings.Repeat("0", 16) + "-01"}, false},
		{"capitals", []string{"00-" + strings.ToUpper(trace) + "-" + span + "-01"}, false},
		{"a short trace", []string{"00-" + trace[1:] + "-" + span + "-01"}, false},
		{"a long span", []string{"00-" + trace + "-" + span + "0-01"}, false},
		{"a token", []string{"eyJhbGciOiJIUzI1NiJ9.e30.x"}, false},
	} {
		attrs := traceAttrs(http.Header{"Traceparent": row.values})
		if (len(attrs) == 2) != row.valid {
			t.Errorf("%s: %v", row.name, attrs)
		}
		if row.valid && (attrs[0].String() != "trace_id="+trace || attrs[1].String() != "span_id="+span) {
			t.Errorf("%s: %v", row.name, attrs)
		}
	}
}

// A refusal's line and an access line name the trace, and the gateway sees the header as it came.
func TestLogLinesJoinTraces(t *testing.T) {
	upstream := newRecorder(t, nil)
	s := startSidecar(t, upstream.URL, "ENVGATE_ACCESS_LOG=true")
	const header = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
	for _, path := range []string{"/tools", "/health"} {
		request, _ := http.NewRequest("GET", "http://"+s.addr+path, nil)
		request.Header.Set("traceparent", header)
		res, err := http.DefaultClient.Do(request)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	s.Stop() // every line is written
	if lines := strings.Count(s.logs.String(), `"trace_id":"4bf92f3577b34da6a3ce929d0e0e4736","span_id":"00f067aa0ba902b7"`); lines != 3 {
		t.Errorf("%d lines with the trace, want a refusal and two accesses:\n%s", lines, s.logs.String())
	}
	if seen := upstream.last(t); seen.header.Get("Traceparent") != header {
		t.Errorf("the gateway saw %q", seen.header.Get("Traceparent"))
	}
}
