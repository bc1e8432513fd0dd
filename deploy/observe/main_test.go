//go:build observe

// Package observe asks a real Prometheus, which scrapes real sidecars under mixed traffic, every query of every panel and
// rule that is shipped, and sees an alert through a real Alertmanager.
//
//	go test -tags observe ./deploy/observe/ -v
//
// It needs Debian's packages prometheus and prometheus-alertmanager, and the module of Grafana's schema in schema/. With
// -update it writes what every panel shows into docs/dashboards.md.
package observe

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

var update = flag.Bool("update", false, "write what the panels show into docs/dashboards.md")

// warmUp is for how long traffic flows before anything is asked.
const warmUp = time.Minute

// seen is what all tests ask.
var seen *stack

func TestMain(m *testing.M) { os.Exit(run(m)) }

func run(m *testing.M) int {
	flag.Parse()
	work, err := os.MkdirTemp("", "envgate-observe-")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	defer os.RemoveAll(work)
	seen = &stack{work: work}
	defer seen.stop()
	if err := seen.start(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

// stack is everything that runs.
type stack struct {
	work       string
	secret     string
	sidecars   map[string]*sidecar // by environment
	prometheus string              // its URL
	alerts     chan notification   // what Alertmanager sent
	stops      []func()
}

func (s *stack) start() error {
	binary := filepath.Join(s.work, "envgate")
	if out, err := exec.Command("go", "build", "-p", "2", "-trimpath", "-ldflags", "-X main.version=1.2.3", "-o", binary, "envgate").CombinedOutput(); err != nil {
		return fmt.Errorf("building envgate failed: %w\n%s", err, out)
	}
	if err := s.startSidecars(binary); err != nil {
		return err
	}
	cluster, webhook := s.serve(kubeState()), s.serve(webhookMetrics())
	alertmanager, err := s.startAlertmanager()
	if err != nil {
		return err
	}
	if err := s.startPrometheus(cluster, webhook, alertmanager); err != nil {
		return err
	}
	if err := s.scraped(); err != nil {
		return err
	}
	if err := s.foreground(); err != nil {
		return fmt.Errorf("traffic: %w", err)
	}
	return nil
}

func (s *stack) stop() {
	for i := len(s.stops) - 1; i >= 0; i-- {
		s.stops[i]()
	}
}

// launch starts a program that ends with the tests. Its output goes to a file, whose end is in the error.
func (s *stack) launch(name string, environ []string, program string, args ...string) (logFile string, err error) {
	path, err := exec.LookPath(program)
	if err != nil {
		return "", errors.Join(err, errors.New("install Debian's prometheus and prometheus-alertmanager"))
	}
	logFile = filepath.Join(s.work, name+".log")
	log, err := os.Create(logFile)
	if err != nil {
		return "", err
	}
	c := exec.Command(path, args...)
	c.Env, c.Stdout, c.Stderr, c.Dir, c.SysProcAttr = environ, log, log, s.work, endsWithUs
	if err := c.Start(); err != nil {
		return "", err
	}
	s.stops = append(s.stops, func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		log.Close()
	})
	return logFile, nil
}
