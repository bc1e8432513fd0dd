package metrics

// Denied says how many jtis and subjects the deny-list in force holds.
func (m *Metrics) Denied(ids, subjects int) {
	m.denied.WithLabelValues("jti").Set(float64(ids))
	m.denied.WithLabelValues("sub").Set(float64(subjects))
}
