package corpus

import (
	"archive/zip"
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"bolwerk/abuse/reading"
)

// said is what a report says of one event, found by other means than the reader
// under test: by hand for the letters, by small readers of this file for the rest.
type said struct {
	class string
	who   string // address, or name or link where there is none
	at    string // RFC 3339, UTC
	port  int    // of the source
}

// tally is one line of the table.
type tally struct {
	name                              string
	files, want, class, who, at, port int
	refused, extra                    int
}

func (n *tally) compare(t *testing.T, file string, want []said, r reading.Result) {
	t.Helper()
	n.files++
	n.want += len(want)
	n.refused += r.RefusedCount
	if len(r.Events) > len(want) {
		n.extra += len(r.Events) - len(want)
	}
	for i, w := range want {
		if i >= len(r.Events) {
			t.Errorf("%s: event %d of %d is missing: want %+v", file, i+1, len(want), w)
			continue
		}
		e := r.Events[i]
		who := ""
		switch {
		case e.SourceIP.IsValid():
			who = e.SourceIP.String()
		case e.SourceNet.IsValid():
			who = e.SourceNet.String()
		case e.SourceASN > 0:
			who = fmt.Sprintf("AS%d", e.SourceASN)
		case e.SourceURL != "":
			who = e.SourceURL
		default:
			who = e.SourceDomain
		}
		got := said{string(e.Class), who, e.Time.Format(time.RFC3339), int(e.SourcePort)}
		count := func(n *int, ok bool) {
			if ok {
				*n++
			}
		}
		count(&n.class, got.class == w.class)
		count(&n.who, got.who == w.who)
		count(&n.at, got.at == w.at)
		count(&n.port, got.port == w.port)
		if got != w {
			t.Errorf("%s, event %d: got %+v, want %+v", file, i+1, got, w)
		}
	}
	if len(r.Events) > len(want) {
		t.Errorf("%s: %d events more than the %d that it holds", file, len(r.Events)-len(want), len(want))
	}
}

// Every sample gives the right class, address, time and port.
func TestAbuseReports(t *testing.T) {
	data := os.Getenv("BOLWERK_DATA")
	if data == "" {
		t.Skip("skipped: BOLWERK_DATA names no folder of real reports")
	}
	data = filepath.Join(data, "abuse")
	if _, err := os.Stat(data); err != nil {
		t.Skip("skipped: BOLWERK_DATA has no reports of abuse")
	}
	var table []*tally
	read := func(n *tally, rel string, want func(raw []byte) []said) {
		t.Helper()
		raw, err := os.ReadFile(filepath.Join(data, rel))
		if err != nil {
			t.Fatal(err)
		}
		n.compare(t, rel, want(raw), reading.Read(filepath.Base(rel), raw, reading.Option{}))
	}
	each := func(name, pattern string, want func(file string, raw []byte) []said) {
		n := &tally{name: name}
		table = append(table, n)
		files, err := filepath.Glob(filepath.Join(data, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no sample (%v)", pattern, err)
		}
		for _, f := range files {
			rel, _ := filepath.Rel(data, f)
			read(n, rel, func(raw []byte) []said { return want(filepath.Base(f), raw) })
		}
	}
	each("XARF 4", "xarf/v4/*.json", func(_ string, raw []byte) []said { return sayXARF4(t, raw) })
	each("XARF 3", "xarf/v3/*.json", func(_ string, raw []byte) []said { return sayXARF3(t, raw) })
	each("Shadowserver, CSV", "shadowserver_csv/*.csv", func(f string, raw []byte) []said { return sayShadowserver(t, strings.TrimSuffix(f, ".csv"), raw) })
	each("Shadowserver, ZIP in a mail", "abuseio/shadowserver/*.eml", func(f string, raw []byte) []said { return sayZipped(t, raw) })
	each("Team Cymru", "intelmq_feeds/cymru/*.txt", func(_ string, raw []byte) []said { return sayCymru(t, raw) })
	for _, byHand := range letters {
		n := &tally{name: byHand.name}
		table = append(table, n)
		for _, f := range byHand.files {
			read(n, f.path, func([]byte) []said { return f.events })
		}
	}
	t.Logf("%-28s %5s %6s %6s %7s %6s %6s %7s", "format", "files", "events", "class", "address", "time", "port", "refused")
	seen := 0
	for _, n := range table {
		seen += n.files
		t.Logf("%-28s %5d %6d %6d %7d %6d %6d %7d", n.name, n.files, n.want, n.class, n.who, n.at, n.port, n.refused)
	}
	all := 0
	err := filepath.WalkDir(data, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() && !strings.Contains(path, "schemas") && d.Name() != "README.txt" {
			all++
		}
		return err
	})
	if err != nil || seen != all {
		t.Errorf("%d samples looked at, %d there (%v)", seen, all, err)
	}
}

