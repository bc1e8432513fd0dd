package main

import (
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"envgate/deploy/bench/tokens"
)

// setup is what one start of a proxy gets.
type setup struct {
	folder   string // for its files
	port     int    // where it listens, on loopback
	admin    int    // and for its metrics, if it has them
	upstream string // http://127.0.0.1:port or unix:///path
	keys     tokens.Keys
	built    string // folder of the Go programs
	envoy    string // path of the binary
}

// host is the upstream's host:port, empty for a socket; socket is its path.
func (s setup) host() string   { return strings.TrimPrefix(s.upstream, "http://") }
func (s setup) socket() string { return strings.TrimPrefix(s.upstream, "unix://") }
func (s setup) unix() bool     { return strings.HasPrefix(s.upstream, "unix:") }

// file writes one of its files and returns the path.
func (s setup) file(name, text string) (string, error) {
	path := filepath.Join(s.folder, name)
	return path, os.WriteFile(path, []byte(text), 0o600)
}

// peer is one of the proxies that are measured side by side.
type peer struct {
	name    string
	guard   bool // it refuses; the others forward everything
	caches  bool // it remembers tokens
	variant bool // of the peer before it, measured where it makes a difference
	command func(setup) (command, environ []string, err error)
}

// The peers, in the order of tables. All ratios are to the first.
var peers = []peer{
	{"bare", false, false, false, func(s setup) ([]string, []string, error) { return s.bare() }},
	{"bare, pooled", false, false, true, func(s setup) ([]string, []string, error) { return s.bare("512") }},
	{"envgate", true, true, false, func(s setup) ([]string, []string, error) {
		// 0.15 s of CPU once after a start, on a thread of the lowest priority: no request's, though within a short run
		return envgate(s, "ENVGATE_KEY_FINGERPRINT=false")
	}},
	{"Envoy", true, false, false, func(s setup) ([]string, []string, error) { return envoy(s, "") }},
	{"Envoy, caching", true, true, true, func(s setup) ([]string, []string, error) { return envoy(s, "{ jwt_cache_size: 20000 }") }},
	{"HAProxy", true, false, false, haproxy},
	{"nginx", false, false, false, nginx},
}

// named finds one.
func named(name string) peer {
	return peers[slices.IndexFunc(peers, func(p peer) bool { return p.name == name })]
}

// in are the peers of a scenario.
func in(s scenario) (list []peer) {
	for _, p := range peers {
		if !p.variant || !s.refuses() && s.connections > 4 && !s.unix {
			list = append(list, p)
		}
	}
	return list
}

// bare has net/http's defaults, or keeps more idle connections to its upstream than two.
func (s setup) bare(idle ...string) ([]string, []string, error) {
	return append([]string{filepath.Join(s.built, "bare"), s.listen(), s.upstream}, idle...), nil, nil
}

func (s setup) listen() string { return "127.0.0.1:" + strconv.Itoa(s.port) }

// envgate has its defaults, the variables that every sidecar has, and more if given.
func envgate(s setup, more ...string) (command, environ []string, err error) {
	environ = append(more,
		"ENVGATE_UPSTREAM="+s.upstream, "ENVGATE_LISTEN="+s.listen(), "ENVGATE_ADMIN_LISTEN=127.0.0.1:"+strconv.Itoa(s.admin),
	)
	for _, variable := range s.keys.Environ() {
		if !strings.HasPrefix(variable, "JWT_PRIVATE_KEY_PATH=") { // which only the gateway has
			environ = append(environ, variable)
		}
	}
	return []string{filepath.Join(s.built, "envgate"), "serve"}, environ, nil
}
