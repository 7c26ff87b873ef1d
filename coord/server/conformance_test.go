package server_test

import (
	"testing"

	"ottla/coord/coordtest/conformance"
	"ottla/coord/server"
)

func TestConformance(t *testing.T) {
	b := start(t, func(c *server.Config) {
		c.SuperDigest = conformance.SuperDigest
		c.Now = nil
		c.Conf = server.Conf{ClientPort: 1, SecureClientPort: -1, ListenBacklog: -1}
	})
	t.Run("suite", func(t *testing.T) { conformance.Run(t, b.addr) })
}
