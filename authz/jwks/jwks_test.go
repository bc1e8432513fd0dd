package jwks_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"envgate/authz/issuertest"
	"envgate/authz/jwks"
)

// outcomes collects what fetches came to.
type outcomes struct {
	mutex sync.Mutex
	errs  []error
}

func (o *outcomes) fetched(_ jwks.Status, err error) {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	o.errs = append(o.errs, err)
}

func (o *outcomes) last() string {
	o.mutex.Lock()
	defer o.mutex.Unlock()
	if len(o.errs) == 0 {
		return "no fetch"
	}
	return fmt.Sprint(o.errs[len(o.errs)-1])
}

func options(i *issuertest.Issuer) jwks.Options {
	return jwks.Options{Issuer: i.URL, URL: i.JWKS(), Algorithms: []string{"RS256", "ES256"}, Roots: i.Roots, Refresh: time.Hour, Cooldown: time.Hour, Timeout: time.Second}
}

// running starts a set, and stops it with the test.
func running(t *testing.T, o jwks.Options) *jwks.Set { return watched(t, o, &outcomes{}) }

func watched(t *testing.T, o jwks.Options, seen *outcomes) *jwks.Set {
	t.Helper()
	s := jwks.New(o)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { s.Run(ctx, seen.fetched); close(done) }()
	t.Cleanup(func() { cancel(); <-done })
	return s
}

func eventually(t *testing.T, what string, within time.Duration, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(within); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

func loaded(t *testing.T, s *jwks.Set) {
	t.Helper()
	eventually(t, "keys", 5*time.Second, func() bool { return s.Status().Keys > 0 })
}

func TestKeysAreFetchedInEachWay(t *testing.T) {
	i := issuertest.New(t, "ES256")
	for _, row := range []struct {
		name string
		set  func(*jwks.Options)
	}{
		{"from the key set's address", func(*jwks.Options) {}},
		{"by way of the discovery document", func(o *jwks.Options) { o.URL, o.DiscoveryURL = "", i.Discovery() }},
	} {
		t.Run(row.name, func(t *testing.T) {
			o := options(i)
			row.set(&o)
			s := running(t, o)
			loaded(t, s)
			if keys, err := s.Keys(t.Context(), "key-1", "ES256"); len(keys) != 1 || err != nil {
				t.Errorf("%d keys, %v", len(keys), err)
			}
			if keys, err := s.Keys(t.Context(), "", "ES256"); len(keys) != 1 || err != nil {
				t.Errorf("without a key id: %d keys, %v", len(keys), err)
			}
			if keys, _ := s.Keys(t.Context(), "", "RS256"); len(keys) != 0 {
				t.Error("an EC key for RS256")
			}
		})
	}
}

func TestBeforeTheFirstFetchNothingIsKnown(t *testing.T) {
	s := jwks.New(options(issuertest.New(t, "ES256")))
	if _, err := s.Keys(t.Context(), "key-1", "ES256"); !errors.Is(err, jwks.ErrUnavailable) {
		t.Errorf("got %v", err)
	}
}

// Keys of a set that must never verify a token.
func TestKeysThatArePassedOver(t *testing.T) {
	i := issuertest.New(t, "ES256")
	secret := base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("s", 64)))
	i.Publish(
		`{"kty": "oct", "kid": "secret", "alg": "HS256", "k": "`+secret+`"}`,
		`{"kty": "oct", "kid": "secret-for-es256", "alg": "ES256", "k": "`+secret+`"}`,
		`{"kty": "EC", "kid": "broken", "crv": "P-256", "x": "AA", "y": "AA"}`,
		`{"kty": "EC", "kid": "elsewhere", "crv": "P-256", "x": "`+base64.RawURLEncoding.EncodeToString(make([]byte, 32))+`", "y": "`+base64.RawURLEncoding.EncodeToString(make([]byte, 32))+`"}`,
		strings.Replace(published(t, "ES256"), `"use":"sig"`, `"use":"enc"`, 1),
		strings.Replace(published(t, "ES256"), `"use":"sig"`, `"key_ops":["sign"]`, 1),
		strings.Replace(published(t, "ES256"), `"alg":"ES256"`, `"alg":"ES384"`, 1),
		published(t, "ES384"), // not among the algorithms
		`{"kty": "RSA", "kid": "short", "n": "`+base64.RawURLEncoding.EncodeToString([]byte(strings.Repeat("\xff", 128)))+`", "e": "AQAB"}`,
		`"no key at all"`, `{}`, `null`,
	)
	s := running(t, options(i))
	loaded(t, s)
	if n := s.Status().Keys; n != 1 {
		t.Errorf("%d keys, want the one good one", n)
	}
	for _, kid := range []string{"secret", "secret-for-es256", "broken", "elsewhere", "short", "published"} {
		for _, algorithm := range []string{"HS256", "ES256", "RS256", "ES384"} {
			if keys, err := s.Keys(t.Context(), kid, algorithm); len(keys) != 0 || !errors.Is(err, jwks.ErrUnknownKey) {
				t.Errorf("%s for %s: %d keys, %v", kid, algorithm, len(keys), err)
			}
		}
	}
}

