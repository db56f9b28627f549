package reading

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

func x4(more string) string {
	return `{"xarf_version":"4.2.0","report_id":"9ac39cd1-85f3-4c31-ae87-a0a95f3ebc83","timestamp":"2026-11-20T09:21:23Z",` +
		`"reporter":{"org":"Wachtpost","contact":"abuse@wachtpost.example","domain":"wachtpost.example"},` +
		`"sender":{"org":"Wachtpost","contact":"abuse@wachtpost.example","domain":"wachtpost.example"},` + more + `}`
}

const scan = `"source_identifier":"192.0.2.7","source_port":40001,"category":"connection","type":"port_scan","protocol":"tcp","first_seen":"2026-11-20T09:21:23Z","destination_port":23`

func mailOf(parts ...string) string {
	return "From: Feedback <fbl@post.example>\r\nTo: abuse@voorbeeld.example\r\nSubject: complaint\r\nDate: Fri, 20 Nov 2026 12:00:00 +0100\r\n" +
		"MIME-Version: 1.0\r\nContent-Type: multipart/report; report-type=feedback-report; boundary=bb\r\n\r\n--bb\r\n" + strings.Join(parts, "\r\n--bb\r\n") + "\r\n--bb--\r\n"
}

// overMail is XARF as its transport over mail has it: a feedback report of a kind that
// RFC 5965 lacks, and the report behind it.
func overMail(kind, report string) string {
	return mailOf("Content-Type: message/feedback-report\r\nContent-Disposition: inline\r\n\r\nFeedback-Type: XARF\r\nUser-Agent: F/1\r\nVersion: 1\r\n",
		"Content-Type: "+kind+"\r\n\r\n"+report)
}

func arfOf(fields string) string {
	return mailOf("Content-Type: text/plain\r\n\r\nA complaint.", "Content-Type: message/feedback-report\r\n\r\n"+fields+"\r\n",
		"Content-Type: message/rfc822\r\n\r\nFrom: a@b.example\r\nSubject: hi\r\n\r\nbody")
}

const iodefSample = `<?xml version="1.0" encoding="UTF-8"?>
<IODEF-Document version="2.00" xmlns="urn:ietf:params:xml:ns:iodef-2.0"><Incident purpose="reporting" restriction="green">
<IncidentID name="csirt.example">189493</IncidentID><StartTime>2026-11-20T08:19:01+00:00</StartTime><EndTime>2026-11-20T08:39:01+00:00</EndTime><GenerationTime>2026-11-20T09:00:00+00:00</GenerationTime>
<Assessment><SystemImpact type="ext-value" ext-type="brute-force"/></Assessment><Contact type="organization" role="creator"><ContactName>CSIRT</ContactName></Contact>
<EventData><Flow><System category="source"><Node><Address category="ipv4-addr">192.0.2.200</Address></Node><Counter type="event">57</Counter><Service ip-protocol="6"><Port>50123</Port></Service></System>
<System category="target"><Node><Address category="ipv4-addr">198.51.100.5</Address></Node><Service ip-protocol="6"><Port>22</Port></Service></System></Flow></EventData></Incident></IODEF-Document>`

