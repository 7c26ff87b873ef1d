package admin

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"ottla/broker/api"
	"ottla/broker/config"
	"ottla/broker/quota"
	"ottla/broker/znode"
)

func (h *handlers) alter(ctx context.Context, _ *api.Request, q *kmsg.AlterClientQuotasRequest) (kmsg.Response, error) {
	h.Altering.Lock()
	defer h.Altering.Unlock()
	resp := kmsg.NewPtrAlterClientQuotasResponse()
	at := map[string]int{} // answers by entity
	for _, e := range q.Entries {
		parts := partsOf(e.Entity)
		a := kmsg.NewAlterClientQuotasResponseEntry()
		a.ErrorCode, a.ErrorMessage = h.answer(h.alterOne(ctx, parts, e.Ops, q.ValidateOnly), "alteration")
		for _, p := range parts {
			ae := kmsg.NewAlterClientQuotasResponseEntryEntity()
			ae.Type, ae.Name = p.kind, p.name
			a.Entity = append(a.Entity, ae)
		}
		key := ""
		for _, p := range parts {
			key += strconv.Quote(p.kind)
			if p.name != nil {
				key += strconv.Quote(*p.name)
			}
			key += ","
		}
		if i, twice := at[key]; twice {
			resp.Entries[i] = a // an entity is answered once: what came last
			continue
		}
		at[key] = len(resp.Entries)
		resp.Entries = append(resp.Entries, a)
	}
	return resp, nil
}

// partsOf are the parts of an entity, by kind; of a kind that comes twice the last.
func partsOf(entity []kmsg.AlterClientQuotasRequestEntryEntity) []part {
	var parts []part
	for _, e := range entity {
		i, found := slices.BinarySearchFunc(parts, e.Type, func(p part, kind string) int { return strings.Compare(p.kind, kind) })
		if found {
			parts[i].name = e.Name
		} else {
			parts = slices.Insert(parts, i, part{e.Type, e.Name})
		}
	}
	return parts
}

// place is where an entity is kept, and what settings it can have.
func (h *handlers) place(ctx context.Context, parts []part) (kind, name string, err error) {
	if len(parts) == 0 {
		return "", "", refuse(kerr.InvalidRequest, "Invalid empty client quota entity")
	}
	names := map[string]string{}
	for _, p := range parts {
		switch {
		case p.kind != user && p.kind != clientID && p.kind != ip:
			return "", "", refuse(kerr.InvalidRequest, "Unhandled client quota entity type: %s", p.kind)
		case p.name == nil:
			names[p.kind] = quota.Default
		case *p.name == "":
			return "", "", refuse(kerr.InvalidRequest, "Empty %s not supported", p.kind)
		default:
			names[p.kind] = znode.Sanitize(*p.name)
		}
	}
	u, hasUser := names[user]
	c, hasClient := names[clientID]
	switch address, hasIP := names[ip]; {
	case hasIP && (hasUser || hasClient):
		return "", "", refuse(kerr.InvalidRequest, "Invalid quota entity combination, IP entity should not be used with user/client ID entity.")
	case hasIP && address != quota.Default && !h.Resolves(ctx, address):
		return "", "", refuse(kerr.InvalidRequest, "%s is not a valid IP or resolvable host.", address)
	case hasIP:
		return "ips", address, nil
	case hasUser && hasClient:
		return "users", u + "/clients/" + c, nil
	case hasUser:
		return "users", u, nil
	default:
		return "clients", c, nil
	}
}

func (h *handlers) alterOne(ctx context.Context, parts []part, ops []kmsg.AlterClientQuotasRequestEntryOp, validateOnly bool) error {
	kind, name, err := h.place(ctx, parts)
	if err != nil {
		return err
	}
	z, err := h.Entities(ctx)
	if err != nil {
		return err
	}
	settings, _, err := z.Entity(ctx, kind, name)
	if err != nil {
		return err
	}
	for _, op := range ops {
		if op.Remove {
			delete(settings, op.Key)
			continue
		}
		if kind == "users" && strings.HasPrefix(op.Key, "SCRAM-SHA-") {
			return fmt.Errorf("%s is a setting of users, and no quota", op.Key)
		}
		if !slices.Contains(keysOf(parts), op.Key) {
			return refuse(kerr.InvalidRequest, "Invalid configuration key %s", op.Key)
		}
		if settings[op.Key], err = text(op.Key, op.Value); err != nil {
			return err
		}
	}
	if validateOnly {
		return nil
	}
	if rate, err := strconv.ParseInt(settings[quota.ConnectionRate], 10, 32); err == nil && rate < 0 {
		return fmt.Errorf("%s is below 0: %d", quota.ConnectionRate, rate)
	}
	return z.ChangeEntity(ctx, kind, name, settings)
}

// text is a value as Kafka stores it: byte rates and connection rates are whole numbers.
func text(key string, value float64) (string, error) {
	const epsilon = 1e-6
	whole, bits := "", 0
	switch key {
	case quota.Keys[quota.ProduceBytes], quota.Keys[quota.FetchBytes]:
		whole, bits = "LONG", 64
	case quota.ConnectionRate:
		whole, bits = "INT", 32
	default:
		return javaDouble(value), nil
	}
	n := toWhole(value+epsilon, bits)
	if math.Abs(float64(n)-value) > epsilon {
		return "", refuse(kerr.InvalidRequest, "Configuration %s must be a %s value", key, whole)
	}
	return strconv.FormatInt(n, 10), nil
}

// toWhole converts as Java does: what is too large becomes the largest, and what is no number becomes 0.
func toWhole(v float64, bits int) int64 {
	largest := int64(1)<<(bits-1) - 1
	switch {
	case math.IsNaN(v):
		return 0
	case v >= float64(largest):
		return largest
	case v <= -float64(largest)-1:
		return -largest - 1
	}
	return int64(v)
}

// javaDouble is a number as Java's Double.toString writes it: 200.0, 1.0E10.
func javaDouble(v float64) string {
	switch a := math.Abs(v); {
	case math.IsNaN(v):
		return "NaN"
	case math.IsInf(v, 0):
		return strings.TrimPrefix(strings.Replace(strconv.FormatFloat(v, 'f', -1, 64), "Inf", "Infinity", 1), "+")
	case a != 0 && (a < 1e-3 || a >= 1e7):
		digits, exponent, _ := strings.Cut(strconv.FormatFloat(v, 'E', -1, 64), "E")
		if !strings.Contains(digits, ".") {
			digits += ".0"
		}
		n, _ := strconv.Atoi(exponent)
		return digits + "E" + strconv.Itoa(n)
	}
	s := strconv.FormatFloat(v, 'f', -1, 64)
	if !strings.Contains(s, ".") {
		s += ".0"
	}
	return s
}

// answer is an error as it stands in a response. What the protocol has no code for keeps its text to the log.
func (h *handlers) answer(err error, what string) (int16, *string) {
	if err == nil {
		return 0, nil
	}
	var r *config.Refusal
	if errors.As(err, &r) {
		return r.Code.Code, &r.Text
	}
	h.Log.Error().Err(err).Msg(what + " of client quotas failed")
	return api.Code(err), nil
}
