package deploy

import (
	"errors"
	"io"
	"os"

	"envgate/metrics"
)

// DemoOptions say what the demo runs against.
type DemoOptions struct {
	Out     io.Writer
	Stay    bool
	Gateway string
	Environ []string
	Stop    <-chan os.Signal
	Build   metrics.Build
}

// Demo runs.
func Demo(o DemoOptions) error { return errors.New("wip") }