// samples are made up, one or more of each format that the shared samples lack.
var samples = []struct {
	name, file, raw string
	format          Format
	want            string // class source time basis, of each event, by line
}{
	{"XARF 4", "", x4(scan), XARF4, "information-gathering/scanner 192.0.2.7:40001 2026-11-20T09:21:23Z syn"},
	{"XARF 4 login", "", x4(strings.Replace(scan, "port_scan", "login_attack", 1)), XARF4, "intrusion-attempts/brute-force 192.0.2.7:40001 2026-11-20T09:21:23Z handshake"},
	{"XARF 4 over UDP", "", x4(strings.Replace(scan, "tcp", "udp", 1)), XARF4, "information-gathering/scanner 192.0.2.7:40001 2026-11-20T09:21:23Z udp"},
	{"XARF 4 in IPv6", "", x4(strings.Replace(scan, "192.0.2.7", "2001:DB8::7", 1)), XARF4, "information-gathering/scanner [2001:db8::7]:40001 2026-11-20T09:21:23Z syn"},
	{"XARF 4 array", "", "[" + x4(scan) + "," + x4(scan) + "]", XARF4, strings.Repeat("information-gathering/scanner 192.0.2.7:40001 2026-11-20T09:21:23Z syn\n", 2)},
	{"XARF 4 batch", "", x4(scan) + "\n" + x4(scan) + "\n", XARF4, strings.Repeat("information-gathering/scanner 192.0.2.7:40001 2026-11-20T09:21:23Z syn\n", 2)},
	{"XARF 4 in a mail", "", mailOf("Content-Type: application/json; name=xarf.json\r\nContent-Transfer-Encoding: 7bit\r\n\r\n" + x4(scan)), XARF4, "information-gathering/scanner 192.0.2.7:40001 2026-11-20T09:21:23Z syn"},
	{"XARF 4 over mail", "", overMail("application/json; name=xarf.json", x4(scan)), XARF4, "information-gathering/scanner 192.0.2.7:40001 2026-11-20T09:21:23Z syn"},
	{"XARF over mail, no report in it", "", overMail("text/plain", "2026-11-20 01:02:03 +0000 host sshd[1]: Failed password for root from 192.0.2.98 port 4711 ssh2"), PlainMail, "other/undetermined 192.0.2.98:4711 2026-11-20T01:02:03Z text"},
	{"XARF 4 in a forwarded mail", "", mailOf("Content-Type: message/rfc822\r\n\r\n" + strings.ReplaceAll(mailOf("Content-Type: application/json\r\n\r\n"+x4(scan)), "bb", "cc")), XARF4, "information-gathering/scanner 192.0.2.7:40001 2026-11-20T09:21:23Z syn"},
	{"ARF with the source's port", "", arfOf("Feedback-Type: abuse\r\nUser-Agent: F/1\r\nVersion: 1\r\nSource-IP: 2001:db8::9\r\nSource-Port: 52344\r\nIncidents: 3\r\nArrival-Date: Fri, 20 Nov 2026 10:00:00 -0500"), ARF,
		"abusive-content/spam [2001:db8::9]:52344 2026-11-20T15:00:00Z handshake"},
	{"ARF virus", "", arfOf("Feedback-Type: virus\r\nUser-Agent: F/1\r\nVersion: 1\r\nSource-IP: 192.0.2.9\r\nArrival-Date: Fri, 20 Nov 2026 10:00:00 GMT"), ARF, "malicious-code/malware-distribution 192.0.2.9 2026-11-20T10:00:00Z handshake"},
	{"ARF not spam", "", arfOf("Feedback-Type: not-spam\r\nUser-Agent: F/1\r\nVersion: 1\r\nSource-IP: 192.0.2.9"), ARF, "other/other 192.0.2.9 ~2026-11-20T11:00:00Z handshake"},
	{"SpamCop", "", "From: 123@reports.spamcop.net\nTo: abuse@voorbeeld.example\nSubject: [SpamCop (192.0.2.44) id:77]hello\nDate: Fri, 20 Nov 2026 12:00:00 +0000\n\n[ SpamCop V5 ]\nEmail from 192.0.2.44 / Fri, 20 Nov 2026 11:11:11 +0100\n", SpamCop,
		"abusive-content/spam 192.0.2.44 2026-11-20T10:11:11Z handshake"},
	{"SpamCop, a page", "", "From: 123@reports.spamcop.net\nTo: abuse@voorbeeld.example\nSubject: [SpamCop (http://pills.example/) id:78]hello\n\nSpamvertised web site: http://pills.example/\nhttp://pills.example/ is 192.0.2.45; Fri, 20 Nov 2026 10:11:11 GMT\n", SpamCop,
		"abusive-content/spam 192.0.2.45:80 http://pills.example/ 2026-11-20T10:11:11Z content"},
	{"IODEF", "", iodefSample, IODEF, "intrusion-attempts/brute-force 192.0.2.200:50123 2026-11-20T08:19:01Z (2026-11-20 08:19:01 to 2026-11-20 08:39:01) handshake"},
	{"IntelMQ, flat", "", `{"classification.type":"infected-system","source.ip":"192.0.2.3","source.port":1025,"time.source":"2026-11-20T01:02:03+00:00","protocol.transport":"tcp","malware.name":"zeus","feed.name":"F","feed.accuracy":80}`, IntelMQ,
		"malicious-code/infected-system 192.0.2.3:1025 2026-11-20T01:02:03Z contact"},
	{"IntelMQ, nested", "", `{"classification":{"type":"brute-force"},"source":{"ip":"192.0.2.3"},"time":{"source":"2026-11-20T01:02:03+00:00"},"protocol":{"transport":"tcp"}}`, IntelMQ,
		"intrusion-attempts/brute-force 192.0.2.3 2026-11-20T01:02:03Z handshake"},
	{"n6", "", `{"category":"bots","time":"2026-11-20T01:02:03Z","address":[{"ip":"192.0.2.3"},{"ip":"192.0.2.4"}],"sport":1025,"proto":"udp","source":"hidden.1","name":"mirai"}`, N6,
		"malicious-code/infected-system 192.0.2.3:1025 2026-11-20T01:02:03Z udp\nmalicious-code/infected-system 192.0.2.4:1025 2026-11-20T01:02:03Z udp"},
	{"X-ARF alone", "", "---\nReported-From: a@b.example\nCategory: abuse\nReport-Type: login-attack\nService: ssh\nVersion: 0.2\nDate: Fri, 20 Nov 2026 01:02:03 +0100\nSource-Type: ipv4\nSource: 192.0.2.10\nPort: 22\n", XARF02,
		"intrusion-attempts/brute-force 192.0.2.10 2026-11-20T00:02:03Z handshake"},
	{"X-ARF, telephones, of which most speak UDP", "", "---\nReported-From: a@b.example\nCategory: abuse\nReport-Type: login-attack\nService: asterisk\nVersion: 0.2\nDate: Fri, 20 Nov 2026 01:02:03 +0100\nSource-Type: ipv4\nSource: 192.0.2.10\nPort: 5060\n", XARF02,
		"intrusion-attempts/brute-force 192.0.2.10 2026-11-20T00:02:03Z udp"},
	{"X-ARF, telephones over TCP", "", "---\nReported-From: a@b.example\nCategory: abuse\nReport-Type: login-attack\nService: asterisk\nProtocol: tcp\nVersion: 0.2\nDate: Fri, 20 Nov 2026 01:02:03 +0100\nSource-Type: ipv4\nSource: 192.0.2.10\nPort: 5060\n", XARF02,
		"intrusion-attempts/brute-force 192.0.2.10 2026-11-20T00:02:03Z handshake"},
	{"Shadowserver, IPv6 and a recipient's name", "2026-11-20-scan6_telnet-voorbeeld-asn.csv", "\"timestamp\",\"severity\",\"ip\",\"protocol\",\"port\",\"hostname\",\"tag\",\"asn\"\n\"2026-11-20 01:02:03\",\"medium\",\"2001:db8::1\",\"tcp\",23,,\"telnet\",64496\n", Shadowserver,
		"vulnerable/potentially-unwanted-accessible [2001:db8::1]:23 2026-11-20T01:02:03Z answered"},
	{"Shadowserver without a name, by the row's tag", "", "timestamp,ip,protocol,port,hostname,tag,asn\n2026-11-20 01:02:03,192.0.2.1,udp,53,,openresolver,64496\n", Shadowserver, "vulnerable/ddos-amplifier 192.0.2.1:53 2026-11-20T01:02:03Z answered"},
	{"Shadowserver, a sinkhole over UDP", "event4_sinkhole.csv", "timestamp,protocol,src_ip,src_port,src_asn,dst_ip,infection\n2026-11-20 01:02:03,udp,192.0.2.1,4000,64496,198.51.100.1,mirai\n", Shadowserver, "malicious-code/infected-system 192.0.2.1:4000 2026-11-20T01:02:03Z udp"},
	{"a packet filter's lines", "", "From: jan@voorbeeld.example\nTo: abuse@voorbeeld.example\nSubject: attacks\nDate: Fri, 20 Nov 2026 12:00:00 +0000\n\nHello, this keeps coming:\n2026-11-20T01:02:03+01:00 fw kernel: IN=eth0 SRC=192.0.2.99 DST=198.51.100.1 PROTO=TCP SPT=51234 DPT=22\n2026-11-20T01:02:04+01:00 fw kernel: IN=eth0 SRC=192.0.2.99 DST=198.51.100.1 PROTO=TCP SPT=51235 DPT=22\nGreetings\n", PlainMail,
		"other/undetermined 192.0.2.99:51234 2026-11-20T00:02:03Z text"},
	{"a log of log-ins", "", "2026-11-20 01:02:03 +0000 host sshd[1]: Failed password for root from 192.0.2.98 port 4711 ssh2\n", PlainText, "other/undetermined 192.0.2.98:4711 2026-11-20T01:02:03Z text"},
	{"a web server's log", "", "192.0.2.97 - - [20/Nov/2026:01:02:03 +0100] \"POST /wp-login.php HTTP/1.1\" 200 1\n", PlainText, "other/undetermined 192.0.2.97 2026-11-20T00:02:03Z text"},
}

