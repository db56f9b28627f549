package reading

import (
	"net/netip"
	"regexp"
	"strings"
	"sync"
)

// types are feedTypes by each of their names.
var types = sync.OnceValue(func() map[string]*feedType {
	m := map[string]*feedType{}
	for i := range feedTypes {
		for _, name := range strings.Fields(feedTypes[i].name) {
			m[name] = &feedTypes[i]
		}
	}
	return m
})

var (
	leadDate = regexp.MustCompile(`^\d{4}-?\d\d-?\d\d[-_]`)
)

// feedName finds the report type in the name of a file:
// 2019-10-15-scan_ftp-sample-asn.csv is scan_ftp.
func feedName(file string) (string, *feedType) {
	s := strings.ToLower(file)
	for _, end := range []string{".gz", ".zip", ".csv"} {
		s = strings.TrimSuffix(s, end)
	}
	s = leadDate.ReplaceAllString(s, "")
	for s != "" {
		name := strings.ReplaceAll(s, "-", "_")
		for _, v6 := range []string{"scan6_", "event6_"} {
			if rest, ok := strings.CutPrefix(name, v6); ok {
				name = map[string]string{"scan6_": "scan_", "event6_": "event4_"}[v6] + rest
			}
		}
		if t := types()[name]; t != nil {
			return name, t
		}
		// The recipient's name stands behind: take off the last word.
		i := strings.LastIndexAny(s, "-_")
		if i < 0 {
			break
		}
		s = s[:i]
	}
	return "", nil
}

// feedOf finds the type of a table whose name does not tell, by its columns. A
// table of open services says in each row's tag which: that is done by the row.
func feedOf(t *csvTable) (string, *feedType) {
	has := func(names ...string) bool {
		for _, n := range names {
			if t.col(n) < 0 {
				return false
			}
		}
		return true
	}
	for _, guess := range []struct {
		name string
		ok   bool
	}{
		{"event4_honeypot_ddos_amp", has("src_ip", "request", "bytes")},
		{"event4_honeypot_brute_force", has("username", "payload_md5")},
		{"event4_sinkhole_http", has("src_ip", "http_agent")},
		{"event4_sinkhole", has("src_ip", "infection", "dst_ip") && !has("count")},
		{"event4_honeypot_darknet", has("src_ip", "infection", "count")},
		{"botnet_drone", has("infection", "cc_dns")},
		{"ddos_amplification", has("dst_port", "sensor_geo")},
		{"phish_url", has("url", "host", "source") && !has("sha256")},
		{"malware_url", has("url", "host", "sha256")},
		{"sandbox_conn", has("md5", "bytes_in")},
		{"sandbox_dns", has("md5hash", "request")},
		{"compromised_website", has("detected_since", "redirect_target")},
		{"scan_ssl_poodle", has("ssl_poodle")},
		{"blocklist", has("reason", "source")},
	} {
		if guess.ok {
			return guess.name, types()[guess.name]
		}
	}
	return "", nil
}

// byTag are the types of tags that are not the end of a type's own name.
var byTag = map[string]string{"openresolver": "scan_dns", "ntpversion": "scan_ntp", "ntpmonitor": "scan_ntpmonitor", "nat-pmp": "scan_nat_pmp", "mqtt-anon": "scan_mqtt_anon",
	"ssl-poodle": "scan_ssl_poodle", "isakmp-vulnerable": "scan_isakmp", "telnet-alt": "scan_telnet", "netis_vulnerability": "netis_router", "http-connect-proxy": "scan_http_proxy", "cve-2021-44228": "scan_log4shell_vulnerable"}

// isShadowserver says that a table has the columns that all of them have.
func isShadowserver(t *csvTable) bool {
	return t.col("timestamp") >= 0 && (t.col("asn") >= 0 || t.col("src_asn") >= 0 || t.col("md5hash") >= 0) &&
		(t.col("ip") >= 0 || t.col("src_ip") >= 0 || t.col("md5hash") >= 0)
}

