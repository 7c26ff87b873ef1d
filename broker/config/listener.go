package config

import (
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"ottla/broker/config/keys"
)

var endpoint = regexp.MustCompile(`^(.*)://\[?([0-9a-zA-Z\-%._:]*)\]?:(-?[0-9]+)$`)

// parseListeners reads NAME://host:port,… The texts of errors are Apache Kafka's where it has one.
func parseListeners(text string, security map[string]string) ([]Listener, error) {
	var ls []Listener
	for _, s := range csv(text) {
		m := endpoint.FindStringSubmatch(s)
		if m == nil {
			return nil, fmt.Errorf("Error creating broker listeners from '%s': Unable to parse %s to a broker endpoint", text, s)
		}
		name := strings.ToUpper(m[1])
		if _, ok := security[name]; !ok {
			return nil, fmt.Errorf("Error creating broker listeners from '%s': No security protocol defined for listener %s", text, name)
		}
		port, err := strconv.ParseUint(m[3], 10, 16)
		if err != nil {
			return nil, fmt.Errorf("Error creating broker listeners from '%s': %s is no port: want 0 to 65535", text, m[3])
		}
		ls = append(ls, Listener{name, m[2], int32(port)})
	}
	names := map[string]bool{}
	for _, l := range ls {
		if names[l.Name] {
			return nil, fmt.Errorf("Each listener must have a different name, listeners: %s", text)
		}
		names[l.Name] = true
	}
	return ls, nil
}

// distinctPorts refuses two listeners on one port, unless one has an IPv4 and the other an IPv6 address. Port 0 may repeat.
func distinctPorts(ls []Listener, text string) error {
	byPort := map[int32][]Listener{}
	for _, l := range ls {
		if l.Port != 0 {
			byPort[l.Port] = append(byPort[l.Port], l)
		}
	}
	for _, port := range slices.Sorted(maps.Keys(byPort)) {
		same := byPort[port]
		if len(same) == 1 {
			continue
		}
		v4, v6 := 0, 0
		for _, l := range same {
			if a, err := netip.ParseAddr(l.Host); err == nil && a.Is4() {
				v4++
			} else if err == nil {
				v6++
			}
		}
		switch {
		case len(same) == 2 && v4 == 1 && v6 == 1:
		case v4+v6 == len(same):
			return fmt.Errorf("If you have two listeners on the same port then one needs to be IPv4 and the other IPv6, listeners: %s, port: %d", text, port)
		default:
			return fmt.Errorf("Each listener must have a different port, listeners: %s", text)
		}
	}
	return nil
}

// parseSecurity reads NAME:PROTOCOL,…; a later entry of the same name wins.
func parseSecurity(text string) (map[string]string, error) {
	m := map[string]string{}
	for _, s := range csv(text) {
		name, protocol, ok := cutLast(s)
		if !ok {
			return nil, fmt.Errorf("Error parsing configuration property 'listener.security.protocol.map': %q is not NAME:PROTOCOL", s)
		}
		protocol = strings.ToUpper(protocol)
		if !slices.Contains([]string{"PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"}, protocol) {
			return nil, fmt.Errorf("Invalid security protocol `%s` defined in listener.security.protocol.map", protocol)
		}
		m[strings.ToUpper(name)] = protocol
	}
	return m, nil
}

// parseCounts reads host:count,… of max.connections.per.ip.overrides.
func parseCounts(text string) (map[string]int32, error) {
	m := map[string]int32{}
	for _, s := range csv(text) {
		host, count, ok := cutLast(s)
		if !ok {
			return nil, fmt.Errorf("Error parsing configuration property 'max.connections.per.ip.overrides': %q is not HOST:COUNT", s)
		}
		n, err := strconv.ParseInt(count, 10, 32)
		if err != nil {
			return nil, fmt.Errorf("Error parsing configuration property 'max.connections.per.ip.overrides': %q is not a number", count)
		}
		m[host] = int32(n)
	}
	return m, nil
}

// csv splits at commas, trims, and drops what is empty.
func csv(text string) []string {
	var l []string
	for s := range strings.SplitSeq(text, ",") {
		if s = strings.TrimSpace(s); s != "" {
			l = append(l, s)
		}
	}
	return l
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, ':')
	if i < 0 {
		return "", "", false
	}
	return strings.TrimSpace(s[:i]), strings.TrimSpace(s[i+1:]), true
}

// String is the listener as it stands in the key: NAME://host:port, IPv6 addresses in brackets.
func (l Listener) String() string {
	host := l.Host
	if strings.Contains(host, ":") {
		host = "[" + host + "]"
	}
	return fmt.Sprintf("%s://%s:%d", l.Name, host, l.Port)
}

// Advertise completes the advertised listeners for registration: an empty host becomes hostname, and port 0 becomes the
// port that the listener of that name was bound to.
func (n *Network) Advertise(bound []Listener, hostname string) []Listener {
	ls := slices.Clone(n.Advertised)
	for i := range ls {
		if ls[i].Host == "" {
			ls[i].Host = hostname
		}
		if ls[i].Port != 0 {
			continue
		}
		for _, b := range bound {
			if b.Name == ls[i].Name {
				ls[i].Port = b.Port
			}
		}
	}
	return ls
}