// published is a good key of another issuer.
func published(t *testing.T, algorithm string) string {
	t.Helper()
	return strings.Replace(issuertest.New(t, algorithm).Key(), `"key-1"`, `"published"`, 1)
}

// Whatever the issuer does, the fetch fails with the reason, in time and in little memory, and the keys that are known stay.
func TestAFetchThatFailsLosesNothing(t *testing.T) {
	attacker := issuertest.New(t, "ES256")
	for _, row := range []struct{ how, message string }{
		{issuertest.Stall, "key set: context deadline exceeded"},
		{issuertest.Reset, "key set: unexpected EOF"},
		{issuertest.Garbage, "key set: not a JSON Web Key Set"},
		{issuertest.Huge, "key set: longer than 1048576 bytes"},
		{issuertest.Broken, "key set: answered 500, want 200"},
		{issuertest.Redirect, "key set: redirected to another host or scheme"},
	} {
		t.Run(row.how, func(t *testing.T) {
			i, seen := issuertest.New(t, "ES256"), &outcomes{}
			o := options(i)
			o.Refresh, o.Timeout = 20*time.Millisecond, 300*time.Millisecond
			s := watched(t, o, seen)
			loaded(t, s)
			i.RedirectTo(attacker.JWKS())
			i.Behave(row.how)
			eventually(t, row.message, 5*time.Second, func() bool { return strings.HasPrefix(seen.last(), row.message) })
			if keys, err := s.Keys(t.Context(), "key-1", "ES256"); len(keys) != 1 || err != nil {
				t.Errorf("%d keys, %v", len(keys), err)
			}
			before := s.Status().Fetched
			i.Behave(issuertest.Well)
			eventually(t, "recovery", 5*time.Second, func() bool { return s.Status().Fetched.After(before) })
		})
	}
	if attacker.Fetches() > 0 {
		t.Error("a redirect to another host was followed")
	}
}

func TestTheFirstFetchFailsFor(t *testing.T) {
	i := issuertest.New(t, "ES256")
	for _, row := range []struct {
		name    string
		set     func(*jwks.Options)
		how     string
		message string
	}{
		{"a certificate of an unknown authority", func(o *jwks.Options) { o.Roots = x509.NewCertPool() }, "", "key set: tls: failed to verify certificate: x509: certificate signed by unknown authority"},
		{"a discovery document of another issuer", func(o *jwks.Options) { o.DiscoveryURL = i.Discovery() }, issuertest.Foreign, `discovery document: is of issuer "https://other.example.com", want "` + i.URL + `"`},
		{"a discovery document that is none", func(o *jwks.Options) { o.DiscoveryURL = i.Discovery() }, issuertest.Garbage, "discovery document: not JSON"},
		{"no key for the algorithms", func(o *jwks.Options) { o.Algorithms = []string{"RS256"} }, "", "key set: holds no key for [RS256]"},
		{"a wrong address", func(o *jwks.Options) { o.URL += "s" }, "", "key set: answered 404, want 200"},
	} {
		t.Run(row.name, func(t *testing.T) {
			seen := &outcomes{}
			o := options(i)
			row.set(&o)
			i.Behave(row.how)
			s := watched(t, o, seen)
			eventually(t, row.message, 5*time.Second, func() bool { return seen.last() == row.message })
			if _, err := s.Keys(t.Context(), "key-1", "ES256"); !errors.Is(err, jwks.ErrUnavailable) {
				t.Errorf("got %v", err)
			}
		})
	}
}

