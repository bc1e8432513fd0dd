package demo

import (
	"context"
	"fmt"
	"os"
	"strconv"

	"envgate/authz"
)

// rowFormat keeps a row within 110 columns: mark, what is sent, where to, status, decision, why.
const rowFormat = "%s  %-29s %-10s %3s  %-29s %s\n"

func (d *demo) printf(format string, args ...any) { _, _ = fmt.Fprintf(d.Out, format, args...) }

// introduce prints who takes part, what the sidecars warn of at start, and the head of the table.
func (d *demo) introduce() {
	about := "the demo's stand-in: verifies as a legacy release does, knows no env"
	if d.Gateway != "" {
		about = "the given one"
	}
	d.printf("gateway     %s  %s\n", d.gateway, about)
	for _, name := range environments {
		d.printf("%-11s %s  a sidecar before that gateway\n", name, d.sidecars[name].traffic)
	}
	d.printf("\nBoth environments share one secret, one issuer and one audience. What envgate says about that at start:\n")
	for _, name := range environments {
		d.printf("%s\n", name)
		for _, w := range d.sidecars[name].Warnings() {
			d.printf("  %-30s  %s\n", w.Check, w.Set)
		}
	}
	d.printf("\n"+rowFormat, "  ", "SENT", "TO", "GOT", "DECIDED", "WHY")
}

// play sends one step, judges what became of it and prints its row.
func (d *demo) play(ctx context.Context, s step) {
	s = d.adapt(ctx, s)
	status, decided, err := d.observe(ctx, s)
	if ctx.Err() != nil {
		return
	}
	good := err == nil && status == s.status && decided == s.decision()
	d.row(good, s.what, s.to, strconv.Itoa(status), decided, s.why)
	if !good {
		d.printf("    expected %d, %s\n", s.status, s.decision())
	}
	if err != nil {
		d.printf("    %s\n", authz.Printable(err.Error()))
	}
}

// observe sends one step and returns the status and what the sidecar counted meanwhile.
func (d *demo) observe(ctx context.Context, s step) (status int, decided string, err error) {
	side := d.sidecars[s.to]
	if side == nil {
		status, err = d.send(ctx, d.gateway, s.request)
		return status, s.decision(), err
	}
	before, err := series(ctx, side)
	if err != nil {
		return 0, "", err
	}
	d.sent++
	if status, err = d.send(ctx, side.traffic, s.request); err != nil {
		return status, "", err
	}
	after, err := series(ctx, side)
	return status, counted(before, after), err
}

// adapt makes the steps about streams expect what a real gateway answers without a sidecar: 0.9.0 has no /ws unless a
// WebSocket library is installed beside it, later releases have it switched off.
func (d *demo) adapt(ctx context.Context, s step) step {
	if d.Gateway == "" || s.outcome != authz.Accepted || s.request.kind != sse && s.request.kind != webSocket {
		return s
	}
	if status, err := d.send(ctx, d.gateway, s.request); err == nil && status != s.status {
		s.status, s.why = status, "as it answers without envgate"
	}
	return s
}

func (d *demo) row(good bool, what, to, status, decided, why string) {
	mark, colour := "ok", "32"
	if !good {
		mark, colour = "NO", "31"
		d.failures++
	}
	if d.colour {
		mark = "\x1b[" + colour + "m" + mark + "\x1b[0m"
	}
	d.printf(rowFormat, mark, what, to, status, decided, why)
}

// coloured tells whether a person reads the output in a terminal and does not object (no-color.org).
func coloured(o Options) bool {
	f, ok := o.Out.(*os.File)
	if !ok || value(o.Environ, "NO_COLOR") != "" || value(o.Environ, "TERM") == "dumb" {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
