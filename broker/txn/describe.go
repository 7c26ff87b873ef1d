package txn

import (
	"context"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
)

// stateNames are the states that transactions can be listed by (KIP-664).
var stateNames = []string{"Empty", "Ongoing", "PrepareCommit", "PrepareAbort", "CompleteCommit", "CompleteAbort", "Dead", "PrepareEpochFence"}

// listTransactions serves versions 0 and 1: this broker coordinates no transactions.
func listTransactions(_ context.Context, _ *api.Request, q *kmsg.ListTransactionsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrListTransactionsResponse()
	for _, s := range q.StateFilters {
		if !slices.Contains(stateNames, s) && !slices.Contains(resp.UnknownStateFilters, s) {
			resp.UnknownStateFilters = append(resp.UnknownStateFilters, s)
		}
	}
	return resp, nil
}

// describeTransactions serves version 0: somebody else is the coordinator of any id.
func describeTransactions(_ context.Context, _ *api.Request, q *kmsg.DescribeTransactionsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrDescribeTransactionsResponse()
	for _, id := range q.TransactionalIDs {
		s := kmsg.NewDescribeTransactionsResponseTransactionState()
		s.TransactionalID, s.ErrorCode = id, kerr.NotCoordinator.Code
		if id == "" {
			s.ErrorCode = kerr.InvalidRequest.Code
		}
		resp.TransactionStates = append(resp.TransactionStates, s)
	}
	return resp, nil
}
