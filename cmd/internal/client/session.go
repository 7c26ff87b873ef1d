package client

import (
	"context"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Session is a connection for administration and the context that bounds what is asked over it.
type Session struct {
	context.Context
	*kadm.Client
	Kafka *kgo.Client // for requests that kadm does not know, or not well enough
}

// With connects, runs f and closes.
func (k *Kafka) With(parent context.Context, f func(Session) error) error {
	ctx, cancel := k.Context(parent)
	defer cancel()
	cl, err := k.Open(ctx)
	if err != nil {
		return err
	}
	defer cl.Close()
	adm := kadm.NewClient(cl)
	adm.SetTimeoutMillis(int32(k.timeout().Milliseconds()))
	return f(Session{ctx, adm, cl})
}
