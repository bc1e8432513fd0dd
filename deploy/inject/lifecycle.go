package inject

// Seconds of a Pod's end. envgate drains for drainDelay while endpoints go away, and gives requests and streams
// drainTimeout to end (the defaults of ENVGATE_DRAIN_DELAY and ENVGATE_DRAIN_TIMEOUT); the gateway stays until no request
// can come any more.
const (
	gatewaySleep = 10
	drainTimeout = 20
	defaultGrace = 30 // the API server's
)

// keepGatewayUntilDrained lets the gateway outlive its endpoints: without it, its listener closes with the first second
// of the Pod's end, while requests still arrive. A preStop hook that is there already stays.
func (p *plan) keepGatewayUntilDrained() error {
	sleep := gatewaySleep
	lifecycle := mapping(p.gateway.fields, "lifecycle")
	hook, present := lifecycle["preStop"]
	if present && hook != nil {
		if seconds, ok := number(mapping(hook, "sleep")["seconds"]); ok {
			sleep = max(sleep, seconds)
			if seconds < gatewaySleep {
				p.note("container %s sleeps %d s before it stops: %d would keep it until envgate has drained", p.gateway.name(), seconds, gatewaySleep)
			}
		} else {
			p.note("container %s has a preStop hook: see that it lasts %d s, until envgate has drained", p.gateway.name(), gatewaySleep)
		}
	} else {
		p.addAll(p.gateway.path, "lifecycle", object{{"preStop", object{{"sleep", object{{"seconds", gatewaySleep}}}}}})
	}
	const key = "terminationGracePeriodSeconds"
	spec := mapping(p.pod, "spec")
	grace, given := number(spec[key])
	if !given {
		grace = defaultGrace
	}
	if need := sleep + drainTimeout; grace < need {
		p.set("/spec", key, need)
	}
	return nil
}
