//go:build realgateway

package realgateway

import (
	"bufio"
	"net/http"
	"strconv"
	"strings"
	"testing"
)

// sidecar is a running envgate.
type sidecar struct {
	*process
	url   string
	admin string
}

// startSidecar puts the built envgate before a gateway, as production: with the gateway's own settings, those it must
// not read included, and the given ones.
func startSidecar(t *testing.T, g *gateway, settings ...string) *sidecar {
	t.Helper()
	listen, admin := freeAddress(t), freeAddress(t)
	for admin == listen {
		admin = freeAddress(t)
	}
	env := append([]string{}, g.env...)
	env = append(env, "ENVGATE_ENVIRONMENT=production", "ENVGATE_ENVIRONMENT_RULE=enforce", "ENVGATE_UPSTREAM="+g.url,
		"ENVGATE_LISTEN="+listen, "ENVGATE_ADMIN_LISTEN="+admin, "ENVGATE_DRAIN_DELAY=0s", "ENVGATE_DRAIN_TIMEOUT=1s",
		"ENVGATE_LOG_LEVEL=debug", "ENVGATE_ACCESS_LOG=true")
	s := &sidecar{url: "http://" + listen, admin: "http://" + admin}
	s.process = start(t, s.admin+"/readyz", work, append(env, settings...), binary, "serve")
	return s
}

// series are the names, with their labels, of the counters that the tests look at.
const (
	foreignRefused  = `envgate_cross_environment_tokens_total{decision="refused",server_environment="production",token_environment="staging"}`
	foreignReported = `envgate_cross_environment_tokens_total{decision="reported",server_environment="production",token_environment="staging"}`
	foreignRemoved  = `envgate_cross_environment_tokens_total{decision="removed",server_environment="production",token_environment="staging"}`
)

func refused(reason string) string {
	return `envgate_decisions_total{decision="refused",reason="` + reason + `"}`
}

func removed(reason string) string {
	return `envgate_credentials_removed_total{reason="` + reason + `"}`
}

// metrics scrapes the sidecar. A series that isn't there is absent from the map, which is not the same as 0.
func (s *sidecar) metrics(t *testing.T) map[string]float64 {
	t.Helper()
	resp, err := http.Get(s.admin + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	values := map[string]float64{}
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		line := lines.Text()
		cut := strings.LastIndexByte(line, ' ')
		if cut < 0 || line[0] == '#' {
			continue
		}
		if value, err := strconv.ParseFloat(line[cut+1:], 64); err == nil {
			values[line[:cut]] = value
		}
	}
	return values
}

// counts runs do and tells if the series didn't grow by exactly one, or weren't there beforehand.
func (s *sidecar) counts(t *testing.T, do func(), series ...string) {
	t.Helper()
	before := s.metrics(t)
	do()
	after := s.metrics(t)
	for _, name := range series {
		old, known := before[name]
		if !known {
			t.Errorf("%s is not preset", name)
		}
		if after[name] != old+1 {
			t.Errorf("%s went from %v to %v, want one more", name, old, after[name])
		}
	}
}
