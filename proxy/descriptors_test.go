package proxy

import (
	"math"
	"testing"
)

func TestDescriptorsBoundConnections(t *testing.T) {
	for _, tt := range []struct {
		most        int
		descriptors uint64
		want        int
	}{
		{32768, 1 << 20, 32768},
		{32768, 65536, 32752},
		{32768, 1024, 496},
		{100, 1024, 100},
		{0, 1024, 496},
		{32768, 100, 34},
		{32768, 35, 1},
		{32768, 34, 1},
		{0, 3, 1},
		{0, math.MaxUint64, 1 << 30},
		{32768, math.MaxUint64, 32768},
	} {
		if got := affordable(tt.most, tt.descriptors); got != tt.want {
			t.Errorf("at most %d with %d descriptors: %d, want %d", tt.most, tt.descriptors, got, tt.want)
		}
	}
}
