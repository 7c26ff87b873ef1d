package controller

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"ottla/broker/api"
)

// Quotas bounds how fast clients make and delete partitions (KIP-599). Safe for concurrent use.
type Quotas interface {
	// Change counts n partitions that a request is about to make or delete. Strict: while wait is above 0 it may not. Else it
	// may, and its client is to be throttled for that long.
	Change(r *api.Request, n int, strict bool) (wait time.Duration)
}

// budget is a request's part of its client's quota: the versions that know of it are refused what is beyond, older ones are
// delayed.
type budget struct {
	quotas Quotas
	r      *api.Request
	strict bool

	wait time.Duration // as of at
	at   time.Time
}

func (h *Handlers) budget(r *api.Request, strict bool) *budget {
	return &budget{quotas: h.Quotas, r: r, strict: strict}
}

// take counts partitions, or refuses them.
func (b *budget) take(partitions int) error {
	if b.quotas == nil {
		return nil
	}
	if wait := b.quotas.Change(b.r, partitions, b.strict); wait > 0 {
		b.wait, b.at = wait, time.Now()
		if b.strict {
			return kerr.ThrottlingQuotaExceeded
		}
	}
	return nil
}

// millis is what is left of the time that the client is to be throttled for: the answer may have been waited for.
func (b *budget) millis() int32 {
	if b.wait == 0 {
		return 0
	}
	return int32(max(0, b.wait-time.Since(b.at)).Milliseconds())
}
