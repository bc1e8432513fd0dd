//go:build observe

package observe

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"syscall"
	"time"
)

// endsWithUs has the kernel end a program when the tests are killed.
var endsWithUs = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}

func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// waitFor waits until a URL answers 200.
func waitFor(url, logFile string) error {
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(50 * time.Millisecond) {
		res, err := http.Get(url)
		if err == nil {
			res.Body.Close()
			if res.StatusCode == http.StatusOK {
				return nil
			}
		}
		if time.Now().After(deadline) {
			log, _ := os.ReadFile(logFile)
			return fmt.Errorf("%s does not answer 200: %w\n%s", url, err, log)
		}
	}
}

// serve serves something on loopback, and gives its address.
func (s *stack) serve(h http.Handler) string {
	server := httptest.NewServer(h)
	s.stops = append(s.stops, server.Close)
	return server.Listener.Addr().String()
}
