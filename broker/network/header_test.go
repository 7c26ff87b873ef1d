package network

import (
	"testing"

	"ottla/broker/api"
)

// Whatever arrives, parsing a header neither panics nor reads beyond the frame, and what it accepts lies inside.
func FuzzHeader(f *testing.F) {
	r := api.NewRegistry()
	for _, e := range []api.Entry{echo(0, 0, 11), echo(3, 0, 12), echo(7, 0, 3), echo(18, 0, 4)} {
		r.Add(e)
	}
	rs := newRoutes(r)
	for _, b := range [][]byte{frame(3, 0, 1, "body"), frame(3, 9, 1, "body"), frame(18, 99, 1, ""), frame(7, 0, 1, "x"), frame(0, 11, -1, "")} {
		f.Add(b[4:])
	}
	f.Add([]byte{0, 3, 0, 9, 0, 0, 0, 3, 0, 1, 'x', 2, 0, 1, 'a', 5, 0, 'h', 'i'})
	f.Fuzz(func(t *testing.T, b []byte) {
		h, rt, err := rs.parseHeader(b)
		if err != nil {
			return
		}
		if h.size < headerMin || h.size > len(b) || rt == nil || h.version < rt.Min || h.version > rt.Max || len(h.clientID) > h.size {
			t.Fatalf("accepted %+v of %d bytes", h, len(b))
		}
	})
}

func TestFlexibleVersions(t *testing.T) {
	for key, want := range map[int16]int16{0: 9, 1: 12, 2: 6, 3: 9, 4: 4, 5: 2, 6: 6, 7: 3, 17: 2, 18: 3, 19: 5, 47: 1, 67: 0} {
		if got := flexibleFrom(key); got != want {
			t.Errorf("API %d is flexible from version %d, want %d", key, got, want)
		}
	}
}