// xarfClasses is RSIT's class of each kind of XARF in the samples, by the
// descriptions of both.
var xarfClasses = map[string]string{
	"connection/ddos": "availability/ddos", "connection/infected_host": "fraud/unauthorised-use-of-resources", "connection/port_scan": "information-gathering/scanner",
	"connection/reconnaissance": "information-gathering/scanner", "connection/sql_injection": "intrusion-attempts/ids-alert", "connection/vulnerability_scan": "intrusion-attempts/ids-alert",
	"content/csam": "abusive-content/violence", "content/csem": "abusive-content/violence", "content/fraud": "fraud/masquerade", "content/malware": "malicious-code/malware-distribution",
	"content/remote_compromise": "intrusions/application-compromise", "content/suspicious_registration": "fraud/phishing", "copyright/cyberlocker": "fraud/copyright",
	"copyright/link_site": "fraud/copyright", "copyright/ugc_platform": "fraud/copyright", "copyright/usenet": "fraud/copyright", "infrastructure/compromised_server": "intrusions/system-compromise",
	"messaging/bulk_messaging": "abusive-content/spam", "reputation/blocklist": "other/other", "reputation/threat_intelligence": "other/undetermined",
	"vulnerability/misconfiguration": "availability/misconfiguration", "vulnerability/open_service": "vulnerable/potentially-unwanted-accessible",
}

func sayXARF4(t *testing.T, raw []byte) []said {
	var x struct {
		Category, Type    string
		Source_identifier string
		Source_port       int
		Timestamp         time.Time
	}
	if err := json.Unmarshal(raw, &x); err != nil {
		t.Fatal(err)
	}
	return []said{{xarfClasses[x.Category+"/"+x.Type], x.Source_identifier, x.Timestamp.UTC().Format(time.RFC3339), x.Source_port}}
}

func sayXARF3(t *testing.T, raw []byte) []said {
	var x struct {
		Report struct {
			ReportType string
			Date       time.Time
			Source     struct {
				IP, URL string
				Port    int
			}
		}
	}
	if err := json.Unmarshal(raw, &x); err != nil {
		t.Fatal(err)
	}
	class := map[string]string{"botnet": "malicious-code/infected-system", "phishing": "fraud/phishing"}[x.Report.ReportType]
	return []said{{class, x.Report.Source.IP + x.Report.Source.URL, x.Report.Date.UTC().Format(time.RFC3339), x.Report.Source.Port}}
}

