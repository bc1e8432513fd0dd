//go:build cluster

package cluster

import (
	"os"
	"testing"
)

// kubeconfig is that of the API server to try things on, as somebody who may do anything there. Never one that matters:
// the tests create and delete what belongs to the whole cluster.
func kubeconfig(t *testing.T) string {
	t.Helper()
	path := os.Getenv("ENVGATE_TEST_KUBECONFIG")
	if path == "" {
		t.Fatal("ENVGATE_TEST_KUBECONFIG: missing: want the kubeconfig of an API server made for these tests")
	}
	return path
}

// kubectl gives standard output, and standard error behind it.
func kubectl(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	return program(t, stdin, "kubectl", append([]string{"--kubeconfig", kubeconfig(t)}, args...)...)
}

// mustKubectl gives standard output alone.
func mustKubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, problems, err := execute(t, stdin, "kubectl", append([]string{"--kubeconfig", kubeconfig(t)}, args...)...)
	if err != nil {
		t.Fatalf("kubectl %v: %v: %s", args, err, problems)
	}
	return out
}
