package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"envgate/deploy/bench/tokens"
)

// bench is everything that a measurement needs: programs, files, and an upstream that runs.
type bench struct {
	folder    string // for all files; removed at the end
	root      string // of the module
	envoy     string
	proxyCore int
	loadCore  int
	run, warm time.Duration
	progress  io.Writer
	busy      string // load average before

	upstream *process
	base     string // of the upstream, on a port
	socket   string // and on a socket
	material map[string]material
}

// build compiles envgate as it is shipped, and the bare proxy in the same way.
func (b *bench) build(ctx context.Context) error {
	for _, program := range [][2]string{{"envgate", "."}, {"bare", "./deploy/bench/bare"}, {"bench", "./deploy/bench"}} {
		cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", filepath.Join(b.folder, program[0]), program[1])
		cmd.Dir, cmd.Env = b.root, append(os.Environ(), "CGO_ENABLED=0")
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("go build %s: %w: %s", program[1], err, out)
		}
	}
	return nil
}

// start makes the tokens and starts the upstream.
func (b *bench) start(ctx context.Context, list []scenario) (err error) {
	files := map[string]bool{}
	for _, s := range list {
		files[s.algorithm] = files[s.algorithm] || s.tokens == fresh || s.tokens == forged
	}
	rsa, err := tokens.NewRSA(b.folder)
	if err != nil {
		return err
	}
	b.material = map[string]material{}
	for _, keys := range []tokens.Keys{{Algorithm: "HS256"}, rsa} {
		if b.material[keys.Algorithm], err = newMaterial(b.folder, keys, b.run, b.warm, files[keys.Algorithm]); err != nil {
			return err
		}
	}
	if err := os.WriteFile(filepath.Join(b.folder, "load.lua"), []byte(loadScript), 0o600); err != nil {
		return err
	}
	folder, port, err := b.place(ctx, "upstream")
	if err != nil {
		return err
	}
	b.base, b.socket = fmt.Sprintf("http://127.0.0.1:%d", port), filepath.Join(folder, "socket")
	command, err := upstream(folder, port, b.socket)
	if err != nil {
		return err
	}
	if b.upstream, err = pinned(ctx, b.loadCore, folder, nil, command...); err != nil {
		return err
	}
	return b.upstream.answers(ctx, b.base)
}

// place is a new folder and a free port for a server.
func (b *bench) place(ctx context.Context, name string) (folder string, port int, err error) {
	folder, err = os.MkdirTemp(b.folder, strings.Fields(name)[0])
	if err != nil {
		return "", 0, err
	}
	port, err = freePort(ctx)
	return folder, port, err
}

// freePort asks the kernel for one; it stays free for a while, as the kernel hands them out in turn.
func freePort(ctx context.Context) (int, error) {
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return 0, err
	}
	defer listener.Close()
	return listener.Addr().(*net.TCPAddr).Port, nil
}

// proxy starts a peer before an upstream and returns when it answers.
func (b *bench) proxy(ctx context.Context, p peer, upstream string, keys tokens.Keys) (*process, setup, error) {
	folder, port, err := b.place(ctx, p.name)
	if err != nil {
		return nil, setup{}, err
	}
	s := setup{folder: folder, port: port, upstream: upstream, keys: keys, built: b.folder, envoy: b.envoy}
	if s.admin, err = freePort(ctx); err != nil {
		return nil, s, err
	}
	command, environ, err := p.command(s)
	if err != nil {
		return nil, s, err
	}
	started, err := pinned(ctx, b.proxyCore, folder, environ, command...)
	if err != nil {
		return nil, s, err
	}
	if err := started.answers(ctx, "http://"+s.listen()); err != nil {
		started.stop()
		return nil, s, err
	}
	return started, s, nil
}

// stop ends the upstream and removes all files.
func (b *bench) stop() {
	if b.upstream != nil {
		b.upstream.stop()
	}
	_ = os.RemoveAll(b.folder)
}
