package main

import (
	"fmt"

	"envgate/deploy/bench/tokens"
)

// haproxy verifies with jwt_verify, and demands what envgate demands: algorithm, signature, issuer, audience, a lifetime that
// isn't over, and no other environment.
func haproxy(s setup) ([]string, []string, error) {
	key := tokens.Secret
	if s.keys.PublicPath != "" {
		key = s.keys.PublicPath
	}
	server := s.host()
	if s.unix() {
		server = "unix@" + s.socket()
	}
	path, err := s.file("haproxy.cfg", fmt.Sprintf(`global
	nbthread 1
	maxconn 2048

defaults
	mode http
	timeout connect 5s
	timeout client 60s
	timeout server 60s

frontend traffic
	bind 127.0.0.1:%[1]d backlog 4096
	http-request set-var(txn.token) http_auth_bearer
	http-request deny deny_status 401 unless { var(txn.token) -m found }
	http-request deny deny_status 401 unless { var(txn.token),jwt_header_query('$.alg') -m str %[2]s }
	http-request deny deny_status 401 unless { var(txn.token),jwt_verify(%[2]q,%[3]q) -m int 1 }
	http-request deny deny_status 401 unless { var(txn.token),jwt_payload_query('$.iss') -m str %[4]s }
	http-request deny deny_status 401 unless { var(txn.token),jwt_payload_query('$.aud') -m str %[5]s }
	http-request set-var(txn.exp) var(txn.token),jwt_payload_query('$.exp','int')
	http-request set-var(txn.now) date()
	http-request deny deny_status 401 unless { var(txn.exp) -m found }
	http-request deny deny_status 401 if { var(txn.exp),sub(txn.now) -m int le 0 }
	http-request set-var(txn.env) var(txn.token),jwt_payload_query('$.env')
	http-request deny deny_status 401 if { var(txn.env) -m found } !{ var(txn.env) -m str %[6]s }
	default_backend gateway

backend gateway
	http-reuse always
	server gateway %[7]s
`, s.port, s.keys.Algorithm, key, tokens.Issuer, tokens.Audience, tokens.Environment, server))
	return []string{"haproxy", "-db", "-f", path}, nil, err
}
