// Package jaas reads the login configuration of Java programs, so that users' files work as they are:
//
//	Server {
//	    org.apache.zookeeper.server.auth.DigestLoginModule required
//	    user_alice="secret"
//	    user_bob="other";
//	};
//
// A section is a name and modules in braces; a module is a class, a flag and options, ended by a semicolon. Comments are those of Java. An
// option's value may stand in quotes, with backslash escapes. It is pure: it takes text.
package jaas

import (
	"fmt"
	"strings"
)

// Module is one entry of a section.
type Module struct {
	Class   string
	Flag    string // required, requisite, sufficient or optional
	Options map[string]string
}

// Name is the class without its package.
func (m *Module) Name() string { return m.Class[strings.LastIndexByte(m.Class, '.')+1:] }

// File is the sections by name.
type File map[string][]Module

// Parse reads a file's text. The error names the line, and never a value, which may be a password.
func Parse(text string) (File, error) {
	p := parser{text: text, line: 1}
	f := File{}
	for p.next(); p.kind != end; {
		name, err := p.word("the name of a section")
		if err != nil {
			return nil, err
		}
		if _, ok := f[name]; ok {
			return nil, p.errorf("section %s is there twice", name)
		}
		if err := p.symbol("{"); err != nil {
			return nil, err
		}
		modules := []Module{}
		for !p.is("}") {
			m, err := p.module()
			if err != nil {
				return nil, err
			}
			modules = append(modules, m)
		}
		p.next()
		if err := p.symbol(";"); err != nil {
			return nil, err
		}
		f[name] = modules
	}
	return f, p.bad
}

type kind uint8

const (
	end kind = iota
	word
	quoted
	symbol
)

type parser struct {
	text  string
	line  int
	kind  kind
	token string
	bad   error
}

func (p *parser) errorf(format string, args ...any) error {
	if p.bad != nil {
		return p.bad
	}
	return fmt.Errorf("line %d: %s", p.line, fmt.Sprintf(format, args...))
}

func (p *parser) is(s string) bool { return p.kind == symbol && p.token == s }

func (p *parser) symbol(s string) error {
	if !p.is(s) {
		return p.errorf("want %q", s)
	}
	p.next()
	return nil
}

func (p *parser) word(what string) (string, error) {
	if p.kind != word && p.kind != quoted {
		return "", p.errorf("want %s", what)
	}
	w := p.token
	p.next()
	return w, nil
}

func (p *parser) module() (m Module, err error) {
	if m.Class, err = p.word("the class of a login module"); err != nil {
		return m, err
	}
	if m.Flag, err = p.word("required, requisite, sufficient or optional"); err != nil {
		return m, err
	}
	m.Flag = strings.ToLower(m.Flag)
	switch m.Flag {
	case "required", "requisite", "sufficient", "optional":
	default:
		return m, p.errorf("want required, requisite, sufficient or optional")
	}
	m.Options = map[string]string{}
	for !p.is(";") {
		key, err := p.word(`an option or ";"`)
		if err != nil {
			return m, err
		}
		if err := p.symbol("="); err != nil {
			return m, err
		}
		if m.Options[key], err = p.word("a value"); err != nil {
			return m, err
		}
	}
	p.next()
	return m, nil
}

// next reads a token, passing over space and comments.
func (p *parser) next() {
	p.skip()
	p.kind, p.token = end, ""
	if p.text == "" || p.bad != nil {
		return
	}
	switch c := p.text[0]; c {
	case '{', '}', ';', '=':
		p.kind, p.token, p.text = symbol, p.text[:1], p.text[1:]
	case '"', '\'':
		p.quoted(c)
	default:
		n := strings.IndexAny(p.text, " \t\r\n\f{};=\"'")
		if n < 0 {
			n = len(p.text)
		}
		p.kind, p.token, p.text = word, p.text[:n], p.text[n:]
	}
}

func (p *parser) quoted(quote byte) {
	var b strings.Builder
	for i := 1; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == quote:
			p.kind, p.token, p.text = quoted, b.String(), p.text[i+1:]
			return
		case c == '\n':
			p.bad = p.errorf("a quote is not closed")
			return
		case c == '\\' && i+1 < len(p.text):
			i++
			b.WriteByte(unescape(p.text[i]))
		default:
			b.WriteByte(c)
		}
	}
	p.bad = p.errorf("a quote is not closed")
}

func unescape(c byte) byte {
	switch c {
	case 'n':
		return '\n'
	case 't':
		return '\t'
	case 'r':
		return '\r'
	}
	return c
}

func (p *parser) skip() {
	for p.text != "" {
		switch {
		case p.text[0] == '\n':
			p.line++
			p.text = p.text[1:]
		case strings.IndexByte(" \t\r\f", p.text[0]) >= 0:
			p.text = p.text[1:]
		case strings.HasPrefix(p.text, "//"), p.text[0] == '#':
			n := strings.IndexByte(p.text, '\n')
			if n < 0 {
				n = len(p.text)
			}
			p.text = p.text[n:]
		case strings.HasPrefix(p.text, "/*"):
			n := strings.Index(p.text, "*/")
			if n < 0 {
				p.bad = p.errorf("a comment is not closed")
				p.text = ""
				return
			}
			p.line += strings.Count(p.text[:n], "\n")
			p.text = p.text[n+2:]
		default:
			return
		}
	}
}