func shown(r Result) string {
	var lines []string
	for _, e := range r.Events {
		lines = append(lines, fmt.Sprintf("%s %s %s %s", e.Class, e.Where(), e.When(), e.Basis))
	}
	return strings.Join(lines, "\n")
}

func TestRead(t *testing.T) {
	for _, s := range samples {
		t.Run(strings.ReplaceAll(s.name, " ", "_"), func(t *testing.T) {
			r := Read(s.file, []byte(s.raw), Option{})
			if got, want := shown(r), strings.TrimSpace(s.want); r.Format != s.format || got != want {
				t.Errorf("got %s\n%s\nwant %s\n%s\nrefused %v", r.Format, got, s.format, want, r.Refused)
			}
			if r.Person != (s.format == PlainMail || s.format == PlainText) {
				t.Errorf("for a person: %v", r.Person)
			}
		})
	}
}

// What only a text names is never acted on, and nothing that could be forged is
// called certain.
func TestWhatMayBeForgedIsMarked(t *testing.T) {
	for _, s := range samples {
		for _, e := range Read(s.file, []byte(s.raw), Option{}).Events {
			forged := e.Basis == SYN || e.Basis == UDP || e.Basis == Contact || e.Basis == Claim || e.Basis == FoundText
			if e.Spoofable != forged {
				t.Errorf("%s: %s is spoofable: %v", s.name, e.Basis, e.Spoofable)
			}
			if e.Basis == FoundText && !e.Person {
				t.Errorf("%s: found in a text and not for a person", s.name)
			}
		}
	}
}

