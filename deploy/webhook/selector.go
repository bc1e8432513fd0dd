package webhook

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"envgate/authz"
	"envgate/deploy/inject"
)

// requirement is one part of a label selector.
type requirement struct {
	key    string
	values []string // none: the key must merely be there
	not    bool
}

// selector is a Kubernetes label selector: all of its requirements must hold.
type selector []requirement

var (
	labelName = regexp.MustCompile(`^[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?$`)
	setBased  = regexp.MustCompile(`^(\S+)\s+(in|notin)\s*\(([^()]*)\)$`)
)

// isLabelKey: a name, and a DNS name with a slash before it, or none.
func isLabelKey(key string) bool {
	prefix, name, prefixed := strings.Cut(key, "/")
	if !prefixed {
		name = prefix
	}
	return (!prefixed || inject.ObjectName(prefix)) && len(name) <= 63 && labelName.MatchString(name)
}

func isLabelValue(value string) bool {
	return value == "" || len(value) <= 63 && labelName.MatchString(value)
}

// parseSelector reads a selector such as app=gateway,tier!=test,track in (stable, canary),!batch. Numeric comparisons
// are not among what it knows.
func parseSelector(text string) (s selector, err error) {
	for _, part := range splitSelector(text) {
		r, ok := parseRequirement(strings.TrimSpace(part))
		if !ok {
			return nil, fmt.Errorf("%q: want requirements such as app=gateway, app!=test, app in (a, b), app notin (a, b), app or !app, with commas between them", authz.Printable(text))
		}
		s = append(s, r)
	}
	return s, nil
}

// splitSelector cuts at the commas that stand outside parentheses.
func splitSelector(text string) (parts []string) {
	depth, start := 0, 0
	for i, c := range text {
		switch c {
		case '(':
			depth++
		case ')':
			depth--
		case ',':
			if depth == 0 {
				parts, start = append(parts, text[start:i]), i+1
			}
		}
	}
	return append(parts, text[start:])
}

func parseRequirement(part string) (r requirement, ok bool) {
	if m := setBased.FindStringSubmatch(part); m != nil {
		r = requirement{key: m[1], not: m[2] == "notin"}
		for value := range strings.SplitSeq(m[3], ",") {
			r.values = append(r.values, strings.TrimSpace(value))
		}
	} else if i := strings.IndexByte(part, '='); i >= 0 {
		key, value := part[:i], strings.TrimPrefix(part[i+1:], "=")
		r.not = strings.HasSuffix(key, "!")
		r.key, r.values = strings.TrimSpace(strings.TrimSuffix(key, "!")), []string{strings.TrimSpace(value)}
	} else {
		r.not = strings.HasPrefix(part, "!")
		r.key = strings.TrimSpace(strings.TrimPrefix(part, "!"))
	}
	bad := func(value string) bool { return !isLabelValue(value) }
	return r, isLabelKey(r.key) && !slices.ContainsFunc(r.values, bad)
}

// matches tells whether labels meet every requirement. As in Kubernetes, != and notin hold where the key is missing.
func (s selector) matches(labels map[string]string) bool {
	for _, r := range s {
		value, present := labels[r.key]
		if met := present && (r.values == nil || slices.Contains(r.values, value)); met == r.not {
			return false
		}
	}
	return true
}
