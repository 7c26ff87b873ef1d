package sim

import (
	"strings"
	"time"

	"ottla/coord/coordtest/linear"
	"ottla/coord/coordtest/model"
)

// history is what clients did to the nodes that are used one by one, for porcupine.
type history struct{ linear.History }

// registers is the folder of those nodes.
const registers = "/t/k/"

func (h *history) answered(client int, p pending, step int, r model.Result) {
	if strings.HasPrefix(p.op.Path, registers) {
		h.Answered(client, p.op, int64(2*p.call), int64(2*step+1), r)
	}
}

func (h *history) unknown(client int, p pending) {
	if strings.HasPrefix(p.op.Path, registers) {
		h.Unknown(client, p.op, int64(2*p.call))
	}
}

// check wants the history to be linearizable.
func (h *history) check(r *run) {
	if ok, sure := h.Check(time.Hour); !ok || !sure {
		r.fail("the history of single nodes is not linearizable (sure: %v): %v", sure, h)
	}
}
