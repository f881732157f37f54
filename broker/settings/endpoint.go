package settings

import (
	"errors"
	"fmt"
	"net"
	"slices"
	"strconv"
	"strings"
)

// Plaintext is the name of a listener that was given none: Kafka calls a listener
// after its protocol unless told otherwise.
const Plaintext = "PLAINTEXT"

// Endpoint is an address of one of a broker's listeners.
type Endpoint struct {
	Listener string // its name, in capitals
	Host     string
	Port     int
}

// Address is HOST:PORT.
func (e Endpoint) Address() string { return net.JoinHostPort(e.Host, strconv.Itoa(e.Port)) }

// String is NAME://HOST:PORT.
func (e Endpoint) String() string { return e.Listener + "://" + e.Address() }

// Endpoints are the addresses of a broker's listeners, one of each.
type Endpoints []Endpoint

// ParseEndpoints reads what Kafka's listeners and advertised.listeners hold:
// NAME://HOST:PORT,…. A single HOST:PORT is that of the listener PLAINTEXT. Names
// are not case-sensitive.
func ParseEndpoints(text string) (Endpoints, error) {
	var out Endpoints
	parts := strings.Split(text, ",")
	for _, part := range parts {
		part = strings.TrimSpace(part)
		e := Endpoint{Listener: Plaintext}
		name, rest, named := strings.Cut(part, "://")
		switch {
		case named:
			e.Listener = strings.ToUpper(name)
			part = rest
			if err := listenerName(e.Listener); err != nil {
				return nil, err
			}
		case len(parts) > 1:
			return nil, fmt.Errorf("%q has no name: several listeners are told apart by names, as in INTERNAL://HOST:PORT,EXTERNAL://HOST:PORT", part)
		}
		var err error
		if e.Host, e.Port, err = address(part); err != nil {
			return nil, err
		}
		if _, twice := out.Of(e.Listener); twice {
			return nil, fmt.Errorf("the listener %s stands there twice", e.Listener)
		}
		out = append(out, e)
	}
	return out, nil
}

// Of finds the address of a listener.
func (es Endpoints) Of(listener string) (Endpoint, bool) {
	i := slices.IndexFunc(es, func(e Endpoint) bool { return e.Listener == listener })
	if i < 0 {
		return Endpoint{}, false
	}
	return es[i], true
}

// String is what ParseEndpoints reads, and HOST:PORT for a single PLAINTEXT.
func (es Endpoints) String() string {
	if len(es) == 1 && es[0].Listener == Plaintext {
		return es[0].Address()
	}
	texts := make([]string, len(es))
	for i, e := range es {
		texts[i] = e.String()
	}
	return strings.Join(texts, ",")
}

// listenerName accepts Kafka's names of listeners, but not those of protocols that
// this broker does not speak: who writes SSL:// expects encryption.
func listenerName(name string) error {
	switch name {
	case "SSL", "SASL_PLAINTEXT", "SASL_SSL":
		return fmt.Errorf("%s is not served, only PLAINTEXT: put TLS in front of the broker, or name the listener otherwise", name)
	case "":
		return errors.New("want NAME://HOST:PORT, for example INTERNAL://0.0.0.0:29092")
	}
	if strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
		return fmt.Errorf("%q is no name of a listener: want letters, digits and _", name)
	}
	return nil
}

// listeners accepts addresses of sockets to open.
func listeners(v string) error {
	es, err := ParseEndpoints(v)
	if err != nil {
		return err
	}
	for i, e := range es {
		for _, f := range es[:i] {
			if e.Port == f.Port && e.Port != 0 && (e.Host == f.Host || anyHost(e.Host) || anyHost(f.Host)) {
				return fmt.Errorf("%s and %s are one port: give each listener its own", f, e)
			}
		}
	}
	return nil
}

// advertised accepts addresses that clients connect to. One without a host is that of the
// machine's name, as in Kafka: what an image can say of containers that it does not know.
func advertised(v string) error {
	es, err := ParseEndpoints(v)
	if err != nil {
		return err
	}
	for _, e := range es {
		if e.Host == "" && e.Port > 0 {
			continue
		}
		if err := reachable(e.Address()); err != nil {
			if len(es) > 1 {
				err = fmt.Errorf("%s: %w", e.Listener, err)
			}
			return err
		}
	}
	return nil
}

// protocols accepts Kafka's map from listeners to protocols, of which there is one.
func protocols(v string) error {
	for part := range strings.SplitSeq(v, ",") {
		name, protocol, ok := strings.Cut(strings.TrimSpace(part), ":")
		if !ok {
			return fmt.Errorf("want NAME:PLAINTEXT,…, not %q", part)
		}
		if !strings.EqualFold(protocol, Plaintext) {
			return fmt.Errorf("%s of %s is not served, only PLAINTEXT: put TLS in front of the broker", protocol, name)
		}
	}
	return nil
}

// listenerIs accepts a listener's name, in any case.
func listenerIs(v string) error { return listenerName(strings.ToUpper(v)) }

func anyHost(host string) bool {
	ip := net.ParseIP(host)
	return host == "" || ip != nil && ip.IsUnspecified()
}

// together checks the settings of listeners against each other.
func (v *Values) together() error {
	ls, err := ParseEndpoints(v.Get("listeners"))
	if err != nil {
		return err // cannot be: checked
	}
	names := func() string {
		var out []string
		for _, e := range ls {
			out = append(out, e.Listener)
		}
		return strings.Join(out, ", ")
	}
	if text := v.Get("advertised.listeners"); text != "" {
		as, err := ParseEndpoints(text)
		if err != nil {
			return err
		}
		for _, a := range as {
			if _, ok := ls.Of(a.Listener); !ok {
				return fmt.Errorf("advertised.listeners: there is no listener %s: listeners has %s", a.Listener, names())
			}
		}
		for _, l := range ls {
			if _, ok := as.Of(l.Listener); !ok {
				return fmt.Errorf("advertised.listeners: it has no address for the listener %s", l.Listener)
			}
		}
	}
	if name := strings.ToUpper(v.Get("inter.broker.listener.name")); name != "" {
		if _, ok := ls.Of(name); !ok {
			return fmt.Errorf("inter.broker.listener.name: there is no listener %s: listeners has %s", name, names())
		}
	}
	return nil
}
