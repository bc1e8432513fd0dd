package metrics

// Causes of a stream's end before its time.
const (
	EndedAtExpiry  = "expiry"  // of its token
	EndedAsRefused = "refused" // its request would be refused now
)

var endings = []string{EndedAtExpiry, EndedAsRefused}

// StreamEnded counts a stream that ended with its token; kind is one of StreamKinds, cause one of the above.
func (m *Metrics) StreamEnded(kind, cause string) { m.streamsEnded.WithLabelValues(kind, cause).Inc() }
