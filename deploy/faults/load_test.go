//go:build faults

package faults

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// kind is one sort of request, and what it is answered when nothing is broken.
type kind struct {
	name, method, path string
	token              func() string // nil: none
	want               int
}

// load sends requests at a fixed rate, whatever becomes of them, from at most so many connections.
type load struct {
	kinds   []kind
	address func() string // where a request goes, "" if nowhere
	scheme  string
	client  *http.Client

	count    atomic.Int64
	unsent   atomic.Int64 // all senders were waiting for answers
	mu       sync.Mutex
	outcomes map[string]int // by what a client saw
	odd      map[string]int // by kind and outcome: what it should not have been while nothing was broken
	took     []time.Duration
	faulty   time.Time // until then something is broken
	wrong    int       // accepted what must be refused

	stopping sync.Once
	stopped  chan struct{}
	all      sync.WaitGroup
}

const senders = 128

// startLoad starts to send so many requests a second.
func startLoad(rate int, address func() string, kinds ...kind) *load {
	return startLoadBy(&http.Client{Timeout: 3 * time.Second, Transport: &http.Transport{MaxIdleConnsPerHost: senders}}, "http", rate, address, kinds...)
}

func startLoadBy(client *http.Client, scheme string, rate int, address func() string, kinds ...kind) *load {
	l := &load{kinds: kinds, address: address, scheme: scheme, client: client, outcomes: map[string]int{}, odd: map[string]int{}, stopped: make(chan struct{})}
	l.pace(rate)
	return l
}

func (l *load) pace(rate int) {
	tokens := make(chan int64, senders)
	for range senders {
		l.all.Go(func() {
			for n := range tokens {
				l.one(l.kinds[n%int64(len(l.kinds))], n)
			}
		})
	}
	l.all.Go(func() {
		defer close(tokens)
		started, sent := time.Now(), int64(0)
		ticker := time.NewTicker(2 * time.Millisecond)
		defer ticker.Stop()
		for {
			select {
			case <-l.stopped:
				return
			case <-ticker.C:
			}
			for ; sent < int64(time.Since(started).Seconds()*float64(rate)); sent++ {
				select {
				case tokens <- sent:
				default:
					l.unsent.Add(1)
				}
			}
		}
	})
}

// stopOnce is stop, for whoever comes first.
func (l *load) stopOnce() { l.stopping.Do(l.stop) }

// stop returns when every request has had its end.
func (l *load) stop() {
	close(l.stopped)
	l.all.Wait()
	l.client.CloseIdleConnections()
}

// broken says that something is, from now until so long from now: what is seen then is counted, and no loss of envgate's.
func (l *load) broken(d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(d); until.After(l.faulty) {
		l.faulty = until
	}
}

// whole says that nothing is broken any more.
func (l *load) whole() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.faulty = time.Now()
}

// healthy tells whether there were answers since they were last forgotten, and all as they should be without a fault.
func (l *load) healthy() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	good := l.outcomes["200"] + l.outcomes["401"]
	all := 0
	for _, n := range l.outcomes {
		all += n
	}
	return l.outcomes["200"] > 0 && good == all
}

func (l *load) forgetTimes() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.took = l.took[:0]
}

func (l *load) one(k kind, n int64) {
	address := l.address()
	if address == "" {
		l.unsent.Add(1)
		return
	}
	var body io.Reader
	if k.method == http.MethodPost { // which nobody retries
		body = strings.NewReader(`{"a":"b"}`)
	}
	r, _ := http.NewRequestWithContext(context.Background(), k.method, l.scheme+"://"+address+k.path, body)
	if k.method == http.MethodPost {
		r.Header.Set("X-Id", fmt.Sprint(n))
	}
	if k.token != nil {
		r.Header.Set("Authorization", "Bearer "+k.token())
	}
	l.mu.Lock()
	faulty := time.Now().Before(l.faulty)
	l.mu.Unlock()
	started := time.Now()
	outcome := l.send(r)
	l.count.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.outcomes[outcome]++
	if len(l.took) < 1<<20 {
		l.took = append(l.took, time.Since(started))
	}
	if outcome == fmt.Sprint(k.want) {
		return
	}
	if outcome == "200" {
		l.wrong++
	}
	if !faulty && !time.Now().Before(l.faulty) {
		l.odd[k.name+" "+outcome]++
	}
}

// ask sends one request with a token beside the load, and returns its status; 0 without an answer.
func (l *load) ask(path, token string) int {
	r, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, l.scheme+"://"+l.address()+path, nil)
	r.Header.Set("Authorization", "Bearer "+token)
	n, _ := strconv.Atoi(l.send(r))
	return n
}

// send returns the status, or what came instead of an answer.
func (l *load) send(r *http.Request) string {
	res, err := l.client.Do(r)
	if err == nil {
		_, err = io.Copy(io.Discard, res.Body)
		_ = res.Body.Close()
		if err == nil {
			return fmt.Sprint(res.StatusCode)
		}
		if !timedOut(err) {
			return "cut off"
		}
	}
	switch {
	case errors.Is(err, syscall.ECONNREFUSED):
		return "not connected"
	case timedOut(err):
		return "no answer in 3 s"
	case strings.Contains(err.Error(), "tls: ") || strings.Contains(err.Error(), "x509: "):
		return "certificate refused"
	}
	return "connection lost"
}

func timedOut(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}

// seen words what clients saw so far, the commonest first, and forgets it.
func (l *load) seen() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	names := slices.SortedFunc(maps.Keys(l.outcomes), func(a, b string) int { return l.outcomes[b] - l.outcomes[a] })
	for i, name := range names {
		names[i] = fmt.Sprintf("%d × %s", l.outcomes[name], name)
	}
	clear(l.outcomes)
	if len(names) == 0 {
		return "nothing"
	}
	return strings.Join(names, ", ")
}

// quantile of the times to an answer so far.
func (l *load) quantile(q float64) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.took) == 0 {
		return 0
	}
	took := slices.Sorted(slices.Values(l.took))
	return took[min(len(took)-1, int(q*float64(len(took))))].Round(100 * time.Microsecond)
}

// losses words what should not have been while nothing was broken; "" if all was well.
func (l *load) losses() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	var list []string
	for _, name := range slices.Sorted(maps.Keys(l.odd)) {
		list = append(list, fmt.Sprintf("%d × %s", l.odd[name], name))
	}
	if l.wrong > 0 {
		list = append(list, fmt.Sprintf("%d wrongly accepted", l.wrong))
	}
	return strings.Join(list, ", ")
}
