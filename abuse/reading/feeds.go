package reading

import (
	"strings"
	"time"
)

// dig finds a value by the flat key ("source.ip") or in nested objects.
func (o object) dig(key string) string {
	if s := o.str(key); s != "" {
		return s
	}
	for {
		head, rest, ok := strings.Cut(key, ".")
		if !ok {
			return o.str(key)
		}
		o, key = o.at(head), rest
	}
}

// intelmq reads events of IntelMQ's own format, flat or nested.
func (r *reader) intelmq(o object, row int) {
	e := Event{Row: row, Reporter: first(o.dig("feed.name"), o.dig("feed.provider")), Kind: o.dig("classification.identifier"), TLP: tlp(o.dig("tlp")),
		Malware: o.dig("malware.name"), ReportID: first(o.dig("extra.report_id"), o.dig("rtir_id"))}
	typ := o.dig("classification.type")
	if e.Class = classOf(typ); e.Class == "" {
		switch typ {
		case "blacklist":
			e.Class, e.Role = Other, NoAbuse
		case "botnet drone", "malware", "ransomware", "infected system":
			e.Class = Infected
		case "c&c", "c2server":
			e.Class = C2
		case "ids alert":
			e.Class = Exploiting
		case "defacement", "compromised":
			e.Class = AppCompromise
		case "vulnerable service":
			e.Class = Vulnerable
		default:
			e.Class = Undetermined
			e.warn("unknown-type")
		}
	}
	e.SourceIP, _ = addr(o.dig("source.ip"))
	e.SourcePort, _ = port(o.dig("source.port"))
	e.SourceDomain, e.SourceURL = o.dig("source.fqdn"), short(o.dig("source.url"), MaxField)
	if n := o.dig("source.network"); n != "" && !e.SourceIP.IsValid() {
		e.source(n)
	}
	e.DestinationIP, _ = addr(o.dig("destination.ip"))
	e.DestinationPort, _ = port(o.dig("destination.port"))
	e.DestinationName = first(o.dig("destination.fqdn"), o.dig("destination.url"))
	e.transport(o.dig("protocol.transport"))
	e.Application = first(o.dig("protocol.application"), e.Application)
	if !e.at(o.dig("time.source"), "UTC") && e.at(o.dig("time.observation"), "UTC") {
		e.TimeKind = OfReport
	}
	if f := o.num("feed.accuracy"); f > 0 {
		e.Confidence = sure(f, 100)
	} else {
		e.Confidence = sure(o.at("feed").num("accuracy"), 100)
	}
	e.Basis = classBasis(e.Class, e.Protocol)
	r.emit(e)
}

// classBasis is what a feed of a class can rest on where it does not say.
func classBasis(c Class, protocol string) Basis {
	switch {
	case strings.HasPrefix(string(c), "vulnerable/"):
		return Answered
	case c == Phishing, c == MalwareSite, c == AppCompromise:
		return Content
	case c == BruteForce && protocol == "tcp":
		return Handshake
	case protocol == "udp":
		return UDP
	case c == Infected:
		return Contact
	case c == Scanner:
		return SYN
	}
	return Claim
}

// n6class are the categories of n6.
var n6class = map[string]Class{
	"bots": Infected, "cnc": C2, "amplifier": Amplifier, "backdoor": SysCompromise, "dns-query": Undetermined, "dos-attacker": DDoS, "dos-victim": DDoS, "flow": Undetermined,
	"flow-anomaly": Undetermined, "fraud": Masquerade, "leak": DataLeak, "malurl": MalwareSite, "malware-action": Infected, "phish": Phishing, "proxy": OpenService,
	"sandbox-url": Undetermined, "scam": Masquerade, "scanning": Scanner, "server-exploit": Exploiting, "spam": Spam, "spam-url": Spam, "tor": Other, "webinject": MalwareConfig,
	"vulnerable": Vulnerable, "deface": AppCompromise, "exposed": OpenService, "other": Other,
}

