package main

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"time"

	"envgate/deploy/bench/tokens"
)

// check sends one request of each kind before a proxy is measured: what it is fast at must be the right thing.
func (m material) check(ctx context.Context, p peer, base string) error {
	for _, row := range []struct {
		what, token string
		refused     bool
	}{
		{"a good token", m.good, false},
		{"a token of another environment", m.foreign, true},
		{"an expired token", m.expired, true},
		{"a token of another issuer", m.issuer, true},
		{"a token for another audience", m.other, true},
		{"a forged token", tokens.Forged(m.good), true},
		{"no token", "", true},
	} {
		status, body, err := answer(ctx, base+"/tools", row.token)
		if err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
		refused := status == http.StatusUnauthorized || status == http.StatusForbidden
		switch expected := row.refused && p.guard; {
		case refused != expected, !refused && status != http.StatusOK:
			return fmt.Errorf("%s answers %s with %d: it must not be measured like this", p.name, row.what, status)
		case !refused && len(body) != smallBody:
			return fmt.Errorf("%s answers %s with %d bytes: want the upstream's %d", p.name, row.what, len(body), smallBody)
		}
	}
	return nil
}

func answer(ctx context.Context, url, token string) (status int, body []byte, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, nil, err
	}
	request.Close = true
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	response, err := client.Do(request)
	if err != nil {
		return 0, nil, err
	}
	defer response.Body.Close()
	body, err = io.ReadAll(response.Body)
	return response.StatusCode, body, err
}

// client asks servers on loopback, past any HTTP_PROXY.
var client = &http.Client{Transport: &http.Transport{Proxy: nil}, Timeout: 10 * time.Second}

// answers waits until a server that was started gives any answer, or has ended.
func (p *process) answers(ctx context.Context, url string) error {
	for end := time.Now().Add(10 * time.Second); ; {
		if _, _, err := answer(ctx, url, ""); err == nil {
			return nil
		} else if time.Now().After(end) {
			return p.failure(err)
		}
		select {
		case <-p.ended:
			return p.failure(fmt.Errorf("it ended by itself"))
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(5 * time.Millisecond):
		}
	}
}
