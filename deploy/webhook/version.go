package webhook

import (
	"context"
	"strconv"
	"strings"
)

// firstNative is the minor version of Kubernetes 1 from which init containers with restartPolicy Always (KEP-753) are on.
const firstNative = 29

// hasNative asks the API server whether it has native sidecars.
func hasNative(ctx context.Context, c *client) (bool, error) {
	var version struct{ Major, Minor string }
	if err := c.get(ctx, requestTimeout, "/version", &version); err != nil {
		return false, err
	}
	return native(version.Major, version.Minor), nil
}

// native judges a version; some vendors write the minor one as 29+. What can't be read is taken to be newer.
func native(major, minor string) bool {
	digits := strings.TrimRightFunc(minor, func(r rune) bool { return r < '0' || r > '9' })
	n, err := strconv.Atoi(digits)
	return err != nil || major != "1" || n >= firstNative
}
