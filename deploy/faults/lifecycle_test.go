//go:build faults

package faults

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"envgate/deploy/processtest"
)

// terminated: a balancer sends requests to whoever is ready, as a Service does, and looks every 100 ms.
func terminated(t *testing.T) row {
	drain := []string{"ENVGATE_DRAIN_DELAY=1s", "ENVGATE_DRAIN_TIMEOUT=5s"}
	s := stand(t, 100, processtest.Command{Settings: drain})
	other := processtest.Command{Binary: binary, Upstream: "http://" + s.gateway.address, Settings: drain}.Start(t)
	s.load.stopOnce()

	var address atomic.Value
	address.Store(s.p.Traffic)
	token := func() string { return s.token }
	s.load = startLoad(1000, func() string { return address.Load().(string) }, append(s.kinds(), kind{"slow", "GET", "/slow", token, 200})...)
	s.load.client.Timeout = 10 * time.Second
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var watching, open sync.WaitGroup
	watching.Go(func() {
		for ctx.Err() == nil && s.p.Ask("/readyz") == http.StatusOK {
			time.Sleep(100 * time.Millisecond)
		}
		address.Store(other.Traffic)
	})
	streams := newStreamer(s.p.Traffic, token)
	var events, late atomic.Int64
	var terminating atomic.Bool
	ends := make(chan string, 40)
	for n := range 40 {
		open.Go(func() {
			count := func() {
				events.Add(1)
				if terminating.Load() {
					late.Add(1)
				}
			}
			if n%2 == 0 {
				ends <- "event streams " + streams.events(ctx, count)
			} else {
				ends <- "WebSockets " + streams.messages(ctx, count)
			}
		})
	}
	eventually(t, "streams", func() bool { return events.Load() > 400 })
	time.Sleep(*hold)
	before := s.load.seen()
	s.gateway.mu.Lock()
	s.gateway.ids = map[string]int{} // the second load's numbers begin anew
	s.gateway.mu.Unlock()
	started := time.Now()
	terminating.Store(true)
	s.p.Signal(syscall.SIGTERM)
	<-s.p.Ended()
	took := time.Since(started).Round(10 * time.Millisecond)
	open.Wait()
	watching.Wait()
	time.Sleep(500 * time.Millisecond)
	seen, lost := s.load.seen(), s.end()
	close(ends)
	streamEnds := map[string]int{}
	for end := range ends {
		streamEnds[end]++
	}
	s.want("all streams ended cleanly", streamEnds["event streams "+endedCleanly] == 20 && streamEnds["WebSockets "+endedCleanly] == 20)
	s.want("the delay was kept, and the time-out not needed", took > time.Second && took < 6*time.Second)
	s.want("events went on during the delay", late.Load() > 200)
	return row{"", fmt.Sprintf("before %s; from the signal on %s; streams: %s, %d events and messages behind the signal", before, seen, words(streamEnds), late.Load()),
		fmt.Sprintf("`envgate_ready` 0; the process ended after %v", took), lost}
}

func words(counts map[string]int) string {
	var list []string
	for what, n := range counts {
		list = append(list, fmt.Sprintf("%d %s", n, what))
	}
	return strings.Join(list, ", ")
}

func killed(t *testing.T) row {
	s := stand(t, 300, processtest.Command{})
	s.load.broken(*hold + 5*time.Second)
	started := time.Now()
	s.p.Kill()
	again := processtest.Command{Binary: binary, Upstream: "http://" + s.gateway.address, Traffic: s.p.Traffic}.Start(t)
	took := time.Since(started).Round(10 * time.Millisecond)
	s.p = again
	seen := s.load.seen()
	s.recovered()
	s.load.whole()
	time.Sleep(time.Second)
	s.end()
	s.want("it was back in two seconds", took < 2*time.Second)
	return row{"", fmt.Sprintf("%s; answers again after %v", seen, took), "counters begin anew", "requests in flight, and what came while it was away. No POST arrived twice"}
}

func outOfFiles(t *testing.T) row {
	s := stand(t, 100, processtest.Command{Prefix: []string{"prlimit", "--nofile=100:100"}})
	s.load.stopOnce()
	s.gateway.ids = nil
	anew := &http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}} // each request needs descriptors
	s.load = startLoadBy(anew, "http", 50, func() string { return s.p.Traffic }, s.kinds()...)
	time.Sleep(500 * time.Millisecond)
	s.begin()
	s.load.broken(*hold + 12*time.Second)
	silent := openSilent(s.p.Traffic, 150)
	time.Sleep(*hold + 2*time.Second)
	files := s.p.OpenFiles()
	live := s.p.Ask("/livez")
	for _, c := range silent {
		_ = c.Close()
	}
	seen := s.load.seen()
	s.want("probes have descriptors", live == 200)
	back := s.recovered()
	counted := s.counted("envgate_limited_total", "envgate_upstream_errors_total", "envgate_client_canceled_total", "envgate_log_lines_suppressed_total")
	s.load.whole()
	time.Sleep(time.Second)
	s.end()
	return row{"", fmt.Sprintf("%s; %d descriptors in use; `/livez`: %s", seen, files, map[bool]string{true: "200", false: "no answer"}[live == 200]), counted,
		fmt.Sprintf("what found no descriptor. Well again %s, without a restart", after(back))}
}

// outOfFilesByStreams: HTTP/2 needs one connection for all its requests, and the upstream one for each of them.
func outOfFilesByStreams(t *testing.T) row {
	s := stand(t, 100, processtest.Command{Prefix: []string{"prlimit", "--nofile=100:100"}})
	s.load.stopOnce()
	var h2c http.Protocols
	h2c.SetUnencryptedHTTP2(true)
	s.load = startLoadBy(&http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{Protocols: &h2c}}, "http", 0, func() string { return s.p.Traffic })
	s.load.ask("/tools", s.token) // opens the connection that the others share
	s.gateway.behave(stalled)
	s.begin()
	var all sync.WaitGroup
	for range 200 {
		all.Go(func() { s.load.one(kind{"", "GET", "/tools", func() string { return s.token }, 200}, 0) })
	}
	time.Sleep(*hold + time.Second)
	files, live := s.p.OpenFiles(), s.p.Ask("/livez")
	s.want("probes have descriptors", live == 200)
	during := s.load.seen()
	s.gateway.behave(well)
	all.Wait()
	then := s.load.seen()
	s.load.stopOnce()
	return row{"", fmt.Sprintf("at once %s; %d descriptors in use; `/livez`: 200; the others %s", during, files, then), s.counted("envgate_limited_total", "envgate_upstream_errors_total"), "what found no descriptor"}
}
