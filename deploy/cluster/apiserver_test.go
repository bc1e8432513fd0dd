//go:build cluster

package cluster

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// builtServer is the API server's binary, built into the cache where it isn't there yet. Its name holds what it was built
// from, so that no run takes an older one for its own.
func builtServer() (string, error) {
	if path := os.Getenv("ENVGATE_TEST_APISERVER"); path != "" {
		if _, err := os.Stat(path); err != nil {
			return "", fmt.Errorf("ENVGATE_TEST_APISERVER: %w: want a binary built from deploy/apiserver", err)
		}
		return filepath.Abs(path)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	sum := sha256.New()
	var version string
	for _, name := range []string{"go.sum", "main.go", "go.mod"} {
		text, err := os.ReadFile(filepath.Join("../apiserver", name))
		if err != nil {
			return "", err
		}
		sum.Write(text)
		if m := regexp.MustCompile(`k8s\.io/kubernetes v(\S+)`).FindSubmatch(text); m != nil {
			version = string(m[1])
		}
	}
	path := filepath.Join(cache, "envgate-apiserver", version, fmt.Sprintf("apiserver-%x", sum.Sum(nil)[:6]))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	numbers := strings.Split(version, ".")
	if len(numbers) != 3 {
		return "", fmt.Errorf("deploy/apiserver/go.mod names version %q of k8s.io/kubernetes: want three numbers", version)
	}
	const variable = "k8s.io/component-base/version.git"
	flags := fmt.Sprintf("-s -w -X %sVersion=v%s -X %sMajor=%s -X %sMinor=%s", variable, version, variable, numbers[0], variable, numbers[1])
	own := fmt.Sprintf("%s.%d", path, os.Getpid()) // others may be building it, too
	if err := command("../apiserver", "go", "build", "-trimpath", "-p", "2", "-ldflags", flags, "-o", own, "."); err != nil {
		return "", fmt.Errorf("building the API server: %w", err)
	}
	return path, os.Rename(own, path)
}

// runningServer is the one that kubeconfig names.
func runningServer() (s server, err error) {
	out, problems, err := output("", apiserver, kubectlArgs([]string{"config", "view", "--minify", "--flatten", "--raw", "-o", "json"})...)
	if err != nil {
		return s, fmt.Errorf("ENVGATE_TEST_KUBECONFIG: %w: %s", err, problems)
	}
	var config struct {
		Clusters []struct {
			Cluster struct {
				Server string
				CA     []byte `json:"certificate-authority-data"`
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &config); err != nil {
		return s, fmt.Errorf("ENVGATE_TEST_KUBECONFIG: %w", err)
	}
	if len(config.Clusters) != 1 || len(config.Clusters[0].Cluster.CA) == 0 {
		return s, fmt.Errorf("ENVGATE_TEST_KUBECONFIG: %s: want a current context whose cluster has a certificate authority", kubeconfig)
	}
	s = server{url: config.Clusters[0].Cluster.Server, ca: filepath.Join(work, "ca.crt")}
	return s, os.WriteFile(s.ca, config.Clusters[0].Cluster.CA, 0o600)
}
