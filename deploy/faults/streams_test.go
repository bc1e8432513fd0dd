//go:build faults

package faults

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/coder/websocket"
)

// How a stream ended.
const (
	endedCleanly = "ended cleanly" // SSE: the last chunk; WebSocket: 1001 or 1000
	endedByUs    = "ended by its client"
	brokenOff    = "broken off"
	neverOpened  = "never opened"
)

// streamer opens connections that last.
type streamer struct {
	address string
	token   func() string
	client  *http.Client // of streams: no timeout
}

func newStreamer(address string, token func() string) *streamer {
	return &streamer{address, token, &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}}
}

// events follows an event stream until it ends, or ctx does; each event makes a call.
func (s *streamer) events(ctx context.Context, event func()) string {
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.address+"/sse", nil)
	r.Header.Set("Authorization", "Bearer "+s.token())
	res, err := s.client.Do(r)
	if err != nil {
		return neverOpened
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return neverOpened
	}
	for in := bufio.NewReader(res.Body); ; {
		line, err := in.ReadString('\n')
		switch {
		case err == nil:
			if strings.HasPrefix(line, "data: ") {
				event()
			}
		case ctx.Err() != nil:
			return endedByUs
		case errors.Is(err, io.EOF):
			return endedCleanly
		default:
			return brokenOff
		}
	}
}

// messages sends a message every 50 ms over a WebSocket and wants it back, until it ends, or ctx does.
func (s *streamer) messages(ctx context.Context, message func()) string {
	opening, cancel := context.WithTimeout(ctx, 3*time.Second)
	c, _, err := websocket.Dial(opening, "ws://"+s.address+"/ws", &websocket.DialOptions{HTTPHeader: http.Header{"Authorization": {"Bearer " + s.token()}}})
	cancel()
	if err != nil {
		return neverOpened
	}
	defer c.CloseNow()
	for {
		_ = c.Write(ctx, websocket.MessageText, []byte("x"))
		_, _, err := c.Read(ctx) // how it ended is read, not written
		switch status := websocket.CloseStatus(err); {
		case err == nil:
			message()
			select {
			case <-ctx.Done():
			case <-time.After(50 * time.Millisecond):
			}
		case ctx.Err() != nil:
			return endedByUs
		case status == websocket.StatusGoingAway || status == websocket.StatusNormalClosure:
			return endedCleanly
		default:
			return brokenOff
		}
	}
}
