//go:build unix

package authz

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"envgate/authz/attacktest"
)

// A pipe, which would hold up the start for good, is refused wherever a file is named.
func TestPipesAreRefused(t *testing.T) {
	pipe := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(pipe, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name     string
		settings []string
		want     string
	}{
		{"the secret's file", []string{"JWT_SECRET_KEY=", "JWT_SECRET_KEY_FILE=" + pipe}, "JWT_SECRET_KEY_FILE: "},
		{"the policy", []string{"ENVGATE_POLICY=" + pipe}, "ENVGATE_POLICY (--policy): "},
		{"the deny-list", []string{"ENVGATE_DENY_LIST=" + pipe}, "ENVGATE_DENY_LIST (--deny-list): "},
		{"the public key", []string{"JWT_SECRET_KEY=", "JWT_ALGORITHM=RS256", "JWT_PUBLIC_KEY_PATH=" + pipe}, "JWT_PUBLIC_KEY_PATH: "},
	} {
		_, err := Parse(Source{Environ: append(attacktest.Environ(), row.settings...)})
		if err == nil || !strings.HasPrefix(err.Error(), row.want) || !strings.HasSuffix(err.Error(), ": not a regular file") {
			t.Errorf("%s: got %v", row.name, err)
		}
	}
}
