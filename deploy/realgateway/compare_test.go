//go:build realgateway

package realgateway

import (
	"errors"
	"fmt"
	"maps"
	"net"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// sameBehind asks a gateway directly and through its sidecar, and fails the test where the answers differ in status,
// headers or body. The Host is the gateway's each time, since the gateway writes it into its answers.
//
// Some of an answer differs from call to call: times, counters, tokens. So the gateway is asked directly before and
// after, and what differs between those two doesn't count: a clock can't differ behind and not there. What jumps about
// can: only a difference seen three times is one.
func sameBehind(t *testing.T, g *gateway, path string, headers ...string) answer {
	t.Helper()
	words := answer.words
	if aboutItself.MatchString(path) {
		words = answer.kind
	}
	headers = append([]string{"Host: " + strings.TrimPrefix(g.url, "http://")}, headers...)
	var behind answer
	var difference string
	for range 3 {
		before, err := ask(g.url, path, headers)
		if err != nil {
			t.Fatal(err)
		}
		if behind, err = ask(g.sidecar.url, path, headers); err != nil {
			t.Fatal(err)
		}
		after, err := ask(g.url, path, headers)
		if err != nil {
			t.Fatal(err)
		}
		if difference = differs(words(before), words(behind), words(after)); difference == "" {
			return behind
		}
	}
	t.Errorf("GET %s: %s", path, difference)
	return behind
}

// ask is a GET. A request whose headers don't come is an answer too: status 0. Connection is between neighbours, and no
// part of the answer.
func ask(base, path string, headers []string) (answer, error) {
	a, err := try(base, "GET", path, "", headers...)
	a.header.Del("Connection")
	if timeout := net.Error(nil); errors.As(err, &timeout) && timeout.Timeout() {
		return answer{}, nil
	}
	return a, err
}

// aboutItself are the pages on which the gateway shows its log, its processor time and how many files it has open. They
// can't be the same behind a sidecar, which connects in its own way.
var aboutItself = regexp.MustCompile(`/(admin/logs|admin/logs/export|admin/support-bundle/generate|version|metrics/prometheus)$`)

// kind is what is compared of such a page.
func (a answer) kind() []string {
	return []string{fmt.Sprint("status ", a.status), "\nContent-Type: ", a.header.Get("Content-Type")}
}

var word = regexp.MustCompile(`[\w.:+/=%-]+|[^\w.:+/=%-]+`)

// words cuts an answer into pieces that are compared one by one.
func (a answer) words() []string {
	words := []string{fmt.Sprint("status ", a.status)}
	for _, name := range slices.Sorted(maps.Keys(a.header)) {
		for _, value := range a.header[name] {
			words = append(words, "\n"+name+": ")
			words = append(words, word.FindAllString(value, -1)...)
		}
	}
	return append(append(words, "\n\n"), word.FindAllString(a.body, -1)...)
}

// differs tells where behind is not as before and after, which agree there, or "". The first word is the status, which
// counts always.
func differs(before, behind, after []string) string {
	if len(before) != len(after) {
		return "without the sidecar it differs in length from call to call: " + firstDifference(before, after)
	}
	if len(behind) != len(before) {
		return fmt.Sprintf("%d words, want %d: %s", len(behind), len(before), firstDifference(before, behind))
	}
	for i, w := range before {
		if (i == 0 || w == after[i]) && behind[i] != w {
			return firstDifference(before[max(0, i-8):], behind[max(0, i-8):])
		}
	}
	return ""
}

// firstDifference shows two answers from where they part.
func firstDifference(want, got []string) string {
	i := 0
	for i < min(len(want), len(got)) && want[i] == got[i] {
		i++
	}
	show := func(words []string) string {
		return strings.Join(words[max(0, min(i, len(words))-8):min(len(words), i+12)], "")
	}
	return fmt.Sprintf("got %q, want %q", show(got), show(want))
}

// A comparison that finds nothing shows something only if it can find.
func TestDiffers(t *testing.T) {
	for _, row := range []struct {
		name, before, behind, after string
		same                        bool
	}{
		{"equal", "a 1 b", "a 1 b", "a 1 b", true},
		{"another word", "a 1 b", "a 2 b", "a 1 b", false},
		{"a word that changes anyway", "a 1 b", "a 2 b", "a 3 b", true},
		{"another beside one that changes anyway", "a 1 b", "a 2 c", "a 3 b", false},
		{"one word less", "a 1 b", "a 1", "a 1 b", false},
		{"one word more", "a 1 b", "a 1 b c", "a 1 b", false},
		{"one that can't be compared", "a 1 b", "a 1 b", "a 1 1 b", false},
	} {
		words := func(body string) []string { return answer{status: 200, body: body}.words() }
		if difference := differs(words(row.before), words(row.behind), words(row.after)); (difference == "") != row.same {
			t.Errorf("%s: %q", row.name, difference)
		}
	}
}
