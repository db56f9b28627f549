package door

import (
	"bytes"
	"encoding/hex"
	"net/netip"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/abuse/session"
	"bolwerk/internal/radius"
)

// subscribers are the attributes that may name the subscriber.
var subscribers = map[string]byte{"user_name": radius.UserName, "class": radius.Class, "calling_station_id": radius.CallingStationID}

var kinds = map[uint32]session.Kind{radius.StatusStart: session.Start, radius.StatusStop: session.Stop, radius.StatusInterim: session.Interim,
	radius.StatusOn: session.On, radius.StatusOff: session.Off}

// record is what a packet tells. odd says that its clock was not believed.
func (a *Accounting) record(p *radius.Packet, came time.Time, from netip.Addr) (r session.Record, odd bool, err error) {
	status, _ := p.Number(radius.AcctStatusType)
	r = session.Record{Kind: kinds[status], Source: session.Radius, NAS: nas(p, from), Session: text(p.Get(radius.AcctSessionID)), Multi: text(p.Get(radius.AcctMultiSessionID)), Lasted: -1}
	if r.Kind == "" {
		return r, false, bolwerk.Invalid("Acct-Status-Type %d: only Start, Interim-Update, Stop, Accounting-On and Accounting-Off say who had an address", status)
	}
	r.At, odd = happened(p, came)
	if r.Kind == session.On || r.Kind == session.Off {
		r.Session, r.Multi = "", ""
		return r, odd, r.Check()
	}
	r.Identity = session.Identity{Subscriber: text(p.Get(subscribers[a.cfg.Subscriber])), Line: text(p.Get(radius.NASPortID)), Calling: text(p.Get(radius.CallingStationID))}
	if n, ok := p.Number(radius.AcctSessionTime); ok {
		r.Lasted = time.Duration(n) * time.Second
	}
	if r.Kind == session.Start {
		r.Lasted = 0
	}
	for _, n := range p.Prefixes() {
		if len(r.Prefixes) < session.MaxPrefixes {
			r.Prefixes = append(r.Prefixes, n)
		}
	}
	r.Filters = filters(p)
	return r, odd, r.Check()
}

// vendors are the attributes beside Filter-Id that say what is in force, by their
// numbers in the vendors' dictionaries. Class is none: it is what was said at the login.
var vendors = []struct {
	vendor uint32
	typ    byte
	before string // what stands before the name
}{{6527, 134, ""}, {14988, 19, ""}, {2011, 95, ""}, {4874, 83, ""}, {9, 251, "N"}, {9, 1, "subscriber:service-name="}, {9, 1, "service-name="}}

// filters are what the access server says is in force: filters, address lists or services.
func filters(p *radius.Packet) (out []string) {
	add := func(v []byte) {
		if s := text(v); s != "" && len(out) < session.MaxFilters && !slices.Contains(out, s) {
			out = append(out, s)
		}
	}
	for _, a := range p.Attributes {
		if a.Type == radius.FilterID {
			add(a.Value)
		}
	}
	for _, k := range vendors {
		for _, v := range p.Vendors(k.vendor, k.typ) {
			if name, ok := bytes.CutPrefix(v, []byte(k.before)); ok {
				add(name)
			}
		}
	}
	return out
}

// nas is the name of the access server: what it calls itself, its address, or who
// sent the packet.
func nas(p *radius.Packet, from netip.Addr) string {
	if s := text(p.Get(radius.NASIdentifier)); s != "" {
		return s
	}
	for _, typ := range []byte{radius.NASIPAddress, radius.NASIPv6Address} {
		if a, ok := p.Addr(typ); ok && !a.IsUnspecified() {
			return a.String()
		}
	}
	return from.String()
}

// happened is when it was. The access server's own word goes before the delay that
// it and those in between have counted (RFC 2869, section 5.3); a clock that is
// plainly wrong is not believed.
func happened(p *radius.Packet, came time.Time) (at time.Time, odd bool) {
	late := time.Duration(0)
	if n, ok := p.Number(radius.AcctDelayTime); ok && time.Duration(n)*time.Second <= maxLate {
		late = time.Duration(n) * time.Second
	}
	at = came.Add(-late)
	if said, ok := p.Time(radius.EventTimestamp); ok {
		if d := came.Sub(said); d < -maxAhead || d > maxLate {
			return at, true
		}
		return said, false
	}
	return at, false
}

// text is a value as people read it; octets that are none are written in hex.
func text(v []byte) string {
	v = v[:min(len(v), session.MaxName)]
	s := strings.TrimRight(string(v), "\x00")
	if !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl) {
		return "0x" + hex.EncodeToString(v[:min(len(v), (session.MaxName-2)/2)])
	}
	return s
}
