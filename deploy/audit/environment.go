package audit

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"envgate/authz"
)

// keySettings are where keys come from.
var keySettings = []string{
	"JWT_SECRET_KEY", "JWT_SECRET_KEY_FILE", "ENVGATE_ADDITIONAL_SECRET_KEY", "ENVGATE_ADDITIONAL_SECRET_KEY_FILE", "JWT_PUBLIC_KEY_PATH",
	"ENVGATE_ADDITIONAL_PUBLIC_KEY_PATHS", "DERIVE_KEY_PER_ENVIRONMENT", "ENVGATE_TRANSLATE_KEYS", "ENVGATE_ACCEPT_BASE_KEY",
}

// otherSettings decide about tokens, too.
var otherSettings = []string{
	"ENVIRONMENT", "ENVGATE_ENVIRONMENT", "JWT_ALGORITHM", "JWT_ISSUER", "JWT_AUDIENCE", "JWT_ISSUER_VERIFICATION", "JWT_AUDIENCE_VERIFICATION",
	"EMBED_ENVIRONMENT_IN_TOKENS", "VALIDATE_TOKEN_ENVIRONMENT", "ENVGATE_ENVIRONMENT_RULE", "ENVGATE_MISSING_ENVIRONMENT", "ENVGATE_MODE",
}

// elsewhere are settings with files of another machine that say nothing about keys of the gateway.
var elsewhere = []string{
	"ENVGATE_POLICY", "ENVGATE_PROBES", "ENVGATE_WEB_CONFIG_FILE", "ENVGATE_TLS_CERTIFICATE_FILE", "ENVGATE_TLS_KEY_FILE", "ENVGATE_TLS_CLIENT_CA_FILE",
	"ENVGATE_TLS_CLIENT_AUTH", "ENVGATE_UPSTREAM_CA_FILE", "ENVGATE_UPSTREAM_SERVER_NAME",
}

// environment parses the settings as a sidecar would, but for what lies in files of another machine.
func environment(from string, s *settings) (Environment, error) {
	e := Environment{From: from}
	values, policy := maps.Clone(s.values), s.values["ENVGATE_POLICY"]
	for _, name := range elsewhere {
		delete(values, name)
	}
	switches, err := authz.ParseOnly(source(values), "JWT_ALGORITHM", "EMBED_ENVIRONMENT_IN_TOKENS")
	standsIn := false
	if err == nil {
		standsIn = e.leaveOut(values, switches.Algorithm)
	}
	c, err := authz.Parse(source(values))
	if err != nil {
		return e, fmt.Errorf("%s: %s%s", from, strings.ReplaceAll(err.Error(), "\n", "; "), s.hint())
	}
	c.Algorithm, c.Embed = switches.Algorithm, switches.Embed
	if policy != "" {
		read, err := c.TakePolicy(policy)
		if err != nil {
			return e, fmt.Errorf("%s: %w", from, err)
		}
		if e.hidden = !read || s.twice["ENVGATE_POLICY"]; !read {
			e.Notes = append(e.Notes, "ENVGATE_POLICY can't be read here: its issuers are not looked at")
		}
	}
	e.config, e.Name, e.Issuer, e.Audience, e.Algorithm = c, c.Environment, c.Issuer, c.Audience, c.Algorithm
	for _, w := range c.Warnings() {
		if (w.Check == authz.PublishedSecret || w.Check == authz.WeakSecret) && !standsIn {
			e.Notes = append(e.Notes, w.Check)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s.twice)) {
		contradiction := s.twice[name]
		switch {
		case contradiction && slices.Contains(keySettings, name):
			e.doubt = authz.KeysDisputed
			e.Notes = append(e.Notes, name+" is said twice, differently: which one counts can't be known here")
		case contradiction && name == "ENVGATE_POLICY":
			e.Notes = append(e.Notes, name+" is said twice, differently: which one counts can't be known here")
		case contradiction && slices.Contains(otherSettings, name):
			e.unsure = append(e.unsure, name)
			e.Notes = append(e.Notes, name+" is said twice, differently: which one counts can't be known here")
		default:
			e.Notes = append(e.Notes, authz.Printable(name)+" is said twice, differently: the last one counts here")
		}
	}
	return e, nil
}

// leaveOut takes out of the settings the keys that can't be read here, and tells whether something stands in for the current
// one: a random secret, which is like no other.
func (e *Environment) leaveOut(values map[string]string, algorithm string) (standsIn bool) {
	absent := func(name, path string) bool {
		if _, err := os.Stat(path); err == nil {
			return false
		}
		e.doubt = authz.KeysUnread
		e.Notes = append(e.Notes, name+" can't be read here")
		return true
	}
	if strings.HasPrefix(algorithm, "HS") {
		const current, additional = "JWT_SECRET_KEY_FILE", "ENVGATE_ADDITIONAL_SECRET_KEY_FILE"
		if path := values[current]; path != "" && values["JWT_SECRET_KEY"] == "" && absent(current, path) {
			delete(values, current)
			values["JWT_SECRET_KEY"] = random()
			standsIn = true
		}
		if path := values[additional]; path != "" && values["ENVGATE_ADDITIONAL_SECRET_KEY"] == "" && absent(additional, path) {
			delete(values, additional)
		}
		return standsIn
	}
	const private, current, additional = "JWT_PRIVATE_KEY_PATH", "JWT_PUBLIC_KEY_PATH", "ENVGATE_ADDITIONAL_PUBLIC_KEY_PATHS"
	delete(values, private) // verifies nothing
	delete(values, "EMBED_ENVIRONMENT_IN_TOKENS")
	var readable []string
	for path := range strings.SplitSeq(values[additional], ",") {
		if path = strings.TrimSpace(path); path != "" && !absent(additional, path) {
			readable = append(readable, path)
		}
	}
	if path := values[current]; path != "" && absent(current, path) {
		if len(readable) > 0 {
			values[current], readable = readable[0], readable[1:]
		} else {
			standsIn = true
		}
	}
	if standsIn {
		for _, name := range keySettings { // what else is wrong with them is not said then
			delete(values, name)
		}
		values["JWT_SECRET_KEY"], values["JWT_ALGORITHM"] = random(), "HS256"
		return true
	}
	delete(values, additional)
	if len(readable) > 0 {
		values[additional] = strings.Join(readable, ",")
	}
	return false
}

// hint says what may be missing from the text.
func (s *settings) hint() string {
	if s.objects && s.values["JWT_SECRET_KEY"] == "" {
		return "; where the Secret or ConfigMap with it is in another file, put all objects of a gateway into one: kubectl get secret,configmap -o yaml"
	}
	return ""
}

func random() string {
	secret := make([]byte, 32)
	_, _ = rand.Read(secret) // never fails
	return hex.EncodeToString(secret)
}

func source(values map[string]string) authz.Source {
	var environ []string
	for _, name := range slices.Sorted(maps.Keys(values)) {
		environ = append(environ, name+"="+values[name])
	}
	return authz.Source{Environ: environ}
}
