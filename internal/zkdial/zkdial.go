// Package zkdial connects ZooKeeper clients to their servers: over TCP or TLS, and logged in by SASL DIGEST-MD5 if there is a user to be.
//
// go-zookeeper/zk knows no SASL, but it takes a dialer. A ZooKeeper login belongs between the answer to the connect request and the first
// request, so the connection that the dialer returns keeps that answer back until the login is over:
//
//	library -> connect request ->                  server
//	           (connection keeps)  <- connect response
//	                               -> {xid, op 102} token    twice: an empty token, then the answer to the challenge
//	                               <- {xid, zxid, err} token twice: the challenge, then the proof
//	library <- connect response
//
// So no request of the library ever runs without the identity. A session that the server does not grant is passed on as it is. A login that
// fails is an error of the read, which ends the connection.
package zkdial

import (
	"context"
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"

	"ottla/internal/digestmd5"
)

// Login is who to be.
type Login struct{ User, Password string }

// Dialer makes connections. The zero value makes plain ones. Safe for concurrent use.
type Dialer struct {
	TLS   *tls.Config // nil: none. The server's name is that of the address.
	Login *Login      // nil: nobody
}

// ErrLogin is in the chain of the errors of logins that a server did not accept.
var ErrLogin = errors.New("SASL login to ZooKeeper failed")

// DialContext connects to a server, and with TLS completes the handshake.
func (d *Dialer) DialContext(ctx context.Context, network, address string) (net.Conn, error) {
	conn, err := new(net.Dialer).DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	if d.TLS != nil {
		host, _, err := net.SplitHostPort(address)
		if err != nil {
			_ = conn.Close()
			return nil, err
		}
		c := d.TLS.Clone()
		c.ServerName = host
		secure := tls.Client(conn, c)
		if err := secure.HandshakeContext(ctx); err != nil {
			_ = conn.Close()
			return nil, fmt.Errorf("TLS to ZooKeeper at %s: %w", address, err)
		}
		conn = secure
	}
	if d.Login != nil {
		conn = &loginConn{Conn: conn, login: *d.Login}
	}
	return conn, nil
}

const (
	opSASL    = 102
	frameMax  = 64 << 10 // of a connect response or a token
	headerLen = 16       // xid, zxid, err
)

// loginConn logs in before its first Read returns. One goroutine at a time reads; nobody writes until the first Read is over.
type loginConn struct {
	net.Conn
	login Login
	over  bool
	first []byte // of the connect response, what has not been read yet
}

// Read implements net.Conn.
func (c *loginConn) Read(b []byte) (int, error) {
	if !c.over {
		response, err := c.readFrame()
		if err != nil {
			return 0, err
		}
		if granted(response) {
			if err := c.logIn(); err != nil {
				return 0, err
			}
		}
		c.over = true
		c.first = append(binary.BigEndian.AppendUint32(nil, uint32(len(response))), response...)
	}
	if len(c.first) > 0 {
		n := copy(b, c.first)
		if c.first = c.first[n:]; len(c.first) == 0 {
			c.first = nil
		}
		return n, nil
	}
	return c.Conn.Read(b)
}

// granted says whether a connect response (int protocol version, int timeout, long session, …) grants a session.
func granted(response []byte) bool {
	return len(response) >= 16 && binary.BigEndian.Uint64(response[8:]) != 0
}

func (c *loginConn) logIn() error {
	l := digestmd5.Login{User: c.login.User, Password: c.login.Password, Nonce: rand.Text()}
	challenge, err := c.exchange(1, nil)
	if err != nil {
		return c.failed(err)
	}
	token, err := l.Answer(challenge)
	if err != nil {
		return c.failed(err)
	}
	proof, err := c.exchange(2, token)
	if err == nil {
		err = l.Verify(proof)
	}
	return c.failed(err)
}

func (c *loginConn) failed(err error) error {
	if err != nil {
		return fmt.Errorf("%w as user %s: %w", ErrLogin, c.login.User, err)
	}
	return nil
}

// exchange sends a token and returns the server's.
func (c *loginConn) exchange(xid uint32, token []byte) ([]byte, error) {
	b := binary.BigEndian.AppendUint32(nil, uint32(12+len(token)))
	b = binary.BigEndian.AppendUint32(b, xid)
	b = binary.BigEndian.AppendUint32(b, opSASL)
	b = binary.BigEndian.AppendUint32(b, uint32(len(token)))
	if _, err := c.Conn.Write(append(b, token...)); err != nil {
		return nil, err
	}
	reply, err := c.readFrame()
	if err != nil {
		return nil, err
	}
	if len(reply) < headerLen || binary.BigEndian.Uint32(reply) != xid {
		return nil, errors.New("the server answers something else")
	}
	switch code := int32(binary.BigEndian.Uint32(reply[12:])); code {
	case 0:
	case -115, -124: // AUTHFAILED, SESSIONCLOSEDREQUIRESASLAUTH
		return nil, errors.New("the server does not accept the user or the password")
	default:
		return nil, fmt.Errorf("the server answers with error %d", code)
	}
	if reply = reply[headerLen:]; len(reply) < 4 {
		return nil, io.ErrUnexpectedEOF
	}
	n := int32(binary.BigEndian.Uint32(reply))
	if reply = reply[4:]; n < 0 {
		return nil, errors.New("the server has no SASL, or none of DIGEST-MD5")
	}
	if int(n) != len(reply) {
		return nil, io.ErrUnexpectedEOF
	}
	return reply, nil
}

func (c *loginConn) readFrame() ([]byte, error) {
	var length [4]byte
	if _, err := io.ReadFull(c.Conn, length[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(length[:])
	if n > frameMax {
		return nil, fmt.Errorf("the server claims a frame of %d bytes", n)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(c.Conn, b)
	return b, err
}
