package fsm

import "testing"

// FuzzTrack: what was read is written so that it is read again, and as the same.
func FuzzTrack(f *testing.F) {
	for _, s := range []string{"count=1,bytes=2", "count=-1,bytes=-1=;byteHardLimit=10;countHardLimit=3", "", ",", "a==1", "x=;y"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		first, ok := parseTrack(data)
		if !ok {
			return
		}
		text := first.appendTo(nil)
		again, ok := parseTrack(text)
		if !ok || string(again.appendTo(nil)) != string(text) {
			t.Errorf("%q became %q", data, text)
		}
	})
}