func bomb(t *testing.T) string {
	var b bytes.Buffer
	z := zip.NewWriter(&b)
	w, err := z.Create("scan_dns.csv")
	if err != nil {
		t.Fatal(err)
	}
	line := bytes.Repeat([]byte("0"), 1<<20)
	for range 70 {
		if _, err := w.Write(line); err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func packed(t *testing.T, times int, raw string) string {
	for range times {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := z.Write([]byte(raw)); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		raw = b.String()
	}
	return raw
}

func TestRefusedWithAReason(t *testing.T) {
	for _, c := range []struct {
		name, raw string
		code      Code
		why       string
	}{
		{"nothing", " \n", Empty, ""},
		{"text", "Hello, please stop.", NothingFound, ""},
		{"no timestamp", strings.Replace(x4(scan), `"timestamp":"2026-11-20T09:21:23Z",`, "", 1), BadSchema, "timestamp"},
		{"no protocol", strings.Replace(x4(scan), `"protocol":"tcp",`, "", 1), BadSchema, "protocol"},
		{"port 0", strings.Replace(x4(scan), "40001", "0", 1), BadSchema, "source_port"},
		{"no such type", strings.Replace(x4(scan), "port_scan", "rudeness", 1), BadSchema, "connection/rudeness"},
		{"a source that is none", strings.Replace(x4(scan), "192.0.2.7", "the router", 1), BadAddress, "the router"},
		{"XARF 5", strings.Replace(x4(scan), "4.2.0", "5.0.0", 1), BadVersion, "5.0.0"},
		{"JSON of another kind", `{"hello":"world"}`, UnknownFormat, ""},
		{"half an object", `{"xarf_version":`, BadSyntax, ""},
		{"deep JSON", strings.Repeat("[", 100_000), TooDeep, ""},
		{"deep XML", "<IODEF-Document>" + strings.Repeat("<a>", 1000), BadSyntax, ""},
		{"an entity", `<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><IODEF-Document><Incident>&a;</Incident></IODEF-Document>`, BadSyntax, ""},
		{"an archive that grows", bomb(t), BadArchive, "grows"},
		{"four archives in each other", packed(t, 4, x4(scan)), BadArchive, ""},
		{"a broken archive", "PK\x03\x04 and no more", BadArchive, ""},
		{"no source", strings.Replace(iodefSample, `category="source"`, `category="sensor"`, 1), NoSource, ""},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			r := Read("", []byte(c.raw), Option{})
			if len(r.Events) != 0 || len(r.Refused) == 0 || r.Refused[0].Code != c.code || !strings.Contains(r.Refused[0].Why, c.why) {
				t.Errorf("got %d events, refused %v; want %s with %q", len(r.Events), r.Refused, c.code, c.why)
			}
		})
	}
	if r := Read("", make([]byte, MaxBytes+1), Option{}); len(r.Refused) != 1 || r.Refused[0].Code != TooLarge {
		t.Errorf("too large: refused %v", r.Refused)
	}
	if r := Read("", []byte(packed(t, 2, x4(scan))), Option{}); len(r.Events) != 1 {
		t.Errorf("two archives in each other: %v", r.Refused)
	}
}

