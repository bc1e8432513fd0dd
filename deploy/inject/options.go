package inject

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"

	"envgate/authz"
)

// DefaultGatewayImages match the images of gateways that need no label to be known.
var DefaultGatewayImages = []string{"*/mcp-context-forge*"}

// Options say how to inject. The zero value of a field is its default, except where it must be given.
type Options struct {
	Environment   string   // becomes ENVGATE_ENVIRONMENT; must be given
	Mode          string   // report (default) or enforce
	Image         string   // the sidecar's image; must be given
	Version       string   // written as the annotation envgate/injected
	Container     string   // the gateway's container; default: by image, or the only one
	Redirect      string   // port (default), manual or service
	UpstreamPort  int      // where the gateway listens; needed by manual
	Policy        string   // a built-in policy (default contextforge), or the name of a ConfigMap with the key policy.yaml
	PolicyText    []byte   // that ConfigMap's policy.yaml, where it is known
	Plain         bool     // a plain container instead of a native sidecar
	Probe         string   // exec (default) or http: how the kubelet asks the sidecar
	EnvFrom       string   // all (default), config-maps or none: which of the gateway's envFrom the sidecar shares
	Secret        string   // with config-maps or none: the Secret that holds the shared variables
	Mounts        []string // names of volumes whose mounts the sidecar shares, beside those of literal key paths
	CPULimit      string   // default none
	MemoryLimit   string   // default 128Mi; GOMEMLIMIT is nine tenths of it
	Mesh          string   // istio or linkerd: keep the admin port out of the mesh
	GatewayImages []string // patterns of gateway images
	PodMonitor    bool     // with manifests: add a PodMonitor for the admin port
	NetworkPolicy bool     // with manifests: add a NetworkPolicy that closes the gateway's own port
	Force         bool     // inject in spite of hostNetwork or of secrets in plain text
}

var (
	objectName = regexp.MustCompile(`^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$`)
	memory     = regexp.MustCompile(`^([1-9][0-9]{0,5})(Mi|Gi)$`)
	cpu        = regexp.MustCompile(`^([0-9]+m|[0-9]+(\.[0-9]+)?)$`)
)

// ObjectName tells whether s can be the name of a Kubernetes object (RFC 1123 subdomain).
func ObjectName(s string) bool { return len(s) <= 253 && objectName.MatchString(s) }

// Check tells what is wrong with the options, in one line: the option, its value and what is allowed.
func (o Options) Check() error {
	switch err := authz.EnvironmentName(o.Environment); {
	case err != nil:
		return fmt.Errorf("environment: %q: this environment's name: %w", authz.Printable(o.Environment), err)
	case o.Image == "" || strings.ContainsAny(o.Image, " \t\r\n\"") || repository(o.Image) == "":
		return fmt.Errorf("image: %q: want the sidecar's image, such as registry.example.com/envgate:1.0.0", authz.Printable(o.Image))
	case o.UpstreamPort != 0 && (o.UpstreamPort < 1 || o.UpstreamPort > 65535):
		return fmt.Errorf("upstream-port: %d: want 1 to 65535", o.UpstreamPort)
	case o.MemoryLimit != "" && !memory.MatchString(o.MemoryLimit):
		return fmt.Errorf("memory-limit: %q: want a whole number of Mi or Gi, such as 128Mi", authz.Printable(o.MemoryLimit))
	case quantity(o.memoryLimit()) < quantity(memoryRequest):
		return fmt.Errorf("memory-limit: %q: want at least %s, which is requested", o.MemoryLimit, memoryRequest)
	case o.UpstreamPort != 0 && o.redirect() != RedirectManual:
		return fmt.Errorf("upstream-port: %d: want redirect manual with it: only a gateway that its owner moved has one", o.UpstreamPort)
	case o.CPULimit != "" && !cpu.MatchString(o.CPULimit):
		return fmt.Errorf("cpu-limit: %q: want cores or milli-cores, such as 1 or 500m", authz.Printable(o.CPULimit))
	case o.CPULimit != "" && quantity(o.CPULimit) < quantity(cpuRequest):
		return fmt.Errorf("cpu-limit: %q: want at least %s, which is requested", o.CPULimit, cpuRequest)
	case o.Secret != "" && !ObjectName(o.Secret):
		return fmt.Errorf("secret: %q: want the name of a Secret", authz.Printable(o.Secret))
	case o.Secret != "" && o.envFrom() == "all":
		return fmt.Errorf("secret: %s: want --env-from none or config-maps with it, for all shares the gateway's Secrets already", o.Secret)
	case o.EnvFrom == "none" && o.Secret == "":
		return fmt.Errorf("secret: missing: --env-from none needs the Secret that holds the shared variables")
	case o.Policy != "" && !ObjectName(o.Policy):
		return fmt.Errorf("policy: %q: want a built-in policy (%s) or the name of a ConfigMap", authz.Printable(o.Policy), strings.Join(authz.BuiltinPolicies(), ", "))
	}
	for _, row := range []struct{ name, value, allowed string }{
		{"mode", o.Mode, "report enforce"}, {"redirect", o.Redirect, "port manual service"}, {"probe", o.Probe, "exec http"},
		{"env-from", o.EnvFrom, "all config-maps none"}, {"mesh", o.Mesh, "istio linkerd"},
	} {
		if allowed := strings.Fields(row.allowed); row.value != "" && !slices.Contains(allowed, row.value) {
			return fmt.Errorf("%s: %q: want %s", row.name, authz.Printable(row.value), strings.Join(allowed, " or "))
		}
	}
	return nil
}

