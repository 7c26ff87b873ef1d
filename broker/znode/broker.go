package znode

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Protocol is a listener's security protocol, by Kafka's number.
type Protocol int16

// The security protocols.
const (
	Plaintext Protocol = iota
	SSL
	SASLPlaintext
	SASLSSL
)

var protocolNames = []string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}

func (p Protocol) String() string {
	if p < 0 || int(p) >= len(protocolNames) {
		return "protocol " + strconv.Itoa(int(p))
	}
	return protocolNames[p]
}

// ParseProtocol reads a protocol's name in any case.
func ParseProtocol(name string) (Protocol, error) {
	i := slices.Index(protocolNames, strings.ToUpper(name))
	if i < 0 {
		return 0, fmt.Errorf("unknown security protocol %q", name)
	}
	return Protocol(i), nil
}

// Endpoint is an advertised listener.
type Endpoint struct {
	Listener string // upper case
	Host     string
	Port     int32
	Protocol Protocol
}

// HostPort is the address, an IPv6 host in brackets.
func (e Endpoint) HostPort() string { return net.JoinHostPort(e.Host, strconv.Itoa(int(e.Port))) }

// Broker is a registered broker.
type Broker struct {
	ID        int32
	Epoch     int64 // czxid of the registration; not part of the data
	Rack      string
	Endpoints []Endpoint
	JMXPort   int32 // -1 for none
}

// Endpoint finds the address of a listener.
func (b Broker) Endpoint(listener string) (Endpoint, bool) {
	for _, e := range b.Endpoints {
		if e.Listener == listener {
			return e, true
		}
	}
	return Endpoint{}, false
}

type brokerJSON struct {
	Features  map[string]any    `json:"features"`
	Protocols map[string]string `json:"listener_security_protocol_map"`
	Endpoints []string          `json:"endpoints"`
	Rack      string            `json:"rack,omitempty"`
	JMXPort   int32             `json:"jmx_port"`
	Port      int32             `json:"port"`
	Host      *string           `json:"host"` // null without a PLAINTEXT listener
	Version   int               `json:"version"`
	Timestamp string            `json:"timestamp"`
}

// encode is the registration in version 5. Old clients read host and port, those of the first PLAINTEXT listener.
func (b Broker) encode(now time.Time) []byte {
	j := brokerJSON{
		Features: map[string]any{}, Protocols: map[string]string{}, Endpoints: []string{}, Rack: b.Rack, JMXPort: b.JMXPort, Port: -1,
		Version: 5, Timestamp: timestamp(now),
	}
	for _, e := range b.Endpoints {
		j.Protocols[e.Listener] = e.Protocol.String()
		j.Endpoints = append(j.Endpoints, e.Listener+"://"+e.HostPort())
		if e.Protocol == Plaintext && j.Host == nil {
			j.Host, j.Port = &e.Host, e.Port
		}
	}
	return encode(j)
}

// DecodeBroker reads a registration of version 1 to 5. epoch is the node's czxid.
func DecodeBroker(id int32, data []byte, epoch int64) (Broker, error) {
	var j struct {
		Protocols map[string]string `json:"listener_security_protocol_map"`
		Endpoints []string          `json:"endpoints"`
		Rack      *string           `json:"rack"`
		JMXPort   *int32            `json:"jmx_port"`
		Port      int32             `json:"port"`
		Host      *string           `json:"host"`
		Version   int               `json:"version"`
	}
	fail := func(err error) (Broker, error) {
		return Broker{}, fmt.Errorf("registration of broker %d: %w", id, err)
	}
	if err := json.Unmarshal(data, &j); err != nil {
		return fail(err)
	}
	b := Broker{ID: id, Epoch: epoch, JMXPort: -1}
	if j.Rack != nil {
		b.Rack = *j.Rack
	}
	if j.JMXPort != nil {
		b.JMXPort = *j.JMXPort
	}
	switch {
	case j.Version < 1:
		return fail(fmt.Errorf("version %d is not supported", j.Version))
	case j.Version == 1:
		if j.Host == nil {
			return fail(fmt.Errorf("version 1 without a host"))
		}
		b.Endpoints = []Endpoint{{Listener: "PLAINTEXT", Host: *j.Host, Port: j.Port}}
		return b, nil
	}
	for _, text := range j.Endpoints {
		e, err := parseEndpoint(text, j.Protocols)
		if err != nil {
			return fail(err)
		}
		b.Endpoints = append(b.Endpoints, e)
	}
	return b, nil
}

// parseEndpoint reads NAME://host:port. Without a map (before version 4) the listener's name is that of its protocol.
func parseEndpoint(text string, protocols map[string]string) (Endpoint, error) {
	name, address, ok := strings.Cut(text, "://")
	if !ok {
		return Endpoint{}, fmt.Errorf("endpoint %q is not NAME://host:port", text)
	}
	e := Endpoint{Listener: strings.ToUpper(name)}
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return Endpoint{}, fmt.Errorf("endpoint %q: %w", text, err)
	}
	n, err := strconv.ParseInt(port, 10, 32)
	if err != nil {
		return Endpoint{}, fmt.Errorf("endpoint %q: %w", text, err)
	}
	e.Host, e.Port = host, int32(n)
	protocol := name
	if protocols != nil {
		if protocol, ok = protocols[name]; !ok {
			return Endpoint{}, fmt.Errorf("endpoint %q: no security protocol for listener %s", text, name)
		}
	}
	e.Protocol, err = ParseProtocol(protocol)
	return e, err
}

// Brokers reads all registrations, by id. One that vanishes meanwhile is left out; so is, with the error in skipped, one that
// cannot be understood.
func (s *Session) Brokers(ctx context.Context) (brokers []Broker, skipped []error, err error) {
	names, err := s.Children(ctx, BrokerIDsPath)
	if err != nil {
		return nil, nil, err
	}
	var ids []int32
	for _, name := range names {
		id, err := strconv.ParseInt(name, 10, 32)
		if err != nil || id < 0 {
			skipped = append(skipped, fmt.Errorf("%s/%s is not a broker id", BrokerIDsPath, name))
			continue
		}
		ids = append(ids, int32(id))
	}
	slices.Sort(ids)
	paths := make([]string, len(ids))
	for i, id := range ids {
		paths[i] = BrokerIDPath(id)
	}
	reads, err := s.GetAll(ctx, paths)
	if err != nil {
		return nil, nil, err
	}
	for i, r := range reads {
		if r.Err != nil {
			if !isNoNode(r.Err) {
				return nil, nil, r.Err
			}
			continue
		}
		b, err := DecodeBroker(ids[i], r.Data, r.Stat.Czxid)
		if err != nil {
			skipped = append(skipped, err)
			continue
		}
		brokers = append(brokers, b)
	}
	return brokers, skipped, nil
}
