package zkdial

import (
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// script plays a server: it writes the frames one after the other, each but the first after a frame of the client.
func script(t *testing.T, frames ...string) (read string, err error) {
	client, server := net.Pipe()
	defer client.Close()
	_ = client.SetDeadline(time.Now().Add(10 * time.Second))
	go func() {
		defer server.Close()
		for i, f := range frames {
			if i > 0 {
				var length [4]byte
				if _, err := io.ReadFull(server, length[:]); err != nil {
					return
				}
				if _, err := io.CopyN(io.Discard, server, int64(binary.BigEndian.Uint32(length[:]))); err != nil {
					return
				}
			}
			b := binary.BigEndian.AppendUint32(nil, uint32(len(f)))
			if _, err := server.Write(append(b, f...)); err != nil {
				return
			}
		}
	}()
	b, err := io.ReadAll(&loginConn{Conn: client, login: Login{"u", "p"}})
	return string(b), err
}

const (
	session = "\x00\x00\x00\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00\x00\x01"
	expired = "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"
	answer1 = "\x00\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00" // of xid 1
)

// What ends a login is an error of the read, and nothing of the connect response gets through.
func TestLoginThatFails(t *testing.T) {
	token := func(s string) string { return answer1 + string(binary.BigEndian.AppendUint32(nil, uint32(len(s)))) + s }
	for name, reply := range map[string]string{
		"refused":       answer1[:12] + "\xff\xff\xff\x8d",
		"required":      answer1[:12] + "\xff\xff\xff\x84",
		"other error":   answer1[:12] + "\xff\xff\xff\xff",
		"no SASL":       answer1 + "\xff\xff\xff\xff",
		"other request": "\x00\x00\x00\x09" + answer1[4:] + "\x00\x00\x00\x00",
		"short":         "\x00\x00\x00\x01",
		"no token":      answer1,
		"cut":           answer1 + "\x00\x00\x10\x00",
		"no challenge":  token("hello"),
		"wrong length":  answer1 + "\x00\x00\x00\x01xx",
	} {
		if got, err := script(t, session, reply); got != "" || !errors.Is(err, ErrLogin) || !strings.Contains(err.Error(), "user u") {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
	if got, err := script(t, session, token(`realm="zk-sasl-md5",nonce="n",charset=utf-8,algorithm=md5-sess`), "\x00\x00\x00\x02"+token("rspauth=0")[4:]); got != "" || !errors.Is(err, ErrLogin) {
		t.Errorf("a server that does not know the password: %q, %v", got, err)
	}
}

// A session that is not granted, and what is no session at all, is the library's business.
func TestNoSession(t *testing.T) {
	for _, f := range []string{expired, "", "short"} {
		if got, err := script(t, f); err != nil || got != string(binary.BigEndian.AppendUint32(nil, uint32(len(f))))+f {
			t.Errorf("%q: %q, %v", f, got, err)
		}
	}
	client, server := net.Pipe()
	defer client.Close()
	go func() { _, _ = server.Write([]byte("\x7f\xff\xff\xff")); server.Close() }()
	if _, err := (&loginConn{Conn: client}).Read(make([]byte, 10)); err == nil || !strings.Contains(err.Error(), "claims a frame") {
		t.Errorf("2 GiB: %v", err)
	}
}
