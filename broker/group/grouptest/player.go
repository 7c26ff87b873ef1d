package grouptest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/group/model"
)

// answerTime is how long an answer that is due may take.
const answerTime = 15 * time.Second

// Script says what is played.
type Script struct {
	Seed   uint64
	Steps  int
	Group  string    // fresh for each play
	Topics [2]string // with 2 partitions each
	Limits model.Limits
	// Session and Rebalance are the timeouts that clients ask for, when they do not ask for very long ones.
	Session, Rebalance time.Duration
}

// Play is what was played: a line for each request and answer, in which ids are replaced by their order.
type Play struct {
	Lines []string
	// Open is the number of lines up to the first choice that the protocol leaves to the coordinator.
	Open int
	// Late says that the target was so slow that its timers need not be where the model has them: an error says nothing.
	Late bool
}

// player plays a script.
type player struct {
	script  Script
	target  Target
	rand    *rand.Rand
	group   *model.Group
	clients []*client
	waits   map[int]*waiting
	voids   map[int]bool // tickets that may be answered or not
	tickets int
	began   time.Duration
	clock   time.Duration
	horizon time.Duration // up to when timers are over
	play    Play
	names   map[string]string
	long    bool // rebalance timeouts are
	orders  bool // clients differ in what they prefer
}

// waiting is a request that has no answer yet.
type waiting struct {
	client *client
	req    kmsg.Request
	answer <-chan Answer
	got    *Answer
}

// Run plays a script. The error says what is against the protocol, and the lines what led to it.
func Run(s Script, target Target) (*Play, error) {
	p := &player{
		script: s, target: target, rand: rand.New(rand.NewPCG(s.Seed, 0)), group: model.New(s.Limits),
		waits: map[int]*waiting{}, voids: map[int]bool{}, names: map[string]string{},
	}
	p.play.Open = -1
	p.began = target.Now()
	p.cast()
	for range s.Steps {
		if err := p.step(); err != nil {
			p.late()
			return &p.play, fmt.Errorf("seed %d: %w\n%s", s.Seed, err, strings.Join(p.play.Lines, "\n"))
		}
	}
	return &p.play, nil
}

// tick lets the script's clock go on, by which the model's timers run. It does not depend on how fast the target is, so that a seed
// plays the same everywhere; a target that falls too far behind has its timers run out at other moments than the model's.
func (p *player) tick(d time.Duration) {
	p.clock += d
	if ahead := p.clock - (p.target.Now() - p.began); ahead > 0 {
		p.target.Sleep(ahead)
	}
	p.late()
}

// late notes that the target, or the machine, is behind.
func (p *player) late() {
	if p.target.Now()-p.began-p.clock > p.target.Pace()/2 || p.target.Late() {
		p.play.Late = true
	}
}

// ask sends a request and sees to all that it brings about.
func (p *player) ask(c *client, what string, r kmsg.Request) error {
	p.tick(p.target.Pace()) // by now the request before has arrived, if it waits for its answer
	// A timer that is about to be over would come before or after the request: it is let pass first.
	if err := p.pass(p.clock + p.target.Slack()); err != nil {
		return err
	}
	p.horizon = p.clock
	p.group.Advance(p.horizon)
	p.tickets++
	p.line("%s %s", c.name, what)
	p.waits[p.tickets] = &waiting{client: c, req: r, answer: p.target.Ask(r)}
	p.group.Ask(p.tickets, r)
	defer p.late()
	return p.settle()
}

// pass lets the time of all timers up to a moment go by.
func (p *player) pass(until time.Duration) error {
	for {
		next, ok := p.group.Next()
		if !ok || next > until {
			return nil
		}
		p.line("time passes")
		p.tick(max(next+p.target.Slack()-p.clock, 0))
		p.horizon = next // a timer behind it need not be over yet
		if err := p.settle(); err != nil {
			return err
		}
		until = max(until, p.clock)
	}
}

// settle takes the answers that must come now.
func (p *player) settle() error {
	for {
		p.group.Advance(p.horizon) // timers that run for no time, and what a generation that begins has held up
		outcomes := p.group.Take()
		for _, o := range outcomes {
			if err := p.outcome(o); err != nil {
				return err
			}
		}
		switch {
		case len(outcomes) > 0:
		case p.horizon < p.clock:
			return nil // a timer between may be over or not
		default:
			return p.early()
		}
	}
}

func (p *player) outcome(o model.Outcome) error {
	if b := o.Begins; b != nil {
		return p.begins(b)
	}
	if o.May {
		p.voids[o.Ticket] = true
		return nil
	}
	w := p.waits[o.Ticket]
	resp, err := p.await(o.Ticket)
	if err != nil {
		return fmt.Errorf("%s of %s: %w", o.What, w.client.name, err)
	}
	if err := o.Check(resp); err != nil {
		p.line("%s: %s", w.client.name, p.text(resp))
		return fmt.Errorf("%s of %s: %w", o.What, w.client.name, err)
	}
	w.client.learn(w.req, resp)
	p.line("%s: %s", w.client.name, p.text(resp))
	return nil
}

func (p *player) begins(b *model.Beginning) error {
	if b.Open() && p.play.Open < 0 {
		p.play.Open = len(p.play.Lines)
	}
	var answers []*kmsg.JoinGroupResponse
	var who []*waiting
	for _, t := range b.Tickets {
		w := p.waits[t]
		resp, err := p.await(t)
		if err != nil {
			return fmt.Errorf("join of %s: %w", w.client.name, err)
		}
		answers, who = append(answers, resp.(*kmsg.JoinGroupResponse)), append(who, w)
	}
	for _, a := range answers {
		p.name(a.MemberID) // in this order, not in that of the leader's answer
	}
	err := p.group.Began(b, answers)
	for i, w := range who {
		w.client.learn(w.req, answers[i])
		p.line("%s: %s", w.client.name, p.text(answers[i]))
	}
	if err != nil {
		return fmt.Errorf("a generation begins: %w", err)
	}
	return nil
}

// await takes the answer of a ticket.
func (p *player) await(ticket int) (kmsg.Response, error) {
	w := p.waits[ticket]
	delete(p.waits, ticket)
	if w.got == nil {
		late := time.NewTimer(answerTime)
		defer late.Stop()
		select {
		case a := <-w.answer:
			w.got = &a
		case <-late.C:
			return nil, errors.New("no answer")
		}
	}
	return w.got.Response, w.got.Err
}

// early looks for answers that are not due.
func (p *player) early() error {
	for t, w := range p.waits {
		select {
		case a := <-w.answer:
			if p.voids[t] {
				delete(p.waits, t)
				continue
			}
			if a.Err != nil {
				return fmt.Errorf("%T of %s: %w", w.req, w.client.name, a.Err)
			}
			return fmt.Errorf("%s was answered and should wait: %s", w.client.name, p.text(a.Response))
		default:
		}
	}
	return nil
}

func (p *player) line(format string, args ...any) {
	p.play.Lines = append(p.play.Lines, fmt.Sprintf(format, args...))
}
