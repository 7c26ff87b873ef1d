package wire

import "strconv"

// Op is an operation code of a request header.
type Op int32

// Operation codes, with ZooKeeper's names.
const (
	OpNotification         Op = 0
	OpCreate               Op = 1
	OpDelete               Op = 2
	OpExists               Op = 3
	OpGetData              Op = 4
	OpSetData              Op = 5
	OpGetACL               Op = 6
	OpSetACL               Op = 7
	OpGetChildren          Op = 8
	OpSync                 Op = 9
	OpPing                 Op = 11
	OpGetChildren2         Op = 12
	OpCheck                Op = 13
	OpMulti                Op = 14
	OpCreate2              Op = 15
	OpReconfig             Op = 16
	OpCheckWatches         Op = 17
	OpRemoveWatches        Op = 18
	OpCreateContainer      Op = 19
	OpDeleteContainer      Op = 20
	OpCreateTTL            Op = 21
	OpMultiRead            Op = 22
	OpAuth                 Op = 100
	OpSetWatches           Op = 101
	OpSASL                 Op = 102
	OpGetEphemerals        Op = 103
	OpGetAllChildrenNumber Op = 104
	OpSetWatches2          Op = 105
	OpAddWatch             Op = 106
	OpWhoAmI               Op = 107
	OpCreateSession        Op = -10
	OpCloseSession         Op = -11
	OpError                Op = -1
)

// Code is the err field of a reply header. It is an error; CodeOK is never returned as one.
type Code int32

// Error codes, with ZooKeeper's names. Codes that only clients use are left out.
const (
	CodeOK                      Code = 0
	CodeRuntimeInconsistency    Code = -2
	CodeMarshallingError        Code = -5
	CodeUnimplemented           Code = -6
	CodeBadArguments            Code = -8
	CodeNoNode                  Code = -101
	CodeNoAuth                  Code = -102
	CodeBadVersion              Code = -103
	CodeNoChildrenForEphemerals Code = -108
	CodeNodeExists              Code = -110
	CodeNotEmpty                Code = -111
	CodeSessionExpired          Code = -112
	CodeInvalidACL              Code = -114
	CodeAuthFailed              Code = -115
	CodeSessionMoved            Code = -118
	CodeNotReadOnly             Code = -119
	CodeNoWatcher               Code = -121
	CodeReconfigDisabled        Code = -123
	// CodeSessionClosedRequireAuth is named for SASL only in ZooKeeper, and sent for every scheme that is enforced.
	CodeSessionClosedRequireAuth Code = -124
	CodeQuotaExceeded            Code = -125
	CodeThrottledOp              Code = -127
)

var codeNames = map[Code]string{
	CodeOK: "OK", CodeRuntimeInconsistency: "RUNTIMEINCONSISTENCY", CodeMarshallingError: "MARSHALLINGERROR",
	CodeUnimplemented: "UNIMPLEMENTED", CodeBadArguments: "BADARGUMENTS", CodeNoNode: "NONODE", CodeNoAuth: "NOAUTH",
	CodeBadVersion: "BADVERSION", CodeNoChildrenForEphemerals: "NOCHILDRENFOREPHEMERALS", CodeNodeExists: "NODEEXISTS",
	CodeNotEmpty: "NOTEMPTY", CodeSessionExpired: "SESSIONEXPIRED", CodeInvalidACL: "INVALIDACL", CodeAuthFailed: "AUTHFAILED",
	CodeSessionMoved: "SESSIONMOVED", CodeNotReadOnly: "NOTREADONLY", CodeNoWatcher: "NOWATCHER",
	CodeReconfigDisabled: "RECONFIGDISABLED", CodeQuotaExceeded: "QUOTAEXCEEDED",
	CodeSessionClosedRequireAuth: "SESSIONCLOSEDREQUIRESASLAUTH", CodeThrottledOp: "THROTTLEDOP",
}

// Error is ZooKeeper's name of the code.
func (c Code) Error() string {
	if s, ok := codeNames[c]; ok {
		return s
	}
	return "code " + strconv.Itoa(int(c))
}

// Event types of a watch event.
const (
	EventNodeCreated         int32 = 1
	EventNodeDeleted         int32 = 2
	EventNodeDataChanged     int32 = 3
	EventNodeChildrenChanged int32 = 4
)

// StateSyncConnected is the state field of every watch event that a server sends.
const StateSyncConnected int32 = 3

// XidNotification is the xid of watch events; XidPing that of every answer to a ping, whatever xid the ping had.
const (
	XidNotification int32 = -1
	XidPing         int32 = -2
)

// Permission bits of an ACL entry.
const (
	PermRead   int32 = 1
	PermWrite  int32 = 2
	PermCreate int32 = 4
	PermDelete int32 = 8
	PermAdmin  int32 = 16
	PermAll    int32 = 31
)

// Flags of a create request. They say what to make, but it is the operation code that makes a container.
const (
	FlagPersistent              int32 = 0
	FlagEphemeral               int32 = 1
	FlagPersistentSequential    int32 = 2
	FlagEphemeralSequential     int32 = 3
	FlagContainer               int32 = 4
	FlagPersistentTTL           int32 = 5
	FlagPersistentSequentialTTL int32 = 6
)

// Modes of an addWatch request.
const (
	AddWatchPersistent          int32 = 0
	AddWatchPersistentRecursive int32 = 1
)

// Watcher types of checkWatches and removeWatches requests.
const (
	WatcherChildren            int32 = 1
	WatcherData                int32 = 2
	WatcherAny                 int32 = 3
	WatcherPersistent          int32 = 4
	WatcherPersistentRecursive int32 = 5
)

// MaxFrame is the default of jute.maxbuffer: the largest length that a request frame may claim, in bytes. A frame of exactly this
// length is served.
const MaxFrame = 0xfffff
