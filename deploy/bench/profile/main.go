// Profile renews default.pgo, by which the compiler optimises the binary: it runs a sidecar in this process under load from
// another one, which also is the upstream, and writes where the time went.
//
//	go run ./deploy/bench/profile default.pgo
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime/pprof"
	"strings"
	"sync"
	"time"

	"envgate/authz"
	"envgate/deploy/bench/tokens"
	"envgate/metrics"
	"envgate/proxy"
)

const seconds = 20

var keys = tokens.Keys{Algorithm: "HS256"}

func main() {
	var err error
	switch args := os.Args[1:]; {
	case len(args) == 1 && args[0] == "load":
		err = load()
	case len(args) == 1:
		err = profile(args[0])
	default:
		err = fmt.Errorf("%q: want the file to write, default.pgo", args)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "profile:", err)
		os.Exit(1)
	}
}

// profile runs the sidecar, and the load as a child, and writes the profile to a file.
func profile(file string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	child := exec.CommandContext(context.Background(), self, "load")
	child.Stderr = os.Stderr
	in, err := child.StdinPipe()
	if err != nil {
		return err
	}
	out, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	var upstream string
	if _, err := fmt.Fscanln(out, &upstream); err != nil {
		return err
	}
	c, err := authz.Parse(authz.Source{Environ: append(keys.Environ(),
		"ENVGATE_UPSTREAM="+upstream, "ENVGATE_LISTEN=127.0.0.1:0", "ENVGATE_ADMIN_LISTEN=127.0.0.1:0", "ENVGATE_KEY_FINGERPRINT=false",
	)})
	if err != nil {
		return err
	}
	server := proxy.NewServer(c, metrics.Build{}, slog.New(slog.DiscardHandler))
	if err := server.Start(); err != nil {
		return err
	}
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	if err := pprof.StartCPUProfile(f); err != nil {
		return err
	}
	address, _ := server.Addresses()
	if _, err := fmt.Fprintln(in, "http://"+address); err != nil {
		return err
	}
	err = child.Wait()
	pprof.StopCPUProfile()
	server.Stop()
	return errors.Join(err, f.Close())
}

// load is the upstream, and the clients: seen tokens, new ones, forged ones and none, as a production sees them.
func load() error {
	listener, err := (&net.ListenConfig{}).Listen(context.Background(), "tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	upstream := &http.Server{ReadHeaderTimeout: time.Minute, Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, strings.Repeat(`{"name":"tool"}`, 14))
	})}
	go func() { _ = upstream.Serve(listener) }()
	if _, err := fmt.Fprintln(os.Stdout, "http://"+listener.Addr().String()); err != nil {
		return err
	}
	var sidecar string
	if _, err := fmt.Fscanln(os.Stdin, &sidecar); err != nil {
		return err
	}
	mint, err := keys.Minter(tokens.Environment)
	if err != nil {
		return err
	}
	var known []string
	for range 64 {
		token, err := mint()
		if err != nil {
			return err
		}
		known = append(known, token)
	}
	end := time.Now().Add(seconds * time.Second)
	var clients sync.WaitGroup
	for n := range 16 {
		clients.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
			for i := n; time.Now().Before(end); i++ {
				request, _ := http.NewRequestWithContext(context.Background(), http.MethodGet, sidecar+"/servers/1/tools?limit=10", nil)
				token := known[i%len(known)]
				switch {
				case i%16 == 0: // forged
					token = tokens.Forged(token)
				case i%4 == 0: // new
					token, _ = mint()
				}
				if i%32 != 1 {
					request.Header.Set("Authorization", "Bearer "+token)
				}
				if response, err := client.Do(request); err == nil {
					_, _ = io.Copy(io.Discard, response.Body)
					_ = response.Body.Close()
				}
			}
		})
	}
	clients.Wait()
	return nil
}
