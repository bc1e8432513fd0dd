package main

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// shipped is what a container of envgate costs before any request.
type shipped struct {
	binary int64     // bytes, stripped
	ready  []float64 // milliseconds from the start of the process to the first 200 of /readyz, one per start
}

// shipped starts envgate several times.
func (b *bench) shipped(ctx context.Context, starts int) (s shipped, err error) {
	info, err := os.Stat(filepath.Join(b.folder, "envgate"))
	if err != nil {
		return s, err
	}
	s.binary = info.Size()
	for range starts {
		took, err := b.startToReady(ctx)
		if err != nil {
			return s, err
		}
		s.ready = append(s.ready, milliseconds(took))
	}
	return s, nil
}

func (b *bench) startToReady(ctx context.Context) (time.Duration, error) {
	folder, port, err := b.place(ctx, "start")
	if err != nil {
		return 0, err
	}
	admin, err := freePort(ctx)
	if err != nil {
		return 0, err
	}
	command, environ, err := envgate(setup{folder: folder, port: port, admin: admin, upstream: b.base, keys: b.material["HS256"].keys, built: b.folder})
	if err != nil {
		return 0, err
	}
	began := time.Now()
	p, err := pinned(ctx, b.proxyCore, folder, environ, command...)
	if err != nil {
		return 0, err
	}
	defer p.stop()
	for url := fmt.Sprintf("http://127.0.0.1:%d/readyz", admin); ; time.Sleep(200 * time.Microsecond) {
		status, _, err := answer(ctx, url, "")
		took := time.Since(began)
		switch {
		case err == nil && status == http.StatusOK:
			return took, nil
		case took > 10*time.Second:
			return 0, p.failure(fmt.Errorf("it is not ready after %s", took))
		}
	}
}
