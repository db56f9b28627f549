package reading

import (
	"bytes"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// lists reads the tables whose header is a comment: Team Cymru and Spamhaus.
func (r *reader) lists(raw []byte) Format {
	head := string(raw[:min(len(raw), 400)])
	switch {
	case strings.Contains(head, "report|ip|asn|timestamp") || strings.Contains(head, "category|address|asn|timestamp"):
		r.eachLine(raw, "#", r.cymru)
		return Cymru
	case strings.HasPrefix(head, "; ip, asn, country, lastseen"):
		r.eachLine(raw, ";", r.spamhausCERT)
		return Spamhaus
	case strings.HasPrefix(head, "; Spamhaus"):
		r.listed(head)
		r.eachLine(raw, ";", r.drop)
		return Spamhaus
	}
	return ""
}

func (r *reader) eachLine(raw []byte, comment string, fn func(line string, row int)) {
	row := 0
	for line := range bytes.SplitSeq(raw, []byte("\n")) {
		row++
		line = bytes.TrimSpace(line)
		switch {
		case r.full:
			return
		case len(line) == 0 || bytes.HasPrefix(line, []byte(comment)):
		case len(line) > MaxRow:
			r.refuse(BadRow, row, "a line of %d bytes", len(line))
		default:
			fn(text(line), row)
		}
	}
}

// cymruClass is the class and basis of each category of Team Cymru.
var cymruClass = map[string]struct {
	class Class
	basis Basis
}{
	"bot": {Infected, Contact}, "bots": {Infected, Contact}, "conficker": {Infected, Contact}, "bruteforce": {BruteForce, Handshake},
	"controller": {C2, Answered}, "darknet": {Scanner, SYN}, "honeypot": {Scanner, SYN}, "scanner": {Scanner, SYN}, "ddosreport": {DDoS, Claim},
	"phishing": {Phishing, Content}, "proxy": {OpenService, Answered}, "openresolver": {Amplifier, Answered}, "openresolvers": {Amplifier, Answered}, "spam": {Spam, Handshake},
	"malware": {MalwareSite, Content},
}

var (
	cymruField = regexp.MustCompile(`(?i)(destination_port_numbers|darknet_port|honeypot_port|srcport|dest_port|port)[: ]+(\d{1,5})`)
	cymruDest  = regexp.MustCompile(`(?i)(?:dest_addr|destaddr|dstaddr)[: ]+([0-9a-fA-F.:]+)`)
	cymruProto = regexp.MustCompile(`protocol: (\d{1,3})`)
	cymruMalw  = regexp.MustCompile(`(?:family: ([^;]+)|mwtype (\S+))`)
	proxyPort  = regexp.MustCompile(`(?:^|: )(?:http|socks[45]|httpconnect|httppost)-(\d{1,5})|\((\d{1,5})\)`)
)

func (r *reader) cymru(line string, row int) {
	f := strings.Split(line, "|")
	if len(f) < 5 {
		r.refuse(BadRow, row, "%d fields", len(f))
		return
	}
	e := Event{Kind: strings.ToLower(f[0]), Row: row, Reporter: "Team Cymru"}
	if c, ok := cymruClass[e.Kind]; ok {
		e.Class, e.Basis = c.class, c.basis
	} else {
		e.warn("unknown-type")
	}
	if e.SourceIP, _ = addr(f[1]); !e.SourceIP.IsValid() {
		r.refuse(BadAddress, row, "%q is no address", short(f[1], 60))
		return
	}
	if !e.at(f[3], "UTC") {
		r.refuse(BadRow, row, "%q is no time", short(f[3], 60))
		return
	}
	info := f[4]
	for _, m := range cymruField.FindAllStringSubmatch(info, 10) {
		p, _ := port(m[2])
		switch strings.ToLower(m[1]) {
		case "srcport", "port":
			e.SourcePort = p
		default:
			e.DestinationPort = p
		}
	}
	if m := cymruDest.FindStringSubmatch(info); m != nil {
		e.DestinationIP, _ = addr(m[1])
	}
	if m := cymruProto.FindStringSubmatch(info); m != nil {
		e.transport(m[1])
	}
	if m := cymruMalw.FindStringSubmatch(info); m != nil {
		e.Malware = strings.TrimSpace(m[1] + m[2])
	}
	switch e.Kind {
	case "conficker":
		e.Malware = "conficker"
	case "bruteforce":
		if word, _, _ := strings.Cut(info, ";"); !strings.Contains(word, ":") {
			e.Application = word
		}
	case "phishing":
		if u := strings.TrimSuffix(info, ";"); strings.Contains(u, "://") {
			e.SourceURL = short(u, MaxField)
			e.SourcePort = urlPort(u)
		}
	case "proxy":
		if m := proxyPort.FindStringSubmatch(info); m != nil {
			e.SourcePort, _ = port(m[1] + m[2])
		}
	}
	switch {
	case e.Basis == Contact && e.Protocol == "tcp":
		e.Basis = Sinkhole
	case e.Protocol == "udp" && e.Basis != Answered:
		e.Basis = UDP
	}
	r.emit(e)
}

func (r *reader) spamhausCERT(line string, row int) {
	f := strings.Split(line, ",")
	if len(f) < 10 {
		r.refuse(BadRow, row, "%d fields", len(f))
		return
	}
	e := Event{Kind: strings.TrimSpace(f[4]), Row: row, Reporter: "Spamhaus"}
	if e.SourceIP, _ = addr(f[0]); !e.SourceIP.IsValid() {
		r.refuse(BadAddress, row, "%q is no address", short(f[0], 60))
		return
	}
	s, err := strconv.ParseFloat(strings.TrimSpace(f[3]), 64)
	t, ok := seconds(s)
	if err != nil || !ok {
		r.refuse(BadRow, row, "%q is no time", short(f[3], 60))
		return
	}
	e.Time, e.Zone = t, "UTC"
	e.DestinationIP, _ = addr(f[6])
	e.DestinationPort, _ = port(f[7])
	local := f[8]
	if _, rest, ok := strings.Cut(local, ":"); ok { // address:port:program
		local, _, _ = strings.Cut(rest, ":")
	}
	e.SourcePort, _ = port(local)
	e.transport(f[9])
	if name := strings.TrimSpace(f[5]); len(name) > 1 && name != "-" {
		e.DestinationName = name
	}
	switch kind := e.Kind; {
	case kind == "openrelay" || kind == "iotrdp":
		e.Class, e.Basis = BruteForce, Handshake
		if kind == "openrelay" {
			e.Class, e.Basis = OpenService, Answered
		}
	case strings.HasSuffix(kind, "auth") || strings.HasPrefix(kind, "authspoof") || kind == "w_wplogin" || kind == "imap" || kind == "pop":
		e.Class, e.Basis = BruteForce, Handshake
	case strings.HasSuffix(kind, "scan") || strings.HasSuffix(kind, "scanner") || kind == "proxyget":
		e.Class, e.Basis = Scanner, Handshake
	case kind == "l_spamlink" || kind == "extortion":
		e.Class, e.Basis = Spam, Handshake
		if kind == "l_spamlink" {
			e.addURL(e.DestinationName)
		}
	case kind == "misc" || kind == "auto":
		e.Class, e.Basis = Infected, Contact
	default:
		e.Class, e.Basis, e.Malware = Infected, Contact, kind
	}
	if e.Basis == Contact && e.Protocol == "tcp" {
		e.Basis = Sinkhole
	}
	if e.Basis == Handshake && e.Protocol != "tcp" {
		e.Basis = Claim
	}
	r.emit(e)
}

var lastModified = regexp.MustCompile(`(?m)^; Last-Modified: (.+)$`)

// listed takes a list's own time: its entries have none.
func (r *reader) listed(head string) {
	if m := lastModified.FindStringSubmatch(head); m != nil {
		r.reported, _, _ = when(strings.TrimSpace(m[1]))
	}
}

func (r *reader) drop(line string, row int) {
	what, id, _ := strings.Cut(line, ";")
	what = strings.TrimSpace(what)
	e := Event{Class: Other, Role: NoAbuse, XARF: "reputation/blocklist", Kind: "drop", Row: row, Reporter: "Spamhaus", Basis: Claim}
	if sbl := strings.TrimSpace(id); strings.HasPrefix(sbl, "SBL") {
		e.ReportID = sbl
	}
	if n, err := strconv.ParseUint(strings.TrimPrefix(what, "AS"), 10, 32); err == nil {
		e.SourceASN = uint32(n)
	} else if p, err := netip.ParsePrefix(what); err == nil {
		e.SourceNet = p.Masked()
	} else {
		r.refuse(BadAddress, row, "%q is no prefix", short(what, 60))
		return
	}
	r.emit(e)
}
