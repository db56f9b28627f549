package reading

import (
	"crypto/sha256"
	"encoding/hex"
	"math"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"bolwerk"
)

// Event is one thing that one source did. The names of its fields in JSON are a
// promise to programs: `bolwerk abuse read --json` prints them.
type Event struct {
	// Class is the RSIT class, as taxonomy/type; XARF the category/type of XARF 4
	// that comes nearest, "" where none does.
	Class Class  `json:"class"`
	XARF  string `json:"xarf,omitempty"`
	// Role is what the source is in it: only a Doer's or Exposed line has a case.
	Role Role `json:"role"`

	SourceIP     netip.Addr   `json:"source_ip,omitzero"`
	SourcePort   uint16       `json:"source_port,omitempty"`
	SourceDomain string       `json:"source_domain,omitempty"`
	SourceURL    string       `json:"source_url,omitempty"`
	SourceNet    netip.Prefix `json:"source_net,omitzero"` // where a whole prefix is named
	SourceASN    uint32       `json:"source_asn,omitempty"`

	DestinationIP   netip.Addr `json:"destination_ip,omitzero"`
	DestinationPort uint16     `json:"destination_port,omitempty"`
	DestinationName string     `json:"destination_name,omitempty"`

	Protocol    string `json:"protocol,omitempty"`    // tcp, udp, icmp, ...
	Application string `json:"application,omitempty"` // ssh, smtp, http, ...

	// Time is when it happened, in UTC; From and To are there when the report
	// names a span. Zone is what the report wrote: "UTC", "+0200"; "" where it
	// wrote none and the format does not settle it.
	Time     time.Time `json:"time,omitzero"`
	TimeKind TimeKind  `json:"time_kind,omitempty"`
	From     time.Time `json:"from,omitzero"`
	To       time.Time `json:"to,omitzero"`
	Zone     string    `json:"zone,omitempty"`

	Count    int64  `json:"count,omitempty"` // 0: not said
	Malware  string `json:"malware,omitempty"`
	Reporter string `json:"reporter,omitempty"` // as it calls itself; proves nothing
	ReportID string `json:"report_id,omitempty"`
	Kind     string `json:"kind,omitempty"` // the report's own word for it: scan_dns, regbot

	// Basis is what the report rests on; Spoofable says that anybody could have
	// made it with a false sender's address. Nobody is cut off for such an event.
	Basis     Basis `json:"basis"`
	Spoofable bool  `json:"spoofable"`

	Confidence float64    `json:"confidence,omitempty"` // 0 to 1 as the reporter says; 0: not said
	TLP        string     `json:"tlp,omitempty"`        // RED, AMBER, AMBER+STRICT, GREEN, CLEAR
	URLs       []string   `json:"urls,omitempty"`       // that the report names beside the source
	Evidence   []Evidence `json:"evidence,omitempty"`
	// Person says that the event is a proposal for a person.
	Person   bool     `json:"for_person,omitempty"`
	Row      int      `json:"row,omitempty"` // line in a table or batch, from 1
	Warnings []string `json:"warnings,omitempty"`
}

// Evidence is a part of the report, by its content.
type Evidence struct {
	Type   string `json:"type"` // media type as sent
	SHA256 string `json:"sha256"`
	Size   int    `json:"size"`
	// Excerpt is the beginning of a text, at most MaxField bytes.
	Excerpt string `json:"excerpt,omitempty"`
}

func evidence(kind string, body []byte, excerpt bool) Evidence {
	sum := sha256.Sum256(body)
	e := Evidence{Type: short(kind, 100), SHA256: hex.EncodeToString(sum[:]), Size: len(body)}
	if excerpt {
		e.Excerpt = short(strings.TrimSpace(text(body[:min(len(body), 2*MaxField)])), MaxField)
	}
	return e
}

// Role is the part that the source plays.
type Role string

// The roles.
const (
	Doer      Role = "doer"      // it attacked, sent, spread
	Exposed   Role = "exposed"   // it has a hole or an open service
	Victim    Role = "victim"    // it was attacked: its address was in forged packets
	Contacted Role = "contacted" // a program under examination spoke with it
	NoAbuse   Role = "no-abuse"  // the report takes something back or only describes
)

// TimeKind says how much the time is worth.
type TimeKind string

// The kinds of time.
const (
	Exact    TimeKind = "exact"
	Range    TimeKind = "range"
	OfReport TimeKind = "report" // only the report's own
)

// Basis is what the reporter saw.
type Basis string

// The bases. The last five are spoofable.
const (
	Handshake Basis = "handshake" // a TCP connection stood: a login, a mail, a request
	Sinkhole  Basis = "sinkhole"  // over TCP
	Answered  Basis = "answered"  // it answered what the reporter asked it
	Content   Basis = "content"   // the reporter fetched it there
	OwnFlow   Basis = "own-flow"  // our own collector saw it leave our network
	Contact   Basis = "contact"   // a sinkhole was reached; not said over what
	UDP       Basis = "udp"
	SYN       Basis = "syn" // single packets: scans, floods, darknets
	Claim     Basis = "claim"
	FoundText Basis = "text" // found in a text that nobody has read yet
)

// Spoofable says that a forged sender's address may be behind it.
func (b Basis) Spoofable() bool {
	switch b {
	case Handshake, Sinkhole, Answered, Content, OwnFlow:
		return false
	}
	return true
}

