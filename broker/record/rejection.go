package record

import (
	"fmt"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
)

// Rejection is why Validate refused a client's records. It unwraps to the *kerr.Error that the partition is answered with.
type Rejection struct {
	Code   *kerr.Error
	Reason string // for the broker's log

	// Records are the records that are to blame, for Produce of version 8 and later, where Message goes with them.
	Records []RecordError

	// BeforeLog is set when Apache Kafka refuses before it has looked at the partition's log: it then answers a log start
	// offset of -1 instead of the real one.
	BeforeLog bool
}

// RecordError is one refused record: its index in the batch and why, in Apache Kafka's words.
type RecordError struct {
	Index   int32
	Message string
}

// Error has the reason.
func (r *Rejection) Error() string { return r.Code.Message + ": " + r.Reason }

// Unwrap is the protocol's error.
func (r *Rejection) Unwrap() error { return r.Code }

// Message is the error message of the answer, in Apache Kafka's words; "" unless single records are to blame.
func (r *Rejection) Message() string {
	if len(r.Records) == 0 {
		return ""
	}
	if r.Code == kerr.InvalidTimestamp {
		return "One or more records have been rejected due to invalid timestamp"
	}
	shown := make([]string, 0, 3)
	for _, e := range r.Records[:min(3, len(r.Records))] {
		shown = append(shown, fmt.Sprintf("RecordError(batchIndex=%d, message='%s')", e.Index, e.Message))
	}
	return fmt.Sprintf("One or more records have been rejected due to %d record errors in total, and only showing the first three errors at most: [%s]",
		len(r.Records), strings.Join(shown, ", "))
}

// reject is a Rejection for err's code and text. before is Rejection.BeforeLog.
func reject(err error, before bool) error {
	r := &Rejection{Code: kerr.UnknownServerError, Reason: err.Error(), BeforeLog: before}
	for e := err; e != nil; {
		if ke, ok := e.(*kerr.Error); ok {
			r.Code = ke
			break
		}
		u, ok := e.(interface{ Unwrap() error })
		if !ok {
			break
		}
		e = u.Unwrap()
	}
	r.Reason = strings.TrimPrefix(r.Reason, r.Code.Error()+": ")
	return r
}