// buildNetwork reads the listener keys and checks them against each other.
func buildNetwork(v *values) (Network, error) {
	n := Network{
		SendBufferBytes: v.int("socket.send.buffer.bytes"), ReceiveBufferBytes: v.int("socket.receive.buffer.bytes"),
		RequestMaxBytes: v.int("socket.request.max.bytes"), Backlog: v.int("socket.listen.backlog.size"),
		MaxConnections: v.int("max.connections"), MaxConnectionsPerIP: v.int("max.connections.per.ip"), MaxConnectionRate: v.int("max.connection.creation.rate"),
		MaxIdle: millis(v.long("connections.max.idle.ms")), QueuedMaxRequests: v.int("queued.max.requests"), QueuedMaxBytes: v.long("queued.max.request.bytes"),
		NetworkThreads: v.int("num.network.threads"), IOThreads: v.int("num.io.threads"), BackgroundThreads: v.int("background.threads"),
		FailedAuthentication: millis(int64(v.int("connection.failed.authentication.delay.ms"))),
	}
	var err error
	if n.Security, err = parseSecurity(v.string("listener.security.protocol.map")); err != nil {
		return n, err
	}
	if n.MaxConnectionsIP, err = parseCounts(v.string("max.connections.per.ip.overrides")); err != nil {
		return n, err
	}
	text := v.string("listeners")
	if n.Listeners, err = parseListeners(text, n.Security); err != nil {
		return n, err
	}
	if err := distinctPorts(n.Listeners, text); err != nil {
		return n, err
	}
	n.BacklogSet = has(v.merged, "socket.listen.backlog.size")
	n.OfListener = make(map[string]ListenerSettings, len(n.Listeners))
	for _, l := range n.Listeners {
		var own ListenerSettings
		if own.MaxConnections, err = v.ofListener(l.Name, "max.connections"); err != nil {
			return n, err
		}
		if own.MaxConnectionRate, err = v.ofListener(l.Name, "max.connection.creation.rate"); err != nil {
			return n, err
		}
		n.OfListener[l.Name] = own
	}
	n.Advertised = n.Listeners
	if a, ok := get[string](v, "advertised.listeners"); ok {
		if n.Advertised, err = parseListeners(a, n.Security); err != nil {
			return n, err
		}
	}
	named, protocol := has(v.merged, "inter.broker.listener.name"), has(v.merged, "security.inter.broker.protocol")
	switch {
	case named && protocol:
		return n, fmt.Errorf("Only one of inter.broker.listener.name and security.inter.broker.protocol should be set.")
	case named:
		n.InterBroker = strings.ToUpper(v.string("inter.broker.listener.name"))
		if _, ok := n.Security[n.InterBroker]; !ok {
			return n, fmt.Errorf("Listener with name %s defined in inter.broker.listener.name not found in listener.security.protocol.map.", n.InterBroker)
		}
	default:
		n.InterBroker = v.string("security.inter.broker.protocol")
	}
	if c := v.string("control.plane.listener.name"); c != "" {
		n.ControlPlane = strings.ToUpper(c)
		if _, ok := n.Security[n.ControlPlane]; !ok {
			return n, fmt.Errorf("Listener with %s defined in control.plane.listener.name not found in listener.security.protocol.map.", n.ControlPlane)
		}
	}
	return n, n.check()
}

func (n *Network) check() error {
	names := func(ls []Listener) []string {
		var s []string
		for _, l := range ls {
			s = append(s, l.Name)
		}
		return s
	}
	advertised, bound := names(n.Advertised), names(n.Listeners)
	if len(advertised) == 0 {
		return fmt.Errorf("There must be at least one broker advertised listener.")
	}
	options := strings.Join(advertised, ",")
	if !slices.Contains(advertised, n.InterBroker) {
		return fmt.Errorf("inter.broker.listener.name must be a listener name defined in advertised.listeners. The valid options based on currently configured listeners are %s", options)
	}
	for _, a := range advertised {
		if !slices.Contains(bound, a) {
			return fmt.Errorf("advertised.listeners listener names must be equal to or a subset of the ones defined in listeners. Found %s. The valid options based on the current configuration are %s",
				options, strings.Join(bound, ","))
		}
	}
	for _, l := range n.Advertised {
		if l.Host == "0.0.0.0" {
			return fmt.Errorf("advertised.listeners cannot use the nonroutable meta-address 0.0.0.0. Use a routable IP address.")
		}
	}
	if n.ControlPlane == "" {
		return nil
	}
	if !slices.Contains(advertised, n.ControlPlane) {
		return fmt.Errorf("control.plane.listener.name must be a listener name defined in advertised.listeners. The valid options based on currently configured listeners are %s", options)
	}
	if n.ControlPlane == n.InterBroker {
		return fmt.Errorf("control.plane.listener.name, when defined, should have a different value from the inter broker listener name. Currently they both have the value ListenerName(%s)", n.ControlPlane)
	}
	return nil
}

// ofListener is a number that a listener may have of its own, above 0; else the broker's.
func (v *values) ofListener(listener, name string) (int32, error) {
	text, ok := v.merged["listener.name."+strings.ToLower(listener)+"."+name]
	if !ok {
		return v.int(name), nil
	}
	k, _ := keys.Broker.Lookup(name)
	p, err := k.Parse(text)
	if err != nil {
		return 0, err
	}
	n := p.(int32)
	if n == 0 {
		return 0, fmt.Errorf("Invalid %s %d", name, n)
	}
	return n, nil
}
