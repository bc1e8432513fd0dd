//go:build !linux

package main

import (
	"errors"
	"time"
)

func (p *process) cpu() (time.Duration, error) {
	return 0, p.failure(errors.New("CPU time of another process: only on Linux"))
}
