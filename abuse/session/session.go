// Package session is the language of who had an address: what sources tell
// (accounting, leases, translation logs, tables of prefixes), what was held from
// when to when, and the pure rules that turn both into an answer. It knows no
// store: doors use it too.
package session

import (
	"encoding/json"
	"net/netip"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"bolwerk"
)

// Kind is what a record tells of a session.
type Kind string

// The kinds. On and Off are about the access server, not about one session.
const (
	Start   Kind = "start"
	Interim Kind = "interim"
	Stop    Kind = "stop"
	On      Kind = "on"
	Off     Kind = "off"
)

// Source is how we know.
type Source string

// The sources.
const (
	Radius Source = "radius"   // accounting of an access server
	Lease  Source = "lease"    // a DHCP lease
	NAT    Source = "nat"      // a block of ports, as a translator logged it
	Rule   Source = "nat_rule" // a block of ports, as a rule gives it (RFC 7422)
	Table  Source = "table"    // prefixes that have one customer for good
)

// Identity is whose session it is. All of it is personal data.
type Identity struct {
	// Subscriber is the name at the access server or the customer number; empty
	// where the source names the line alone.
	Subscriber string `json:"subscriber,omitempty"`
	// Line is the port or circuit, as the access server names it.
	Line string `json:"line,omitempty"`
	// Calling is the address of the customer's device on the line.
	Calling string `json:"calling,omitempty"`
	// Reseller says that the subscriber gives the addresses to customers of their own:
	// reports go to them, and nobody is cut off.
	Reseller bool `json:"reseller,omitempty"`
}

// Who is what two sessions of one customer have in common: the subscriber, or the
// line where no subscriber is named.
func (i Identity) Who() string {
	if i.Subscriber != "" {
		return "subscriber " + i.Subscriber
	}
	if i.Line != "" {
		return "line " + i.Line
	}
	if i.Calling != "" {
		return "device " + i.Calling
	}
	return ""
}

// Named are those whom a name may mean where nothing else is said: a subscriber, and the
// line or the device of a customer of whom no more is known, as sources of leases tell.
func Named(name string) []Identity {
	if name == "" {
		return nil
	}
	return []Identity{{Subscriber: name}, {Line: name}, {Calling: name}}
}

// Ports is a range of ports, both ends included. The zero value is all ports.
type Ports struct {
	First uint16 `json:"first"`
	Last  uint16 `json:"last"`
}

// All says that the address was not shared.
func (p Ports) All() bool { return p == Ports{} || p == Ports{0, 65535} }

// Has says whether a port is in the range; 0, an unknown port, may be.
func (p Ports) Has(port uint16) bool {
	return p.All() || port == 0 || p.First <= port && port <= p.Last
}

// overlaps says whether two ranges share a port.
func (p Ports) overlaps(o Ports) bool {
	return p.All() || o.All() || p.First <= o.Last && o.First <= p.Last
}

// Record is what a source told at one time.
type Record struct {
	Kind   Kind   `json:"kind"`
	Source Source `json:"source"`
	// NAS is the access server or translator, Session its name for the session,
	// Multi what joins the sessions of one line.
	NAS     string `json:"nas,omitempty"`
	Session string `json:"session,omitempty"`
	Multi   string `json:"multi,omitempty"`
	Identity
	// Prefixes are what the session holds; none in a record says nothing.
	Prefixes []netip.Prefix `json:"prefixes,omitempty"`
	Ports    Ports          `json:"ports,omitzero"`
	// Inside is the customer's own address behind a translator.
	Inside netip.Addr `json:"inside,omitzero"`
	// At is when it happened, by the source's clock corrected by its delay.
	At time.Time `json:"at"`
	// Lasted is how long the session had lasted at At; negative: not told.
	Lasted time.Duration `json:"lasted"`
	// Until is when a lease ends unless it is renewed; zero: open.
	Until time.Time `json:"until,omitzero"`
	// Filters are the filters, address lists or services that the access server says
	// are in force; none says nothing. They are compared, and not kept.
	Filters []string `json:"filters,omitempty"`
}

// Bounds of what a record may hold.
const (
	MaxName     = 253 // octets of NAS, session, subscriber, line, device
	MaxPrefixes = 16
	MaxFilters  = 8
	MaxRecords  = 500 // handed in at once
)

