package reading

import (
	"bytes"
	"regexp"
	"strings"
)

// yamlFields reads the second part of an X-ARF mail: fields of one line each,
// which is all of YAML that the format uses. ok says that it is one.
func yamlFields(s string) (f map[string]string, ok bool) {
	f = map[string]string{}
	for line := range strings.Lines(short(s, 64<<10)) {
		line = strings.TrimRight(line, "\r\n")
		key, value, is := strings.Cut(line, ":")
		key = strings.ToLower(strings.TrimSpace(key))
		if !is || key == "" || strings.ContainsAny(key, " \t<>") || strings.HasPrefix(line, " ") || strings.HasPrefix(line, "#") {
			continue
		}
		if f[key] == "" && len(f) < 100 {
			f[key] = strings.Trim(strings.TrimSpace(value), `"'`)
		}
	}
	return f, f["report-type"] != "" && f["source"] != "" && (f["source-type"] != "" || f["category"] != "" || f["reported-from"] != "")
}

// yamlParts finds the report of an X-ARF mail: report.txt, or the first text
// that has its fields.
func (r *reader) yamlParts(parts []part) Format {
	for i, p := range parts {
		if p.kind != "text/plain" && p.kind != "text/yaml" && p.kind != "application/yaml" && p.kind != "application/x-yaml" {
			continue
		}
		f, ok := yamlFields(text(p.body))
		if !ok {
			continue
		}
		e, good := r.xarf02Event(f)
		if !good {
			return XARF02
		}
		for j, more := range parts {
			if j > i && len(e.Evidence) < 10 && len(bytes.TrimSpace(more.body)) > 0 {
				e.Evidence = append(e.Evidence, evidence(more.kind, more.body, more.kind == "text/plain"))
			}
		}
		if !e.SourceIP.IsValid() {
			if m := afterLink.FindStringSubmatch(bodyText(parts)); m != nil {
				if a, ok := addr(m[1]); ok {
					e.SourceIP = a
					e.warn("address-from-text")
				}
			}
		}
		r.emit(e)
		return XARF02
	}
	return ""
}

// afterLink is an address in brackets that ends a line behind a link: so one
// sender of takedown requests says where a page lies.
var afterLink = regexp.MustCompile(`(?m)https?://\S+\s+(?:\[[\d/]+\]\s+)?\[([0-9A-Fa-f.:]+)\]\s*$`)

func (r *reader) xarf02(f map[string]string) Format {
	if e, ok := r.xarf02Event(f); ok {
		r.emit(e)
	}
	return XARF02
}

func (r *reader) xarf02Event(f map[string]string) (e Event, ok bool) {
	kind := strings.ToLower(f["report-type"])
	e = Event{Kind: kind, Reporter: f["reported-from"], ReportID: f["report-id"], TLP: tlp(f["tlp"]), Malware: f["malware"]}
	e.Class, e.Basis = xarf02Class(strings.ToLower(f["category"]), kind, strings.ToLower(f["service"]))
	e.source(f["source"])
	if !e.hasSource() {
		r.refuse(BadAddress, 0, "source %q is no address, name or link", short(f["source"], 100))
		return e, false
	}
	if e.SourceURL != "" && e.SourceDomain == "" {
		e.urlHost()
	}
	e.at(f["date"], "")
	e.Count = count(first(f["occurrences"], f["count"]))
	e.transport(f["protocol"])
	e.Application = first(e.Application, f["service"])
	p, _ := port(first(f["port"], f["download-port"]))
	switch e.Basis {
	case Content:
		e.SourcePort = p // where the page lies
	default:
		e.DestinationPort = p // what was attacked
		e.SourcePort, _ = port(f["source-port"])
	}
	e.DestinationIP, _ = addr(first(f["destination"], f["destination-ip"]))
	e.addURL(f["download-link"])
	if e.Protocol == "" && e.Basis == Handshake {
		e.Protocol = "tcp"
	}
	switch {
	case e.Protocol == "udp":
		e.Basis = UDP
	case e.Protocol == "tcp" && e.Basis == UDP:
		e.Basis = Handshake
	}
	return e, true
}

// xarf02Class reads the words that reporters use: X-ARF leaves the type open.
func xarf02Class(category, kind, service string) (Class, Basis) {
	is := func(words ...string) bool {
		for _, w := range words {
			if strings.Contains(kind, w) {
				return true
			}
		}
		return false
	}
	switch {
	case is("phish"):
		return Phishing, Content
	case is("malware", "virus", "trojan-download"):
		return MalwareSite, Content
	case is("spamvertised"):
		return Spam, Content
	case is("infection", "botnet", "trojan", "drone"):
		return Infected, Claim
	case is("portscan", "port-scan", "portflood"):
		return Scanner, SYN
	case is("ddos", "dos-attack"):
		return DDoS, SYN
	case is("harvest"):
		return Scanner, Handshake
	case is("open-", "openresolver"):
		return OpenService, Answered
	case is("regbot", "spam", "comment"):
		return Spam, Handshake
	case is("badbot", "bots", "w00t", "rfi", "sqlinjection", "sql-injection", "web-attack", "webattack", "hack", "exploit"):
		return Exploiting, Handshake
	case is("copyright"):
		return Copyright, Claim
	case is("sip", "voip", "asterisk"), service == "sip", service == "asterisk", service == "voip": // mostly UDP: a login without a connection
		return BruteForce, UDP
	case is("login", "bruteforce", "brute-force", "ssh", "ftp", "imap", "pop3", "postfix", "sasl", "smtp", "telnet", "rdp", "mail", "apache"):
		return BruteForce, Handshake
	case category == "fraud":
		return Masquerade, Content
	case service == "ssh" || service == "ftp":
		return BruteForce, Handshake
	}
	return Undetermined, Claim
}
