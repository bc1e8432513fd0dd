package webhook

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

const secretPath = namespacesPath + "/envgate/secrets/envgate-webhook-tls"

const day = 24 * time.Hour

// replica is a webhook of which only the TLS listener runs: the test decides when it looks after its certificates.
func replica(t *testing.T, o Options) (s *Server, address string) {
	t.Helper()
	s, err := New(o, (&logged{}).logger())
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = s.question.ServeTLS(l, "", "") }()
	t.Cleanup(func() { _ = s.question.Close(); s.client.http.CloseIdleConnections() })
	return s, l.Addr().String()
}

// verify connects as the API server would, and returns the certificate that it was shown.
func verify(address string, bundle []byte, now func() time.Time) (*x509.Certificate, error) {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(bundle)
	conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: ownName, Time: now})
	if err != nil {
		return nil, err
	}
	defer conn.Close()
	return conn.ConnectionState().PeerCertificates[0], nil
}

func sync1(t *testing.T, s *Server) {
	t.Helper()
	if err := s.keeper.sync(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func stored(t *testing.T, f *fakeAPI) *material {
	t.Helper()
	var s secretObject
	f.read(t, secretPath, &s)
	m, err := parseMaterial(s.Data)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestEveryReplicaIsTrustedAtEveryMoment lets two years pass for three replicas that look after the certificates when
// they like, at the same time or not for days, through several CAs and many certificates. All the while connections are
// made as the API server would make them, with the caBundle that it held when it began.
func TestEveryReplicaIsTrustedAtEveryMoment(t *testing.T) {
	f := newFakeAPI(t)
	clock := &clock{now: time.Now()}
	o := options(f)
	o.now, o.Settle, o.AuthorityLifetime = clock.read, 36*time.Hour, 200*day
	random := rand.New(rand.NewPCG(4, 1))
	var replicas []*Server
	var addresses []string
	for range 3 {
		s, address := replica(t, o)
		sync1(t, s)
		replicas, addresses = append(replicas, s), append(addresses, address)
	}
	authorities, leaves := map[string]bool{}, map[string]bool{}
	for end := clock.read().Add(2 * 365 * day); clock.read().Before(end); clock.add(time.Duration(12+random.IntN(48)) * time.Hour) {
		var running sync.WaitGroup
		for _, s := range replicas {
			if random.IntN(3) > 0 {
				running.Go(func() {
					if err := s.keeper.sync(context.Background()); err != nil {
						t.Error(err)
					}
				})
			}
		}
		running.Go(func() {
			for i := range 2 * len(addresses) {
				if _, err := verify(addresses[i%len(addresses)], f.bundle(t), clock.read); err != nil {
					t.Errorf("during the looks of %s: %v", clock.read(), err)
				}
			}
		})
		running.Wait()
		for i, address := range addresses {
			leaf, err := verify(address, f.bundle(t), clock.read)
			if err != nil {
				t.Fatalf("replica %d on %s: %v", i, clock.read(), err)
			}
			leaves[leaf.SerialNumber.String()] = true
		}
		authorities[stored(t, f).ca.SerialNumber.String()] = true
		if n := len(certificates(f.bundle(t))); n > 2 {
			t.Fatalf("%d CAs are trusted", n)
		}
	}
	if len(authorities) < 5 || len(leaves) < 10 {
		t.Errorf("only %d CAs and %d certificates in two years", len(authorities), len(leaves))
	}
}

func TestRotationGoesStepByStep(t *testing.T) {
	f := newFakeAPI(t)
	clock := &clock{now: time.Now()}
	o := options(f)
	o.now, o.Settle = clock.read, time.Minute
	s, _ := replica(t, o)
	sync1(t, s)
	first := stored(t, f)
	clock.add(200 * day) // the certificate has expired, the CA has not come near its end
	sync1(t, s)
	second := stored(t, f)
	if !second.ca.Equal(first.ca) || second.leaf.Equal(first.leaf) {
		t.Fatal("want the same CA and another certificate")
	}
	clock.add(50 * day)
	sync1(t, s) // 1 and 2
	third := stored(t, f)
	if third.ca.Equal(first.ca) || !third.leaf.Equal(second.leaf) || len(third.previous) != 1 || !third.previous[0].Equal(first.ca) {
		t.Fatal("want a new CA beside the previous one, and the same certificate")
	}
	if all := certificates(f.bundle(t)); len(all) != 2 || !all[0].Equal(third.ca) || !all[1].Equal(first.ca) {
		t.Fatal("want both in caBundle")
	}
	sync1(t, s) // sees both
	clock.add(59 * time.Second)
	sync1(t, s)
	if !stored(t, f).leaf.Equal(second.leaf) {
		t.Fatal("a certificate of the new CA is there before that has settled")
	}
	// Whoever takes the new CA away makes it wait again.
	f.put(configurationsPath+"/envgate", `{"webhooks": [{"clientConfig": {}}, {"clientConfig": {}}]}`)
	sync1(t, s)
	clock.add(time.Minute)
	sync1(t, s)
	if !stored(t, f).leaf.Equal(second.leaf) {
		t.Fatal("a certificate of the new CA is there though that was taken away")
	}
	clock.add(time.Minute)
	sync1(t, s) // 3
	if m := stored(t, f); m.leaf.CheckSignatureFrom(third.ca) != nil || !m.ca.Equal(third.ca) {
		t.Fatal("want a certificate of the new CA")
	}
	clock.add(first.ca.NotAfter.Sub(clock.read()) + time.Second)
	sync1(t, s) // the certificate comes first
	sync1(t, s) // 4
	if m := stored(t, f); len(m.previous) != 0 || !bytes.Equal(f.bundle(t), pemOf(third.ca)) {
		t.Fatal("want no previous CA any more")
	}
}

func TestReplicasThatStartTogetherShareOneCertificate(t *testing.T) {
	f := newFakeAPI(t)
	var running sync.WaitGroup
	var addresses []string
	for range 6 {
		s, address := replica(t, options(f))
		addresses = append(addresses, address)
		running.Go(func() {
			if err := s.keeper.sync(context.Background()); err != nil {
				t.Error(err)
			}
		})
	}
	running.Wait()
	m := stored(t, f)
	for _, address := range addresses {
		if leaf, err := verify(address, f.bundle(t), nil); err != nil || !leaf.Equal(m.leaf) {
			t.Errorf("%v, or another certificate", err)
		}
	}
}

// another makes what another replica would have stored.
func another(t *testing.T) (m *material, secret map[string]any) {
	t.Helper()
	m, _, err := (&rotation{names: []string{ownName}, caLifetime: time.Hour * 1000, leafLifetime: time.Hour * 100}).first(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	data, err := m.data()
	if err != nil {
		t.Fatal(err)
	}
	delete(data, keyPrevious)
	text, _ := json.Marshal(map[string]any{"data": data})
	_ = json.Unmarshal(text, &secret)
	return m, secret
}

func TestWhoComesSecondTakesWhatIsThere(t *testing.T) {
	for _, row := range []struct{ name, before, write string }{
		{"the Secret was created meanwhile", "", "POST " + namespacesPath + "/envgate/secrets"},
		{"the empty Secret was filled meanwhile", `{"type": "Opaque"}`, "PATCH " + secretPath},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFakeAPI(t)
			if row.before != "" {
				f.put(secretPath, row.before)
			}
			m, secret := another(t)
			f.intrude[row.write] = func() { f.store(secretPath, secret) }
			s, _ := replica(t, options(f))
			sync1(t, s)
			if f.conflicts != 1 || !s.certificate.Load().Leaf.Equal(m.leaf) && !stored(t, f).ca.Equal(m.ca) {
				t.Errorf("%d conflicts, or the other's CA is lost", f.conflicts)
			}
			if !bytes.Equal(f.bundle(t), pemOf(m.ca)) {
				t.Error("caBundle is not the other's")
			}
		})
	}
}

func TestAConfigurationThatChangedMeanwhileIsReadAgain(t *testing.T) {
	f := newFakeAPI(t)
	f.intrude["PATCH "+configurationsPath+"/envgate"] = func() { // an upgrade puts an entry before the others
		var it map[string]any
		_ = json.Unmarshal([]byte(`{"webhooks": [{"name": "new", "clientConfig": {"url": "x"}}, {"clientConfig": {}}, {"clientConfig": {}}]}`), &it)
		f.store(configurationsPath+"/envgate", it)
	}
	s, _ := replica(t, options(f))
	sync1(t, s)
	var c configurationObject
	f.read(t, configurationsPath+"/envgate", &c)
	for i, bundle := range c.bundles() {
		if !bytes.Equal(bundle, pemOf(stored(t, f).ca)) {
			t.Errorf("entry %d has no caBundle", i)
		}
	}
	if f.conflicts != 1 || len(c.Webhooks) != 3 {
		t.Errorf("%d conflicts, %d entries", f.conflicts, len(c.Webhooks))
	}
}

// TestAReplicaThatSleptTakesNoAuthorityAway stops a replica between its two looks while another rotates. Its clock is
// slow, so that nothing is due for it: all that it might do is write the caBundle of what it knew.
func TestAReplicaThatSleptTakesNoAuthorityAway(t *testing.T) {
	for _, path := range []string{configurationsPath + "/envgate", secretPath} {
		t.Run("asleep at "+path, func(t *testing.T) {
			f := newFakeAPI(t)
			clock := &clock{now: time.Now()}
			o := options(f)
			slow, _ := replica(t, o)
			o.now = clock.read
			quick, _ := replica(t, o)
			sync1(t, quick)
			sync1(t, slow)
			clock.add(250 * day)
			f.intrude["GET "+path] = func() { // just before the sleeper's question is answered
				f.mutex.Unlock()
				defer f.mutex.Lock()
				sync1(t, quick)
				sync1(t, quick)
			}
			sync1(t, slow)
			if m := stored(t, f); len(m.previous) != 1 || !bytes.Equal(f.bundle(t), m.bundle(clock.read())) {
				t.Error("caBundle is not what the Secret says")
			}
		})
	}
}

func TestTheCABundleIsRepaired(t *testing.T) {
	f := newFakeAPI(t)
	o := options(f)
	o.SyncInterval = time.Hour // only the watch tells
	_, lines := start(t, o)
	whole := func() bool {
		var c configurationObject
		f.read(t, configurationsPath+"/envgate", &c)
		for _, bundle := range c.bundles() {
			if !bytes.Equal(bundle, pemOf(stored(t, f).ca)) {
				return false
			}
		}
		return len(c.Webhooks) == 2
	}
	eventually(t, "written", whole)
	m, _ := another(t)
	text, _ := json.Marshal(pemOf(m.ca))
	for _, tampered := range []string{`{}`, `{"caBundle": "bm90aGluZw=="}`, `{"caBundle": ` + string(text) + `}`} {
		f.put(configurationsPath+"/envgate", `{"webhooks": [{"clientConfig": {}}, {"clientConfig": `+tampered+`}]}`)
		eventually(t, "repaired from "+tampered, whole)
	}
	f.remove(configurationsPath + "/envgate")
	eventually(t, "the loss is said", func() bool { return strings.Contains(lines.String(), "configuration envgate: API server: 404") })
	f.put(configurationsPath+"/envgate", `{"webhooks": [{"clientConfig": {}}, {"clientConfig": {}}]}`)
	eventually(t, "written to a new one", whole)
}

func TestTheSecretIsFilledWhereItIs(t *testing.T) {
	f := newFakeAPI(t)
	f.put(secretPath, `{"type": "Opaque", "metadata": {"labels": {"app.kubernetes.io/managed-by": "Helm"}}, "data": {"note": "aGVsbG8="}}`)
	s, address := replica(t, options(f))
	sync1(t, s)
	var secret struct {
		secretObject
		Type string
	}
	f.read(t, secretPath, &secret)
	if secret.Type != "Opaque" || secret.Metadata.Labels["app.kubernetes.io/managed-by"] != "Helm" || string(secret.Data["note"]) != "hello" || len(secret.Data) != 5 {
		t.Errorf("%+v", secret)
	}
	leaf, err := verify(address, f.bundle(t), nil)
	if err != nil || strings.Join(leaf.DNSNames, " ") != "envgate-webhook.envgate.svc envgate-webhook.envgate.svc.cluster.local envgate-webhook.envgate" {
		t.Errorf("%v, names %v", err, leaf)
	}
}

func TestAnEmptiedSecretAsksForAnotherAuthority(t *testing.T) {
	for _, row := range []struct{ name, secret string }{
		{"empty", `{"type": "Opaque"}`}, {"with a key that isn't its CA's", ""}, {"with something else", `{"data": {"ca.crt": "bm90aGluZw=="}}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFakeAPI(t)
			clock := &clock{now: time.Now()}
			o := options(f)
			o.now = clock.read
			s, address := replica(t, o)
			sync1(t, s)
			first := stored(t, f)
			if row.secret == "" {
				_, secret := another(t)
				_, third := another(t)
				secret["data"].(map[string]any)[keyCAKey] = third["data"].(map[string]any)[keyCAKey]
				f.mutex.Lock()
				f.store(secretPath, secret)
				f.mutex.Unlock()
			} else {
				f.put(secretPath, row.secret)
			}
			for range 6 {
				sync1(t, s)
				if _, err := verify(address, f.bundle(t), clock.read); err != nil {
					t.Fatal(err)
				}
				clock.add(time.Minute)
			}
			if m := stored(t, f); m.ca.Equal(first.ca) || m.leaf.CheckSignatureFrom(m.ca) != nil || len(m.previous) != 1 {
				t.Error("want another CA, its certificate, and the first CA still trusted")
			}
		})
	}
}

func TestAFurtherNameIsSignedAtOnce(t *testing.T) {
	f := newFakeAPI(t)
	o := options(f)
	o.Hostnames = []string{"old.example.com"}
	s, _ := replica(t, o)
	sync1(t, s)
	first := stored(t, f)
	o.Hostnames = []string{"new.example.com", "192.0.2.7"}
	s, address := replica(t, o)
	sync1(t, s)
	leaf, err := verify(address, f.bundle(t), nil)
	if err != nil || !stored(t, f).ca.Equal(first.ca) {
		t.Fatalf("%v, or another CA", err)
	}
	for _, name := range []string{ownName, "old.example.com", "new.example.com", "192.0.2.7"} {
		if err := leaf.VerifyHostname(name); err != nil {
			t.Error(err)
		}
	}
	version := f.version
	sync1(t, s)
	if f.version != version {
		t.Error("something is written again and again")
	}
}

func TestARightThatIsMissingIsSaid(t *testing.T) {
	for _, row := range []struct{ name, path, want string }{
		{"to read the Secret", secretPath, "secret envgate-webhook-tls: API server: 403"},
		{"to create the Secret", namespacesPath + "/envgate/secrets", "secret envgate-webhook-tls: API server: 403"},
		{"to read the configuration", configurationsPath + "/envgate", "configuration envgate: API server: 403"},
	} {
		t.Run(row.name, func(t *testing.T) {
			f := newFakeAPI(t)
			f.answerWith(row.path, http.StatusForbidden)
			s, _ := replica(t, options(f))
			if err := s.keeper.sync(context.Background()); err == nil || !strings.HasPrefix(err.Error(), row.want) {
				t.Errorf("got %v", err)
			}
			if served := s.certificate.Load() != nil; served != strings.Contains(row.name, "configuration") {
				t.Errorf("served: %v", served)
			}
		})
	}
}

func TestOldTLSVersionsAreRefused(t *testing.T) {
	f := newFakeAPI(t)
	s, address := replica(t, options(f))
	sync1(t, s)
	for version, good := range map[uint16]bool{tls.VersionTLS11: false, tls.VersionTLS12: true, tls.VersionTLS13: true} {
		conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true, MinVersion: version, MaxVersion: version})
		if (err == nil) != good {
			t.Errorf("%s: %v", tls.VersionName(version), err)
		}
		if err == nil {
			_ = conn.Close()
		}
	}
}

func TestTheExpiryIsAMetric(t *testing.T) {
	f := newFakeAPI(t)
	s, _ := start(t, options(f))
	_, admin := s.Addresses()
	_, text := fetch(t, "http://"+admin+"/metrics")
	var got float64
	for line := range strings.SplitSeq(text, "\n") {
		if v, ok := strings.CutPrefix(line, `envgate_tls_certificate_expiry_timestamp_seconds{listener="webhook"} `); ok {
			_, _ = fmt.Sscan(v, &got)
		}
	}
	if want := stored(t, f).leaf.NotAfter.Unix(); int64(got) != want {
		t.Errorf("%v, want %d", got, want)
	}
	if !strings.Contains(text, "\nenvgate_ready 1\n") {
		t.Error("not ready")
	}
}
