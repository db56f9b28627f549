package dnsserve

import (
	"fmt"
	"testing"
)

// What fits stays: names that are asked again and again are all found, however
// their hashes fall.
func TestCache_keeps_what_fits(t *testing.T) {
	for range 20 { // each cache has a seed of its own
		c := newCache(4 << 20)
		kept := make([]byte, 60)
		for i := range 12_000 {
			c.put(fmt.Appendf(nil, "www.host%d.example.org", i), kept, 0, 300, 0)
		}
		for i := range 12_000 {
			if f := c.get(nil, fmt.Appendf(nil, "www.host%d.example.org", i), 1); !f.fresh {
				t.Fatalf("name %d of 12,000 is not in a cache of 4 MiB", i)
			}
		}
	}
}
