package metrics

// The limits that are counted when something is over them.
const (
	LimitConnections           = "connections"
	LimitConnectionsPerAddress = "connections_per_address"
	LimitRequests              = "requests"
	LimitHeaders               = "headers"
	LimitHeaderBytes           = "header_bytes"
	LimitBodyBytes             = "body_bytes"
	LimitBodyTime              = "body_time"
	LimitRefusals              = "refusals"
)

var limits = []string{
	LimitConnections, LimitConnectionsPerAddress, LimitRequests, LimitHeaders, LimitHeaderBytes, LimitBodyBytes, LimitBodyTime, LimitRefusals,
}

// Limited counts what was over a limit, one of the above.
func (m *Metrics) Limited(limit string) { m.limited.WithLabelValues(limit).Inc() }