// shadowserverClasses are the report types of the samples by class, as the
// Shadowserver Foundation describes each and RSIT's own examples have it.
var shadowserverClasses = map[string]string{
	"malicious-code/infected-system":      "Botnet-Drone-Hadoop botnet_drone IPv6-Sinkhole-HTTP-Drone Sinkhole-HTTP-Drone Microsoft-Sinkhole microsoft_sinkhole event4_sinkhole event4_sinkhole_http scan_sinkholedns",
	"intrusion-attempts/brute-force":      "Drone-Brute-Force event4_honeypot_brute_force",
	"information-gathering/scanner":       "darknet event4_honeypot_darknet hp_ics_scan",
	"availability/ddos":                   "ddos_amplification honeypot_ddos_amp event4_honeypot_ddos_amp",
	"intrusions/system-compromise":        "compromised_website special",
	"malicious-code/malware-distribution": "malware_url",
	"fraud/phishing":                      "phish_url",
	"other/other":                         "blocklist",
	"other/undetermined":                  "device_id sandbox_conn sandbox_dns sandbox_url",
	"availability/misconfiguration":       "outdated_dnssec_key",
	"vulnerable/ddos-amplifier": "DNS-Open-Resolvers dns_openresolver scan_dns Open-Chargen Open-DB2 Open-NetBIOS-Nameservice Open-Portmapper Open-QOTD Open-SNMP Open-mDNS scan_ard scan_coap scan_ddos_middlebox " +
		"scan_dvr_dhcpdiscover scan_mdns scan_memcached scan_netbios scan_ntp scan_ntpmonitor scan_portmapper scan_qotd scan_rdpeudp scan_sip scan_slp scan_ssdp scan_stun scan_xdmcp",
	"vulnerable/information-disclosure":          "Accessible-Rsync Open-MongoDB Open-Redis scan_couchdb scan_elasticsearch scan_hadoop scan_ldap_tcp scan_mqtt_anon scan_redis scan_rsync",
	"vulnerable/potentially-unwanted-accessible": "Open-IPMI scan_adb scan_afp scan_amqp scan_cwmp scan_ftp scan_http scan_http_proxy scan_ipmi scan_ipp scan_mqtt scan_mysql scan_quic scan_radmin scan_rdp scan_smb scan_telnet scan_vnc",
	"vulnerable/vulnerable-system":               "netis_router scan_exchange scan_http_vulnerable scan_isakmp scan_log4shell_vulnerable scan_nat_pmp vulnerable-nat-pmp-systems",
	"vulnerable/weak-crypto":                     "scan6_ssl_poodle scan_ssl_poodle sslv3-poodle",
}

func shadowserverClass(t *testing.T, name string) string {
	for class, names := range shadowserverClasses {
		for _, n := range strings.Fields(names) {
			if n == name {
				return class
			}
		}
	}
	t.Errorf("%s: nobody has said what it is", name)
	return ""
}

// rows reads a table by RFC 4180 alone, without encoding/csv.
func rows(raw []byte) (table []map[string]string) {
	var (
		all    [][]string
		row    []string
		field  []byte
		quoted bool
	)
	end := func() { row, field = append(row, string(field)), nil }
	for i := 0; i < len(raw); i++ {
		switch c := raw[i]; {
		case quoted && c == '"' && i+1 < len(raw) && raw[i+1] == '"':
			field = append(field, '"')
			i++
		case quoted && c == '"':
			quoted = false
		case quoted:
			field = append(field, c)
		case c == '"' && len(field) == 0: // elsewhere it is a letter
			quoted = true
		case c == ',':
			end()
		case c == '\r':
		case c == '\n':
			if end(); len(row) > 1 {
				all = append(all, row)
			}
			row = nil
		default:
			field = append(field, c)
		}
	}
	if end(); len(row) > 1 {
		all = append(all, row)
	}
	for _, r := range all[1:] {
		m := map[string]string{}
		for i, v := range r {
			if i < len(all[0]) {
				m[all[0][i]] = v
			}
		}
		table = append(table, m)
	}
	return table
}

// One row each of two samples holds an address of five numbers: it is refused,
// and no event is wanted.
const noAddress = "37.120.178.9.10"

