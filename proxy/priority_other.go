//go:build !linux

package proxy

// lowerPriority can't be had for one thread here.
func lowerPriority() {}
