package sim

import (
	"math"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"ottla/coord/coordtest/model"
)

// history is what clients did to the nodes that are used one by one, for porcupine.
type history struct{ ops []porcupine.Operation }

// registers is the folder of those nodes.
const registers = "/t/k/"

// outcome is what a client knows of an operation.
type outcome struct {
	unknown bool
	code    int32
	version int32
	data    string
}

func (h *history) answered(client int, p pending, step int, r model.Result) {
	o := outcome{code: r.Code, data: r.Data}
	if r.Stat != nil {
		o.version = r.Stat.Version
	}
	h.add(client, p, int64(2*step+1), o)
}

// unknown notes an operation that was under way in a crash: it may take effect at any time after its call.
func (h *history) unknown(client int, p pending) {
	if p.op.Kind.Writes() {
		h.add(client, p, math.MaxInt64, outcome{unknown: true})
	}
}

func (h *history) add(client int, p pending, end int64, o outcome) {
	if strings.HasPrefix(p.op.Path, registers) {
		h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: p.op, Call: int64(2 * p.call), Output: o, Return: end})
	}
}

// check wants the history to be linearizable.
func (h *history) check(r *run) {
	switch porcupine.CheckOperationsTimeout(register, h.ops, time.Hour) {
	case porcupine.Illegal:
		r.fail("the history of single nodes is not linearizable: %v", h.ops)
	case porcupine.Unknown:
		r.fail("the check of the history of single nodes gave up")
	}
}

// cell is one such node.
type cell struct {
	exists  bool
	version int32
	data    string
}

var register = porcupine.Model{
	Partition: func(ops []porcupine.Operation) (parts [][]porcupine.Operation) {
		at := map[string]int{}
		for _, o := range ops {
			path := o.Input.(model.Op).Path
			i, ok := at[path]
			if !ok {
				i = len(parts)
				at[path], parts = i, append(parts, nil)
			}
			parts[i] = append(parts[i], o)
		}
		return parts
	},
	Init: func() any { return cell{} },
	Step: func(state, input, output any) (bool, any) {
		c, op, o := state.(cell), input.(model.Op), output.(outcome)
		want, next := c.do(op)
		return o.unknown || o == want, next
	},
	Equal: func(a, b any) bool { return a == b },
}

func (c cell) do(op model.Op) (outcome, cell) {
	if op.Kind == model.Create {
		if c.exists {
			return outcome{code: model.NodeExists}, c
		}
		return outcome{}, cell{exists: true, data: op.Data}
	}
	if !c.exists {
		return outcome{code: model.NoNode}, c
	}
	if (op.Kind == model.Set || op.Kind == model.Delete) && op.Version != -1 && op.Version != c.version {
		return outcome{code: model.BadVersion}, c
	}
	switch op.Kind {
	case model.Delete:
		return outcome{}, cell{}
	case model.Set:
		c.version++
		c.data = op.Data
		return outcome{version: c.version}, c
	case model.Get:
		return outcome{version: c.version, data: c.data}, c
	default: // exists
		return outcome{version: c.version}, c
	}
}