// What is attached and cannot be read is named, and a person still sees what the
// letter says.
func TestABrokenAttachmentDoesNotHideTheLetter(t *testing.T) {
	raw := strings.Replace(mailOf("Content-Type: text/plain\r\n\r\n2026-11-20 01:02:03 +0000 login from 192.0.2.77 port 4711", "Content-Type: application/zip; name=a.docx\r\n\r\nPK\x03\x04broken"), "multipart/report; report-type=feedback-report;", "multipart/mixed;", 1)
	r := Read("", []byte(raw), Option{})
	if r.Format != PlainMail || !r.Person || shown(r) != "other/undetermined 192.0.2.77:4711 2026-11-20T01:02:03Z text" || len(r.Refused) != 1 || r.Refused[0].Code != BadArchive {
		t.Errorf("%s: %s, refused %v", r.Format, shown(r), r.Refused)
	}
}

func TestABrokenLineCostsOnlyItself(t *testing.T) {
	batch := x4(scan) + "\n{broken\n" + strings.Replace(x4(scan), "40001", "0", 1) + "\n" + x4(scan) + "\n"
	r := Read("", []byte(batch), Option{})
	var rows []int
	for _, e := range r.Events {
		rows = append(rows, e.Row)
	}
	if !slices.Equal(rows, []int{1, 4}) || len(r.Refused) != 2 || r.Refused[0].Row != 2 || r.Refused[1].Row != 3 || r.Refused[1].Code != BadSchema {
		t.Errorf("rows %v, refused %v", rows, r.Refused)
	}
	table := "timestamp,ip,protocol,port,hostname,tag,asn\n2026-11-20 01:02:03,192.0.2.1,udp,53,,openresolver,64496\nbroken\n2026-11-20 01:02:03,192.0.2.1.9,udp,53,,openresolver,64496\nsoon,192.0.2.1,udp,53,,openresolver,64496\n"
	r = Read("scan_dns.csv", []byte(table), Option{})
	if len(r.Events) != 1 || r.RefusedCount != 3 || r.Refused[1].Code != BadAddress || r.Refused[1].Row != 4 {
		t.Errorf("%d events, refused %v", len(r.Events), r.Refused)
	}
}

