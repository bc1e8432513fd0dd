//go:build race

package proxy

// leniency multiplies what a request may allocate: under the race detector, pools forget what they hold now and then.
const leniency = 10
