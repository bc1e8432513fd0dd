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
	idle   []float64 // MB resident a second later
}

// shipped starts envgate several times.
func (b *bench) shipped(ctx context.Context, starts int) (s shipped, err error) {
	info, err := os.Stat(filepath.Join(b.folder, "envgate"))
	if err != nil {
		return s, err
	}
	s.binary = info.Size()
	for range starts {
		took, idle, err := b.startToReady(ctx)
		if err != nil {
			return s, err
		}
		s.ready, s.idle = append(s.ready, milliseconds(took)), append(s.idle, megabytes(idle.rss))
	}
	return s, nil
}

func (b *bench) startToReady(ctx context.Context) (took time.Duration, idle memory, err error) {
	folder, port, err := b.place(ctx, "start")
	if err != nil {
		return 0, idle, err
	}
	admin, err := freePort(ctx)
	if err != nil {
		return 0, idle, err
	}
	command, environ, err := envgate(setup{folder: folder, port: port, admin: admin, upstream: b.base, keys: b.material["HS256"].keys, built: b.folder})
	if err != nil {
		return 0, idle, err
	}
	began := time.Now()
	p, err := pinned(ctx, b.proxyCore, folder, environ, command...)
	if err != nil {
		return 0, idle, err
	}
	defer p.stop()
	for url := fmt.Sprintf("http://127.0.0.1:%d/readyz", admin); ; time.Sleep(200 * time.Microsecond) {
		status, _, err := answer(ctx, url, "")
		took = time.Since(began)
		switch {
		case err == nil && status == http.StatusOK:
			time.Sleep(time.Second)
			idle, err = p.memory()
			return took, idle, err
		case took > 10*time.Second:
			return 0, idle, p.failure(fmt.Errorf("it is not ready after %s", took))
		}
	}
}
