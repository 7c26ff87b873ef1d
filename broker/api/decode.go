package api

import (
	"context"
	"errors"
	"fmt"
	"reflect"

	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api/shape"
)

// Bodies that decode to no more than decodingSmall bytes are not counted. All others together decode to decodingMax at a time, but
// for one that needs more on its own: it waits until it is alone.
const (
	decodingSmall = 1 << 20
	decodingMax   = 256 << 20
)

// decoder decodes the bodies of one API. Immutable.
type decoder[Q kmsg.Request] struct {
	r           *Registry
	key, min    int16
	shapes      []*shape.Shape // by version, from min on
	structBytes int
	request     func() Q
}

// register adds the API with the key, whose empty requests come from request.
func register[Q kmsg.Request](r *Registry, key, min, max int16, request func() Q, h func(ctx context.Context, req *Request, q Q) (kmsg.Response, error)) {
	d := decoder[Q]{r: r, key: key, min: min, structBytes: shape.StructBytes(reflect.TypeFor[Q]()), request: request}
	for v := min; v <= max; v++ {
		s, ok := shape.Request(key, v)
		if !ok {
			panic(fmt.Sprintf("api: nothing is known of %s v%d", kmsg.NameForKey(key), v))
		}
		d.shapes = append(d.shapes, s)
	}
	r.Add(Entry{Key: key, Min: min, Max: max, Handle: func(ctx context.Context, req *Request) (Response, error) {
		q, err := d.decode(ctx, req)
		if err != nil {
			return nil, fmt.Errorf("decode %s v%d: %w", kmsg.NameForKey(key), req.Version, err)
		}
		resp, err := h(ctx, req, q)
		if err != nil || resp == nil {
			return nil, err
		}
		resp.SetVersion(req.Version)
		return resp, nil
	}})
}

// decode reads the body of req, once it has been looked at: kmsg believes counts, and makes room for what a body claims.
func (d *decoder[Q]) decode(ctx context.Context, req *Request) (q Q, err error) {
	i := int(req.Version) - int(d.min)
	if i < 0 || i >= len(d.shapes) {
		return q, errors.New("the version is not served")
	}
	_, decoded, err := d.shapes[i].Check(req.Body, shape.Limits{Decoded: shape.DecodedMax(len(req.Body)), Struct: d.structBytes})
	if err != nil {
		return q, err
	}
	if decoded > decodingSmall {
		n := min(decoded, decodingMax)
		if err := d.r.decoding.Acquire(ctx, n); err != nil {
			return q, err
		}
		defer d.r.decoding.Release(n)
	}
	q = d.request()
	q.SetVersion(req.Version)
	return q, q.ReadFrom(req.Body)
}
