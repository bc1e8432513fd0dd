package authz

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Each policy broken one way, with the exact message on its first line.
func TestBrokenPolicies(t *testing.T) {
	files, err := filepath.Glob("testdata/policies/invalid-*.yaml")
	if err != nil || len(files) < 25 {
		t.Fatalf("%d policy files (%v)", len(files), err)
	}
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			first, _, _ := strings.Cut(string(b), "\n")
			want, ok := strings.CutPrefix(first, "# expect: ")
			if !ok {
				t.Fatal("the first line is no expectation")
			}
			p, err := LoadPolicy(file)
			if err == nil || p != nil {
				t.Fatalf("it loads, want %q", want)
			}
			if err.Error() != want {
				t.Errorf("got\n%s, want\n%s", err, want)
			}
		})
	}
}

func TestGoodPolicies(t *testing.T) {
	for _, text := range []string{
		"", "# nothing\n", "routes: []\n", "{}", "tokens: {}\n", "login_page:\n",
		"routes:\n  - {path: /a, methods: [GET, M-SEARCH], access: public}\n  - {prefix: /, access: protected}\n  - {suffix: .key, methods: [GET], access: protected}\n",
		"strip_headers: [X-A, X_B*, x.c]\n", "basic: [/, /docs/]\n",
	} {
		if _, err := ParsePolicy([]byte(text)); err != nil {
			t.Errorf("%q: %v", text, err)
		}
	}
	// Without a list nothing is public.
	p, err := ParsePolicy(nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, public := newRoutes(p, "").public("GET", "/", "/"); public {
		t.Error("an empty policy makes / public")
	}
	if _, err := ParsePolicy([]byte(strings.Repeat("#\n", 1<<20))); err == nil || err.Error() != "larger than 1 MiB" {
		t.Errorf("two MiB: %v", err)
	}
}

func TestBuiltinPolicy(t *testing.T) {
	names := BuiltinPolicies()
	if len(names) != 1 || names[0] != "contextforge" {
		t.Fatalf("built in: %v", names)
	}
	p, err := LoadPolicy("contextforge")
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Basic) != 0 || p.LoginPage != "/admin/login" || strings.Join(p.Tokens.Cookies, " ") != "jwt_token access_token" || len(p.Tokens.Query) != 1 || p.Tokens.Query[0] != (QueryToken{"/ws", "token"}) {
		t.Errorf("%+v", p)
	}
	for _, r := range p.Routes {
		if r.Access != AccessPublic || r.Suffix != "" {
			t.Errorf("%s: only public paths and prefixes are listed", r)
		}
	}
}

// A file with a policy's name beside the binary does not replace the built-in one.
func TestBuiltinNamesWin(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("contextforge", []byte("routes: [{prefix: /x/, methods: [GET], access: public}]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if p, err := LoadPolicy("contextforge"); err != nil || p.LoginPage == "" {
		t.Errorf("%+v, %v", p, err)
	}
}