func (e *Event) hasSource() bool {
	return e.SourceIP.IsValid() || e.SourceDomain != "" || e.SourceURL != "" || e.SourceNet.IsValid() || e.SourceASN != 0
}

func (e *Event) warn(code string) {
	if len(e.Warnings) < 10 && !slices.Contains(e.Warnings, code) {
		e.Warnings = append(e.Warnings, code)
	}
}

// complete fills what follows from the rest, and cuts what is too long.
func (e *Event) complete() {
	if e.Class == "" {
		e.Class = Undetermined
	}
	if e.Role == "" {
		e.Role = e.Class.role()
	}
	if e.XARF == "" {
		e.XARF = e.Class.xarf()
	}
	if e.Basis == "" {
		e.Basis = Claim
	}
	e.Spoofable = e.Basis.Spoofable()
	if !e.Time.IsZero() && e.TimeKind == "" {
		e.TimeKind = Exact
	}
	if e.TimeKind != OfReport && !e.From.IsZero() && !e.To.IsZero() && e.From.Before(e.To) {
		e.TimeKind = Range
	}
	if !e.From.IsZero() && !e.To.IsZero() && e.To.Before(e.From) {
		e.warn("span-backwards")
		e.From, e.To = time.Time{}, time.Time{}
	}
	if e.Zone == "" && e.TimeKind == Exact {
		e.warn("zone-not-said")
	}
	if a := e.SourceIP; a.IsValid() && (a.IsUnspecified() || a.IsLoopback() || a.IsMulticast()) {
		e.warn("no-host-address")
		e.Person = true
	}
	if e.SourceURL != "" && e.SourceDomain == "" && !e.SourceIP.IsValid() {
		e.urlHost()
	}
	for _, s := range []*string{&e.SourceDomain, &e.SourceURL, &e.DestinationName, &e.Malware, &e.Reporter, &e.ReportID, &e.Kind, &e.Application, &e.Protocol} {
		*s = short(strings.TrimSpace(*s), MaxField)
	}
}

// urlHost takes the source out of its link.
func (e *Event) urlHost() {
	u, err := url.Parse(e.SourceURL)
	if err != nil {
		return
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		e.SourceIP = a.Unmap().WithZone("")
		if p, ok := port(u.Port()); ok {
			e.SourcePort = p
		}
		return
	}
	if d, err := bolwerk.ParseDomain(u.Hostname()); err == nil {
		e.SourceDomain = d.String()
	}
}

// addr reads an address as it is written alone: no zone, 4in6 as 4.
func addr(s string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(s), "[]<>"))
	if err != nil || a.Zone() != "" {
		return netip.Addr{}, false
	}
	return a.Unmap(), true
}

// port reads a port; 0 is none.
func port(s string) (uint16, bool) {
	n, err := strconv.ParseUint(strings.TrimSpace(s), 10, 16)
	return uint16(n), err == nil && n > 0
}

// count reads how often; what is none is 0.
func count(s string) int64 {
	n, err := strconv.ParseInt(strings.TrimSpace(s), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// sure brings a confidence to 0..1; of is the scale's end.
func sure(f, of float64) float64 {
	if math.IsNaN(f) || f <= 0 {
		return 0
	}
	return math.Min(f/of, 1)
}

// tlp is a marking in the words of TLP 2.0; "" where it is none.
func tlp(s string) string {
	s = strings.ToUpper(strings.TrimPrefix(strings.ToLower(strings.TrimSpace(s)), "tlp:"))
	switch s {
	case "RED", "AMBER", "AMBER+STRICT", "GREEN", "CLEAR":
		return s
	case "WHITE":
		return "CLEAR"
	case "YELLOW": // an old slip of one feed
		return "AMBER"
	}
	return ""
}

// source sets the source from a text that may be an address, with or without a
// port, a prefix, a name or a link.
func (e *Event) source(s string) {
	s = strings.TrimSpace(s)
	if a, ok := addr(s); ok {
		e.SourceIP = a
		return
	}
	if ap, err := netip.ParseAddrPort(s); err == nil {
		e.SourceIP, e.SourcePort = ap.Addr().Unmap().WithZone(""), ap.Port()
		return
	}
	if p, err := netip.ParsePrefix(s); err == nil {
		e.SourceNet = p.Masked()
		if p.IsSingleIP() {
			e.SourceIP, e.SourceNet = p.Addr(), netip.Prefix{}
		}
		return
	}
	if strings.Contains(s, "://") && len(s) <= MaxField {
		e.SourceURL = s
		return
	}
	if d, err := bolwerk.ParseDomain(s); err == nil {
		e.SourceDomain = d.String()
	}
}

// transport tells a protocol from an application in a field that may hold either.
func (e *Event) transport(s string) {
	s = strings.ToLower(strings.TrimSpace(s))
	switch s {
	case "", "?", "-", "unknown":
	case "tcp", "udp", "icmp", "sctp", "gre", "icmpv6":
		e.Protocol = s
	case "6":
		e.Protocol = "tcp"
	case "17":
		e.Protocol = "udp"
	case "1":
		e.Protocol = "icmp"
	case "47":
		e.Protocol = "gre"
	case "http", "https", "smtp", "esmtp", "ssh", "ftp", "imap", "pop3", "telnet", "smb", "rdp":
		e.Application = s
		if e.Protocol == "" {
			e.Protocol = "tcp"
		}
	default:
		if _, err := strconv.Atoi(s); err != nil && e.Application == "" {
			e.Application = s
		}
	}
}
