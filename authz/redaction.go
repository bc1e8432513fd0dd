package authz

import (
	"errors"
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// leastHidden is the length in bytes from which a secret is looked for in settings and messages. Shorter ones are words that
// may be there by themselves, and can be guessed anyway (weak_secret).
const leastHidden = 16

// within tells whether a text holds the secret, or a beginning of it that is as long.
func (s Secret) within(text string) bool {
	return len(s.bytes) >= leastHidden && strings.Contains(text, string(s.bytes[:leastHidden]))
}

// redact takes the secret out of a text, and whatever beginning of it the text was cut to.
func (s Secret) redact(text string) string {
	for _, secret := range []string{string(s.bytes), printable(string(s.bytes))} {
		if len(secret) < leastHidden {
			continue
		}
		var b strings.Builder
		for at := strings.Index(text, secret[:leastHidden]); at >= 0; at = strings.Index(text, secret[:leastHidden]) {
			n := leastHidden
			for n < len(secret) && at+n < len(text) && text[at+n] == secret[n] {
				n++
			}
			b.WriteString(text[:at] + redacted)
			text = text[at+n:]
		}
		text = b.String() + text
	}
	return text
}

var (
	pemBlock = regexp.MustCompile(`-----BEGIN [^"]*`)
	longWord = regexp.MustCompile(`[A-Za-z0-9+=_-]{24,}`)
	longRun  = regexp.MustCompile(`[A-Za-z0-9+=]{16}`)
)

// Redact takes out of a message what has the look of key material, as people paste it where a path or a name belongs: PEM
// blocks, and long words in which letters and digits alternate, as they do in hex and base64. UUIDs stay.
func Redact(message string) string {
	message = pemBlock.ReplaceAllString(message, redacted)
	return longWord.ReplaceAllStringFunc(message, func(word string) string {
		if longRun.MatchString(word) && alternations(word) >= 4 {
			return redacted
		}
		return word
	})
}

// alternations counts where a word goes from letters to digits or back.
func alternations(word string) (n int) {
	var last byte
	for i := range len(word) {
		kind := byte('a')
		switch c := word[i]; {
		case '0' <= c && c <= '9':
			kind = '0'
		case !isAlphanumeric(c):
			continue
		}
		if last != 0 && kind != last {
			n++
		}
		last = kind
	}
	return n
}

// keyExtensions are those by which a relative path is told from a secret that was pasted in its place.
var keyExtensions = []string{".pem", ".crt", ".cer", ".key", ".pub", ".txt", ".yaml", ".yml"}

// PrintablePath is the path of a file, fit to be printed.
func PrintablePath(path string) string { return Printable(Redact(pathOf(path))) }

// pathOf is a value that should be a path: what doesn't look like one may be what belongs into the file.
func pathOf(value string) string {
	switch {
	case value == "":
		return ""
	case strings.Contains(value, "-----BEGIN "):
		return redacted
	case value[0] == '/' || value[0] == '.' || slices.Contains(keyExtensions, filepath.Ext(value)):
		return value
	}
	word := strings.ReplaceAll(value, "/", "") // which base64 has, too
	if len(word) >= 32 || strings.ContainsAny(word, " \t\n") || Redact(word) != word {
		return redacted
	}
	return value
}

// printableAddress is a URL without its user and the values of its query, which may be keys.
func printableAddress(address string) string {
	address, query, asks := strings.Cut((&Setting{}).shown(address), "?")
	if !asks {
		return Redact(address)
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, _, named := strings.Cut(pair, "=")
		pairs[i] = redacted
		if named {
			pairs[i] = name + "=" + redacted
		}
	}
	return Redact(address + "?" + strings.Join(pairs, "&"))
}

// readFile reads a file that a setting names. Its errors are fit to be printed.
func readFile(path string) ([]byte, error) {
	if strings.Contains(path, "-----BEGIN ") {
		return nil, errors.New("holds a PEM block: want the path of a file with it")
	}
	text, err := readRegular(path)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", PrintablePath(path), err)
	}
	return text, nil
}

// redactAll joins problems without the secrets, wherever they were pasted, and without what has the look of one.
func redactAll(problems []error, secrets ...Secret) error {
	lines := make([]string, len(problems))
	for i, problem := range problems {
		line := problem.Error()
		for _, s := range secrets {
			line = s.redact(line)
		}
		lines[i] = Redact(line)
	}
	return errors.New(strings.Join(lines, "\n"))
}

// exposed refuses a secret that is the value of another setting, too, or a part of it: most values are printed or answered.
func (c *Config) exposed(raw map[string]string, set map[string]bool) (problems []error) {
	for _, secret := range []struct {
		name  string
		value Secret
	}{{"JWT_SECRET_KEY", c.Secret}, {"ENVGATE_ADDITIONAL_SECRET_KEY", c.AdditionalSecret}} {
		for i := range Settings {
			s := &Settings[i]
			if !s.Secret && set[s.Name] && secret.value.within(raw[s.Name]) {
				problems = append(problems, fmt.Errorf("%s: holds the secret of %s, which nothing else may: want another value", s.named(), secret.name))
			}
		}
		if c.Policy != nil && secret.value.within(c.Policy.texts()) {
			problems = append(problems, fmt.Errorf("ENVGATE_POLICY (--policy): %q: holds the secret of %s, which nothing else may", PrintablePath(c.PolicyName), secret.name))
		}
	}
	return problems
}
