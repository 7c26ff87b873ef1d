package digestmd5

import (
	"crypto/subtle"
	"errors"
	"fmt"
	"strings"
)

// Login is a client's side of one exchange: Answer the server's challenge, then Verify what it says to that. The caller gives a Nonce of its
// own that is not to be guessed and never used twice. Not safe for concurrent use.
type Login struct {
	User, Password string
	Nonce          string

	proof string // what the server has to answer, which only who knows the password can
}

// Answer returns the token for a server's challenge.
func (l *Login) Answer(challenge []byte) ([]byte, error) {
	if len(challenge) > tokenMax {
		return nil, errors.New("the challenge is too long")
	}
	c, err := parse(string(challenge))
	if err != nil {
		return nil, fmt.Errorf("the challenge is not one of DIGEST-MD5: %w", err)
	}
	nonce, realm := c.value["nonce"], c.value["realm"]
	if nonce == "" {
		return nil, errors.New("the challenge has no nonce")
	}
	if realm == "" {
		realm = Realm
	}
	uri := "zookeeper/" + Realm
	f := fields{value: map[string]string{"username": l.User, "realm": realm, "cnonce": l.Nonce}}
	l.proof = "rspauth=" + f.response(nonce, l.Password, ":"+uri)
	return fmt.Appendf(nil, `charset=utf-8,username=%s,realm=%s,nonce=%s,nc=00000001,cnonce=%s,digest-uri=%s,response=%s,qop=auth`,
		quote(l.User), quote(realm), quote(nonce), quote(l.Nonce), quote(uri), f.response(nonce, l.Password, "AUTHENTICATE:"+uri)), nil
}

// Verify says whether the server knows the password too.
func (l *Login) Verify(answer []byte) error {
	if l.proof == "" || subtle.ConstantTimeCompare(answer, []byte(l.proof)) != 1 {
		return errors.New("the server did not prove that it knows the password")
	}
	return nil
}

// quote puts a value in quotes.
func quote(s string) string {
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
