package reading

import (
	"regexp"
	"strings"
)

// letters reads what known senders write in a mail's text. The sender's address
// only chooses the parser; it proves nothing.
func (r *reader) letters(h header, parts []part) Format {
	subject, body := words(h.get("subject")), bodyText(parts)
	switch from := r.reporter; {
	case strings.HasSuffix(from, "spamcop.net") || h.get("x-spamcop-sourceip") != "" || strings.HasPrefix(subject, "[SpamCop"):
		return r.spamcop(h, subject, body)
	case strings.HasSuffix(from, "projecthoneypot.org"):
		return r.honeypot(body)
	case strings.HasSuffix(from, "webiron.com"):
		return r.webiron(body)
	case strings.HasSuffix(from, "cyscon.de") || strings.HasSuffix(from, "c-sirt.org"):
		return r.cyscon(body)
	}
	if m := complaint.FindStringSubmatch(subject); m != nil {
		return r.complaint(m[1], parts)
	}
	return ""
}

var complaint = regexp.MustCompile(`(?i)complaint about message from \[?([0-9a-f.:]+)\]?`)

// complaint reads a feedback loop that names the source in the subject and
// attaches the mail, without RFC 5965.
func (r *reader) complaint(source string, parts []part) Format {
	e := Event{Class: Spam, Kind: "complaint", Protocol: "tcp", Application: "smtp", Basis: Handshake}
	e.SourceIP, _ = addr(source)
	for _, p := range parts {
		if p.kind == "message/rfc822" {
			original, _ := split(p.body)
			e.Evidence = append(e.Evidence, evidence(p.kind, p.body, false))
			r.fillFromMail(&e, original, "")
			break
		}
	}
	r.emit(e)
	return ARF
}

var (
	spamcopSubject = regexp.MustCompile(`\[SpamCop \(([^)]+)\) id:(\d+)\]`)
	spamcopMail    = regexp.MustCompile(`(?m)^\s*Email from ([0-9A-Fa-f.:]+) / ([^\r\n]+)`)
	spamcopSite    = regexp.MustCompile(`(?m)^\s*(https?://\S+) is ([0-9A-Fa-f.:]+);\s*([^\r\n]+)`)
)

func (r *reader) spamcop(h header, subject, body string) Format {
	e := Event{Class: Spam, Kind: "spamcop", Protocol: "tcp", Application: "smtp", Basis: Handshake, Reporter: "SpamCop"}
	if m := spamcopSubject.FindStringSubmatch(subject); m != nil {
		e.source(m[1])
		e.ReportID = m[2]
	}
	if a, ok := addr(h.get("x-spamcop-sourceip")); ok {
		e.SourceIP = a
	}
	if m := spamcopSite.FindStringSubmatch(body); m != nil {
		e.Kind, e.Application, e.Basis = "spamvertised", "http", Content
		e.SourceURL = short(m[1], MaxField)
		e.SourcePort = urlPort(e.SourceURL)
		e.SourceIP, _ = addr(m[2])
		e.at(m[3], "")
	} else if m := spamcopMail.FindStringSubmatch(body); m != nil {
		if a, ok := addr(m[1]); ok {
			e.SourceIP = a
		}
		e.at(m[2], "")
	}
	r.emit(e)
	return SpamCop
}

var honeypotRange = regexp.MustCompile(`Report Date Range: (\d\d)/(\d\d)/(\d{4}) - (\d\d)/(\d\d)/(\d{4})`)

// honeypot reads the monitor's report: headings, addresses below, and where it
// is the paid one, times below those.
func (r *reader) honeypot(body string) Format {
	var (
		from, to string
		class    Class
		open     bool
		current  Event
		timed    bool
	)
	if m := honeypotRange.FindStringSubmatch(body); m != nil {
		from, to = m[3]+"-"+m[1]+"-"+m[2]+" 00:00:00", m[6]+"-"+m[4]+"-"+m[5]+" 00:00:00"
	}
	flush := func() {
		if current.SourceIP.IsValid() && !timed {
			current.span(from, to)
			r.emit(current)
		}
		current, timed = Event{}, false
	}
	for line := range strings.Lines(body) {
		s := strings.TrimSpace(line)
		switch {
		case strings.HasSuffix(s, "On Your Network:"):
			flush()
			open = true
			switch {
			case strings.Contains(s, "Harvesting"):
				class = Scanner
			case strings.Contains(s, "Spamming"), strings.Contains(s, "Dictionary"):
				class = Spam
			default:
				class = Undetermined
			}
			current.Kind = strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(s, "IPs Engaged In "), " On Your Network:"))
		case !open || s == "":
		case strings.HasPrefix(s, "---"):
			flush()
			open = false
		case strings.HasPrefix(s, "- "):
			e := current
			if e.SourceIP.IsValid() && e.at(strings.TrimPrefix(s, "- "), "") {
				timed = true
				r.emit(e)
			}
		default:
			word, _, _ := strings.Cut(s, " ")
			if a, ok := addr(word); ok {
				kind := current.Kind
				flush()
				current = Event{Class: class, SourceIP: a, Kind: kind, Basis: Handshake, Protocol: "tcp", Reporter: "Project Honey Pot"}
				if class == Undetermined {
					current.Basis = Claim
				}
			}
		}
	}
	flush()
	return HoneyPot
}

var webironLine = regexp.MustCompile(`^\s*(?:- )?([A-Za-z/ -]+):\s+(.+)$`)

// webiron reads blocks of "- Name: value" below the address.
func (r *reader) webiron(body string) Format {
	var e, base Event
	flush := func() {
		if !e.Time.IsZero() {
			r.emit(e)
		}
		e = base
	}
	for line := range strings.Lines(body) {
		m := webironLine.FindStringSubmatch(strings.TrimSpace(line))
		if m == nil {
			continue
		}
		value := strings.TrimSpace(m[2])
		switch strings.ToLower(strings.TrimSpace(m[1])) {
		case "offending ip", "offending/source ip":
			flush()
			base = Event{Class: Exploiting, Kind: "web-attack", Basis: Handshake, Protocol: "tcp", Application: "http", Reporter: "Webiron"}
			base.source(value)
			e = base
		case "issue":
			flush()
			if strings.Contains(value, "botnet") || strings.Contains(value, "botware") {
				e.Class = Infected
			}
		case "time":
			e.at(value, "")
		case "port":
			e.DestinationPort, _ = port(value)
		case "service":
			e.Application = value
		case "report id":
			e.ReportID = value
		}
	}
	flush()
	return Webiron
}

var cysconLine = regexp.MustCompile(`(?m)^(IP|URL|Tested on|Result):[ \t]+([^\r\n]+)`)

func (r *reader) cyscon(body string) Format {
	e := Event{Class: Undetermined, Basis: Content, Protocol: "tcp", Application: "http", Reporter: "cyscon"}
	for _, m := range cysconLine.FindAllStringSubmatch(body, 20) {
		switch value := strings.TrimSpace(m[2]); m[1] {
		case "IP":
			e.SourceIP, _ = addr(value)
		case "URL":
			e.SourceURL = short(value, MaxField)
			e.SourcePort = urlPort(value)
		case "Tested on":
			e.at(value, "")
		case "Result":
			e.Kind = value
			switch {
			case strings.Contains(value, "PHISH"):
				e.Class = Phishing
			case strings.Contains(value, "MALWARE"):
				e.Class = MalwareSite
			}
		}
	}
	r.emit(e)
	return Cyscon
}
