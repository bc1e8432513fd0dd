package authz

import (
	"fmt"
	"math"
	"strconv"
	"time"
)

// Limits bound what clients may take up. 0 is no limit, except of MaxHeaderBytes, where HeaderBytes says what it is, and of
// MaxConnections and MaxRequests, which file descriptors bound all the same.
type Limits struct {
	MaxConnections           int
	MaxConnectionsPerAddress int
	MaxRequests              int
	MaxHeaderBytes           int
	MaxHeaders               int // lines
	MaxBodyBytes             int64
	BodyTimeout              time.Duration
	UpstreamResponseTimeout  time.Duration
	RefusalsPerMinute        int // of one client address
}

const minHeaderBytes = 68 << 10 // a token of 64 KiB is refused as one that is too large

// HeaderBytes is how long a request's headers may be: enough for three tokens, where no setting says so.
func (c *Config) HeaderBytes() int {
	if c.MaxHeaderBytes > 0 {
		return c.MaxHeaderBytes
	}
	return max(minHeaderBytes, 3*c.MaxTokenBytes)
}

// OverLimit is the decision about a request that is over a limit. It isn't judged.
func OverLimit(status int, detail string) Decision {
	return Decision{Outcome: Refused, Reason: Limited, Status: status, Detail: detail, Route: "protected"}
}

// limit reads a number; 0 turns the limit off.
func limit(least, most int64, set func(*Config, int64)) func(*Config, string) error {
	return func(c *Config, v string) error {
		n, err := strconv.ParseInt(v, 10, 64)
		if err != nil || n != 0 && (n < least || n > most) {
			return fmt.Errorf("want 0, or a number from %d to %d", least, most)
		}
		set(c, n)
		return nil
	}
}

func count(field func(*Config) *int) func(*Config, string) error {
	return limit(1, 10_000_000, func(c *Config, n int64) { *field(c) = int(n) })
}

var (
	maxConnections           = count(func(c *Config) *int { return &c.MaxConnections })
	maxConnectionsPerAddress = count(func(c *Config) *int { return &c.MaxConnectionsPerAddress })
	maxRequests              = count(func(c *Config) *int { return &c.MaxRequests })
	maxHeaders               = limit(16, 100_000, func(c *Config, n int64) { c.MaxHeaders = int(n) })
	maxHeaderBytes           = limit(4<<10, 16<<20, func(c *Config, n int64) { c.MaxHeaderBytes = int(n) })
	maxBodyBytes             = limit(1, math.MaxInt64, func(c *Config, n int64) { c.MaxBodyBytes = n })
	refusalsPerMinute        = count(func(c *Config) *int { return &c.RefusalsPerMinute })
	bodyTimeout              = duration(0, 24*time.Hour, func(c *Config) *time.Duration { return &c.BodyTimeout })
	upstreamResponseTimeout  = duration(0, 24*time.Hour, func(c *Config) *time.Duration { return &c.UpstreamResponseTimeout })
)
