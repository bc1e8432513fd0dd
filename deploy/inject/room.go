package inject

import (
	"fmt"
	"math"
	"regexp"
	"strconv"

	"envgate/authz"
)

// What the sidecar asks for.
const (
	cpuRequest    = "10m"
	memoryRequest = "32Mi"
)

// resources are the sidecar's requests and limits. No CPU limit unless asked: it would throttle every request.
func (o Options) resources() (requests, limits object) {
	if o.CPULimit != "" {
		limits = object{{"cpu", o.CPULimit}}
	}
	return object{{"cpu", cpuRequest}, {"memory", memoryRequest}}, append(limits, field{"memory", o.memoryLimit()})
}

// makeRoom refuses a Pod whose own resources (KEP-2837) don't hold the sidecar's: the API server would refuse it with less
// to go by.
func (p *plan) makeRoom(requests, limits object) error {
	given := mapping(p.pod, "spec", "resources")
	for _, f := range limits {
		limit, ok := mapping(given, "limits")[f.name]
		if ok && quantity(limit) < quantity(f.value) {
			return fmt.Errorf("spec.resources: limits: %s: %q: the sidecar's own is %s: raise it, or set --%s-limit", f.name, authz.Printable(fmt.Sprint(limit)), f.value, f.name)
		}
	}
	for _, f := range requests {
		what := "requests"
		total, ok := mapping(given, what)[f.name]
		if !ok { // then the limit bounds it
			what = "limits"
			total, ok = mapping(given, what)[f.name]
		}
		needed := quantity(f.value)
		for _, c := range containers(p.pod) {
			if c.runs() {
				needed += c.requests(f.name)
			}
		}
		if ok && quantity(total) < needed {
			return fmt.Errorf("spec.resources: %s: %s: %q has no room for the sidecar beside the containers: want at least %s", what, f.name, authz.Printable(fmt.Sprint(total)), rounded(f.name, needed))
		}
	}
	return nil
}

// requests is how much of a resource the container asks for: a limit alone is a request, too.
func (c container) requests(name string) float64 {
	for _, key := range []string{"requests", "limits"} {
		if v, ok := mapping(c.fields, "resources", key)[name]; ok && !math.IsNaN(quantity(v)) {
			return quantity(v)
		}
	}
	return 0
}

var (
	quantityText = regexp.MustCompile(`^([0-9]+\.?[0-9]*|\.[0-9]+)(m|k|M|G|T|P|Ki|Mi|Gi|Ti|Pi|[eE][0-9]{1,2})?$`)
	multiples    = map[string]float64{
		"": 1, "m": 1e-3, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15,
		"Ki": 1 << 10, "Mi": 1 << 20, "Gi": 1 << 30, "Ti": 1 << 40, "Pi": 1 << 50,
	}
)

// quantity reads an amount of CPU or memory, in cores or bytes; NaN, which compares with nothing, where it can't: the API
// server judges it.
func quantity(v any) float64 {
	m := quantityText.FindStringSubmatch(fmt.Sprint(v))
	if m == nil {
		return math.NaN()
	}
	n, err := strconv.ParseFloat(m[1], 64)
	if times, known := multiples[m[2]]; known && err == nil {
		return n * times
	}
	if n, err = strconv.ParseFloat(m[0], 64); err == nil { // 1e3
		return n
	}
	return math.NaN()
}

// rounded is an amount as one would set it, rounded up to milli-cores or Mi.
func rounded(name string, amount float64) string {
	if name == "cpu" {
		return fmt.Sprintf("%.0fm", math.Ceil(math.Round(amount*1e6)/1e3))
	}
	return fmt.Sprintf("%.0fMi", math.Ceil(amount/(1<<20)))
}
