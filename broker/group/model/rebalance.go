package model

import (
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Next is the time of the next timer; ok is false when none runs.
func (g *Group) Next() (at time.Duration, ok bool) {
	at = never
	earlier := func(t time.Duration) {
		if t != never && (at == never || t < at) {
			at = t
		}
	}
	for _, t := range g.pending {
		earlier(t)
	}
	for _, m := range g.members {
		earlier(m.expires)
	}
	earlier(g.joinBy)
	earlier(g.syncBy)
	return at, at != never
}

// Advance lets time pass, one timer after the other, as long as no generation is about to begin.
func (g *Group) Advance(to time.Duration) {
	for !g.begins {
		at, ok := g.Next()
		if !ok || at > to {
			g.now = max(g.now, to)
			return
		}
		g.now = max(g.now, at)
		g.fire(at)
	}
}

// fire acts on one timer that is over.
func (g *Group) fire(at time.Duration) {
	for id, t := range g.pending {
		if t == at {
			delete(g.pending, id)
			g.tryJoin()
			return
		}
	}
	for _, m := range g.members {
		if m.expires != at {
			continue
		}
		if m.expires = never; !m.isNew && (m.join != 0 || m.sync != 0) {
			return // who waits for an answer is alive; the answer starts the timer anew
		}
		g.expel(m)
		return
	}
	if g.syncBy == at {
		g.syncOver()
		return
	}
	g.joinOver()
}

// alive starts a member's timer anew.
func (g *Group) alive(m *member) { m.expires = g.now + m.session }

// expel takes a member out; the others must join again.
func (g *Group) expel(m *member) {
	if m.join != 0 {
		g.answers(m.join, "join of a member that is removed", join(joinWant{err: kerr.UnknownMemberID}))
		m.join = 0
	}
	g.remove(m)
	if g.state == preparing {
		g.tryJoin()
		return
	}
	g.prepare()
}

// prepare begins the join phase.
func (g *Group) prepare() {
	if g.state == completing {
		for _, m := range g.members {
			m.assigned = nil
			if m.sync != 0 {
				g.answers(m.sync, "sync that a rebalance ends", sync(syncWant{err: kerr.RebalanceInProgress}))
				m.sync = 0
				g.alive(m)
			}
		}
	}
	g.endSync()
	g.joinBy = g.now + g.rebalanceTimeout()
	g.initial = g.state == empty
	if g.initial {
		g.delay, g.newcomer = g.limits.InitialDelay, false
		g.joinBy = g.now + g.delay
		g.prolong = max(g.rebalanceTimeout()-g.delay, 0)
	}
	g.state = preparing
	g.tryJoin()
}

func (g *Group) endSync() {
	g.syncBy = never
	for _, m := range g.members {
		m.syncDue = false
	}
}

// tryJoin ends the join phase when everybody is there.
func (g *Group) tryJoin() {
	if g.state == preparing && !g.initial && g.joined() == len(g.members) && len(g.pending) == 0 {
		g.completeJoin()
	}
}

// joinOver ends the join phase by its time.
func (g *Group) joinOver() {
	if g.initial && g.newcomer && g.prolong > 0 {
		g.newcomer = false
		delay := min(g.limits.InitialDelay, g.prolong)
		g.prolong = max(g.prolong-g.delay, 0)
		g.delay = delay
		g.joinBy = g.now + delay
		return
	}
	g.completeJoin()
}

// completeJoin goes on with those who have joined.
func (g *Group) completeJoin() {
	for i := 0; i < len(g.members); {
		if m := g.members[i]; m.join == 0 && m.instance == nil {
			g.remove(m)
		} else {
			i++
		}
	}
	if len(g.members) > 0 && g.joined() == 0 {
		g.initial = false
		g.joinBy = g.now + g.rebalanceTimeout() // static members, all away: their sessions decide
		return
	}
	g.joinBy, g.initial = never, false
	g.generation++
	g.endSync()
	if len(g.members) == 0 {
		g.state, g.protocol, g.leader = empty, "", nil
		g.subscribe()
		return
	}
	g.state, g.begins = completing, true
	g.outcomes = append(g.outcomes, Outcome{Begins: g.beginning()})
}

// Beginning is a generation that begins: all tickets are answered with it.
type Beginning struct {
	Tickets []int

	of        []*member // of the tickets
	leaders   []*member
	protocols []string
}

// Open says that the protocol leaves a choice.
func (b *Beginning) Open() bool { return len(b.leaders) > 1 || len(b.protocols) > 1 }

func (g *Group) beginning() *Beginning {
	b := &Beginning{protocols: g.elected()}
	for _, m := range g.members {
		if m.join != 0 {
			b.Tickets, b.of = append(b.Tickets, m.join), append(b.of, m)
			b.leaders = append(b.leaders, m)
		}
	}
	if g.leader != nil && g.leader.join != 0 {
		b.leaders = []*member{g.leader}
	}
	return b
}

// begun starts the generation, once its leader and protocol are known.
func (g *Group) begun() {
	g.begins = false
	g.subscribe()
	for _, m := range g.members {
		m.join, m.isNew, m.syncDue = 0, false, true
		g.alive(m)
	}
	g.syncBy = g.now + g.rebalanceTimeout()
	for len(g.held) > 0 && !g.begins {
		do := g.held[0]
		g.held = g.held[1:]
		do()
	}
}

// then does something once no generation is about to begin.
func (g *Group) then(do func()) {
	if g.begins {
		g.held = append(g.held, do)
		return
	}
	do()
}

// syncOver removes who has not asked for its assignment.
func (g *Group) syncOver() {
	g.syncBy = never
	for i := 0; i < len(g.members); {
		if m := g.members[i]; m.syncDue {
			g.remove(m)
		} else {
			i++
		}
	}
	g.prepare()
}
