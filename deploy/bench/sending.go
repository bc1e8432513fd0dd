package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"time"

	"envgate/deploy/bench/tokens"
)

// distinct is how many tokens there are at least for "every token new".
const distinct = 20_000

// Rates in requests per second that no proxy that remembers tokens reaches on one core: by them files of tokens are made long
// enough. Signing with RS256 takes 0.6 ms.
var fastest = map[string]int{"HS256": 80_000, "RS256": 40_000}

// tokenFile has one token a line; those after warm are for the time before the measurement.
type tokenFile struct {
	path  string
	lines int64 // before warm
	warm  int64 // the byte at which the warm-up starts
	spare int64 // lines after it
}

// material is all that clients of one algorithm send.
type material struct {
	keys    tokens.Keys
	good    string // the token seen before
	foreign string // of another environment
	expired string
	issuer  string // of another issuer
	other   string // for another audience
	fresh   tokenFile
	forged  tokenFile
}

// newMaterial makes tokens that last for a run of this length and its warm-up.
func newMaterial(folder string, keys tokens.Keys, run, warm time.Duration, files bool) (m material, err error) {
	m.keys = keys
	for _, t := range []struct {
		to          *string
		environment string
		change      []string
	}{
		{&m.good, tokens.Environment, nil}, {&m.foreign, "staging", nil},
		{&m.issuer, tokens.Environment, []string{"JWT_ISSUER=somebody-else"}}, {&m.other, tokens.Environment, []string{"JWT_AUDIENCE=something-else"}},
	} {
		if *t.to, err = keys.Mint(t.environment, t.change...); err != nil {
			return m, err
		}
	}
	if m.expired, err = keys.Expired(); err != nil || !files {
		return m, err
	}
	lines := max(distinct, int(float64(fastest[keys.Algorithm])*run.Seconds()))
	list, err := mintMany(keys, lines+max(5_000, int(float64(fastest[keys.Algorithm])*warm.Seconds())))
	if err != nil {
		return m, err
	}
	if m.fresh, err = writeTokens(filepath.Join(folder, keys.Algorithm+"-new"), list, lines); err != nil {
		return m, err
	}
	for i, token := range list {
		list[i] = tokens.Forged(token)
	}
	m.forged, err = writeTokens(filepath.Join(folder, keys.Algorithm+"-forged"), list, lines)
	return m, err
}

// mintMany signs on two cores.
func mintMany(keys tokens.Keys, n int) ([]string, error) {
	mint, err := keys.Minter(tokens.Environment)
	if err != nil {
		return nil, err
	}
	list, errs := make([]string, n), make([]error, 2)
	var signers sync.WaitGroup
	for half := range errs {
		signers.Go(func() {
			for i := half; i < n && errs[half] == nil; i += len(errs) {
				list[i], errs[half] = mint()
			}
		})
	}
	signers.Wait()
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	return list, nil
}

func writeTokens(path string, list []string, lines int) (t tokenFile, err error) {
	t = tokenFile{path: path, lines: int64(lines), spare: int64(len(list)-lines) - 1}
	f, err := os.Create(path)
	if err != nil {
		return t, err
	}
	w := bufio.NewWriter(f)
	for i, token := range list {
		_, _ = w.WriteString(token + "\n") // Flush tells of an error
		if i < lines {
			t.warm += int64(len(token)) + 1
		}
	}
	return t, errors.Join(w.Flush(), f.Close())
}

// loads are the warm-up and the run of a scenario, less URL, core and script.
func (m material) loads(s scenario, run, warm time.Duration) (warmUp, measured load) {
	warmUp = load{connections: s.connections, duration: warm}
	switch file := m.fresh; s.tokens {
	case seen:
		warmUp.header = "Authorization: Bearer " + m.good
	case forged:
		file = m.forged
		fallthrough
	case fresh:
		warmUp.arguments = []string{file.path, fmt.Sprint(file.warm)}
	}
	if s.upload {
		warmUp.arguments = []string{"upload", fmt.Sprint(largeBody)}
	}
	measured = warmUp
	measured.duration = run
	if s.tokens == fresh || s.tokens == forged {
		measured.arguments = []string{measured.arguments[0], "0"}
	}
	return warmUp, measured
}

// enough complains when tokens were sent twice that had to be new, which only matters to who remembers them.
func (m material) enough(s scenario, warmUp, measured outcome) error {
	if s.tokens != fresh {
		return nil
	}
	if in := int64(s.connections); warmUp.requests+in > m.fresh.spare || measured.requests+in > m.fresh.lines {
		return fmt.Errorf("%s: %d and %d requests had only %d and %d new tokens: fastest is too low", s.name, warmUp.requests, measured.requests, m.fresh.spare, m.fresh.lines)
	}
	return nil
}