// n6 reads events of n6's API. One event may name several addresses; each is one
// of ours.
func (r *reader) n6(o object, row int) {
	category := o.str("category")
	e := Event{Class: n6class[category], Kind: category, Row: row, Reporter: first(o.str("source"), "n6"), ReportID: o.firstStr("id", "rid"),
		Malware: o.str("name"), SourceDomain: o.str("fqdn"), SourceURL: short(o.str("url"), MaxField), Count: count(o.str("count"))}
	switch category {
	case "dos-victim":
		e.Role = Victim
	case "sandbox-url", "dns-query", "flow":
		e.Role = Contacted
	case "tor":
		e.Role = NoAbuse
	}
	switch o.str("confidence") {
	case "low":
		e.Confidence = 0.3
	case "medium":
		e.Confidence = 0.6
	case "high":
		e.Confidence = 0.9
	}
	e.SourcePort, _ = port(o.str("sport"))
	e.DestinationPort, _ = port(o.str("dport"))
	e.DestinationIP, _ = addr(o.str("dip"))
	e.transport(o.str("proto"))
	e.at(o.str("time"), "UTC")
	e.span(o.str("time"), first(o.str("until"), o.str("modified_until")))
	e.Basis = classBasis(e.Class, e.Protocol)
	addresses := o.list("address")
	if len(addresses) == 0 {
		r.emit(e)
		return
	}
	for i, a := range addresses {
		if i == 100 {
			r.warn("an event of n6 with %d addresses: 100 are read", len(addresses))
			return
		}
		each := e
		if each.SourceIP, _ = addr(a.firstStr("ip", "ipv6")); !each.SourceIP.IsValid() {
			r.refuse(BadAddress, row, "%q is no address", short(a.firstStr("ip", "ipv6"), 60))
			continue
		}
		r.emit(each)
	}
}

// ctip reads Microsoft's older feeds; o has its keys in lower case.
func (r *reader) ctip(o object, row int) {
	e := Event{Row: row, Reporter: "Microsoft", Kind: o.str("indicatorthreattype"), Malware: o.str("externalid"), Confidence: sure(o.num("confidence"), 100), TLP: tlp(o.str("tlplevel"))}
	switch strings.ToLower(e.Kind) {
	case "botnet", "malware":
		e.Class, e.Basis = Infected, Contact
		e.source(o.firstStr("networksourceipv4", "networksourceipv6"))
		e.SourcePort = o.port("networksourceport")
		e.DestinationIP, _ = addr(firstOf(o.firstStr("networkdestinationipv4", "networkdestinationipv6")))
		e.DestinationPort = o.port("networkdestinationport")
	case "maliciousurl":
		e.Class, e.Basis, e.Protocol, e.Application = MalwareSite, Content, "tcp", "http"
		e.source(o.firstStr("networkdestinationipv4", "networkdestinationipv6"))
		e.SourceURL = short(o.str("url"), MaxField)
		e.SourcePort = o.port("networkdestinationport")
	default:
		e.source(o.firstStr("networksourceipv4", "networksourceipv6", "networkdestinationipv4", "networkdestinationipv6"))
		e.warn("unknown-type")
	}
	e.at(o.str("firstreporteddatetime"), "UTC")
	e.span(o.str("firstreporteddatetime"), o.str("lastreporteddatetime"))
	r.emit(e)
}

// firstOf is the first of several addresses in one field.
func firstOf(s string) string {
	s, _, _ = strings.Cut(s, ",")
	return s
}

// ctipAzure reads Microsoft's newer feed: one object a line.
func (r *reader) ctipAzure(o object, row int) {
	e := Event{Class: Infected, Basis: Contact, Row: row, Reporter: "Microsoft", Kind: o.str("DataFeed"), Malware: o.firstStr("ThreatCode", "Malware"), TLP: tlp(o.str("TLP")), Count: count(o.str("TotalEncounters"))}
	e.source(o.str("SourceIp"))
	e.SourcePort = o.port("SourcePort")
	e.DestinationIP, _ = addr(o.str("DestinationIp"))
	e.DestinationPort = o.port("DestinationPort")
	switch strings.ToLower(o.str("ThreatConfidence")) {
	case "low":
		e.Confidence = 0.3
	case "medium":
		e.Confidence = 0.6
	case "high":
		e.Confidence = 0.9
	}
	// Steps of 100 ns since 1601.
	if ticks := count(o.str("DateTimeReceivedUtc")); ticks > 116_444_736_000_000_000 {
		if t, ok := seconds(float64(ticks-116_444_736_000_000_000) / 1e7); ok {
			e.Time, e.Zone = t.Truncate(time.Millisecond), "UTC"
		}
	}
	// The same time stands there in words. Where they are days apart, who had the
	// address is anybody's guess.
	if t, _, ok := when(o.str("DateTimeReceivedUtcTxt")); ok && !e.Time.IsZero() && t.Sub(e.Time).Abs() > time.Minute {
		e.warn("times-differ")
		e.Person = true
	}
	if strings.Contains(strings.ToLower(o.str("SourcedFrom")), "sinkhole") && o.at("HttpInfo").str("HttpMethod") != "" {
		e.Basis = Sinkhole
	}
	r.emit(e)
}