// shadowserver reads one table. All its times are UTC; a row stands for what was
// seen of one source in a day or less.
func (r *reader) shadowserver(file string, t *csvTable) Format {
	name, typ := feedName(file)
	if typ == nil {
		name, typ = feedOf(t)
	}
	var (
		ip, prt  = t.any("src_ip", "ip"), t.any("src_port", "port")
		dst, dpt = t.any("dst_ip", "dest_ip", "cc_ip", "cc"), t.any("dst_port", "dest_port", "cc_port")
		dname    = t.any("dst_hostname", "dest_dns", "cc_dns", "dst_dns")
		host     = t.any("src_hostname", "hostname", "host")
		unknown  = false
	)
	if name == "sandbox_dns" {
		host = t.col("request")
	}
	t.each(r, func(row int) {
		n, ft := name, typ
		if ft == nil {
			if n, ft = rowType(t); ft == nil {
				unknown = true
				ft = &feedType{class: Undetermined, basis: Claim}
			}
		}
		e := Event{Class: ft.class, Basis: ft.basis, Protocol: ft.proto, Application: ft.app, Kind: n, Row: row, Reporter: "Shadowserver Foundation"}
		if a, ok := addr(t.cell(ip)); ok {
			e.SourceIP = a
		} else if p, err := netip.ParsePrefix(t.cell(ip)); err == nil {
			e.SourceNet = p.Masked()
		} else if t.cell(ip) != "" {
			r.refuse(BadAddress, row, "%q is no address", short(t.cell(ip), 60))
			return
		}
		e.SourcePort, _ = port(t.cell(prt))
		e.SourceDomain = strings.TrimSuffix(t.cell(host), ".")
		if _, isIP := addr(e.SourceDomain); isIP {
			e.SourceDomain = ""
		}
		e.DestinationIP, _ = addr(t.cell(dst))
		e.DestinationPort, _ = port(t.cell(dpt))
		e.DestinationName = t.cell(dname)
		if !e.at(t.named("timestamp"), "UTC") {
			r.refuse(BadRow, row, "timestamp %q is no time", short(t.named("timestamp"), 60))
			return
		}
		if end := t.named("end_time"); end != "" {
			e.span(first(t.named("start_time"), t.named("timestamp")), end)
		}
		r.row(t, n, &e)
		r.emit(e)
	})
	if unknown {
		r.warn("a type of Shadowserver report that is not known: its rows are undetermined")
	}
	return Shadowserver
}

// row fills what only some types have.
func (r *reader) row(t *csvTable, name string, e *Event) {
	said := t.named("protocol")
	if kind := t.named("type"); said == "" && (kind == "tcp" || kind == "udp") {
		said = kind
	}
	stated := said != "" && said != "-"
	e.transport(said)
	e.Count = count(t.named("count"))
	switch {
	case strings.HasSuffix(name, "_url"):
		e.SourceURL = short(t.named("url"), MaxField)
		if e.SourcePort == 0 {
			e.SourcePort = urlPort(e.SourceURL)
		}
	case name == "compromised_website":
		e.addURL(t.named("url"))
		e.SourceDomain = first(t.named("http_host"), e.SourceDomain)
	}
	switch e.Class {
	case Infected, Scanner, SysCompromise:
		e.Malware = first(t.named("infection"), t.named("family"))
		if kind := t.named("type"); e.Malware == "" && kind != "tcp" && kind != "udp" && len(kind) > 2 {
			e.Malware = kind // in older tables: downadup
		}
		e.Malware = first(e.Malware, t.named("tag"))
	case BruteForce:
		e.Application = first(t.named("service"), t.named("application"), e.Application)
	}
	switch {
	case e.Protocol == "udp" && (e.Basis == Sinkhole || e.Basis == Contact || e.Basis == Handshake):
		e.Basis = UDP
	case e.Basis == Contact && stated && e.Protocol == "tcp", e.Basis == Contact && t.named("http_host") != "", e.Basis == Contact && strings.HasPrefix(t.named("url"), "GET "):
		e.Basis = Sinkhole
	case e.Basis == Sinkhole && e.Protocol == "":
		e.Basis = Contact
	}
	switch {
	case strings.Contains(name, "ddos_amp") || strings.Contains(name, "ddos_target") || name == "event4_honeypot_ddos":
		e.Role = Victim
	case strings.HasPrefix(name, "sandbox_"):
		e.Role = Contacted
	case name == "blocklist" || name == "device_id":
		e.Role = NoAbuse
	case name == "event4_sinkhole_dns" || name == "scan_sinkholedns":
		e.warn("may-be-a-resolver") // it asks for its clients
	}
	if name == "blocklist" {
		e.XARF = "reputation/blocklist"
	}
}

// rowType finds the type by a row's tag.
func rowType(t *csvTable) (string, *feedType) {
	for tag := range strings.SplitSeq(strings.ToLower(t.named("tag")), ",") {
		tag = strings.TrimSpace(tag)
		name := first(byTag[tag], "scan_"+strings.ReplaceAll(tag, "-", "_"))
		if ft := types()[name]; ft != nil {
			return name, ft
		}
	}
	return "", nil
}