// Check refuses what a source cannot mean.
func (r Record) Check() error {
	if len(r.Filters) > MaxFilters {
		return bolwerk.Invalid("record of a session: %d filters: at most %d", len(r.Filters), MaxFilters)
	}
	for _, s := range append([]string{r.NAS, r.Session, r.Multi, r.Subscriber, r.Line, r.Calling}, r.Filters...) {
		if len(s) > MaxName || strings.ContainsRune(s, 0) {
			return bolwerk.Invalid("record of a session: a name of %d octets, or with a NUL: want at most %d", len(s), MaxName)
		}
	}
	switch r.Kind {
	case On, Off:
		if r.NAS == "" {
			return bolwerk.Invalid("record %s names no access server", r.Kind)
		}
		return checkTime(r.At)
	case Start, Interim, Stop:
	default:
		return bolwerk.Invalid("record of kind %.20q: want start, interim, stop, on or off", r.Kind)
	}
	switch r.Source {
	case Radius, Lease, NAT, Rule, Table:
	default:
		return bolwerk.Invalid("record of source %.20q", r.Source)
	}
	if r.Session == "" || len(r.Prefixes) > MaxPrefixes {
		return bolwerk.Invalid("record of a session: a session and at most %d prefixes are needed, got %d", MaxPrefixes, len(r.Prefixes))
	}
	for _, p := range r.Prefixes {
		if !p.IsValid() || p != p.Masked() || p.Addr().Is4In6() || p.Bits() == 0 {
			return bolwerk.Invalid("record of a session: prefix %s: want one such as 198.51.100.7/32 or 2001:db8:0:100::/56", p)
		}
	}
	if r.Ports.Last < r.Ports.First {
		return bolwerk.Invalid("record of a session: ports %d to %d", r.Ports.First, r.Ports.Last)
	}
	if !r.Until.IsZero() {
		if err := checkTime(r.Until); err != nil {
			return err
		}
	}
	if r.Lasted > 20*365*24*time.Hour {
		return bolwerk.Invalid("record of a session: lasted %s", r.Lasted)
	}
	return checkTime(r.At)
}

// The years that a record may be of: the store keeps microseconds.
var firstTime, lastTime = time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(2200, 1, 1, 0, 0, 0, 0, time.UTC)

func checkTime(t time.Time) error {
	if t.Before(firstTime) || t.After(lastTime) {
		return bolwerk.Invalid("record of a session: time %s", t.UTC().Format(time.RFC3339))
	}
	return nil
}

// Began is when the session began as the record tells it; exact says that the
// source named that moment, or its distance.
func (r Record) Began() (at time.Time, exact bool) {
	switch {
	case r.Kind == Start && r.Lasted <= 0:
		return r.At, true
	case r.Lasted >= 0:
		return r.At.Add(-r.Lasted), true
	}
	return r.At, false
}

// maxDecoded bounds what a door may hand in once it is unpacked.
const maxDecoded = 4 << 20

// Encode writes records as a door hands them in: one JSON value a line, packed with
// zstd, because a door keeps what it has handed in for two days.
func Encode(records []Record) []byte {
	var b []byte
	for _, r := range records {
		line, err := json.Marshal(r)
		if err != nil {
			panic(err) // plain data
		}
		b = append(append(b, line...), '\n')
	}
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		panic(err) // no option of ours is wrong
	}
	defer enc.Close()
	return enc.EncodeAll(b, nil)
}

// Decode reads what Encode wrote, each record checked.
func Decode(packed []byte) ([]Record, error) {
	dec, err := zstd.NewReader(nil, zstd.WithDecoderMaxMemory(maxDecoded), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer dec.Close()
	b, err := dec.DecodeAll(packed, nil)
	if err != nil {
		return nil, bolwerk.Invalid("records of sessions: %v", err)
	}
	return decode(b)
}

func decode(b []byte) ([]Record, error) {
	var out []Record
	for line := range strings.Lines(string(b)) {
		var r Record
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			return nil, bolwerk.Invalid("record of a session: %v", err)
		}
		if err := r.Check(); err != nil {
			return nil, err
		}
		r.At, r.Until = r.At.UTC(), r.Until.UTC()
		if out = append(out, r); len(out) > MaxRecords {
			return nil, bolwerk.Invalid("more than %d records at once", MaxRecords)
		}
	}
	return out, nil
}
