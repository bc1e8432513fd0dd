package proxy

import (
	"os"
	"strconv"
	"strings"
	"testing"
)

// What is given back comes again when it is wanted: the test itself runs on.
func TestPagesOfTheStartAreGivenBack(t *testing.T) {
	before := mappedKilobytes(t)
	releasePages()
	after := mappedKilobytes(t)
	if after >= before {
		t.Errorf("%d kB of files are resident, %d before", after, before)
	}
	t.Logf("%d kB of files were resident, then %d", before, after)
}

func mappedKilobytes(t *testing.T) int {
	t.Helper()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, line, _ := strings.Cut(string(status), "RssFile:")
	n, err := strconv.Atoi(strings.Fields(line)[0])
	if err != nil {
		t.Fatal(err)
	}
	return n
}
