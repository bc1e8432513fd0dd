package proxy

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"envgate/authz"
)

const operatorPassword = "web-config-password"

// hashes are bcrypt's, of cost 4.
var hashes = map[string]string{
	operatorPassword: "$2a$04$tdyHXjgtQrErkJvbUrik9eD.TKRMgB0f90haym.YpF4XgdydpdhrW",
	"first":          "$2a$04$ANwLOhtdeZEtKODxuEj7FeD44Ve4.aLysaA/5UPsG53eGlHQcGROy",
	"second":         "$2a$04$bFV.3BfbTZlxDaUfdnMAceS9JcqrB5BQTb8udUIdTYZ8A7z4X0hh.",
}

// users is the part of a web configuration that names one user.
func users(password string) string {
	return fmt.Sprintf("basic_auth_users: {operator: %q}\n", hashes[password])
}

// adminAs asks the admin listener, with a password where one is given, and gives the answer's status, or 0 and the error.
func (s *sidecar) adminAs(scheme, method, path, password string, settings *tls.Config) (int, string) {
	request, _ := http.NewRequest(method, scheme+"://"+s.admin+path, nil)
	if password != "" {
		request.SetBasicAuth("operator", password)
	}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: settings.Clone(), DisableKeepAlives: true}}
	res, err := client.Do(request)
	if err != nil {
		return 0, err.Error()
	}
	defer res.Body.Close()
	body, _ := io.ReadAll(res.Body)
	return res.StatusCode, string(body)
}

func TestTheAdminListenerUnderAWebConfiguration(t *testing.T) {
	own, folder := newAuthority(t), t.TempDir()
	own.pair(t, folder, &x509.Certificate{})
	trust := &tls.Config{RootCAs: own.pool()}
	start := func(name, text string) *sidecar {
		file := filepath.Join(folder, name)
		write(t, file, text)
		return startSidecar(t, "http://127.0.0.1:1", "ENVGATE_WEB_CONFIG_FILE="+file, `ENVGATE_PROBES={"gateway/liveness":{"tcpSocket":{"port":1}}}`)
	}
	const tlsOnly = "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n"
	both, secure := start("both.yaml", tlsOnly+users(operatorPassword)), start("tls.yaml", tlsOnly)
	plain, empty := start("plain.yaml", users(operatorPassword)), start("empty.yaml", "")
	for _, row := range []struct {
		name                           string
		s                              *sidecar
		scheme, method, path, password string
		settings                       *tls.Config
		status                         int
		contains                       string
	}{
		{"the password over TLS", both, "https", "GET", "/metrics", operatorPassword, trust, 200, "envgate_ready 1"},
		{"none", both, "https", "GET", "/metrics", "", trust, 401, ""},
		{"another", both, "https", "GET", "/metrics", "no", trust, 401, ""},
		{"the status page without", both, "https", "GET", "/", "", trust, 401, ""},
		{"the status as JSON without", both, "https", "GET", "/api/status", "", trust, 401, ""},
		{"a path that is none", both, "https", "GET", "/livez/x", "", trust, 401, ""},
		{"a path beside health", both, "https", "GET", "/probe/../metrics", "", trust, 401, ""},
		{"life without a password", both, "https", "GET", "/livez", "", trust, 200, "ok"},
		{"readiness without a password", both, "https", "GET", "/readyz", "", trust, 200, "ok"},
		{"a probe without a password", both, "https", "GET", "/probe/gateway/liveness", "", trust, 503, ""},
		{"without TLS", both, "http", "GET", "/metrics", operatorPassword, trust, 400, "HTTPS"},
		{"TLS 1.1", both, "https", "GET", "/livez", "", &tls.Config{RootCAs: own.pool(), MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11}, 0, "protocol version"},
		{"TLS alone", secure, "https", "GET", "/metrics", "", trust, 200, "envgate_ready 1"},
		{"a password alone", plain, "http", "GET", "/metrics", operatorPassword, trust, 200, "envgate_ready 1"},
		{"a password alone, none given", plain, "http", "GET", "/metrics", "", trust, 401, ""},
		{"an empty file", empty, "http", "GET", "/metrics", "", trust, 200, "envgate_ready 1"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if code, text := row.s.adminAs(row.scheme, row.method, row.path, row.password, row.settings); code != row.status || !strings.Contains(text, row.contains) {
				t.Errorf("%d %.300s", code, text)
			}
		})
	}
	for _, s := range []*sidecar{both, secure, plain, empty} {
		asked := *s.config
		asked.AdminListen = s.admin
		if err := Healthcheck(&asked, false); err != nil {
			t.Errorf("healthcheck: %v", err)
		}
		if err := RequestDrain(&asked); err != nil {
			t.Errorf("drain: %v", err)
		}
		if err := Healthcheck(&asked, false); err == nil || !strings.Contains(err.Error(), "draining") {
			t.Errorf("a healthcheck after the drain: %v", err)
		}
	}
	if _, text := both.adminAs("https", "GET", "/metrics", operatorPassword, trust); !strings.Contains(text, `envgate_tls_certificate_expiry_timestamp_seconds{listener="admin"} `) {
		t.Error("the certificate's expiry isn't shown")
	}
}

