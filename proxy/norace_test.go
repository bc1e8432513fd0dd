//go:build !race

package proxy

// leniency multiplies what a request may allocate.
const leniency = 1
