package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"time"
)

// tools are the programs of others, and the Debian packages that bring them.
var tools = [][2]string{{"taskset", "util-linux"}, {"wrk", "wrk"}, {"nginx", "nginx"}, {"haproxy", "haproxy"}, {"git", "git"}}

// missing names everything that has to be installed first, one line each.
func missing() (lines []string) {
	for _, tool := range tools {
		if _, err := exec.LookPath(tool[0]); err != nil {
			lines = append(lines, fmt.Sprintf("%s is missing: apt-get install %s", tool[0], tool[1]))
		}
	}
	return lines
}

// fact is one row of what the figures hold for.
type fact struct{ what, value string }

// machine says where and with what was measured.
func (b *bench) machine(ctx context.Context, runs int) []fact {
	said := func(pattern string, command ...string) string {
		out, _ := exec.CommandContext(ctx, command[0], command[1:]...).CombinedOutput() // some exit with 1 after their version
		m := regexp.MustCompile(pattern).FindSubmatch(out)
		if m == nil {
			return "unknown"
		}
		return string(m[1])
	}
	read := func(file, pattern string) string {
		text, _ := os.ReadFile(file)
		m := regexp.MustCompile(pattern).FindSubmatch(text)
		if m == nil {
			return "unknown"
		}
		return string(m[1])
	}
	return []fact{
		{"date", time.Now().UTC().Format("2006-01-02")},
		{"envgate", "commit " + strings.TrimSpace(said(`(\S+)`, "git", "-C", b.root, "rev-parse", "--short", "HEAD")) + ", " + runtime.Version()},
		{"runs", fmt.Sprintf("medians of %d, each %s after %s of warm-up", runs, b.run, b.warm)},
		{"machine", fmt.Sprintf("%d cores, %s, %s MB of memory", runtime.NumCPU(), read("/proc/cpuinfo", `model name\s*: (.*)`), kilo(read("/proc/meminfo", `MemTotal:\s*(\d+)`)))},
		{"kernel", "Linux " + read("/proc/sys/kernel/osrelease", `(\S+)`)},
		{"load average before and after", b.busy + " and " + loadAverage()},
		{"Envoy", said(`/([0-9][0-9.]+)/`, b.envoy, "--version")},
		{"HAProxy", said(`version (\S+)`, "haproxy", "-v")},
		{"nginx", said(`nginx/(\S+)`, "nginx", "-v")},
		{"wrk", said(`wrk (\S+)`, "wrk", "-v")},
	}
}

func kilo(kB string) string {
	if len(kB) < 4 {
		return kB
	}
	return kB[:len(kB)-3]
}

// loadAverage is that of the last minute: how busy the machine is with other things before the first run.
func loadAverage() string {
	text, _ := os.ReadFile("/proc/loadavg")
	first, _, _ := strings.Cut(string(text), " ")
	return first
}
