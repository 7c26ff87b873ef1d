package znode

import (
	"errors"
	"fmt"

	"github.com/go-zookeeper/zk"
)

// Errors of ZooKeeper that the rules of this layout give a meaning. Compare with errors.Is.
var (
	ErrNoNode     = zk.ErrNoNode
	ErrNodeExists = zk.ErrNodeExists
	ErrBadVersion = zk.ErrBadVersion
	ErrNotEmpty   = zk.ErrNotEmpty
)

var (
	// ErrSessionExpired means that the session of the call is over. What was written under it before has happened, the
	// call's own write has happened or not, and will not happen later.
	ErrSessionExpired = errors.New("ZooKeeper session expired")
	// ErrClosed means that the Client was closed.
	ErrClosed = errors.New("ZooKeeper client closed")
	// ErrFenced means that the node a write was bound to has changed: for a controller's write, that there is another
	// controller.
	ErrFenced = errors.New("another controller has been elected")
	// ErrTooLarge means that a request is larger than ZooKeeper's clients and servers send by agreement.
	ErrTooLarge = fmt.Errorf("request to ZooKeeper is larger than %d bytes", requestBytesMax)
)

// answered says whether err is an answer of a server, or a refusal before anything was sent: sending again cannot help. All
// else (closed connections, network errors) leaves open what happened.
func answered(err error) bool {
	switch {
	case err == nil:
		return true
	case errors.Is(err, zk.ErrConnectionClosed), errors.Is(err, zk.ErrNoServer), errors.Is(err, zk.ErrClosing),
		errors.Is(err, zk.ErrSessionMoved), errors.Is(err, zk.ErrSessionExpired):
		return false
	}
	for _, known := range []error{
		zk.ErrNoNode, zk.ErrNodeExists, zk.ErrBadVersion, zk.ErrNotEmpty, zk.ErrNoAuth, zk.ErrNoChildrenForEphemerals, zk.ErrInvalidACL,
		zk.ErrAuthFailed, zk.ErrAPIError, zk.ErrUnknown, zk.ErrNothing, zk.ErrReconfigDisabled, zk.ErrBadArguments, zk.ErrInvalidFlags,
		zk.ErrInvalidPath, zk.ErrShortBuffer, zk.ErrUnhandledFieldType, zk.ErrPtrExpected, ErrFenced,
	} {
		if errors.Is(err, known) {
			return true
		}
	}
	// The library's text for a server's code that it has no name for.
	var code int32
	_, scan := fmt.Sscanf(err.Error(), "unknown error: %d", &code)
	return scan == nil
}

// pathError says which node an error is about. The cause stays comparable with errors.Is.
func pathError(op, path string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s %s: %w", op, path, err)
}