// megabytes reads a memory limit, in Mi.
func megabytes(limit string) int {
	m := memory.FindStringSubmatch(limit)
	if m == nil {
		return 0
	}
	n, _ := strconv.Atoi(m[1]) // of at most six digits
	if m[2] == "Gi" {
		n *= 1024
	}
	return n
}

func or(value, otherwise string) string {
	if value == "" {
		return otherwise
	}
	return value
}

func (o Options) mode() string        { return or(o.Mode, string(authz.ModeReport)) }
func (o Options) redirect() string    { return or(o.Redirect, RedirectPort) }
func (o Options) envFrom() string     { return or(o.EnvFrom, "all") }
func (o Options) memoryLimit() string { return or(o.MemoryLimit, "128Mi") }

// builtin is the name of the built-in policy in use; empty where a ConfigMap holds the policy.
func (o Options) builtin() string {
	if name := or(o.Policy, authz.BuiltinPolicies()[0]); slices.Contains(authz.BuiltinPolicies(), name) {
		return name
	}
	return ""
}

// policyKnown tells whether the text of the sidecar's policy is known.
func (o Options) policyKnown() bool { return o.builtin() != "" || o.PolicyText != nil }

// mountsPolicy tells whether the sidecar reads its policy from a ConfigMap.
func (o Options) mountsPolicy() bool { return o.builtin() == "" }

// policy is the policy that the sidecar will read. One in a ConfigMap whose text isn't known is taken to bind its
// gateway as the first built-in policy does.
func (o Options) policy() (*authz.Policy, error) {
	if o.mountsPolicy() && o.PolicyText != nil {
		p, err := authz.ParsePolicy(o.PolicyText)
		if err != nil {
			return nil, fmt.Errorf("policy: ConfigMap %s: policy.yaml: %w", o.Policy, err)
		}
		return p, nil
	}
	known, err := builtinPolicies()
	return known[or(o.builtin(), authz.BuiltinPolicies()[0])], err
}

// builtinPolicies are parsed once: the webhook asks for one with every Pod.
var builtinPolicies = sync.OnceValues(func() (map[string]*authz.Policy, error) {
	known := map[string]*authz.Policy{}
	for _, name := range authz.BuiltinPolicies() {
		p, err := authz.LoadPolicy(name)
		if err != nil {
			return nil, err
		}
		known[name] = p
	}
	return known, nil
})

// annotated are the options as the Pod's annotations change them.
func (o Options) annotated(annotations map[string]any) (Options, error) {
	for name, field := range map[string]*string{
		annotationContainer: &o.Container, annotationRedirect: &o.Redirect, annotationMode: &o.Mode,
		annotationPolicy: &o.Policy, annotationImage: &o.Image,
	} {
		if value, _ := annotations[name].(string); value != "" {
			*field = value
		}
	}
	if way, _ := annotations[annotationRedirect].(string); way != "" && way != RedirectManual {
		o.UpstreamPort = 0 // a namespace's, for gateways that were moved
	}
	if value, present := annotations[annotationUpstreamPort]; present {
		port, ok := portNumber(value)
		if !ok {
			return o, fmt.Errorf("annotation %s: %s: want a port, 1 to 65535", annotationUpstreamPort, strconv.Quote(authz.Printable(fmt.Sprint(value))))
		}
		o.UpstreamPort = port
	}
	return o, nil
}