// The web configuration is read anew when it changes; a broken one is told as every broken file is.
func TestTheWebConfigurationIsReloaded(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yaml")
	write(t, file, users("first"))
	s := newSidecar(t, "http://127.0.0.1:1", "ENVGATE_WEB_CONFIG_FILE="+file)
	s.run(t, func() (*authz.Config, error) {
		c, err := authz.Parse(authz.Source{Environ: s.environ})
		if err == nil {
			err = CheckWebConfig(c)
		}
		return c, err
	})
	code := func(password string) int {
		status, _ := s.adminAs("http", "GET", "/metrics", password, nil)
		return status
	}
	if code("first") != 200 || code("second") != 401 {
		t.Fatal("the first password is not in force")
	}
	write(t, file, users("second"))
	eventually(t, "the second password", func() bool { return code("second") == 200 && code("first") == 401 })
	write(t, file, "basic_auth_users: {operator: `no hash`}\nunknown: 1\n")
	eventually(t, "an error", func() bool { return strings.Contains(s.logs.String(), "not reloaded") })
	if code("second") != 200 || code("first") != 401 || code("") != 401 {
		t.Error("a broken file changes what is in force")
	}
}

// Whatever becomes of the files of an admin listener with TLS, it goes on as it was, and health with it, until all of them are good.
func TestABrokenWebConfigurationChangesNothing(t *testing.T) {
	first, second := newAuthority(t), newAuthority(t)
	folder := t.TempDir()
	file, certificate := filepath.Join(folder, "web.yaml"), filepath.Join(folder, "tls.crt")
	good := "tls_server_config: {cert_file: tls.crt, key_file: tls.key}\n" + users("first")
	first.pair(t, folder, &x509.Certificate{})
	write(t, file, good)
	s := newSidecar(t, "http://127.0.0.1:1", "ENVGATE_WEB_CONFIG_FILE="+file)
	s.run(t, func() (*authz.Config, error) { return authz.Parse(authz.Source{Environ: s.environ}) })
	scrape := func(by *authority) (code int, text string) {
		return s.adminAs("https", "GET", "/metrics", "first", &tls.Config{RootCAs: by.pool()})
	}
	remove := func(file string) {
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
	}
	for _, row := range []struct {
		name    string
		change  func()
		message string
	}{
		{"no YAML", func() { write(t, file, "basic_auth_users: [\n") }, "yaml: "},
		{"no file", func() { remove(file) }, "no such file or directory"},
		{"TLS turned off", func() { write(t, file, users("first")) }, "tls_server_config: turned off: it takes a restart"},
		{"no certificate", func() { write(t, file, good); remove(certificate) }, "failed to read cert_file"},
		{"a certificate that is none", func() { write(t, certificate, "x") }, "failed to load X509KeyPair"},
	} {
		row.change()
		eventually(t, row.name+": "+row.message, func() bool { return strings.Contains(s.logs.String(), row.message) })
		if code, text := scrape(first); code != 200 || !strings.Contains(text, "envgate_last_reload_successful 0\n") {
			t.Errorf("%s: not as it was, or not told: %d", row.name, code)
		}
		asked := *s.config
		asked.AdminListen = s.admin
		if err := Healthcheck(&asked, false); err != nil {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	second.pair(t, folder, &x509.Certificate{})
	eventually(t, "the second certificate", func() bool {
		code, _ := scrape(second)
		former, _ := scrape(first)
		return code == 200 && former == 0
	})
}

// A password that was right is hashed once; another user's, and a wrong one, never pass by that.
func TestPasswordsThatAreKnown(t *testing.T) {
	p := newPasswords(map[string]string{"operator": hashes["first"], "other": hashes["second"]})
	for range 2 {
		for _, row := range []struct {
			user, password string
			known          bool
		}{
			{"operator", "first", true}, {"other", "second", true}, {"operator", "second", false}, {"other", "first", false},
			{"nobody", "first", false}, {"", "", false}, {"nobody", "fakepassword", false},
		} {
			r := &http.Request{Header: http.Header{}}
			r.SetBasicAuth(row.user, row.password)
			if p.know(r) != row.known {
				t.Errorf("%s with %s: want %t", row.user, row.password, row.known)
			}
		}
	}
	for n := range 20 { // bcrypt's key is the first 72 bytes of the password and a zero, again and again
		r := &http.Request{Header: http.Header{}}
		r.SetBasicAuth("operator", strings.Repeat("first\x00", 12)+strconv.Itoa(n))
		p.know(r)
	}
	p.hashing.Lock() // as while somebody guesses
	r := &http.Request{Header: http.Header{}}
	r.SetBasicAuth("other", "second")
	if !p.know(r) {
		t.Error("a password that is known is not known")
	}
	p.hashing.Unlock()
	known := 0
	p.known.Range(func(any, any) bool { known++; return true })
	if known != 2 {
		t.Errorf("%d passwords are remembered, of two users", known)
	}
	if p.know(&http.Request{Header: http.Header{}}) {
		t.Error("no password is known")
	}
}

func TestBrokenWebConfigurations(t *testing.T) {
	folder := t.TempDir()
	for name, row := range map[string]struct{ text, message string }{
		"another key":                  {"basic_auth: {}\n", `"FILE": yaml: unmarshal errors: line 1: field basic_auth not found in type web.Config`},
		"a hash that is none":          {"basic_auth_users: {operator: web-config-password}\n", `"FILE": crypto/bcrypt: hashedSecret too short to be a bcrypted password`},
		"a hash in the wrong place":    {"basic_auth_users: web-config-password\n", `"FILE": yaml: unmarshal errors: line 1: cannot unmarshal !!str [redacted] into map[string]config.Secret`},
		"a certificate without a key":  {"tls_server_config: {cert_file: tls.crt}\n", `"FILE": missing one of key or key_file`},
		"a certificate that isn't":     {"tls_server_config: {cert_file: none.crt, key_file: none.key}\n", `"FILE": failed to read cert_file (FOLDER/none.crt): open FOLDER/none.crt: no such file or directory`},
		"a secret for a key":           {"9f86d081884c7d659a2feaa0c55ad015a3bf4f1b: x\n", `"FILE": yaml: unmarshal errors: line 1: [redacted] in type web.Config`},
		"a key where its path belongs": {"tls_server_config: {key_file: tls.key, cert_file: \"/-----BEGIN EC PRIVATE KEY-----\\nMHcCAQEEIA8CDKunGVAX5hTF1HtitjTu6FnhukBzTwz5\\n\"}\n", `"FILE": failed to read cert_file (/[redacted]`},
		"a password for its hash":      {"basic_auth_users: {operator: web-config-password-that-is-as-long-as-a-bcrypt-hash-is-in-this-file-too}\n", `"FILE": crypto/bcrypt: bcrypt hashes must start with '$', but hashedSecret [redacted]`},
		"a header that isn't allowed":  {"http_server_config: {headers: {X-Other: x}}\n", `"FILE": HTTP header [redacted] can not be configured`},
	} {
		file := filepath.Join(folder, "web.yaml")
		write(t, file, row.text)
		checkBroken(t, name, file, strings.NewReplacer("FILE", file, "FOLDER", folder).Replace(row.message))
	}
	missing := filepath.Join(folder, "none.yaml")
	checkBroken(t, "a file that isn't there", missing, fmt.Sprintf("%q: no such file or directory", missing))
	checkBroken(t, "a secret instead", "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b", `"[secret]": no such file or directory`)
}

func checkBroken(t *testing.T, name, file, message string) {
	t.Helper()
	err := CheckWebConfig(&authz.Config{WebConfigFile: file})
	if want := "ENVGATE_WEB_CONFIG_FILE (--web.config.file): " + message; err == nil || err.Error() != want {
		t.Errorf("%s:\n got %v\nwant %s", name, err, want)
	}
}

// Neither hash nor password nor what was sent in their place gets into the log.
func TestTheWebConfigurationKeepsItsSecrets(t *testing.T) {
	file := filepath.Join(t.TempDir(), "web.yaml")
	text := users(operatorPassword)
	write(t, file, text)
	s := startSidecar(t, "http://127.0.0.1:1", "ENVGATE_WEB_CONFIG_FILE="+file)
	s.adminAs("http", "GET", "/metrics", operatorPassword, nil)
	s.adminAs("http", "GET", "/metrics", "wrong-password-sent", nil)
	time.Sleep(50 * time.Millisecond)
	_, hash, _ := bytes.Cut([]byte(text), []byte("$"))
	for _, secret := range []string{operatorPassword, "wrong-password-sent", string(hash[:20])} {
		if strings.Contains(s.logs.String(), secret) {
			t.Errorf("the log holds %q", secret)
		}
	}
}

// What else a web configuration may say is in force, too.
func TestWhatAWebConfigurationMaySay(t *testing.T) {
	own, folder := newAuthority(t), t.TempDir()
	own.pair(t, folder, &x509.Certificate{})
	write(t, filepath.Join(folder, "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.certificate.Raw})))
	trust, old := &tls.Config{RootCAs: own.pool()}, &tls.Config{RootCAs: own.pool(), MaxVersion: tls.VersionTLS12}
	client := &tls.Config{RootCAs: own.pool(), Certificates: []tls.Certificate{own.client(t)}}
	const pair = "cert_file: tls.crt, key_file: tls.key"
	for _, row := range []struct {
		name, text, scheme string
		settings           *tls.Config
		statuses           []int
		header, value      string
	}{
		{"a header", "http_server_config: {headers: {X-Frame-Options: deny}}", "http", nil, []int{200, 200}, "X-Frame-Options", "deny"},
		{"a password behind a byte order mark", "\ufeff" + users("first"), "http", nil, []int{401}, "", ""},
		{"a password on a line that ends oddly", "rate_limit: {}\u0085" + users("first"), "http", nil, []int{401}, "", ""},
		{"a password behind a line separator", "http_server_config: {}\u2028" + users("first"), "http", nil, []int{401}, "", ""},
		{"HTTP/2 off, in another word", "tls_server_config: {" + pair + "}\nhttp_server_config: {http2: off}", "https", trust, []int{200}, "Protocol", "HTTP/1.1"},
		{"a rate in nanoseconds", "rate_limit: {interval: 3600000000000, burst: 1}", "http", nil, []int{200, 429}, "", ""},
		{"a rate", "rate_limit: {interval: 1h, burst: 2}", "http", nil, []int{200, 200, 429}, "", ""},
		{"HTTP/2", "tls_server_config: {" + pair + "}", "https", trust, []int{200}, "Protocol", "HTTP/2.0"},
		{"no HTTP/2", "tls_server_config: {" + pair + "}\nhttp_server_config: {http2: false}", "https", trust, []int{200}, "Protocol", "HTTP/1.1"},
		{"TLS 1.2", "tls_server_config: {" + pair + "}", "https", old, []int{200}, "", ""},
		{"a newer one wanted", "tls_server_config: {" + pair + ", min_version: TLS13}", "https", old, []int{0}, "", ""},
		{"a cipher wanted", "tls_server_config: {" + pair + ", cipher_suites: [TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256], max_version: TLS12}", "https", trust, []int{200}, "Cipher", "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256"},
		{"a client's certificate wanted", "tls_server_config: {" + pair + ", client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert}", "https", trust, []int{0}, "", ""},
		{"and shown", "tls_server_config: {" + pair + ", client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert}", "https", client, []int{200}, "", ""},
		{"of another name", "tls_server_config: {" + pair + ", client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: [other]}", "https", client, []int{0}, "", ""},
	} {
		file := filepath.Join(folder, "web.yaml")
		write(t, file, row.text+"\n")
		s := startSidecar(t, "http://127.0.0.1:1", "ENVGATE_WEB_CONFIG_FILE="+file)
		for n, want := range row.statuses {
			got, header := s.scrape(row.scheme, row.settings)
			if got != want || header.Get(row.header) != row.value {
				t.Errorf("%s: request %d: %d %v, want %d", row.name, n, got, header, want)
			}
		}
	}
}

// scrape gives the answer's status and header, with its protocol and cipher as two more of them.
func (s *sidecar) scrape(scheme string, settings *tls.Config) (int, http.Header) {
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: settings.Clone(), ForceAttemptHTTP2: true, DisableKeepAlives: true}}
	res, err := client.Get(scheme + "://" + s.admin + "/metrics")
	if err != nil {
		return 0, http.Header{}
	}
	res.Body.Close()
	res.Header.Set("Protocol", res.Proto)
	if res.TLS != nil {
		res.Header.Set("Cipher", tls.CipherSuiteName(res.TLS.CipherSuite))
	}
	return res.StatusCode, res.Header
}

// A session that is resumed counts as its certificate does now.
func TestANameThatIsNoLongerAllowedResumesNothing(t *testing.T) {
	own, folder := newAuthority(t), t.TempDir()
	own.pair(t, folder, &x509.Certificate{})
	write(t, filepath.Join(folder, "ca.pem"), string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: own.certificate.Raw})))
	file := filepath.Join(folder, "web.yaml")
	allow := func(name string) {
		write(t, file, "tls_server_config: {cert_file: tls.crt, key_file: tls.key, client_ca_file: ca.pem, client_auth_type: RequireAndVerifyClientCert, client_allowed_sans: ["+name+"]}\n")
	}
	allow("localhost")
	s := newSidecar(t, "http://127.0.0.1:1", "ENVGATE_WEB_CONFIG_FILE="+file)
	s.run(t, s.parse)
	settings := &tls.Config{RootCAs: own.pool(), Certificates: []tls.Certificate{own.client(t)}, ClientSessionCache: tls.NewLRUClientSessionCache(4)}
	resumed := false
	settings.VerifyConnection = func(c tls.ConnectionState) error { resumed = c.DidResume; return nil }
	for range 2 {
		if code, text := s.adminAs("https", "GET", "/metrics", "", settings); code != 200 {
			t.Fatal(text)
		}
	}
	if !resumed {
		t.Fatal("sessions aren't resumed: the test shows nothing")
	}
	allow("other")
	eventually(t, "the session is refused", func() bool {
		code, _ := s.adminAs("https", "GET", "/metrics", "", settings)
		return code == 0
	})
}
