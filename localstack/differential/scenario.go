package main

import (
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kmsg"
)

const keyApiVersions = 18

// scenario is a conversation with one broker. What it asks may depend on the
// broker's answers only as far as symbols hide it.
type scenario struct {
	name string
	talk func(*side)
}

// side is one of the two brokers, in one scenario.
type side struct {
	name, addr string
	common     map[int16][2]int16 // the versions of each API that both speak
	symbols    map[string]string  // what the broker chose freely, and what stands for it
	notes      []note
	conn       *wire
	asked      map[string]int // "API version" → how often
	inexact    []string
}

// note is one answer, or what came instead.
type note struct {
	step  string // what was asked
	api   string // and of which API and version
	lines []line // of the answer
}

// is gives a value that the broker chose freely a symbol.
func (s *side) is(symbol, value string) {
	if value != "" {
		s.symbols[value] = symbol
	}
}

// isID is is for a topic id.
func (s *side) isID(symbol string, id [16]byte) { s.is(symbol, hex.EncodeToString(id[:])) }

// versions are those of an API that both brokers speak.
func (s *side) versions(key int16) []int16 {
	var vs []int16
	if r, ok := s.common[key]; ok {
		for v := r[0]; v <= r[1]; v++ {
			vs = append(vs, v)
		}
	}
	return vs
}

// newest is the newest version of an API that both speak.
func (s *side) newest(q kmsg.Request) int16 { return s.common[q.Key()][1] }

// say notes a line of one's own.
func (s *side) say(step, what string) {
	s.notes = append(s.notes, note{step: step, lines: []line{{"", what}}})
}

// redial begins a new connection.
func (s *side) redial() {
	if s.conn != nil {
		s.conn.close()
	}
	w, err := dial(s.addr)
	if err != nil {
		panic(fault{err})
	}
	s.conn = w
}

// fault ends a run: the broker is gone.
type fault struct{ error }

// ask asks in one version and notes the answer. When the broker closes the
// connection instead, that is noted, and an empty answer is returned.
func ask[R kmsg.Response](s *side, step string, version int16, q kmsg.Request) R {
	s.conn.send(version, q)
	return answered[R](s, step, version, q)
}

// answered notes the answer to what was sent.
func answered[R kmsg.Response](s *side, step string, version int16, q kmsg.Request) R {
	api := fmt.Sprintf("%s v%d", kmsg.NameForKey(q.Key()), version)
	s.asked[api]++
	n := note{step: step, api: api}
	r, err := s.conn.receive(version, q)
	var bad *inexact
	switch {
	case errors.As(err, &bad):
		s.inexact = append(s.inexact, fmt.Sprintf("%s (%s): %v", step, api, bad))
		fallthrough
	case err == nil:
		n.lines = flatten(r, s.symbols)
	default:
		n.lines = []line{{"connection", err.Error()}}
		r = q.ResponseKind()
		s.redial()
	}
	s.notes = append(s.notes, n)
	return r.(R)
}

// quiet asks in the newest version and notes nothing.
func quiet[R kmsg.Response](s *side, q kmsg.Request) R {
	n := len(s.notes)
	r := ask[R](s, "", s.newest(q), q)
	s.notes = slices.Delete(s.notes, n, len(s.notes))
	return r
}

// every asks in every version that both speak.
func every[R kmsg.Response](s *side, step string, q kmsg.Request, then ...func(version int16, r R)) {
	for _, v := range s.versions(q.Key()) {
		r := ask[R](s, step, v, q)
		for _, f := range then {
			f(v, r)
		}
	}
}

// other runs f with a second connection, whose notes come in the same place.
func (s *side) other(f func()) {
	mine := s.conn
	s.conn = nil
	s.redial()
	f()
	s.conn.close()
	s.conn = mine
}

// lag is how long Kafka may take until a broker has heard of what its controller
// agreed to. Firn's brokers show it before they answer.
const lag = 300 * time.Millisecond

// eventually looks once what was agreed is known.
func eventually(_ *side, look func()) {
	time.Sleep(lag)
	look()
}
