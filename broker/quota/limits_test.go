package quota

import (
	"math"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// limits makes a set of produce limits out of lines "kind/name rate".
func limits(t *testing.T, lines ...string) *Limits {
	t.Helper()
	all := map[Entity]Values{}
	for _, line := range lines {
		path, rate, _ := strings.Cut(line, " ")
		kind, name, _ := strings.Cut(path, "/")
		e, err := ParseEntity(kind, name)
		if err != nil {
			t.Fatal(err)
		}
		v, err := ParseValues(map[string]string{"producer_byte_rate": rate, "SCRAM-SHA-256": "salt=…"})
		if err != nil {
			t.Fatal(err)
		}
		all[e] = v
	}
	return None.WithAll(all)
}

// The order of precedence, and who shares a limit: take the strongest away and the next one counts.
func TestPrecedence(t *testing.T) {
	order := []struct {
		line    string
		subject Subject
	}{
		{"users/u%20v/clients/app 1", Subject{"u v", "app", true, true}},
		{"users/u%20v/clients/<default> 2", Subject{"u v", "app", true, true}},
		{"users/u%20v 3", Subject{User: "u v", HasUser: true}},
		{"users/<default>/clients/app 4", Subject{"u v", "app", true, true}},
		{"users/<default>/clients/<default> 5", Subject{"u v", "app", true, true}},
		{"users/<default> 6", Subject{User: "u v", HasUser: true}},
		{"clients/app 7", Subject{Client: "app", HasClient: true}},
		{"clients/<default> 8", Subject{Client: "app", HasClient: true}},
	}
	for i := range order {
		var lines []string
		for _, o := range order[i:] {
			lines = append(lines, o.line)
		}
		lines = append(lines, "users/other 99", "clients/other 99", "users/u%20v/clients/other 99")
		limit, s, ok := limits(t, lines...).Lookup(ProduceBytes, "u v", "app")
		if !ok || limit != float64(i+1) || s != order[i].subject {
			t.Errorf("with %v: %v of %+v, %v", lines, limit, s, ok)
		}
	}
	l := limits(t, "clients/<default> 8", "users/<default>/clients/<default> 5")
	if _, _, ok := l.Lookup(ProduceBytes, "u", ""); ok {
		t.Error("a client without an id is limited by its id")
	}
	if _, _, ok := l.Lookup(FetchBytes, "u", "app"); ok {
		t.Error("a limit of another kind")
	}
	if e, _ := ParseEntity("clients", "%3Cdefault%3E"); e.DefaultClient || e.Client != "<default>" {
		t.Errorf("a client that is called <default>: %+v", e)
	}
	e, _ := ParseEntity("clients", "<default>")
	if n := l.With(e, Values{math.NaN(), math.NaN(), math.NaN(), math.NaN()}); len(n.clients) != 1 || len(l.clients) != 2 {
		t.Error("an entity without limits is not taken out, or out of the old set too")
	}
}

func TestWrongEntitiesAndValues(t *testing.T) {
	for _, name := range []string{"users/a/b", "users/a/clients", "users/a/clients/b/c", "clients/a/b", "topics/a", "users/%zz", "users/a/clients/%zz"} {
		kind, rest, _ := strings.Cut(name, "/")
		if e, err := ParseEntity(kind, rest); err == nil {
			t.Errorf("%s is %+v", name, e)
		}
	}
	v, err := ParseValues(map[string]string{"producer_byte_rate": "1.5", "consumer_byte_rate": "1024", "request_percentage": "12.5", "controller_mutation_rate": "NaN"})
	if err == nil || !math.IsNaN(v[ProduceBytes]) || v[FetchBytes] != 1024 || v[RequestPercent] != 12.5 || !math.IsNaN(v[Mutations]) {
		t.Errorf("%v, %v", v, err)
	}
}

func TestAddresses(t *testing.T) {
	one := netip.MustParseAddr("10.0.0.1")
	l := None.WithIP(one, 5).WithIP(netip.Addr{}, 7)
	if n, ok := l.IP(one); n != 5 || !ok {
		t.Error(n, ok)
	}
	if n, ok := l.IP(netip.MustParseAddr("::1")); n != 7 || !ok {
		t.Error(n, ok)
	}
	l = l.WithIP(one, -1).WithIP(netip.Addr{}, -1)
	if n, ok := l.IP(one); ok {
		t.Error(n)
	}
}

func meter(t *testing.T, lines ...string) *Meter {
	var table Table
	table.Store(limits(t, lines...))
	return NewMeter(&table, window, window)
}

// All clients of a user share the user's limit; what is not given is taken back.
func TestMeterSharesAndTakesBack(t *testing.T) {
	m := meter(t, "users/u 1000")
	if wait := m.Record(ProduceBytes, "u", "a", 9000, 0); wait != 0 {
		t.Errorf("a waits for %v", wait)
	}
	wait := m.Record(ProduceBytes, "u", "b", 9000, 0)
	m.Record(ProduceBytes, "u", "b", -9000, 0)
	if wait != 8*time.Second { // 18,000 bytes in 10 s: 1.8 times the limit
		t.Errorf("b waits for %v", wait)
	}
	if wait := m.Record(ProduceBytes, "u", "c", 1000, 0); wait != 0 {
		t.Errorf("b's bytes count: c waits for %v", wait)
	}
	if wait := m.Record(ProduceBytes, "v", "a", 1e9, 0); wait != 0 {
		t.Errorf("who has no limit waits for %v", wait)
	}
	if most, ok := m.Most(ProduceBytes, "u", "a"); most != 10_000 || !ok {
		t.Error(most, ok)
	}
}

func TestMutations(t *testing.T) {
	m := meter(t)
	e, _ := ParseEntity("users", "u")
	v, _ := ParseValues(map[string]string{"controller_mutation_rate": "2"})
	m.table.Store(None.With(e, v))
	for _, step := range []struct {
		n      float64
		strict bool
		at     time.Duration
		wait   time.Duration
	}{
		{30, true, 0, 0},                          // 22 are there, and a full bucket gives whatever is asked for
		{1, true, 0, 4 * time.Second},             // then nothing
		{1, true, time.Second, 3 * time.Second},   // the refused one did not count
		{1, false, time.Second, 3500e6},           // who cannot be refused gets it, and waits longer
		{1, true, 4500 * time.Millisecond, 0},     // 30 + 1 - 22 = 9, at two a second
		{1, true, 4500 * time.Millisecond, 500e6}, // overdrawn by the last
	} {
		if wait := m.Change("u", "a", step.n, step.strict, step.at); wait != step.wait {
			t.Errorf("%+v: waits for %v", step, wait)
		}
	}
}

// However many client ids are made up, sensors are bounded, and those of the past are dropped first.
func TestSensorsAreBounded(t *testing.T) {
	m := meter(t, "clients/<default> 1000")
	name := func(i int) string {
		return string(rune('a'+i%26)) + strings.Repeat("x", i/26%40) + string(rune(0x4e00+i/1040))
	}
	for i := range 3 * sensorsMax {
		m.Record(ProduceBytes, "u", name(i), 1, time.Duration(i)*time.Microsecond)
		if n := len(m.rates[ProduceBytes].all); n > sensorsMax {
			t.Fatalf("%d sensors", n)
		}
	}
	m.Record(ProduceBytes, "u", "mine", 50_000, time.Second)
	m.rates[ProduceBytes].sweep = 0
	m.Record(ProduceBytes, "u", "new", 1, 12*time.Second) // all but the youngest two are forgotten by now
	if n := len(m.rates[ProduceBytes].all); n > 2 {
		t.Errorf("%d sensors are kept", n)
	}
}

// TestInfinityLeavesNothingBehind: Java reads it as a number, and so may who administers; a later limit counts as ever.
func TestInfinityLeavesNothingBehind(t *testing.T) {
	m := meter(t)
	e, _ := ParseEntity("users", "u")
	v, err := ParseValues(map[string]string{"controller_mutation_rate": "Infinity"})
	if err != nil {
		t.Fatal(err)
	}
	m.table.Store(None.With(e, v))
	for range 3 {
		if wait := m.Change("u", "a", 1000, true, 0); wait != 0 {
			t.Errorf("waits for %v", wait)
		}
	}
	v, _ = ParseValues(map[string]string{"controller_mutation_rate": "2"})
	m.table.Store(None.With(e, v))
	if wait := m.Change("u", "a", 30, false, 0); wait != 4*time.Second {
		t.Errorf("waits for %v", wait)
	}
}