// An issuer that comes up late is found within two seconds.
func TestAnIssuerThatComesUpLate(t *testing.T) {
	i := issuertest.New(t, "ES256")
	i.Behave(issuertest.Broken)
	s := running(t, options(i))
	time.Sleep(3 * time.Second) // until retries are as slow as they get
	i.Behave(issuertest.Well)
	eventually(t, "keys", 2*time.Second, func() bool { return s.Status().Keys > 0 })
}

// A new key is fetched for the first token that names it, by one fetch for all that wait.
func TestARotationIsNoticedByTheFirstToken(t *testing.T) {
	i := issuertest.New(t, "ES256")
	s := running(t, options(i))
	loaded(t, s)
	kid := i.Rotate(t, "ES256")
	fetches := i.Fetches()
	var wg sync.WaitGroup
	var failed atomic.Int32
	for range 100 {
		wg.Go(func() {
			if keys, err := s.Keys(t.Context(), kid, "ES256"); len(keys) != 1 || err != nil {
				failed.Add(1)
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 || i.Fetches() != fetches+1 {
		t.Errorf("%d of 100 failed, %d fetches, want 1", failed.Load(), i.Fetches()-fetches)
	}
	i.Forget()
	if keys, err := s.Keys(t.Context(), "key-1", "ES256"); len(keys) != 1 || err != nil {
		t.Error("within the cooldown, and without a refresh, the former key is known")
	}
}

// 10,000 made-up key ids cause one fetch per cooldown, whatever its outcome, and leave nothing behind.
func TestAFloodOfUnknownKeyIDs(t *testing.T) {
	for _, how := range []string{issuertest.Well, issuertest.Broken, issuertest.Stall} {
		t.Run("issuer is "+how, func(t *testing.T) {
			i := issuertest.New(t, "ES256")
			o := options(i)
			o.Timeout = 200 * time.Millisecond
			s := running(t, o)
			loaded(t, s)
			i.Behave(how)
			fetches := i.Fetches()
			var before, after runtime.MemStats
			runtime.GC()
			runtime.ReadMemStats(&before)
			var wg sync.WaitGroup
			for n := range 50 {
				wg.Go(func() {
					for m := range 200 {
						if _, err := s.Keys(t.Context(), fmt.Sprintf("made-up-%d-%d", n, m), "ES256"); !errors.Is(err, jwks.ErrUnknownKey) {
							t.Errorf("got %v", err)
						}
					}
				})
			}
			wg.Wait()
			if n := i.Fetches() - fetches; n > 1 {
				t.Errorf("%d fetches", n)
			}
			runtime.GC()
			runtime.ReadMemStats(&after)
			if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 1<<20 {
				t.Errorf("%d bytes left behind", grown)
			}
		})
	}
}

// A discovery document over https names no key set over http, not even on loopback: that is the machine of whoever reads it.
func TestADiscoveryDocumentThatNamesLoopback(t *testing.T) {
	i := issuertest.New(t, "ES256")
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(`{"keys": [` + i.Key() + `]}`)) }))
	t.Cleanup(keys.Close)
	document := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = fmt.Fprintf(w, `{"issuer": %q, "jwks_uri": %q}`, i.URL, keys.URL)
	})
	secure, plain := httptest.NewTLSServer(document), httptest.NewServer(document)
	t.Cleanup(secure.Close)
	t.Cleanup(plain.Close)
	for _, row := range []struct {
		name, discovery string
		insecure        bool
		message         string
	}{
		{"over https", secure.URL, false, "discovery document: jwks_uri: http: want https, as the document itself, or insecure_http: true"},
		{"over https, and http allowed", secure.URL, true, ""},
		{"all on loopback", plain.URL, false, ""},
	} {
		o := options(i)
		o.URL, o.DiscoveryURL, o.InsecureHTTP, o.Roots = "", row.discovery, row.insecure, x509.NewCertPool()
		o.Roots.AddCert(secure.Certificate())
		got := ""
		if err := jwks.New(o).Fetch(t.Context()); err != nil {
			got = err.Error()
		}
		if got != row.message {
			t.Errorf("%s: got %q", row.name, got)
		}
	}
}

