//go:build observe

package observe

import (
	"bufio"
	"context"
	"crypto/sha1"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"

	"envgate/authz"
)

// counts of the headline, which the dashboards must show: how many foreign tokens come to whose door, and of what kind.
const (
	stagingAtProduction = 12 // refused
	unknownAtProduction = 5  // refused, of an environment that isn't known: other
	cookiesAtProduction = 4  // removed: foreign cookies beside an accepted header
	productionAtStaging = 8  // reported: staging is in report mode
	hangups             = 3  // resets of the gateway
)

// foreground sends traffic for a minute: ordinary one every quarter of a second, the headline's in its first half. The
// ordinary one then goes on in the background, for rates to be there when they are asked for.
func (s *stack) foreground() error {
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.ordinary(ctx) }()
	s.stops = append(s.stops, cancel)
	if err := s.headline(); err != nil {
		return err
	}
	select {
	case err := <-ended:
		return err
	case <-time.After(warmUp / 2):
		return nil
	}
}

// headline sends what the dashboards' numbers are compared with, in half a minute.
func (s *stack) headline() error {
	production, staging := s.sidecars["production"], s.sidecars["staging"]
	now := time.Now()
	theirs, err1 := staging.token("staging", now)
	unknown, err2 := staging.token("qa-7", now)
	ours, err3 := production.token("production", now)
	if err := errors.Join(err1, err2, err3); err != nil {
		return err
	}
	for i := range 12 {
		for _, r := range []struct {
			to          *sidecar
			n           int
			path, token string
			cookie      string
			status      int
		}{
			{production, stagingAtProduction, "/tools", theirs, "", 401},
			{production, unknownAtProduction, "/tools", unknown, "", 401},
			{production, cookiesAtProduction, "/tools", ours, theirs, 200},
			{production, hangups, "/hangup", ours, "", 502},
			{staging, productionAtStaging, "/tools", ours, "", 200},
		} {
			if i >= r.n {
				continue
			}
			if err := r.to.send(r.path, r.token, r.cookie, r.status); err != nil {
				return err
			}
		}
		time.Sleep(warmUp / 24)
	}
	return nil
}

// ordinary is what goes on all day.
func (s *stack) ordinary(ctx context.Context) error {
	for _, to := range s.sidecars {
		if err := to.streams(ctx, s); err != nil {
			return err
		}
	}
	other, err := authz.Parse(authz.Source{Environ: []string{"JWT_SECRET_KEY=" + strings.Repeat("another", 6)}})
	if err != nil {
		return err
	}
	forger := &sidecar{config: other}
	for ; ctx.Err() == nil; time.Sleep(250 * time.Millisecond) {
		now := time.Now()
		for _, to := range s.sidecars {
			own, err := to.token(to.environment, now)
			if err != nil {
				return err
			}
			if err := errors.Join(to.send("/tools", own, "", 200), to.send("/health", "", "", 200)); err != nil {
				return err
			}
			if to.environment == "development" {
				continue // all is well there
			}
			refusal := 401
			if to.config.Mode == authz.ModeReport {
				refusal = 200
			}
			unbound, err1 := to.token("", now)
			expired, err2 := to.token(to.environment, now.Add(-2*time.Hour))
			forged, err3 := forger.token(to.environment, now)
			if err := errors.Join(err1, err2, err3, to.send("/tools", unbound, "", 200), to.send("/missing", own, "", 404), to.send("/tools", "", "", refusal),
				to.send("/tools", expired, "", refusal), to.send("/tools", forged, "", refusal), to.send("/health", "", expired, 200)); err != nil {
				return err
			}
		}
		s.impatient()
	}
	return nil
}

// impatient is a client that gives up before the gateway answers.
func (s *stack) impatient() {
	to := s.sidecars["production"]
	own, _ := to.token("production", time.Now())
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Millisecond)
	defer cancel()
	r, _ := http.NewRequestWithContext(ctx, http.MethodGet, to.url+"/slow", nil)
	r.Header.Set("Authorization", "Bearer "+own)
	if res, err := http.DefaultClient.Do(r); err == nil {
		res.Body.Close()
	}
}

// send sends a request with a token and a cookie, either may be empty, and wants a status.
func (s *sidecar) send(path, token, cookie string, status int) error {
	r, err := http.NewRequest(http.MethodGet, s.url+path, nil)
	if err != nil {
		return err
	}
	if token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	if cookie != "" {
		r.Header.Set("Cookie", "jwt_token="+cookie)
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	_, _ = io.Copy(io.Discard, res.Body)
	if res.StatusCode != status {
		return fmt.Errorf("%s: GET %s: %d, want %d", s.environment, path, res.StatusCode, status)
	}
	return nil
}

// streams opens two streams of each kind: one that stays, and one that ends at once.
func (s *sidecar) streams(ctx context.Context, all *stack) error {
	own, err := s.token(s.environment, time.Now())
	if err != nil {
		return err
	}
	for _, stays := range []bool{true, false} {
		r, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/sse", nil)
		r.Header.Set("Authorization", "Bearer "+own)
		res, err := http.DefaultClient.Do(r)
		if err != nil {
			return err
		}
		if _, err := bufio.NewReader(res.Body).ReadString('\n'); err != nil {
			return err
		}
		conn, err := net.Dial("tcp", strings.TrimPrefix(s.url, "http://"))
		if err != nil {
			return err
		}
		fmt.Fprintf(conn, "GET /ws HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer %s\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n", own)
		line, err := bufio.NewReader(conn).ReadString('\n')
		if err != nil || !strings.Contains(line, " 101 ") {
			return fmt.Errorf("%s: websocket: %q, %w", s.environment, line, err)
		}
		if stays {
			all.stops = append(all.stops, func() { conn.Close() })
			continue
		}
		res.Body.Close()
		conn.Close()
	}
	return nil
}

// acceptKey proves that the handshake was read as one (RFC 6455, section 4.2.2).
func acceptKey(key string) string {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
	return base64.StdEncoding.EncodeToString(sum[:])
}
