package shape

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// Shape is the layout of a body in one version. Immutable.
type Shape struct{ ops []op }

type kind uint8

const (
	skip         kind = iota // a run of size bytes
	text                     // a string
	textCompact              // and in flexible versions
	data                     // bytes
	dataCompact              // and in flexible versions
	array                    // count times sub
	arrayCompact             // and in flexible versions
	tags                     // tagged fields
)

// op is a step of the walk.
type op struct {
	kind kind
	null bool // may be null
	what what // of an array: what an element decodes to
	// size is the bytes of a run; of an array, the fewest bytes of an element, which are all it can have if fixed.
	size  int
	fixed bool
	sub   []op       // the fields of an array's elements
	known []tagField // of a section
}

// what an element of an array decodes to.
type what uint8

const (
	number    what = iota // as many bytes as on the wire
	reference             // a string or slice
	structure
)

type tagField struct {
	tag uint32
	ops []op
}

//go:embed shapes.txt
var table string

type id struct {
	kind         byte // Q or P
	key, version int16
}

// shapes is the table, read when it is first needed.
var shapes = sync.OnceValue(func() map[id]*Shape {
	m, err := parseTable(table)
	if err != nil {
		panic(fmt.Sprintf("shapes.txt: %v", err)) // it is part of the program
	}
	return m
})

// Request is the shape of a request; ok is false if a broker of Apache Kafka 3.9 with ZooKeeper does not read it.
func Request(key, version int16) (s *Shape, ok bool) {
	s, ok = shapes()[id{'Q', key, version}]
	return s, ok
}

// Response is the shape of an answer to one of the requests that brokers send to each other.
func Response(key, version int16) (s *Shape, ok bool) {
	s, ok = shapes()[id{'P', key, version}]
	return s, ok
}

func parseTable(text string) (map[id]*Shape, error) {
	m := map[id]*Shape{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		c := strings.Fields(line)
		if len(c) != 5 || c[0] != "Q" && c[0] != "P" {
			return nil, fmt.Errorf("%q has not the five columns", line)
		}
		from, to, _ := strings.Cut(c[3], "-")
		var n [3]int16
		for i, s := range []string{c[1], from, to} {
			v, err := strconv.ParseInt(s, 10, 16)
			if err != nil {
				return nil, fmt.Errorf("%q: %w", line, err)
			}
			n[i] = int16(v)
		}
		s, err := parse(c[4])
		if err != nil {
			return nil, fmt.Errorf("%s %s: %w", c[2], c[3], err)
		}
		for v := n[1]; v <= n[2]; v++ {
			m[id{c[0][0], n[0], v}] = s
		}
	}
	return m, nil
}

// parse reads a layout.
func parse(layout string) (*Shape, error) {
	p := parser{rest: strings.TrimPrefix(layout, ".")}
	ops, err := p.fields(nil)
	if err == nil && p.rest != "" {
		err = fmt.Errorf("%q is out of place", p.rest)
	}
	return &Shape{ops}, err
}

type parser struct{ rest string }

// next takes c if it is what follows.
func (p *parser) next(c byte) bool {
	if p.rest == "" || p.rest[0] != c {
		return false
	}
	p.rest = p.rest[1:]
	return true
}

// fields reads what there is up to a closing sign, and appends it to ops.
func (p *parser) fields(ops []op) ([]op, error) {
	for p.rest != "" && !strings.ContainsRune("]}),>", rune(p.rest[0])) {
		var err error
		if ops, err = p.field(ops); err != nil {
			return nil, err
		}
	}
	return ops, nil
}

// field reads one field. Numbers in a row become one op.
func (p *parser) field(ops []op) ([]op, error) {
	c := p.rest[0]
	p.rest = p.rest[1:]
	switch c {
	case '1', '2', '4', '8':
		return run(ops, int(c-'0')), nil
	case 'u':
		return run(ops, 16), nil
	case 's':
		return append(ops, op{kind: text, null: p.next('?')}), nil
	case 'S':
		return append(ops, op{kind: textCompact, null: p.next('?')}), nil
	case 'b':
		return append(ops, op{kind: data, null: p.next('?')}), nil
	case 'B':
		return append(ops, op{kind: dataCompact, null: p.next('?')}), nil
	case '[':
		return p.array(ops, array, ']')
	case '(':
		return p.array(ops, arrayCompact, ')')
	case '{':
		ops, err := p.fields(ops)
		if err == nil && !p.next('}') {
			err = fmt.Errorf("a structure does not end before %q", p.rest)
		}
		return ops, err
	case '<':
		return p.tags(ops)
	}
	return nil, fmt.Errorf("unknown sign %q", c)
}

func run(ops []op, size int) []op {
	if n := len(ops); n > 0 && ops[n-1].kind == skip {
		ops[n-1].size += size
		return ops
	}
	return append(ops, op{kind: skip, size: size})
}

func (p *parser) array(ops []op, k kind, end byte) ([]op, error) {
	isStruct := strings.HasPrefix(p.rest, "{")
	sub, err := p.fields(nil)
	switch {
	case err != nil:
		return nil, err
	case len(sub) == 0 || !p.next(end):
		return nil, fmt.Errorf("an array has no element or does not end before %q", p.rest)
	}
	a := op{kind: k, null: p.next('?'), sub: sub, size: least(sub), fixed: len(sub) == 1 && sub[0].kind == skip}
	switch {
	case isStruct:
		a.what = structure
	case !a.fixed:
		a.what = reference
	}
	return append(ops, a), nil
}

func (p *parser) tags(ops []op) ([]op, error) {
	section := op{kind: tags}
	for !p.next('>') {
		number, _, _ := strings.Cut(p.rest, ":")
		tag, err := strconv.ParseUint(number, 10, 31)
		if err != nil {
			return nil, err
		}
		p.rest = p.rest[len(number):]
		if !p.next(':') || p.rest == "" {
			return nil, fmt.Errorf("tag %d has no field", tag)
		}
		f, err := p.field(nil)
		if err != nil {
			return nil, err
		}
		section.known = append(section.known, tagField{uint32(tag), f})
		p.next(',')
	}
	return append(ops, section), nil
}

// least is the fewest bytes that the fields can take.
func least(ops []op) int {
	n := 0
	for _, o := range ops {
		switch o.kind {
		case skip:
			n += o.size
		case text:
			n += 2
		case data, array:
			n += 4
		default:
			n++
		}
	}
	return n
}
