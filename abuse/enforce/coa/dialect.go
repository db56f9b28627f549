package coa

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"bolwerk/abuse/enforce"
	"bolwerk/internal/radius"
)

// Private enterprise numbers, and attributes as in the vendors' dictionaries.
const (
	cisco    = 9
	huawei   = 2011
	juniper  = 4874
	nokia    = 6527
	mikrotik = 14988
)

// maxName leaves room for what stands before a name.
const maxName = 200

// line is an attribute of a profile. In text, {name} stands for the profile's name
// at the server.
type line struct {
	vendor  uint32 // 0: a standard attribute
	typ     byte
	called  string // in FreeRADIUS's dictionary
	text    string
	seconds bool // its value is how long the profile lasts, in seconds: the server's own timer
	tag     byte // RFC 2868, section 3.1; 0: none
}

// dialect is how a kind of server is told of a profile.
type dialect struct {
	// replaces says that the server has one profile at a time: normal is one more.
	// Otherwise profiles are services that are put on and taken off.
	replaces bool
	normal   string // its usual name
	on, off  []line // in a change
	login    []line // at a login
}

// Never a Session-Timeout: it would end the session, not the profile, and the router
// that comes back would find the garden again.
var dialects = map[string]dialect{
	"standard": one(line{typ: radius.FilterID, called: "Filter-Id", text: "{name}"}, ""),
	// Filters over those of the SLA profile, which stays the customer's; -2 gives them
	// back to it.
	"nokia":    one(line{vendor: nokia, typ: 134, called: "Alc-Subscriber-Filter", text: "{name}"}, "Ingr-v4:-2,Ingr-v6:-2"),
	"mikrotik": one(line{vendor: mikrotik, typ: 19, called: "Mikrotik-Address-List", text: "{name}"}, ""),
	"huawei":   one(line{vendor: huawei, typ: 95, called: "Huawei-Policy-Name", text: "{name}"}, ""),
	"juniper": {
		on:    []line{{vendor: juniper, typ: 65, called: "ERX-Service-Activate", text: "{name}", tag: 1}, {vendor: juniper, typ: 68, called: "ERX-Service-Timeout", seconds: true, tag: 1}},
		off:   []line{{vendor: juniper, typ: 66, called: "ERX-Service-Deactivate", text: "{name}"}},
		login: []line{{vendor: juniper, typ: 65, called: "ERX-Service-Activate", text: "{name}", tag: 1}, {vendor: juniper, typ: 68, called: "ERX-Service-Timeout", seconds: true, tag: 1}},
	},
	"cisco": {
		on:    []line{{vendor: cisco, typ: 1, called: "Cisco-AVPair", text: "subscriber:command=activate-service"}, {vendor: cisco, typ: 1, called: "Cisco-AVPair", text: "subscriber:service-name={name}"}},
		off:   []line{{vendor: cisco, typ: 1, called: "Cisco-AVPair", text: "subscriber:command=deactivate-service"}, {vendor: cisco, typ: 1, called: "Cisco-AVPair", text: "subscriber:service-name={name}"}},
		login: []line{{vendor: cisco, typ: 250, called: "Cisco-Account-Info", text: "A{name}"}},
	},
}

func one(l line, normal string) dialect {
	return dialect{replaces: true, normal: normal, on: []line{l}, login: []line{l}}
}

// attributes are those of lines; lasts is for the server's own timer.
func attributes(lines []line, name string, lasts time.Duration) (out []radius.Attribute) {
	for _, l := range lines {
		a := radius.Attribute{Type: l.typ, Value: []byte(l.value(name))}
		switch n := uint32(max(lasts/time.Second, 1)); {
		case l.seconds && lasts <= 0:
			continue // it has no end
		case l.seconds && l.tag != 0: // the tag takes the first octet (RFC 2868, section 3.1)
			a.Value = binary.BigEndian.AppendUint32(nil, uint32(l.tag)<<24|min(n, 1<<24-1))
		case l.seconds:
			a.Value = binary.BigEndian.AppendUint32(nil, n)
		case l.tag != 0:
			a.Value = append([]byte{l.tag}, a.Value...)
		}
		if l.vendor != 0 {
			a = radius.Vendor(l.vendor, l.typ, a.Value)
		}
		out = append(out, a)
	}
	return out
}

func (l line) value(name string) string { return strings.ReplaceAll(l.text, "{name}", name) }

// step is one packet of a change.
type step struct {
	attrs []radius.Attribute
	// perhaps says that the service may not be on: of several such, one has to be taken.
	perhaps bool
}

// steps are the packets that bring a session to a profile: one, or several where
// services are taken off and put on.
func (c Config) steps(o enforce.Order, now time.Time) (out []step) {
	d := dialects[c.Attributes]
	lasts := time.Duration(0)
	if !o.Until.IsZero() {
		lasts = max(o.Until.Sub(now), time.Second)
	}
	if d.replaces {
		return []step{{attrs: attributes(d.on, c.named(o.Profile), lasts)}}
	}
	for _, p := range []enforce.Profile{enforce.Leaky, enforce.Strict} {
		if p != o.Profile && c.named(p) != "" && (o.Was == p || o.Was == "") {
			out = append(out, step{attributes(d.off, c.named(p), 0), o.Was == "" || o.Profile != enforce.Normal})
		}
	}
	if o.Profile != enforce.Normal {
		out = append(out, step{attrs: attributes(d.on, c.named(o.Profile), lasts)})
	}
	return out
}

// Timer says whether the server ends a profile by itself when its time is over, told so
// in the change and at the login: then nobody stays inside while no desk is there.
func (c Config) Timer() bool {
	d := dialects[c.Attributes]
	timed := func(l line) bool { return l.seconds }
	return slices.ContainsFunc(d.on, timed) && slices.ContainsFunc(d.login, timed)
}

// Reply is an attribute of an Access-Accept as FreeRADIUS writes it.
type Reply struct{ Name, Value string }

// Login are the attributes of an Access-Accept that give a session the profile;
// none for normal: the server's own settings give that.
func (c Config) Login(p enforce.Profile, until, now time.Time) (out []Reply) {
	if p == enforce.Normal || c.named(p) == "" {
		return nil
	}
	for _, l := range dialects[c.Attributes].login {
		r := Reply{l.called, l.value(c.named(p))}
		if l.tag != 0 {
			r.Name += ":" + string('0'+rune(l.tag))
		}
		if l.seconds {
			if until.IsZero() {
				continue
			}
			r.Value = seconds(until.Sub(now))
		}
		out = append(out, r)
	}
	return out
}
