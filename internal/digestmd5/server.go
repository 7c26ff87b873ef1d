// Package digestmd5 is both sides of DIGEST-MD5 (RFC 2831), the only SASL mechanism with passwords that ZooKeeper has, as it and its clients
// speak it: Server is the server's, Login the client's.
//
//	client   nothing, or something that is ignored
//	server   realm="zk-sasl-md5",nonce="…",charset=utf-8,algorithm=md5-sess
//	client   username="u",realm="zk-sasl-md5",nonce="…",nc=00000001,cnonce="…",digest-uri="zookeeper/zk-sasl-md5",response=…,qop=auth,…
//	server   rspauth=…
//
// The fields of the client's answer come in any order, quoted or bare. The Java client sends its name as authzid too, which is hashed and
// otherwise ignored; kazoo sends none. The package is pure: the nonce comes from the caller.
package digestmd5

import (
	"crypto/md5"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// Realm is the only one; it is a name that clients know, not a domain.
const Realm = "zk-sasl-md5"

// Server is one exchange. The zero value with Nonce and Password set begins one. Not safe for concurrent use.
type Server struct {
	// Nonce is what the client has to hash; never used twice, not to be guessed.
	Nonce string
	// Password looks a user up.
	Password func(user string) (password string, ok bool)

	state state
	user  string
}

type state uint8

const (
	begin state = iota
	challenged
	done
	failed
)

// Errors of an exchange. None of them says whether a user exists.
var (
	ErrCredentials = errors.New("user or password is wrong")
	ErrOver        = errors.New("the exchange is over")
)

// tokenMax is the longest answer that is looked at; RFC 2831 says 4096.
const tokenMax = 4096

// Next takes the client's token and returns the answer to it. After an error the exchange is over.
func (d *Server) Next(token []byte) (answer []byte, err error) {
	switch d.state {
	case begin:
		d.state = challenged
		return fmt.Appendf(nil, `realm="%s",nonce="%s",charset=utf-8,algorithm=md5-sess`, Realm, d.Nonce), nil
	case challenged:
		d.state = failed
		if answer, err = d.verify(token); err == nil {
			d.state = done
		}
		return answer, err
	}
	d.state = failed
	return nil, ErrOver
}

// User is who the client has proven to be. False: nobody yet.
func (d *Server) User() (string, bool) { return d.user, d.state == done }

func (d *Server) verify(token []byte) ([]byte, error) {
	if len(token) > tokenMax {
		return nil, errors.New("the answer is too long")
	}
	f, err := parse(string(token))
	if err != nil {
		return nil, err
	}
	uri := f.value["digest-uri"]
	switch {
	case f.value["nonce"] != d.Nonce:
		return nil, errors.New("the answer is to another challenge")
	case f.has("realm") && f.value["realm"] != Realm:
		return nil, errors.New("the answer is for another realm")
	case f.has("qop") && f.value["qop"] != "auth":
		return nil, errors.New("the client wants protection that was not offered")
	case f.has("charset") && !strings.EqualFold(f.value["charset"], "utf-8"):
		return nil, errors.New("the client uses a character set that was not offered")
	case !validURI(uri):
		return nil, errors.New("the answer is for another service")
	case f.value["username"] == "", f.value["cnonce"] == "", len(f.value["response"]) != 32:
		return nil, errors.New("the answer lacks a field")
	}
	user := f.value["username"]
	password, ok := d.Password(user)
	// A user who does not exist costs the same time as one who does.
	want := f.response(d.Nonce, password, "AUTHENTICATE:"+uri)
	same := subtle.ConstantTimeCompare([]byte(strings.ToLower(f.value["response"])), []byte(want)) == 1
	if !ok || !same {
		return nil, ErrCredentials
	}
	d.user = user
	return []byte("rspauth=" + f.response(d.Nonce, password, ":"+uri)), nil
}

// validURI says whether the client means us: "zookeeper/zk-sasl-md5", perhaps with a service name behind it.
func validURI(uri string) bool {
	parts := strings.Split(strings.ToLower(uri), "/")
	return len(parts) >= 2 && len(parts) <= 3 && parts[0] == "zookeeper" && parts[1] == Realm
}

// fields are those of the client's answer.
type fields struct{ value map[string]string }

func (f *fields) has(key string) bool {
	_, ok := f.value[key]
	return ok
}

// response is the hash that proves the password.
func (f *fields) response(nonce, password, a2 string) string {
	realm := f.value["realm"]
	secret := md5.Sum(latin1(f.value["username"] + ":" + realm + ":" + password))
	a1 := string(secret[:]) + ":" + nonce + ":" + f.value["cnonce"]
	if f.has("authzid") {
		a1 += ":" + f.value["authzid"]
	}
	nc, qop := "00000001", "auth" // the only ones there can be; as in Java, what the client says of the count is not looked at
	rest := ":" + nonce + ":" + nc + ":" + f.value["cnonce"] + ":" + qop + ":"
	return hash(hash(a1) + rest + hash(a2))
}

func hash(s string) string {
	sum := md5.Sum([]byte(s))
	return hex.EncodeToString(sum[:])
}

// latin1 is s in ISO 8859-1 if it can be written in it, else in UTF-8: a rule of RFC 2831.
func latin1(s string) []byte {
	b := make([]byte, 0, len(s))
	for _, r := range s {
		if r > 0xff || r == utf8.RuneError {
			return []byte(s)
		}
		b = append(b, byte(r))
	}
	return b
}

// parse splits key=value pairs at commas. A value may be quoted, with backslash escapes. A key that comes twice is an error.
func parse(s string) (f fields, err error) {
	f.value = map[string]string{}
	for {
		s = strings.TrimLeft(s, " \t\r\n,")
		if s == "" {
			return f, nil
		}
		key, rest, ok := strings.Cut(s, "=")
		key = strings.ToLower(strings.TrimSpace(key))
		if !ok || key == "" || strings.ContainsAny(key, `", `) {
			return f, errors.New("the answer is not a list of fields")
		}
		if f.has(key) {
			return f, errors.New("the answer has a field twice")
		}
		var value string
		if value, s, ok = cutValue(strings.TrimLeft(rest, " \t")); !ok {
			return f, errors.New("the answer has a quote that is not closed")
		}
		f.value[key] = value
	}
}

func cutValue(s string) (value, rest string, ok bool) {
	if !strings.HasPrefix(s, `"`) {
		n := strings.IndexByte(s, ',')
		if n < 0 {
			n = len(s)
		}
		return strings.TrimSpace(s[:n]), s[n:], true
	}
	var b strings.Builder
	for i := 1; i < len(s); i++ {
		switch {
		case s[i] == '"':
			return b.String(), s[i+1:], true
		case s[i] == '\\' && i+1 < len(s):
			i++
			b.WriteByte(s[i])
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}
