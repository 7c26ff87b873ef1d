package auth

import (
	"context"
	"errors"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
)

// RegisterNone adds DescribeAcls, CreateAcls and DeleteAcls v0-3 as of a broker without an authorizer, and CreateDelegationToken v0-3,
// RenewDelegationToken and ExpireDelegationToken v0-2, DescribeDelegationToken v0-3 as of listeners that do not authenticate: there,
// tokens are refused whatever else is configured.
func RegisterNone(r *api.Registry) {
	api.Register(r, 0, 3, describeACLs)
	api.Register(r, 0, 3, createACLs)
	api.Register(r, 0, 3, deleteACLs)
	api.Register(r, 0, 3, createToken)
	api.Register(r, 0, 2, func(context.Context, *api.Request, *kmsg.RenewDelegationTokenRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrRenewDelegationTokenResponse()
		resp.ErrorCode, resp.ExpiryTimestamp = kerr.DelegationTokenRequestNotAllowed.Code, -1
		return resp, nil
	})
	api.Register(r, 0, 2, func(context.Context, *api.Request, *kmsg.ExpireDelegationTokenRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrExpireDelegationTokenResponse()
		resp.ErrorCode, resp.ExpiryTimestamp = kerr.DelegationTokenRequestNotAllowed.Code, -1
		return resp, nil
	})
	api.Register(r, 0, 3, func(context.Context, *api.Request, *kmsg.DescribeDelegationTokenRequest) (kmsg.Response, error) {
		resp := kmsg.NewPtrDescribeDelegationTokenResponse()
		resp.ErrorCode = kerr.DelegationTokenRequestNotAllowed.Code
		return resp, nil
	})
}

const noAuthorizer = "No Authorizer is configured."

// Apache Kafka judges these requests while it parses them, and closes the connection on what it cannot read.
var (
	errUnknownElements = errors.New("request with an unknown resource type, pattern type, operation or permission")
	errPatternType     = errors.New("version 0 only has literal patterns")
)

// known says whether the codes are of this version of the protocol; 0 is the code for what is unknown.
func known(resource kmsg.ACLResourceType, pattern kmsg.ACLResourcePatternType, operation kmsg.ACLOperation, permission kmsg.ACLPermissionType) bool {
	return resource != 0 && pattern != 0 && operation != 0 && permission != 0
}

func describeACLs(_ context.Context, r *api.Request, q *kmsg.DescribeACLsRequest) (kmsg.Response, error) {
	pattern, err := filterPattern(r.Version, q.ResourcePatternType)
	if err != nil {
		return nil, err
	}
	if !known(q.ResourceType, pattern, q.Operation, q.PermissionType) {
		return nil, errUnknownElements
	}
	resp := kmsg.NewPtrDescribeACLsResponse()
	resp.ErrorCode, resp.ErrorMessage = kerr.SecurityDisabled.Code, kmsg.StringPtr("No Authorizer is configured on the broker")
	return resp, nil
}

// filterPattern is the pattern type of a filter, which version 0 does not have.
func filterPattern(version int16, p kmsg.ACLResourcePatternType) (kmsg.ACLResourcePatternType, error) {
	if version > 0 {
		return p, nil
	}
	return kmsg.ACLResourcePatternTypeLiteral, nil
}

func createACLs(_ context.Context, r *api.Request, q *kmsg.CreateACLsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrCreateACLsResponse()
	for _, c := range q.Creations {
		if r.Version == 0 {
			c.ResourcePatternType = kmsg.ACLResourcePatternTypeLiteral
		}
		if !known(c.ResourceType, c.ResourcePatternType, c.Operation, c.PermissionType) {
			return nil, errUnknownElements
		}
		a := kmsg.NewCreateACLsResponseResult()
		a.ErrorCode, a.ErrorMessage = kerr.SecurityDisabled.Code, kmsg.StringPtr(noAuthorizer)
		resp.Results = append(resp.Results, a)
	}
	return resp, nil
}

func deleteACLs(_ context.Context, r *api.Request, q *kmsg.DeleteACLsRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrDeleteACLsResponse()
	for _, f := range q.Filters {
		pattern, err := filterPattern(r.Version, f.ResourcePatternType)
		if err != nil {
			return nil, err
		}
		if !known(f.ResourceType, pattern, f.Operation, f.PermissionType) {
			return nil, errUnknownElements
		}
		a := kmsg.NewDeleteACLsResponseResult()
		a.ErrorCode, a.ErrorMessage = kerr.SecurityDisabled.Code, kmsg.StringPtr(noAuthorizer)
		resp.Results = append(resp.Results, a)
	}
	return resp, nil
}

func createToken(_ context.Context, r *api.Request, q *kmsg.CreateDelegationTokenRequest) (kmsg.Response, error) {
	resp := kmsg.NewPtrCreateDelegationTokenResponse()
	resp.ErrorCode = kerr.DelegationTokenRequestNotAllowed.Code
	resp.TokenRequesterPrincipalType, resp.TokenRequesterPrincipalName, _ = strings.Cut(r.Conn.Principal, ":")
	resp.PrincipalType, resp.PrincipalName = resp.TokenRequesterPrincipalType, resp.TokenRequesterPrincipalName
	if q.OwnerPrincipalName != nil && *q.OwnerPrincipalName != "" {
		if q.OwnerPrincipalType != nil {
			resp.PrincipalType, resp.PrincipalName = *q.OwnerPrincipalType, *q.OwnerPrincipalName
		} else {
			resp.ErrorCode = kerr.UnknownServerError.Code // half an owner, which Kafka does not expect
		}
	}
	resp.IssueTimestamp, resp.ExpiryTimestamp, resp.MaxTimestamp = -1, -1, -1
	return resp, nil
}