// An issuer that takes a request and never answers it, and works again while that request still waits, is found by another
// one beside it; one that is slow is waited for.
func TestAnIssuerThatHangsAtStart(t *testing.T) {
	i := issuertest.New(t, "ES256")
	i.Behave(issuertest.Stall)
	o := options(i)
	o.Timeout = time.Minute
	s := running(t, o)
	eventually(t, "a request that waits", 5*time.Second, func() bool { return i.Fetches() == 1 })
	i.Behave(issuertest.Well)
	eventually(t, "keys, long before that request would end", 20*time.Second, func() bool { return s.Status().Keys == 1 })

	release := make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		<-release
		_, _ = w.Write([]byte(`{"keys": [` + i.Key() + `]}`))
	}))
	t.Cleanup(slow.Close)
	o.URL = slow.URL
	s = running(t, o)
	time.AfterFunc(1500*time.Millisecond, func() { close(release) })
	eventually(t, "keys of a slow issuer", 20*time.Second, func() bool { return s.Status().Keys == 1 })
}

// A key without an id is tried for any token, but it doesn't make a key id known.
func TestKeysWithoutAnID(t *testing.T) {
	i := issuertest.New(t, "ES256")
	nameless := strings.Replace(i.Key(), `"kid"`, `"x-kid"`, 1)
	set := atomic.Pointer[string]{}
	serve := func(keys ...string) {
		text := `{"keys": [` + strings.Join(keys, ",") + `]}`
		set.Store(&text)
	}
	serve(nameless)
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(*set.Load())) }))
	t.Cleanup(server.Close)
	o := options(i)
	o.URL = server.URL
	s := running(t, o)
	loaded(t, s)
	version := s.Version()
	if keys, err := s.Keys(t.Context(), "key-2", "ES256"); len(keys) != 1 || err != nil || s.Knows("key-2", "ES256") || s.Knows("", "ES256") || s.Version() != version {
		t.Fatalf("%d keys, %v, version %d", len(keys), err, s.Version())
	}
	i.Rotate(t, "ES256")
	serve(nameless, i.Key())
	if !s.Refresh(t.Context(), version) || !s.Knows("key-2", "ES256") || s.Knows("key-2", "RS256") {
		t.Error("the new key is not known after a token asked for it")
	}
	if keys, err := s.Keys(t.Context(), "key-2", "ES256"); len(keys) != 2 || err != nil {
		t.Errorf("%d keys, %v", len(keys), err)
	}
	if version = s.Version(); s.Refresh(t.Context(), version) || s.Version() != version {
		t.Error("fetched within the cooldown")
	}
}

func TestCheckURL(t *testing.T) {
	for _, row := range []struct {
		address  string
		insecure bool
		message  string
	}{
		{"https://login.example.com/keys", false, ""},
		{"http://127.0.0.1:8080/keys", false, ""},
		{"http://[::1]/keys", false, ""},
		{"http://localhost/keys", false, ""},
		{"http://login.example.com/keys", true, ""},
		{"http://login.example.com/keys", false, "http: want https, or insecure_http: true"},
		{"http://localhost.example.com/keys", false, "http: want https, or insecure_http: true"},
		{"http://127.0.0.1.example.com/keys", false, "http: want https, or insecure_http: true"},
		{"https://user:password@login.example.com/keys", false, "holds a user: want an address without"},
		{"file:///etc/keys", true, "want an https address"},
		{"/keys", true, "want an https address"},
		{"", true, "want an https address"},
		{"https://%zz", true, "want an https address"},
	} {
		got := ""
		if err := jwks.CheckURL(row.address, row.insecure); err != nil {
			got = err.Error()
		}
		if got != row.message {
			t.Errorf("%s: got %q, want %q", row.address, got, row.message)
		}
	}
}

// A redirect within the host is followed, a loop of them isn't for long.
func TestRedirects(t *testing.T) {
	i := issuertest.New(t, "ES256")
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/a":
			http.Redirect(w, r, "/b", http.StatusMovedPermanently)
		case "/b":
			_, _ = w.Write([]byte(`{"keys": [` + i.Key() + `]}`))
		default:
			http.Redirect(w, r, "/loop", http.StatusFound)
		}
	}))
	t.Cleanup(server.Close)
	o := options(i)
	o.URL = server.URL + "/a"
	loaded(t, running(t, o))
	seen := &outcomes{}
	o.URL = server.URL + "/loop"
	watched(t, o, seen)
	eventually(t, "an end", 5*time.Second, func() bool { return seen.last() == "key set: redirected too often" })
}
