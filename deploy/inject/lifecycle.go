package inject

import (
	"fmt"
	"math"
	"time"

	"envgate/authz"
)

// Seconds of a Pod's end. envgate drains for the delay while endpoints go away, and gives requests and streams the timeout
// to end; the gateway stays until no request can come any more.
const (
	margin       = 5  // for which the gateway outlives the delay
	defaultGrace = 30 // the API server's
)

// keepGatewayUntilDrained lets the gateway outlive its endpoints: without it, its listener closes with the first second
// of the Pod's end, while requests still arrive. A preStop hook that is there already stays.
func (p *plan) keepGatewayUntilDrained() error {
	delay, err := p.seconds("ENVGATE_DRAIN_DELAY", 5)
	if err != nil {
		return err
	}
	timeout, err := p.seconds("ENVGATE_DRAIN_TIMEOUT", 20)
	if err != nil {
		return err
	}
	needed := delay + margin
	sleep := needed
	lifecycle := mapping(p.gateway.fields, "lifecycle")
	hook, present := lifecycle["preStop"]
	if present && hook != nil {
		if seconds, ok := number(mapping(hook, "sleep")["seconds"]); ok {
			sleep = max(sleep, seconds)
			if seconds < needed {
				p.note("container %s sleeps %d s before it stops: %d would keep it until envgate has drained", p.gateway, seconds, needed)
			}
		} else {
			p.note("container %s has a preStop hook: see that it lasts %d s, until envgate has drained", p.gateway, needed)
		}
	} else {
		p.addAll(p.gateway.path, "lifecycle", object{{"preStop", object{{"sleep", object{{"seconds", needed}}}}}})
	}
	const key = "terminationGracePeriodSeconds"
	spec := mapping(p.pod, "spec")
	grace, given := number(spec[key])
	if !given {
		grace = defaultGrace
	}
	if need := sleep + max(timeout, margin); grace < need {
		p.set("/spec", key, need)
	}
	return nil
}

// seconds is what the gateway's environment says of a drain, rounded up, or envgate's default.
func (p *plan) seconds(name string, otherwise int) (int, error) {
	entry, at := p.gateway.env(name)
	if at < 0 {
		return otherwise, nil
	}
	value, ok := literalOf(p.gateway, name)
	if !ok && (entry["value"] != nil || entry["valueFrom"] != nil) {
		p.note("container %s: %s isn't plain text: the gateway's sleep and the grace period are made for %d s", p.gateway, name, otherwise)
	}
	if !ok || value == "" {
		return otherwise, nil
	}
	d, err := time.ParseDuration(value)
	if err != nil || d < 0 || d > 10*time.Minute {
		return 0, fmt.Errorf("container %s: %s: %q: want 0s to 10m", p.gateway, name, authz.Printable(value))
	}
	return int(math.Ceil(d.Seconds())), nil
}
