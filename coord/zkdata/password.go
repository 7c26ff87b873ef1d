package zkdata

import "ottla/coord/wire"

// passwordSecret is the constant that ZooKeeper has in its source; its session passwords are no secret.
const passwordSecret = 0xB3415C00

// Password is what ZooKeeper gives a session as password: the bytes of java.util.Random seeded with the id. With it the clients of an imported
// database go on with their sessions.
func Password(session int64) (p [wire.PasswordSize]byte) {
	const multiplier, mask = 0x5DEECE66D, 1<<48 - 1
	seed := (uint64(session^passwordSecret) ^ multiplier) & mask
	for i := 0; i < len(p); i += 4 {
		seed = (seed*multiplier + 0xB) & mask
		v := uint32(seed >> 16)
		for k := range 4 {
			p[i+k] = byte(v >> (8 * k))
		}
	}
	return p
}
