// Package linear judges with porcupine what clients did to single znodes: create, set, get, exists and delete of nodes that nothing else
// touches are linearizable, whatever crashes lie between.
package linear

import (
	"math"
	"time"

	"github.com/anishathalye/porcupine"

	"ottla/coord/coordtest/model"
)

// History is a list of operations on single nodes. The zero value is empty. Not safe for concurrent use.
type History struct{ ops []porcupine.Operation }

// outcome is what a client knows of an operation.
type outcome struct {
	unknown bool
	code    int32
	version int32
	data    string
}

// Answered adds an operation that was sent at call and answered at end, by any clock that rises.
func (h *History) Answered(client int, op model.Op, call, end int64, r model.Result) {
	o := outcome{code: r.Code, data: r.Data}
	if r.Stat != nil {
		o.version = r.Stat.Version
	}
	h.add(client, op, call, end, o)
}

// Unknown adds an operation that was under way in a crash: a write may take effect at any time after its call.
func (h *History) Unknown(client int, op model.Op, call int64) {
	if op.Kind.Writes() {
		h.add(client, op, call, math.MaxInt64, outcome{unknown: true})
	}
}

func (h *History) add(client int, op model.Op, call, end int64, o outcome) {
	h.ops = append(h.ops, porcupine.Operation{ClientId: client, Input: op, Call: call, Output: o, Return: end})
}

// Len is the number of operations.
func (h *History) Len() int { return len(h.ops) }

// Check says whether the history is linearizable; sure is false if the check gave up after the limit.
func (h *History) Check(limit time.Duration) (linearizable, sure bool) {
	res := porcupine.CheckOperationsTimeout(register, h.ops, limit)
	return res != porcupine.Illegal, res != porcupine.Unknown
}

// cell is one node.
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
