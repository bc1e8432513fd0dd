// Bare is what envgate is measured against: httputil.ReverseProxy as it comes, with no check.
//
//	bare LISTEN UPSTREAM [IDLE]
//
// LISTEN is host:port; UPSTREAM is http://host:port or unix:///path. IDLE, if given, is how many idle connections to the
// upstream are kept instead of net/http's two.
package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/http/httputil"
	"net/url"
	"os"
	"strconv"
	"time"
)

func main() {
	if err := serve(os.Args[1:]); err != nil {
		fmt.Fprintln(os.Stderr, "bare:", err)
		os.Exit(1)
	}
}

func serve(args []string) error {
	if len(args) != 2 && len(args) != 3 {
		return fmt.Errorf("%d arguments: want LISTEN UPSTREAM [IDLE]", len(args))
	}
	upstream, err := url.Parse(args[1])
	if err != nil {
		return err
	}
	path := upstream.Path
	if upstream.Scheme == "unix" {
		upstream = &url.URL{Scheme: "http", Host: "unix"}
	} else {
		path = ""
	}
	proxy := httputil.NewSingleHostReverseProxy(upstream)
	if path != "" || len(args) == 3 { // else the default transport
		transport := http.DefaultTransport.(*http.Transport).Clone() //nolint:forbidigo // its defaults are what is measured
		if path != "" {
			transport.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
				return (&net.Dialer{}).DialContext(ctx, "unix", path)
			}
		}
		if len(args) == 3 {
			if transport.MaxIdleConnsPerHost, err = strconv.Atoi(args[2]); err != nil {
				return err
			}
			transport.MaxIdleConns = 0 // no other bound
		}
		proxy.Transport = transport
	}
	server := &http.Server{Addr: args[0], Handler: proxy, ReadHeaderTimeout: time.Minute}
	return server.ListenAndServe()
}
