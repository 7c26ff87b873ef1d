package wire

// PasswordSize is the length of a session's password in bytes.
const PasswordSize = 16

// ConnectRequest is the first frame of a connection.
type ConnectRequest struct {
	ProtocolVersion int32
	LastZxidSeen    int64
	TimeoutMs       int32
	SessionID       int64  // 0 asks for a new session
	Password        []byte // points into the frame; nil if null
	ReadOnly        bool   // the client would also take a read-only server
	// HasReadOnly says that the request had the readOnly byte; clients before 3.4 and some of today send none. The answer has it if and
	// only if the request did.
	HasReadOnly bool
}

// DecodeConnectRequest reads a frame. Bytes behind the readOnly byte are ignored.
func DecodeConnectRequest(frame []byte) (r ConnectRequest, err error) {
	d := NewDecoder(frame)
	r.ProtocolVersion, r.LastZxidSeen, r.TimeoutMs, r.SessionID = d.Int(), d.Long(), d.Int(), d.Long()
	r.Password = d.Buffer()
	if d.err == nil && len(d.b) > 0 {
		r.HasReadOnly, r.ReadOnly = true, d.Bool()
	}
	return r, d.err
}

// AppendConnectRequest appends the whole frame of r, its length included.
func AppendConnectRequest(b []byte, r *ConnectRequest) []byte {
	start := len(b)
	b = AppendInt(b, 0)
	b = AppendInt(b, r.ProtocolVersion)
	b = AppendLong(b, r.LastZxidSeen)
	b = AppendInt(b, r.TimeoutMs)
	b = AppendLong(b, r.SessionID)
	b = AppendBuffer(b, r.Password)
	if r.HasReadOnly {
		b = AppendBool(b, r.ReadOnly)
	}
	return EndFrame(b, start)
}

// ConnectResponse answers a ConnectRequest. TimeoutMs 0 says that the session does not exist.
type ConnectResponse struct {
	TimeoutMs   int32
	SessionID   int64
	Password    [PasswordSize]byte
	ReadOnly    bool
	HasReadOnly bool
}

// AppendConnectResponse appends the whole frame of r, its length included.
func AppendConnectResponse(b []byte, r *ConnectResponse) []byte {
	start := len(b)
	b = AppendInt(b, 0)
	b = AppendInt(b, 0) // protocol version
	b = AppendInt(b, r.TimeoutMs)
	b = AppendLong(b, r.SessionID)
	b = AppendBuffer(b, r.Password[:])
	if r.HasReadOnly {
		b = AppendBool(b, r.ReadOnly)
	}
	return EndFrame(b, start)
}
