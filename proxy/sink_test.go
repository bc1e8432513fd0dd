package proxy

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"envgate/metrics"
)

// TestABlockedLogHoldsUpNoRequest: nobody reads the pipe that the log goes to, and it is full after the first few hundred lines.
func TestABlockedLogHoldsUpNoRequest(t *testing.T) {
	u := newRecorder(t, func(http.ResponseWriter, *http.Request) {})
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	sink := NewSink(write)
	s := newSidecar(t, u.URL, "ENVGATE_ACCESS_LOG=true")
	s.Server = NewServer(s.config, metrics.Build{}, slog.New(slog.NewJSONHandler(sink, nil)))
	sink.OnLoss(s.Metrics().Suppressed)
	if err := s.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Stop)
	s.addr, s.admin = s.Addresses()
	good := bearer(token(t, nil))
	client := &http.Client{Timeout: 5 * time.Second}
	const requests = 3000 // lines of some 250 bytes: more than the pipe and the queue hold
	for range requests {
		r, _ := http.NewRequest(http.MethodGet, "http://"+s.addr+"/tools", nil)
		r.Header.Set("Authorization", strings.TrimPrefix(good, "Authorization: "))
		res, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
	}
	if s.value("envgate_log_lines_suppressed_total") == "0" {
		t.Error("no line was counted as lost")
	}
	lines := make(chan int)
	go func() {
		text, _ := io.ReadAll(read)
		lines <- strings.Count(string(text), "\n")
	}()
	eventually(t, "lines are taken again", func() bool {
		sink.mu.Lock()
		defer sink.mu.Unlock()
		return len(sink.queue) == 0
	})
	sink.Close()
	_ = write.Close()
	if n := <-lines; n < 300 || n >= requests {
		t.Errorf("%d lines got through", n)
	}
}

// refusing is a device that is full.
type refusing struct{}

func (refusing) Write([]byte) (int, error) { return 0, errors.New("no space left on device") }

func TestLinesThatAreRefusedAreCounted(t *testing.T) {
	sink := NewSink(refusing{})
	var lost atomic.Int64
	_, _ = io.WriteString(sink, "a\nb\n")
	_, _ = io.WriteString(sink, "c\n")
	sink.Close()
	sink.OnLoss(func(n int) { lost.Add(int64(n)) })
	_, _ = io.WriteString(sink, "behind the end\n")
	if lost.Load() != 4 {
		t.Errorf("%d lines lost, want 4", lost.Load())
	}
}

func TestLinesArriveInOrderAndWhole(t *testing.T) {
	var got logBuffer
	sink := NewSink(&got)
	var want strings.Builder
	for i := range 1000 {
		line := strings.Repeat("x", i%50) + itoa(i) + "\n"
		want.WriteString(line)
		_, _ = io.WriteString(sink, line)
	}
	sink.Close()
	if got.String() != want.String() {
		t.Error("other lines arrived")
	}
}

func TestAnEndDoesNotWaitForABlockedLog(t *testing.T) {
	read, write := io.Pipe()
	defer read.Close()
	sink := NewSink(write)
	_, _ = io.WriteString(sink, "a\n")
	closed := make(chan struct{})
	go func() { sink.Close(); close(closed) }()
	select {
	case <-closed:
	case <-time.After(10 * sinkFlush):
		t.Error("it waits")
	}
}
