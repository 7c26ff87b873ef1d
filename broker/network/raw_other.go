//go:build !unix

package network

// initRaw does nothing here: reads and writes are net.Conn's.
func (c *conn) initRaw() {}

func (c *conn) fillRaw() (int, error)     { return c.fillPortable() }
func (o *output) writeRaw(b []byte) error { return o.writePortable(b) }
