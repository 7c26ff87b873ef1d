package client

import (
	"context"
	"fmt"
	"net"
	"time"

	"github.com/rs/zerolog"

	"ottla/broker/znode"
	"ottla/cmd/internal/output"
)

// Layout opens a session that knows Kafka's znodes. Unlike a broker it does not make a chroot that is missing: a typo in it
// would otherwise leave a node behind. Close the client at the end.
func (z *ZooKeeper) Layout(ctx context.Context) (*znode.Client, *znode.Session, error) {
	servers, chroot, err := znode.ParseConnect(z.Connect)
	if err != nil {
		return nil, nil, output.Usagef("--zookeeper %s: want host:port,host:port/chroot", z.Connect)
	}
	if err := anyListens(ctx, servers); err != nil {
		return nil, nil, unreachable("ZooKeeper", z.Connect, "--zookeeper", err)
	}
	if chroot != "" {
		if err := z.chrootExists(ctx, chroot); err != nil {
			return nil, nil, err
		}
	}
	c, err := znode.Open(ctx, znode.Config{
		Servers: servers, Chroot: chroot, SessionTimeout: defaultSession, ConnectTimeout: 10 * time.Second, Logger: zerolog.Nop(),
	})
	if err != nil {
		return nil, nil, unreachable("ZooKeeper", z.Connect, "--zookeeper", err)
	}
	s, err := c.Session(ctx)
	if err != nil {
		c.Close()
		return nil, nil, err
	}
	return c, s, nil
}

// anyListens finds out at once that nothing listens, for which the library would wait.
func anyListens(ctx context.Context, servers []string) (err error) {
	d := net.Dialer{Timeout: 5 * time.Second}
	for _, s := range servers {
		var c net.Conn
		if c, err = d.DialContext(ctx, "tcp", s); err == nil {
			return c.Close()
		}
	}
	return err
}

func (z *ZooKeeper) chrootExists(ctx context.Context, chroot string) error {
	t, err := z.Open(ctx)
	if err != nil {
		return err
	}
	defer t.Close()
	there, _, err := t.Exists(chroot)
	if err == nil && !there {
		err = fmt.Errorf("there is no chroot %s in ZooKeeper at %s; `ottla zk ls` shows what there is", chroot, z.Connect)
	}
	return err
}