func TestTimeOfTheReport(t *testing.T) {
	received := time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)
	source := `{"classification.type":"spam","source.ip":"192.0.2.3"}`
	e := Read("", []byte(source), Option{Received: received}).Events[0]
	if !e.Time.Equal(received) || e.TimeKind != OfReport {
		t.Errorf("no time: got %v %s", e.Time, e.TimeKind)
	}
	if e = Read("", []byte(source), Option{}).Events[0]; !e.Person || !slices.Contains(e.Warnings, "no-time") {
		t.Errorf("no time at all: for a person %v, warnings %v", e.Person, e.Warnings)
	}
	later := strings.Replace(x4(scan), "2026-11-20T09:21:23Z", "2026-11-22T09:21:23Z", 1)
	if e = Read("", []byte(later), Option{Received: received}).Events[0]; !e.Person || !slices.Contains(e.Warnings, "time-in-the-future") {
		t.Errorf("the future: for a person %v, warnings %v", e.Person, e.Warnings)
	}
	on := strings.Replace(x4(scan), "{", `{"last_seen":"2099-01-01T00:00:00Z",`, 1)
	if e = Read("", []byte(on), Option{Received: received}).Events[0]; !e.Person || e.To.Year() != 2099 || !slices.Contains(e.Warnings, "time-in-the-future") {
		t.Errorf("a span that goes on until 2099: person %v until %s, warnings %v", e.Person, e.To, e.Warnings)
	}
}

func TestWhen(t *testing.T) {
	for text, want := range map[string]string{
		"2026-11-20 01:02:03":                   "2026-11-20T01:02:03Z ",
		"2026-11-20T01:02:03.5Z":                "2026-11-20T01:02:03.5Z Z",
		"2026-11-20T01:02:03+01:00":             "2026-11-20T00:02:03Z +01:00",
		"2026-11-20 01:02:03-07:00":             "2026-11-20T08:02:03Z -07:00",
		"Fri, 20 Nov 2026 01:02:03 +0530":       "2026-11-19T19:32:03Z +0530",
		"Fri, 20 Nov 2026 01:02:03 -0500 (EST)": "2026-11-20T06:02:03Z -0500",
		"Thu, 9 Apr 2026 23:34:45 JST":          "2026-04-09T14:34:45Z JST",
		"Fri, 20 Nov 2026 21: 09:11 +0200":      "2026-11-20T19:09:11Z +0200",
		"Mon, 21 Sep 2026 12:00AM PDT":          "2026-09-21T07:00:00Z PDT",
		"20/Nov/2026:01:02:03 +0100":            "2026-11-20T00:02:03Z +0100",
		"Fri, 20 Nov 2026 01:02:03 IST":         "", // India, Ireland or Israel
		"Fri, 20 Nov 2026 01:02:03 XYZ":         "",
		"1970-01-01 00:00:00":                   "",
		"2026-13-40 01:02:03":                   "",
		"yesterday":                             "",
		strings.Repeat("2", 10_000):             "",
	} {
		tm, zone, ok := when(text)
		got := ""
		if ok {
			got = tm.Format(time.RFC3339Nano) + " " + zone
		}
		if got != want {
			t.Errorf("%s: got %q, want %q", short(text, 60), got, want)
		}
	}
}

