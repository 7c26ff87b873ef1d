package wire

import "encoding/binary"

// ID is one identity: who is asking, or who an ACL entry is for.
type ID struct{ Scheme, ID string }

// ACL is one entry of an access control list.
type ACL struct {
	Perms int32
	ID
	// NullScheme and NullID say that they came as null, which no list keeps.
	NullScheme, NullID bool
}

// WorldAnyone is the identity that everybody has.
var WorldAnyone = ID{Scheme: "world", ID: "anyone"}

// OpenACL lets everybody do everything. It is shared: do not change it.
var OpenACL = []ACL{{Perms: PermAll, ID: WorldAnyone}}

// aclBytesMin is the shortest an ACL entry can be: perms and two empty strings.
const aclBytesMin = 12

// ACLs reads a vector of ACL entries; null says that the vector was null. The entries are copied out of the frame.
func (d *Decoder) ACLs() (acls []ACL, null bool) {
	n, null := d.Count(aclBytesMin)
	if d.err != nil || null || n == 0 {
		return nil, null
	}
	if acls, ok := d.openACL(n); ok {
		return acls, false
	}
	acls = make([]ACL, 0, n)
	for range n {
		a := ACL{Perms: d.Int()}
		scheme, id := d.String(), d.String()
		if d.err != nil {
			return nil, false
		}
		a.Scheme, a.ID.ID, a.NullScheme, a.NullID = string(scheme), string(id), scheme == nil, id == nil
		acls = append(acls, a)
	}
	return acls, false
}

// openBytes is OpenACL's only entry as it travels.
var openBytes = AppendACLs(nil, OpenACL)[4:]

// openACL recognises the list that nearly every request carries, so that it costs no allocation.
func (d *Decoder) openACL(n int) ([]ACL, bool) {
	if n != 1 || len(d.b) < len(openBytes) || string(d.b[:len(openBytes)]) != string(openBytes) {
		return nil, false
	}
	d.b = d.b[len(openBytes):]
	return OpenACL, true
}

// Stat is what a client sees of a node beside its data.
type Stat struct {
	Czxid, Mzxid   int64
	Ctime, Mtime   int64 // ms since 1970
	Version        int32
	Cversion       int32 // creations and deletions of children
	Aversion       int32
	EphemeralOwner int64
	DataLength     int32
	NumChildren    int32
	Pzxid          int64
}

// StatSize is a Stat's length on the wire in bytes.
const StatSize = 68

// AppendStat appends s.
func AppendStat(b []byte, s *Stat) []byte {
	b = AppendLong(b, s.Czxid)
	b = AppendLong(b, s.Mzxid)
	b = AppendLong(b, s.Ctime)
	b = AppendLong(b, s.Mtime)
	b = AppendInt(b, s.Version)
	b = AppendInt(b, s.Cversion)
	b = AppendInt(b, s.Aversion)
	b = AppendLong(b, s.EphemeralOwner)
	b = AppendInt(b, s.DataLength)
	b = AppendInt(b, s.NumChildren)
	return AppendLong(b, s.Pzxid)
}

// Stat reads a Stat.
func (d *Decoder) Stat() (s Stat) {
	s.Czxid, s.Mzxid, s.Ctime, s.Mtime = d.Long(), d.Long(), d.Long(), d.Long()
	s.Version, s.Cversion, s.Aversion = d.Int(), d.Int(), d.Int()
	s.EphemeralOwner, s.DataLength, s.NumChildren, s.Pzxid = d.Long(), d.Int(), d.Int(), d.Long()
	return s
}

// AppendInt appends an int32.
func AppendInt(b []byte, v int32) []byte { return binary.BigEndian.AppendUint32(b, uint32(v)) }

// AppendLong appends an int64.
func AppendLong(b []byte, v int64) []byte { return binary.BigEndian.AppendUint64(b, uint64(v)) }

// AppendBool appends a boolean.
func AppendBool(b []byte, v bool) []byte {
	if v {
		return append(b, 1)
	}
	return append(b, 0)
}

// AppendBuffer appends a buffer; nil is null.
func AppendBuffer(b, v []byte) []byte {
	if v == nil {
		return AppendInt(b, -1)
	}
	return append(AppendInt(b, int32(len(v))), v...)
}

// AppendString appends a string, which is never null.
func AppendString[S string | []byte](b []byte, s S) []byte {
	return append(AppendInt(b, int32(len(s))), s...)
}

// AppendACLs appends a vector of ACL entries.
func AppendACLs(b []byte, acls []ACL) []byte {
	b = AppendInt(b, int32(len(acls)))
	for i := range acls {
		b = AppendInt(b, acls[i].Perms)
		b = AppendString(b, acls[i].Scheme)
		b = AppendString(b, acls[i].ID.ID)
	}
	return b
}

// ReplyHeaderSize is the length of a reply header in bytes, without the frame's length.
const ReplyHeaderSize = 16

// AppendReplyHeader appends a reply header.
func AppendReplyHeader(b []byte, xid int32, zxid int64, code Code) []byte {
	b = AppendInt(b, xid)
	b = AppendLong(b, zxid)
	return AppendInt(b, int32(code))
}

// AppendEvent appends the whole frame of a watch event, its length included. zxid is that of the transaction behind it, or -1 for one made
// by setWatches.
func AppendEvent[S string | []byte](b []byte, zxid int64, typ int32, path S) []byte {
	b = AppendInt(b, int32(ReplyHeaderSize+8+4+len(path)))
	b = AppendReplyHeader(b, XidNotification, zxid, CodeOK)
	b = AppendInt(b, typ)
	b = AppendInt(b, StateSyncConnected)
	return AppendString(b, path)
}

// AppendMultiHeader appends the header of one part of a multi, or of its end.
func AppendMultiHeader(b []byte, op Op, done bool, code Code) []byte {
	b = AppendInt(b, int32(op))
	b = AppendBool(b, done)
	return AppendInt(b, int32(code))
}
