package sim

import (
	"fmt"
	"math/rand/v2"

	"ottla/coord/coordtest/model"
)

// top holds all nodes of a run; base is what is made first.
const top = "/t"

var base = []string{top, "/t/a", "/t/b", "/t/k"}

// plan chooses what clients ask for. Nodes below /t/k are only ever created, set, read and deleted one by one, for the history.
type plan struct {
	rng    *rand.Rand
	serial int
}

func (p *plan) data() string {
	p.serial++
	return fmt.Sprintf("%d:%.*s", p.serial, p.rng.IntN(40), "........................................")
}

func (p *plan) path() string {
	parents := []string{"/t/a", "/t/b", "/t/a/0", "/t/b/1"}
	return fmt.Sprintf("%s/%d", parents[p.rng.IntN(len(parents))], p.rng.IntN(3))
}

func (p *plan) version() int32 {
	if p.rng.IntN(3) > 0 {
		return -1
	}
	return int32(p.rng.IntN(3))
}

// next is what a client asks for now; false: it has enough under way, or is not connected.
func (p *plan) next(c *client) (model.Op, bool) {
	if !c.attached || !c.connected() || len(c.outstanding) >= pendingMax {
		return model.Op{}, false
	}
	for _, o := range c.outstanding {
		if o.op.Kind == model.CloseSession {
			return model.Op{}, false
		}
	}
	switch n := p.rng.IntN(100); {
	case n < 30:
		return p.register(), true
	case n < 48:
		return p.create(), true
	case n < 58:
		return model.Op{Kind: model.Set, Path: p.path(), Data: p.data(), Version: p.version()}, true
	case n < 66:
		return model.Op{Kind: model.Delete, Path: p.path(), Version: p.version()}, true
	case n < 73:
		return p.multi(), true
	case n < 79:
		return model.Op{Kind: model.Get, Path: p.path(), Watch: p.rng.IntN(2) == 0}, true
	case n < 85:
		return model.Op{Kind: model.Exists, Path: p.path(), Watch: p.rng.IntN(2) == 0}, true
	case n < 91:
		return model.Op{Kind: model.Children, Path: base[p.rng.IntN(len(base))], Watch: p.rng.IntN(2) == 0}, true
	case n < 94:
		return model.Op{Kind: model.AddWatch, Path: p.path(), Recursive: p.rng.IntN(2) == 0}, true
	case n < 97:
		return model.Op{Kind: model.Sync, Path: "/t"}, true
	default:
		return model.Op{Kind: model.CloseSession}, true
	}
}

// register is an operation on one of a few single nodes.
func (p *plan) register() model.Op {
	op := model.Op{Path: fmt.Sprint("/t/k/", p.rng.IntN(3)), Version: p.version()}
	switch p.rng.IntN(7) {
	case 0:
		op.Kind, op.Data, op.Version = model.Create, p.data(), 0
	case 1:
		op.Kind = model.Delete
	case 2, 3:
		op.Kind, op.Data = model.Set, p.data()
	case 4:
		op.Kind = model.Exists
	default:
		op.Kind = model.Get
	}
	return op
}

func (p *plan) create() model.Op {
	return model.Op{Kind: model.Create, Path: p.path(), Data: p.data(), Ephemeral: p.rng.IntN(3) == 0, Sequential: p.rng.IntN(4) == 0}
}

func (p *plan) multi() model.Op {
	op := model.Op{Kind: model.Multi}
	for range 1 + p.rng.IntN(4) {
		switch p.rng.IntN(5) {
		case 0, 1:
			op.Ops = append(op.Ops, p.create())
		case 2:
			op.Ops = append(op.Ops, model.Op{Kind: model.Set, Path: p.path(), Data: p.data(), Version: -1})
		case 3:
			op.Ops = append(op.Ops, model.Op{Kind: model.Delete, Path: p.path(), Version: -1})
		default:
			op.Ops = append(op.Ops, model.Op{Kind: model.Check, Path: p.path(), Version: p.version()})
		}
	}
	return op
}
