//go:build observe

package observe

import (
	"encoding/json"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// notification is what Alertmanager sends to a webhook (its documentation, webhook_config), as far as it is looked at.
type notification struct {
	Version, Status string
	Alerts          []struct {
		Status              string
		Labels, Annotations map[string]string
	}
}

// startAlertmanager starts one that sends everything to the tests, and gives its address.
func (s *stack) startAlertmanager() (string, error) {
	s.alerts = make(chan notification, 100)
	receiver := s.serve(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		var n notification
		if json.NewDecoder(r.Body).Decode(&n) == nil {
			select {
			case s.alerts <- n:
			default:
			}
		}
	}))
	config := "route: {receiver: tests, group_by: [alertname], group_wait: 1s, group_interval: 2s, repeat_interval: 1h}\n" +
		"receivers: [{name: tests, webhook_configs: [{url: 'http://" + receiver + "'}]}]\n"
	file := filepath.Join(s.work, "alertmanager.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return "", err
	}
	address, err := freeAddress()
	if err != nil {
		return "", err
	}
	log, err := s.launch("alertmanager", nil, "prometheus-alertmanager", "--config.file="+file, "--storage.path="+filepath.Join(s.work, "alertmanager"),
		"--web.listen-address="+address, "--cluster.listen-address=")
	if err != nil {
		return "", err
	}
	return address, waitFor("http://"+address+"/-/ready", log)
}

// The token of staging that came to production's door ends as a message with all that a person needs.
func TestAnAlertArrives(t *testing.T) {
	for deadline := time.After(30 * time.Second); ; {
		select {
		case n := <-seen.alerts:
			for _, a := range n.Alerts {
				if a.Labels["alertname"] != "EnvgateCrossEnvironmentTokens" || a.Labels["token_environment"] != "staging" {
					continue
				}
				for label, want := range map[string]string{"server_environment": "production", "namespace": "gateway-production", "cluster": "eu-1", "severity": "ticket"} {
					if a.Labels[label] != want {
						t.Errorf("%s is %q, want %q", label, a.Labels[label], want)
					}
				}
				for annotation, want := range map[string]string{
					"summary": "Tokens of staging were refused in production", "runbook_url": "docs/runbook.md#envgatecrossenvironmenttokens",
				} {
					if a.Annotations[annotation] != want {
						t.Errorf("%s is %q, want %q", annotation, a.Annotations[annotation], want)
					}
				}
				if n.Version != "4" || a.Status != "firing" {
					t.Errorf("version %s, status %s", n.Version, a.Status)
				}
				t.Logf("%s: %s", a.Annotations["summary"], a.Annotations["description"])
				return
			}
		case <-deadline:
			t.Fatal("no alert arrived")
		}
	}
}
