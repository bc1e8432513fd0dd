//go:build cluster

package cluster

import "testing"

func kubectlArgs(args []string) []string {
	return append([]string{"kubectl", "--kubeconfig", kubeconfig}, args...)
}

// kubectl gives standard output, and standard error behind it.
func kubectl(t *testing.T, stdin string, args ...string) (string, error) {
	t.Helper()
	return program(t, stdin, apiserver, kubectlArgs(args)...)
}

// mustKubectl gives standard output alone.
func mustKubectl(t *testing.T, stdin string, args ...string) string {
	t.Helper()
	out, problems, err := execute(t, stdin, apiserver, kubectlArgs(args)...)
	if err != nil {
		t.Fatalf("kubectl %v: %v: %s", args, err, problems)
	}
	return out
}
