//go:build faults

package faults

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"envgate/deploy/processtest"
)

// openSilent opens connections on which nothing is sent.
func openSilent(address string, n int) (open []net.Conn) {
	for range n {
		if c, err := net.DialTimeout("tcp", address, time.Second); err == nil {
			open = append(open, c)
		}
	}
	return open
}

func adminFlooded(t *testing.T) row {
	s := stand(t, 300, processtest.Command{})
	time.Sleep(*hold)
	s.begin()
	calm := s.load.quantile(0.99)
	s.load.forgetTimes()
	silent := openSilent(s.p.Admin, 200)
	var all sync.WaitGroup
	var asked, answered, ready, unready atomic.Int64
	until := time.Now().Add(*hold)
	client := &http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: 32}}
	for n := range 32 {
		all.Go(func() {
			for time.Now().Before(until) {
				asked.Add(1)
				res, err := client.Get("http://" + s.p.Admin + []string{"/metrics", "/", "/api/status", "/metrics"}[n%4])
				if err != nil {
					continue
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				answered.Add(1)
			}
		})
	}
	all.Go(func() { // what the kubelet asks meanwhile
		for time.Now().Before(until) {
			if s.p.Ask("/readyz") == http.StatusOK {
				ready.Add(1)
			} else {
				unready.Add(1)
			}
			time.Sleep(100 * time.Millisecond)
		}
	})
	all.Wait()
	for _, c := range silent {
		_ = c.Close()
	}
	seen, flooded := s.load.seen(), s.load.quantile(0.99)
	lost := s.end()
	client.CloseIdleConnections()
	s.want("probes were answered", unready.Load() == 0)
	return row{"", fmt.Sprintf("%s; 99 %% within %v, before it %v", seen, flooded, calm),
		fmt.Sprintf("%d of %d admin requests answered; `/readyz` %d of %d times 200", answered.Load(), asked.Load(), ready.Load(), ready.Load()+unready.Load()), lost}
}
