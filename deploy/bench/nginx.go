package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// nginxHead is common to the floor and to the upstream: one process, one thread, no logs of requests.
const nginxHead = `daemon off;
master_process off;
pid nginx.pid;
error_log stderr error;
worker_rlimit_nofile 8192;
events { worker_connections 4096; }
http {
	access_log off;
	default_type application/json;
	keepalive_requests 1000000000;
	keepalive_timeout 300s;
	client_max_body_size 0;
	client_body_temp_path body;
	proxy_temp_path proxy;
	fastcgi_temp_path fastcgi;
	uwsgi_temp_path uwsgi;
	scgi_temp_path scgi;
`

// nginx is the floor: a proxy without any check. Bodies are streamed, as the others do.
func nginx(s setup) ([]string, []string, error) {
	server := s.host()
	if s.unix() {
		server = "unix:" + s.socket()
	}
	_, err := s.file("nginx.conf", nginxHead+fmt.Sprintf(`
	upstream gateway { server %s; keepalive 512; keepalive_requests 1000000000; }
	server {
		listen 127.0.0.1:%d backlog=4096;
		location / {
			proxy_pass http://gateway;
			proxy_http_version 1.1;
			proxy_set_header Connection "";
			proxy_request_buffering off;
			proxy_max_temp_file_size 0;
		}
	}
}
`, server, s.port))
	return []string{"nginx", "-p", s.folder, "-c", "nginx.conf"}, nil, err
}

// Sizes of what the upstream answers, and of the body that is sent to it.
const (
	smallBody = 1 << 10
	largeBody = 10 << 20
)

// upstream is nginx, too, on a port and a socket: / answers 1 KiB, /large sends 10 MiB, /sink reads a body to its end.
func upstream(folder string, port int, socket string) ([]string, error) {
	if err := os.WriteFile(filepath.Join(folder, "large"), make([]byte, largeBody), 0o600); err != nil {
		return nil, err
	}
	answer := `{"tools":["` + strings.Repeat("t", smallBody-len(`{"tools":[""]}`)) + `"]}`
	text := nginxHead + fmt.Sprintf(`
	sendfile on;
	upstream done { server unix:%[2]s.done; keepalive 512; keepalive_requests 1000000000; }
	server { listen unix:%[2]s.done; return 200 '{}'; }
	server {
		listen 127.0.0.1:%[1]d backlog=4096;
		listen unix:%[2]s backlog=4096;
		location / { return 200 '%[3]s'; }
		location = /large { root %[4]s; }
		location = /sink { # a plain return would answer before the body is read
			client_body_buffer_size 11m;
			proxy_pass http://done;
			proxy_http_version 1.1;
			proxy_method GET;
			proxy_pass_request_body off;
			proxy_set_header Connection "";
			proxy_set_header Content-Length "";
			proxy_set_header Authorization "";
		}
	}
}
`, port, socket, answer, folder)
	return []string{"nginx", "-p", folder, "-c", "nginx.conf"}, os.WriteFile(filepath.Join(folder, "nginx.conf"), []byte(text), 0o600)
}
