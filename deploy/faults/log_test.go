//go:build faults

package faults

import (
	"os"
	"testing"
	"time"

	"envgate/deploy/processtest"
)

func logBlocked(t *testing.T) row {
	read, write, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer read.Close()
	defer write.Close()
	return withLog(t, write, "the log lines that didn't fit; no request")
}

func logFull(t *testing.T) row {
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer full.Close()
	return withLog(t, full, "every log line; no request")
}

func withLog(t *testing.T, to *os.File, lost string) row {
	s := stand(t, 1000, processtest.Command{Settings: []string{"ENVGATE_ACCESS_LOG=true"}, Stderr: to})
	time.Sleep(max(*hold, 3*time.Second)) // until the pipe and the queue are full
	seen, counted := s.load.seen(), s.counted("envgate_log_lines_suppressed_total")
	s.end()
	s.want("lines were counted", counted != "nothing")
	return row{"", seen, counted, lost}
}