func sayShadowserver(t *testing.T, name string, raw []byte) (want []said) {
	class := shadowserverClass(t, name)
	for _, m := range rows(raw) {
		ip := m["ip"] + m["src_ip"]
		if ip == noAddress {
			continue
		}
		s := said{class: class, who: ip}
		if p, err := netip.ParsePrefix(ip); err == nil {
			s.who = p.String()
		} else if a, err := netip.ParseAddr(ip); err == nil {
			s.who = a.String() // 2001:0db8:: is written 2001:db8::
		} else if name == "sandbox_dns" {
			s.who = m["request"]
		}
		fmt.Sscan(m["src_port"], &s.port)
		if _, its := m["src_port"]; !its {
			fmt.Sscan(m["port"], &s.port)
		}
		if strings.HasSuffix(name, "_url") { // the port stands in the link
			switch link := regexp.MustCompile(`^(https?)://[^/:]+(?::(\d+))?`).FindStringSubmatch(m["url"]); {
			case link[2] != "":
				fmt.Sscan(link[2], &s.port)
			case link[1] == "https":
				s.port = 443
			default:
				s.port = 80
			}
		}
		s.at = strings.Replace(m["timestamp"], " ", "T", 1) + "Z" // Shadowserver's times are UTC
		want = append(want, s)
	}
	return want
}

// sayZipped takes the table out of a mail by the shape that these mails have.
func sayZipped(t *testing.T, raw []byte) []said {
	name := regexp.MustCompile(`filename="?([^"\s;]+)`).FindSubmatch(raw)
	_, body, _ := bytes.Cut(raw, []byte("Content-Disposition: attachment"))
	_, body, _ = bytes.Cut(bytes.ReplaceAll(body, []byte("\r"), nil), []byte("\n\n"))
	body, _, _ = bytes.Cut(body, []byte("\n--"))
	packed, err := base64.StdEncoding.DecodeString(strings.Join(strings.Fields(string(body)), ""))
	if err != nil || name == nil {
		t.Fatal(err)
	}
	z, err := zip.NewReader(bytes.NewReader(packed), int64(len(packed)))
	if err != nil || len(z.File) != 1 {
		t.Fatal(err)
	}
	f, err := z.File[0].Open()
	if err != nil {
		t.Fatal(err)
	}
	var table bytes.Buffer
	if _, err := table.ReadFrom(f); err != nil {
		t.Fatal(err)
	}
	kind := regexp.MustCompile(`^\d{4}-\d\d-\d\d-(\w+)-sample`).FindSubmatch(name[1])
	return sayShadowserver(t, string(kind[1]), table.Bytes())
}

var cymruClasses = map[string]string{
	"bot": "malicious-code/infected-system", "bots": "malicious-code/infected-system", "conficker": "malicious-code/infected-system", "bruteforce": "intrusion-attempts/brute-force",
	"controller": "malicious-code/c2-server", "darknet": "information-gathering/scanner", "honeypot": "information-gathering/scanner", "scanner": "information-gathering/scanner",
	"phishing": "fraud/phishing", "proxy": "vulnerable/potentially-unwanted-accessible", "openresolver": "vulnerable/ddos-amplifier", "openresolvers": "vulnerable/ddos-amplifier", "spam": "abusive-content/spam",
}

// The source's port: what is called port or srcport; a proxy's stands behind its
// kind; a page's is that of its link.
var cymruPorts = regexp.MustCompile(`(?:^| |;|com)(?:srcport:?|port:) (\d+)|(?:http|socks4|httpconnect)-(\d+)|CONNECT \((\d+)\)`)

func sayCymru(t *testing.T, raw []byte) (want []said) {
	for line := range strings.Lines(string(raw)) {
		f := strings.Split(strings.TrimSpace(line), "|")
		if len(f) < 5 || strings.HasPrefix(line, "#") {
			continue
		}
		s := said{class: cymruClasses[f[0]], who: f[1], at: strings.Replace(f[3], " ", "T", 1) + "Z"}
		if m := cymruPorts.FindStringSubmatch(f[4]); m != nil {
			fmt.Sscan(m[1]+m[2]+m[3], &s.port)
		} else if strings.HasPrefix(f[4], "http://") {
			s.port = 80
		}
		want = append(want, s)
	}
	return want
}
