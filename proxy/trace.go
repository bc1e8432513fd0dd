package proxy

import (
	"log/slog"
	"net/http"
	"strings"
)

// traceAttrs are the ids of the trace that a request belongs to, so that log lines and traces can be joined: those of its
// traceparent header (W3C Trace Context, section 3.2), which goes on to the gateway as it came. None without a valid one.
func traceAttrs(h http.Header) []slog.Attr {
	values := h["Traceparent"]
	if len(values) != 1 {
		return nil
	}
	parts := strings.Split(values[0], "-")
	if len(parts) < 4 || len(parts[0]) != 2 || parts[0] == "ff" || parts[0] == "00" && len(parts) != 4 || len(parts[3]) != 2 ||
		!hexadecimal(parts[0], false) || !hexadecimal(parts[1], true) || len(parts[1]) != 32 || !hexadecimal(parts[2], true) || len(parts[2]) != 16 || !hexadecimal(parts[3], false) {
		return nil
	}
	return []slog.Attr{slog.String("trace_id", parts[1]), slog.String("span_id", parts[2])}
}

// hexadecimal tells whether s is lower-case hexadecimal, and not all zeros where that means none.
func hexadecimal(s string, zerosAreNone bool) bool {
	for _, c := range []byte(s) {
		if (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return false
		}
	}
	return !zerosAreNone || strings.Trim(s, "0") != ""
}
