package record

import "math/bits"

// Zig-zag varints as records use them: at most 5 bytes for 32 bits, 10 for 64. What is longer, or does not fit, is refused.

// varint reads a 32-bit value that b begins with; n is its size in bytes, 0 when b holds none.
func varint(b []byte) (v int32, n int) {
	var u uint32
	for i := 0; i < len(b) && i < 5; i++ {
		c := b[i]
		if c < 0x80 {
			if i == 4 && c > 0x0f {
				return 0, 0
			}
			u |= uint32(c) << (7 * i)
			return int32(u>>1) ^ -int32(u&1), i + 1
		}
		u |= uint32(c&0x7f) << (7 * i)
	}
	return 0, 0
}

// varlong reads a 64-bit value that b begins with; n is its size in bytes, 0 when b holds none.
func varlong(b []byte) (v int64, n int) {
	var u uint64
	for i := 0; i < len(b) && i < 10; i++ {
		c := b[i]
		if c < 0x80 {
			if i == 9 && c > 1 {
				return 0, 0
			}
			u |= uint64(c) << (7 * i)
			return int64(u>>1) ^ -int64(u&1), i + 1
		}
		u |= uint64(c&0x7f) << (7 * i)
	}
	return 0, 0
}

// appendVarint appends v, which fits both widths.
func appendVarint(dst []byte, v int64) []byte {
	u := uint64(v)<<1 ^ uint64(v>>63)
	for u >= 0x80 {
		dst = append(dst, byte(u)|0x80)
		u >>= 7
	}
	return append(dst, byte(u))
}

// varintSize is the number of bytes that appendVarint appends.
func varintSize(v int64) int {
	return (bits.Len64((uint64(v)<<1^uint64(v>>63))|1) + 6) / 7
}
