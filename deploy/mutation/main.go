// Command mutation tells whether the tests notice when the code of authz changes what it decides. It compiles all mutants into
// the test binaries, each behind a number, and runs the tests with one of them in force at a time: first quickly, and what
// survives that with all tests. A survivor must stand in survivors.txt with the reason why it decides the same.
//
//	go run ./deploy/mutation [-only verifier.go,claims.go] [-jobs 2] [-again OUTPUT]
package main

import (
	"bytes"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const folder = "authz"

// deciding are the files that judge requests. The others read settings, and word what was decided.
const deciding = "authz.go,cache.go,candidates.go,claims.go,credential.go,decision.go,denylist.go,embed.go,environment.go,hasher.go,keyset.go," +
	"object.go,reload.go,revocation.go,routes.go,trust.go,verifier.go"

// slow are tests that take seconds, and are about settings and files.
const slow = "-test.skip=Crossings|WrongPlace|AMillion|TheSlowHash|SecretsThat|Fingerprint"

// suite is a test binary with what it is asked to run.
type suite struct {
	folder    string
	arguments []string
}

// suites are run in turn, until one fails: what most mutants don't survive, all cases, and how proxy uses what those files decide.
var suites = []suite{
	{folder, []string{slow, "-test.failfast", "-test.timeout=30s", "-rapid.checks=200"}},
	{folder, []string{slow, "-test.failfast", "-test.timeout=2m"}},
	{"proxy", []string{"-test.failfast", "-test.timeout=2m", "-test.run=Authorization|Embed|Laundering|ProtectedResource|Secret|Translated|IsReloaded|Rotat|KeyPair|Attacks|AnIssuer|Restarts"}},
}

//go:embed survivors.txt
var survivors string

func main() {
	only := flag.String("only", deciding, "files of authz, separated by commas")
	jobs := flag.Int("jobs", 2, "mutants at once")
	again := flag.String("again", "", "a file with what a former run printed: only what survived there is tried")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx, os.Stdout, strings.Split(*only, ","), *jobs, *again); err != nil {
		fmt.Fprintln(os.Stderr, "mutation:", err)
		stop()
		os.Exit(1) //nolint:gocritic // nothing else is deferred
	}
}

func run(ctx context.Context, w io.Writer, files []string, jobs int, again string) error {
	known, err := readSurvivors(survivors)
	if err != nil {
		return err
	}
	work, err := os.MkdirTemp("", "mutation")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(work) }()
	mutants, err := build(ctx, files, work)
	if err != nil {
		return err
	}
	for i, s := range suites {
		reached := filepath.Join(work, fmt.Sprint("reached", i))
		if out, err := s.test(ctx, work, 0, "MUTANTS_REACHED="+reached); err != nil {
			return fmt.Errorf("without a mutant: %w\n%s", err, out)
		}
		if err := markReached(mutants, reached); err != nil {
			return err
		}
	}
	if _, err := fmt.Fprintf(w, "%d mutants in %d files\n", len(mutants), len(files)); err != nil {
		return err
	}
	if again != "" {
		former, err := os.ReadFile(again)
		if err != nil {
			return err
		}
		mutants = slices.DeleteFunc(mutants, func(m *mutant) bool { return !bytes.Contains(former, []byte("SURVIVED "+m.String())) })
		maps.DeleteFunc(known, func(name, _ string) bool { return !bytes.Contains(former, []byte("SURVIVED "+name)) })
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var alive []*mutant
	each(mutants, jobs, func(m *mutant) bool { return m.reached && survives(ctx, cancel, work, m) }, func(m *mutant, survived bool) {
		if survived || !m.reached {
			alive = append(alive, m)
		}
	})
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return report(w, mutants, alive, known)
}

// survives tells whether all tests pass with a mutant. What the later suites alone notice, they must notice twice: they wait
// for timers, and draw many cases. One that hangs is noticed, and reported by name: the machine may have been busy.
func survives(ctx context.Context, stop context.CancelCauseFunc, work string, m *mutant) bool {
	for i, s := range suites {
		for times := 0; ; times++ {
			out, err := s.test(ctx, work, m.number)
			if _, ran := err.(*exec.ExitError); err != nil && !ran { //nolint:errorlint // nothing wraps it
				stop(err)
				return true
			}
			m.by = noticedBy(out)
			if err == nil {
				break
			}
			if i == 0 || times == 1 || strings.HasPrefix(m.by, timedOut) {
				return false
			}
		}
	}
	return true
}

const timedOut = "panic: test timed out"

var failure = regexp.MustCompile(`(?m)^(?: *--- FAIL: (\S+)|(panic: .*|fatal error: .*|goleak: .*))`)

// noticedBy is the first test that failed, or else what ended them all.
func noticedBy(out []byte) string {
	found := failure.FindSubmatch(out)
	if found == nil {
		return ""
	}
	return string(found[1]) + string(found[2])
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

func (s suite) test(ctx context.Context, work string, number int, environment ...string) ([]byte, error) {
	command := exec.CommandContext(ctx, binary(work, s.folder), s.arguments...)
	command.Dir = s.folder
	command.Env = append(append(os.Environ(), "MUTANT="+strconv.Itoa(number)), environment...)
	return command.CombinedOutput()
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