// anubis reads a sinkhole's contacts.
func (r *reader) anubis(o object, row int) {
	malw, comm, env := o.at("malw"), o.at("comm"), o.at("env")
	e := Event{Class: Infected, Basis: Contact, Row: row, Reporter: "AnubisNetworks", Kind: first(o.str("_origin"), "infections"), Malware: first(malw.firstStr("variant", "family"), o.str("trojanfamily"))}
	e.SourceIP, _ = addr(first(o.at("src").str("ip"), env.str("remote_addr")))
	e.SourcePort, _ = port(first(o.at("src").str("port"), env.str("remote_port")))
	e.DestinationIP, _ = addr(first(o.at("dst").str("ip"), env.str("server_addr")))
	e.DestinationPort, _ = port(first(o.at("dst").str("port"), env.str("server_port")))
	e.DestinationName = first(comm.at("dns").str("name"), comm.at("http").str("host"), env.str("server_name"))
	if t, ok := seconds(o.num("_ts")); ok {
		e.Time, e.Zone = t, "UTC"
	}
	switch app := first(comm.str("proto"), o.str("app_proto")); {
	case app == "http" || env.str("request_method") != "":
		e.Protocol, e.Application, e.Basis = "tcp", "http", Sinkhole
	case app == "dns":
		e.Protocol, e.Application, e.Basis = "udp", "dns", UDP
		e.warn("may-be-a-resolver")
	}
	if malw.str("family") == "TestSinkholingLoss" { // the sinkhole's own test
		e.Class, e.Role = Test, NoAbuse
	}
	r.emit(e)
}

// misp reads the attributes of an event of MISP that name a source.
func (r *reader) misp(o object, row int) {
	if in := o.at("Event"); len(in) > 0 {
		o = in
	}
	marking, class := "", Undetermined
	for _, tag := range o.list("Tag") {
		name := strings.ToLower(tag.str("name"))
		marking = first(marking, tlp(name))
		switch {
		case strings.Contains(name, "phish"):
			class = Phishing
		case strings.Contains(name, "ransomware"), strings.Contains(name, "malware"), strings.Contains(name, "malicious-code"):
			class = MalwareSite
		}
	}
	attributes := o.list("Attribute")
	if o["Attribute"] == nil {
		attributes = []object{o}
	}
	var malware string
	for _, a := range attributes {
		if a.str("type") == "text" && a.str("category") == "Payload type" {
			malware = a.str("value")
		}
	}
	for _, a := range attributes {
		e := Event{Class: class, Kind: a.str("type"), Row: row, Reporter: first(o.at("Orgc").str("name"), o.at("Org").str("name"), "MISP"), ReportID: a.str("uuid"), TLP: marking, Malware: malware, Basis: Content}
		switch a.str("type") {
		case "url", "uri", "link", "domain", "hostname", "ip-src", "ip-dst":
			e.source(a.str("value"))
		case "domain|ip":
			name, ip, _ := strings.Cut(a.str("value"), "|")
			e.SourceDomain = name
			e.SourceIP, _ = addr(ip)
		case "ip-dst|port", "ip-src|port":
			ip, p, _ := strings.Cut(a.str("value"), "|")
			e.SourceIP, _ = addr(ip)
			e.SourcePort, _ = port(p)
		default:
			continue
		}
		if e.Class == Undetermined && a.str("category") == "Payload delivery" {
			e.Class = MalwareSite
		}
		if e.SourceURL != "" {
			e.SourcePort = urlPort(e.SourceURL)
		}
		if t, ok := seconds(a.num("timestamp")); ok {
			e.Time, e.Zone, e.TimeKind = t, "UTC", OfReport // when it was entered
		}
		r.emit(e)
	}
}
