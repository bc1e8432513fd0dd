// Command mutation tells whether the tests of authz notice when its code changes what it decides. It compiles all mutants into
// one test binary, each behind a number, and runs the tests with one of them in force at a time: first quickly, and what
// survives that with all tests. A survivor must stand in survivors.txt with the reason why it decides the same.
//
//	go run ./deploy/mutation [-only verifier.go,claims.go] [-jobs 2]
package main

import (
	"bytes"
	"cmp"
	_ "embed"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

const folder = "authz"

// deciding are the files that judge requests. The others read settings, and word what was decided.
const deciding = "authz.go,cache.go,candidates.go,claims.go,credential.go,decision.go,denylist.go,embed.go,environment.go,hasher.go,keyset.go," +
	"object.go,reload.go,revocation.go,routes.go,trust.go,verifier.go"

// slow are tests that take seconds, and are about settings and files.
const slow = "-test.skip=Crossings|WrongPlace|AMillion|TheSlowHash|SecretsThat|Fingerprint"

// quick are the arguments of a run that most mutants don't survive; whole are all cases.
var (
	quick = []string{slow, "-test.failfast", "-test.timeout=20s", "-rapid.checks=200"}
	whole = []string{slow, "-test.failfast", "-test.timeout=2m"}
)

//go:embed runtime.go.txt
var runtime []byte

//go:embed survivors.txt
var survivors string

func main() {
	only := flag.String("only", deciding, "files of authz, separated by commas")
	jobs := flag.Int("jobs", 2, "mutants at once")
	flag.Parse()
	if err := run(strings.Split(*only, ","), *jobs); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		os.Exit(1)
	}
}

func run(files []string, jobs int) error {
	known, err := readSurvivors(survivors)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return err
	}
	defer os.RemoveAll(work)
	mutants, err := build(files, work)
	if err != nil {
		return err
	}
	binary := filepath.Join(work, "authz.test")
	reached := filepath.Join(work, "reached")
	if out, err := test(binary, 0, whole, "MUTANTS_REACHED="+reached); err != nil {
		return fmt.Errorf("without a mutant: %w\n%s", err, out)
	}
	if err := markReached(mutants, reached); err != nil {
		return err
	}
	fmt.Printf("%d mutants in %d files\n", len(mutants), len(files))
	var alive []*mutant
	each(mutants, jobs, func(m *mutant) bool { return m.reached && survives(binary, m) }, func(m *mutant, survived bool) {
		if survived || !m.reached {
			alive = append(alive, m)
		}
	})
	return report(mutants, alive, known)
}

// survives tells whether all tests pass with a mutant. One that hangs is noticed.
func survives(binary string, m *mutant) bool {
	for _, arguments := range [][]string{quick, whole} {
		if _, err := test(binary, m.number, arguments); err != nil {
			return false
		}
	}
	return true
}

// each calls a function for all mutants, some at once, and then another one in their order.
func each(mutants []*mutant, jobs int, do func(*mutant) bool, then func(*mutant, bool)) {
	results := make([]bool, len(mutants))
	next := make(chan int)
	var wg sync.WaitGroup
	started := time.Now()
	for range jobs {
		wg.Go(func() {
			for i := range next {
				if results[i] = do(mutants[i]); i%50 == 49 {
					fmt.Fprintf(os.Stderr, "%d of %d after %s\n", i+1, len(mutants), time.Since(started).Round(time.Second))
				}
			}
		})
	}
	for i := range mutants {
		next <- i
	}
	close(next)
	wg.Wait()
	for i, m := range mutants {
		then(m, results[i])
	}
}

func test(binary string, number int, arguments []string, environment ...string) ([]byte, error) {
	command := exec.Command(binary, arguments...)
	command.Dir = folder
	command.Env = append(append(os.Environ(), "MUTANT="+strconv.Itoa(number)), environment...)
	return command.CombinedOutput()
}