// Every kind of XARF 4 has a schema, and every schema a class.
func TestEveryKindOfXARFHasASchema(t *testing.T) {
	all, err := schemas()
	if err != nil {
		t.Fatal(err)
	}
	if len(all) != 33 { // 32 kinds, and what all share
		t.Errorf("%d schemas", len(all))
	}
	for kind := range all {
		category, typ, _ := strings.Cut(kind, "/")
		if kind != "core" && kind != "reputation/threat_intelligence" && ofXARF(category, typ) == Undetermined {
			t.Errorf("%s has no class", kind)
		}
	}
	for _, c := range classes {
		if x := c.xarf(); x != "" && all[x] == nil {
			t.Errorf("%s: %q is no kind of XARF", c, x)
		}
	}
}

func TestReportTypesAreNamedOnce(t *testing.T) {
	seen := map[string]bool{}
	for _, ft := range feedTypes {
		for _, name := range strings.Fields(ft.name) {
			if seen[name] {
				t.Errorf("%s stands there twice", name)
			}
			seen[name] = true
			if got, typ := feedName("2026-11-20-" + strings.ReplaceAll(name, "_", "-") + "-voorbeeld-asn.csv"); typ == nil || got != name {
				t.Errorf("%s is read as %q", name, got)
			}
		}
	}
}

// More events than are read cost nothing more.
func TestManyRows(t *testing.T) {
	var b bytes.Buffer
	b.WriteString("# \n#category|address|asn|timestamp|optional_information|asninfo\n")
	for range MaxEvents + 5 {
		b.WriteString("spam|192.0.2.1|1|2026-11-20 01:02:03||x\n")
	}
	r := Read("", b.Bytes(), Option{})
	if len(r.Events) != MaxEvents || len(r.Refused) != 1 || r.Refused[0].Code != TooMany {
		t.Errorf("%d events, refused %v", len(r.Events), r.Refused)
	}
}

func TestManyBadRows(t *testing.T) {
	raw := "timestamp,ip,asn\n" + strings.Repeat("a,b,c\n", 2*MaxBad)
	r := Read("scan_dns.csv", []byte(raw), Option{})
	if len(r.Refused) != MaxRefused || r.RefusedCount > MaxBad+1 || len(r.Warnings) != 1 {
		t.Errorf("%d of %d refused, warnings %v", len(r.Refused), r.RefusedCount, r.Warnings)
	}
}

func TestCommand(t *testing.T) {
	dir := t.TempDir()
	good, bad := dir+"/good.json", dir+"/bad.json"
	write(t, good, x4(scan))
	write(t, bad, `{"xarf_version":"9"}`)
	var out bytes.Buffer
	err := Command([]string{good, bad, dir + "/none"}, true, &out)
	if err == nil || !strings.Contains(err.Error(), "bad.json: version") || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("error %v", err)
	}
	lines := strings.Split(strings.TrimSpace(out.String()), "\n")
	if len(lines) != 2 {
		t.Fatalf("%d lines:\n%s", len(lines), &out)
	}
	var e map[string]any
	if err := json.Unmarshal([]byte(lines[0]), &e); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]any{"class": "information-gathering/scanner", "xarf": "connection/port_scan", "source_ip": "192.0.2.7", "source_port": 40001.0, "time": "2026-11-20T09:21:23Z", "spoofable": true, "file": good} {
		if e[key] != want {
			t.Errorf("%s: got %v, want %v", key, e[key], want)
		}
	}
	if want := `{"file":"` + bad + `","format":"xarf-4","refused":"version","why":"XARF \"9\"; 4 and 3 are read"}`; lines[1] != want {
		t.Errorf("got  %s\nwant %s", lines[1], want)
	}
	out.Reset()
	if err := Command([]string{good}, false, &out); err != nil || !strings.Contains(out.String(), "information-gathering/scanner  192.0.2.7:40001") {
		t.Errorf("%v\n%s", err, &out)
	}
}
