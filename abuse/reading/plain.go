package reading

import (
	"net/netip"
	"regexp"
	"strings"
)

var (
	fourOrSix = regexp.MustCompile(`(?:\d{1,3}\.){3}\d{1,3}(?::\d{1,5})?|[0-9A-Fa-f:]{2,39}:[0-9A-Fa-f:.]{1,39}`)
	srcWord   = regexp.MustCompile(`(?i)\b(?:src|source|from|rhost|client|attacker|offender|ip)(?:[-_ ]?(?:ip|addr|address|host))?\s*[=:]?\s*[\[(<"*]*([0-9A-Fa-f.:]{3,45})`)
	dstWord   = regexp.MustCompile(`(?i)\b(?:dst|dest|destination|target|victim|to)(?:[-_ ]?(?:ip|addr|address|host))?\s*[=:]?\s*[\[(<"*]*([0-9A-Fa-f.:]{3,45})`)
	srcPort   = regexp.MustCompile(`(?i)\b(?:spt|sport|src[-_ ]?port|source[-_ ]?port|port)\s*[=: ]\s*(\d{1,5})\b`)
	dstPort   = regexp.MustCompile(`(?i)\b(?:dpt|dport|dst[-_ ]?port|dest(?:ination)?[-_ ]?port)\s*[=: ]\s*(\d{1,5})\b`)
	lineTime  = regexp.MustCompile(`\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:[.,]\d+)?(?: ?(?:Z|UTC|GMT|[+-]\d\d:?\d\d))?|\d\d/[A-Z][a-z]{2}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}|(?:[A-Z][a-z]{2}, )?\d{1,2} [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d(?: (?:[A-Z]{2,4}|[+-]\d{4}))?`)
	protoWord = regexp.MustCompile(`(?i)\b(tcp|udp|icmp|sshd?|smtp|http|ftp|imap|sip)\b`)
)

// plain fills in for a person what a text names: addresses with the time, port
// and line they stand in. Nothing is done by itself with it.
func (r *reader) plain(s string) {
	r.res.Person = true
	at := map[netip.Addr]int{}
	lines := 0
	if len(s) > MaxSearched {
		r.warn("a text of %d bytes: the first %d are searched", len(s), MaxSearched)
		s = short(s, MaxSearched)
	}
	for line := range strings.Lines(s) {
		line = strings.TrimSpace(line)
		if lines++; lines > 5000 || len(at) >= MaxFound {
			r.warn("a long text: its beginning is searched")
			return
		}
		if len(line) < 3 || len(line) > 4000 {
			continue
		}
		a, p := lineSource(line)
		if !a.IsValid() {
			continue
		}
		if i, seen := at[a]; seen {
			e := &r.res.Events[i]
			if e.Count++; e.TimeKind != Exact {
				r.fillLine(e, line)
			}
			continue
		}
		e := Event{Class: Undetermined, Kind: "line", Basis: FoundText, Person: true, SourceIP: a, SourcePort: p, Count: 1}
		e.Evidence = []Evidence{evidence("text/plain", []byte(line), true)}
		r.fillLine(&e, line)
		n := len(r.res.Events)
		if r.emit(e); len(r.res.Events) > n {
			at[a] = n
		}
	}
}

// fillLine takes from a line what an event still lacks.
func (r *reader) fillLine(e *Event, line string) {
	if m := lineTime.FindString(line); m != "" && (e.Time.IsZero() || e.TimeKind == OfReport) {
		if m[0] <= '9' { // 12:00:00,123 is how some logs write parts of a second
			m = strings.ReplaceAll(m, ",", ".")
		}
		if t, zone, ok := when(m); ok {
			e.Time, e.Zone, e.TimeKind = t, zone, Exact
		}
	}
	if m := srcPort.FindStringSubmatch(line); m != nil && e.SourcePort == 0 {
		e.SourcePort, _ = port(m[1])
	}
	if m := dstPort.FindStringSubmatch(line); m != nil && e.DestinationPort == 0 {
		e.DestinationPort, _ = port(m[1])
	}
	if m := dstWord.FindStringSubmatch(line); m != nil && !e.DestinationIP.IsValid() {
		if a, ok := addr(strings.TrimRight(m[1], ".:")); ok && a != e.SourceIP {
			e.DestinationIP = a
		}
	}
	if m := protoWord.FindString(line); m != "" && e.Protocol == "" {
		e.transport(strings.TrimSuffix(strings.ToLower(m), "d"))
	}
}

// lineSource is the address that a line says did something: behind a word for
// source where there is one, else the first that stands there.
func lineSource(line string) (netip.Addr, uint16) {
	if m := srcWord.FindStringSubmatch(line); m != nil {
		if a, p, ok := written(m[1]); ok {
			return a, p
		}
	}
	for _, s := range fourOrSix.FindAllString(line, 10) {
		if a, p, ok := written(s); ok {
			return a, p
		}
	}
	return netip.Addr{}, 0
}

// written reads an address as texts write it: 192.0.2.1, 192.0.2.1:4711, with a
// full stop behind. Times look like the end of an IPv6 address: one needs a
// letter or "::".
func written(s string) (netip.Addr, uint16, bool) {
	s = strings.TrimRight(s, ".")
	if a, ok := addr(strings.TrimRight(s, ":")); ok {
		if a.Is6() && !strings.Contains(s, "::") && !strings.ContainsAny(s, "abcdefABCDEF") {
			return netip.Addr{}, 0, false
		}
		return a, 0, !a.IsUnspecified()
	}
	if ap, err := netip.ParseAddrPort(s); err == nil && ap.Addr().Is4() {
		return ap.Addr(), ap.Port(), true
	}
	return netip.Addr{}, 0, false
}