// build writes the mutated files, and compiles the tests with them in the place of the real ones.
func build(files []string, work string) ([]*mutant, error) {
	sources, err := load(folder)
	if err != nil {
		return nil, err
	}
	replace := map[string]string{}
	overlay := func(name string, content []byte) error {
		path, err := filepath.Abs(filepath.Join(folder, name))
		if err != nil {
			return err
		}
		replace[path] = filepath.Join(work, name)
		return os.WriteFile(replace[path], content, 0o600)
	}
	var mutants []*mutant
	for _, name := range files {
		s := sources[name]
		if s == nil {
			return nil, fmt.Errorf("-only: %q: no file of %s", name, folder)
		}
		if err := overlay(name, s.mutate(&mutants)); err != nil {
			return nil, err
		}
	}
	if err := overlay("mutants.go", runtime); err != nil {
		return nil, err
	}
	list, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(work, "overlay.json"), list, 0o600); err != nil {
		return nil, err
	}
	command := exec.Command("go", "test", "-c", "-vet=off", "-overlay", filepath.Join(work, "overlay.json"), "-o", filepath.Join(work, "authz.test"), "./"+folder)
	if out, err := command.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("%w\n%s", err, out)
	}
	return mutants, nil
}

func markReached(mutants []*mutant, file string) error {
	lines, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	for line := range bytes.Lines(lines) {
		n, err := strconv.Atoi(string(bytes.TrimSpace(line)))
		if err != nil || n < 1 || n > len(mutants) {
			return fmt.Errorf("%s: %q: want the number of a mutant", file, line)
		}
		mutants[n-1].reached = true
	}
	return nil
}

// readSurvivors reads blocks of mutants, one a line, below a line with the reason why they decide the same.
func readSurvivors(text string) (map[string]string, error) {
	known, reason := map[string]string{}, ""
	for line := range strings.Lines(text) {
		switch line = strings.TrimSpace(line); {
		case strings.HasPrefix(line, "# "):
			reason = line[2:]
		case line != "" && reason == "":
			return nil, fmt.Errorf("survivors.txt: %q: no reason above it", line)
		case line != "":
			known[line] = reason
		}
	}
	return known, nil
}

var errSurvivors = errors.New("mutants survived that survivors.txt gives no reason for, or it names some that don't survive")

// report prints what survived, and what should have.
func report(mutants, alive []*mutant, known map[string]string) error {
	perFile := map[string][2]int{}
	for _, m := range mutants {
		n := perFile[m.file]
		n[0]++
		perFile[m.file] = n
	}
	unexplained := 0
	seen := map[string]bool{}
	for _, m := range alive {
		n := perFile[m.file]
		n[1]++
		perFile[m.file] = n
		seen[m.String()] = true
		if known[m.String()] == "" {
			unexplained++
			fmt.Printf("SURVIVED %s%s\n", m, map[bool]string{true: "", false: " (never reached)"}[m.reached])
		}
	}
	files := make([]string, 0, len(perFile))
	for name := range perFile {
		files = append(files, name)
	}
	slices.SortFunc(files, func(a, b string) int { return cmp.Compare(a, b) })
	stale := 0
	for text := range known {
		if file, _, _ := strings.Cut(text, ":"); !seen[text] && slices.Contains(files, file) {
			stale++
			fmt.Printf("NOTICED, though survivors.txt names it: %s\n", text)
		}
	}
	fmt.Println("| file | mutants | noticed | survive, with a reason |\n|---|---|---|---|")
	for _, name := range files {
		n := perFile[name]
		fmt.Printf("| %s | %d | %d | %d |\n", name, n[0], n[0]-n[1], n[1])
	}
	fmt.Printf("| all | %d | %d | %d |\n", len(mutants), len(mutants)-len(alive), len(alive))
	if unexplained+stale > 0 {
		return errSurvivors
	}
	return nil
}
