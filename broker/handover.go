package broker

import (
	"context"
	"errors"
	"fmt"
	"time"
)

const (
	// coordinatorPatience is how long the coordinator may take to answer while partitions are handed over.
	coordinatorPatience = 2 * time.Second
	// coordinatorPause lies between two looks at it.
	coordinatorPause = 500 * time.Millisecond
)

// handOver has the controller move away what is led here. It leaves a third of the time until ctx's deadline for the stop itself,
// and gives up when the coordinator does not answer: without it no controller can move anything, and there may be none.
func (s *Server) handOver(ctx context.Context) error {
	if deadline, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(deadline)*2/3)
		defer cancel()
	}
	ctx, giveUp := context.WithCancelCause(ctx)
	looked := make(chan struct{})
	go func() {
		defer close(looked)
		giveUp(s.coordinatorLost(ctx))
	}()
	c := s.config.Config().Controller
	err := s.peers.ControlledShutdown(ctx, s.id, s.epoch(), 1+int(c.ControlledShutdownRetries), c.ControlledShutdownBackoff)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = errors.Join(cause, err)
	}
	giveUp(nil)
	<-looked
	return err
}

// coordinatorLost returns why the coordinator did not answer, as soon as it does not, or nil at the end of ctx.
func (s *Server) coordinatorLost(ctx context.Context) error {
	for {
		patient, cancel := context.WithTimeout(ctx, coordinatorPatience)
		session, err := s.zk.Session(patient)
		if err == nil {
			_, _, _, _, err = session.Controller(patient)
		}
		cancel()
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("the coordinator does not answer: %w", err)
		}
		select {
		case <-time.After(coordinatorPause):
		case <-ctx.Done():
			return nil
		}
	}
}
