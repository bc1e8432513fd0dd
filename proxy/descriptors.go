package proxy

import "envgate/authz"

// reservedDescriptors are kept for what isn't a client's connection: listeners, probes, watched files, key sets.
const reservedDescriptors = 32

// AtOnce is how much a process like this one serves at once.
func AtOnce(c *authz.Config) *authz.AtOnce {
	descriptors := allowedDescriptors()
	return &authz.AtOnce{Connections: affordable(c.MaxConnections, descriptors), Requests: affordable(c.MaxRequests, descriptors)}
}

// affordable is how many connections of clients, and how many requests, a process may hold at once that is allowed so many
// file descriptors: half of them are for clients, half for connections to the upstream, one for each request. Without this
// bound a flood would take those of the probes.
func affordable(most int, descriptors uint64) int {
	fit := 1
	if descriptors > reservedDescriptors+2 {
		fit = int(min((descriptors-reservedDescriptors)/2, 1<<30))
	}
	if most == 0 || most > fit {
		return fit
	}
	return most
}
