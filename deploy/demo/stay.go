package demo

import (
	"context"
	"os"
	"path/filepath"
)

// stay prints how to go on by hand, and waits for the end. The tokens are in files, to stay out of the shell history.
func (d *demo) stay(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "envgate-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	d.printf("\nStill running; Ctrl-C ends it and removes the token files.\n")
	d.printf("  %-11s %s\n", "gateway", d.gateway)
	for _, name := range environments {
		d.printf("  %-11s %s  admin %s\n", name, d.sidecars[name].traffic, d.sidecars[name].admin)
	}
	for _, name := range environments {
		file := filepath.Join(dir, name+".jwt")
		if err := os.WriteFile(file, []byte(d.tokens[name]+"\n"), 0o600); err != nil {
			return err
		}
		d.printf("\n# a %s token: at staging, at production, and at the gateway without a sidecar\n", name)
		for _, url := range []string{d.sidecars["staging"].traffic, d.sidecars["production"].traffic, d.gateway} {
			d.printf("curl -i -H \"Authorization: Bearer $(cat %s)\" %s/tools\n", file, url)
		}
	}
	d.printf("\n# no token; metrics; the status page\n")
	d.printf("curl -i %s/tools\n", d.sidecars["production"].traffic)
	d.printf("curl -s %s/metrics | grep ^envgate_decisions\n", d.sidecars["production"].admin)
	d.printf("curl -s %s/\n", d.sidecars["production"].admin)
	<-ctx.Done()
	return nil
}
