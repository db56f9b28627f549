package reading

import (
	"bytes"
	"encoding/json"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"
)

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

// sound holds what is promised of every result, whatever the bytes were.
func sound(t *testing.T, name string, raw []byte) {
	t.Helper()
	r := Read(name, raw, Option{Received: time.Date(2026, 11, 20, 12, 0, 0, 0, time.UTC)})
	if len(r.Events) == 0 && len(r.Refused) == 0 {
		t.Errorf("nothing read and nothing refused")
	}
	if len(r.Events) > MaxEvents || len(r.Refused) > MaxRefused || len(r.Warnings) > MaxWarnings || r.RefusedCount < len(r.Refused) {
		t.Errorf("%d events, %d of %d refused, %d warnings", len(r.Events), len(r.Refused), r.RefusedCount, len(r.Warnings))
	}
	for _, e := range r.Events {
		switch {
		case !e.hasSource():
			t.Errorf("no source: %+v", e)
		case !slices.Contains(classes, e.Class):
			t.Errorf("class %q", e.Class)
		case e.Spoofable != e.Basis.Spoofable():
			t.Errorf("%s is spoofable: %v", e.Basis, e.Spoofable)
		case e.Time.IsZero() || e.Time.Year() < 1990 || e.Time.Year() > 2100:
			t.Errorf("time %v", e.Time)
		case !e.From.IsZero() && !e.To.IsZero() && e.To.Before(e.From):
			t.Errorf("from %v to %v", e.From, e.To)
		case e.SourceIP.Zone() != "" || e.SourceIP.Is4In6():
			t.Errorf("address %v", e.SourceIP)
		case e.Confidence < 0 || e.Confidence > 1:
			t.Errorf("confidence %v", e.Confidence)
		case e.TLP != "" && tlp(e.TLP) != e.TLP:
			t.Errorf("TLP %q", e.TLP)
		case r.Format == PlainMail && !e.Person:
			t.Errorf("found in a text and not for a person: %+v", e)
		case len(e.Evidence) > 10 || len(e.URLs) > 20 || len(e.Warnings) > 10:
			t.Errorf("%d evidence, %d links, %d warnings", len(e.Evidence), len(e.URLs), len(e.Warnings))
		}
		for _, s := range []string{e.SourceDomain, e.SourceURL, e.DestinationName, e.Protocol, e.Application, e.Malware, e.Reporter, e.ReportID, e.Kind, e.Zone} {
			if len(s) > MaxField || !utf8.ValidString(s) {
				t.Errorf("a text of %d bytes, UTF-8: %v", len(s), utf8.ValidString(s))
			}
		}
		for _, v := range e.Evidence {
			if len(v.Excerpt) > MaxField || !utf8.ValidString(v.Excerpt) || len(v.SHA256) != 64 {
				t.Errorf("evidence %+v", v)
			}
		}
	}
	var out bytes.Buffer
	if err := lines(&out, name, r); err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(out.String()) {
		if !json.Valid([]byte(line)) {
			t.Errorf("no JSON: %s", line)
		}
	}
	if err := table(&out, name, r); err != nil {
		t.Fatal(err)
	}
}

func seeds(f *testing.F, formats ...Format) {
	for _, s := range samples {
		if slices.Contains(formats, s.format) {
			f.Add(s.file, []byte(s.raw))
		}
	}
}

// FuzzMail is everything that comes in a mail: MIME, ARF, X-ARF, the letters of
// known senders, lines of logs.
func FuzzMail(f *testing.F) {
	seeds(f, ARF, SpamCop, XARF02, PlainMail)
	for _, s := range []string{
		"From: a@www.projecthoneypot.org\nTo: b@c.example\n\nReport Date Range: 11/01/2026 - 11/03/2026\nIPs Engaged In Harvesting On Your Network:\n\n192.0.2.1 (H)\n  - Mon, 02 Nov 2026 11:00AM PDT\n\n",
		"From: a@x.webiron.com\nTo: b@c.example\n\nOffending/Source IP: 2001:db8::1\n - Issue: botnets\n - Time: 2026-11-20 22:14:33-07:00\n - Port: 80\n",
		"From: a@cyscon.de\nTo: b@c.example\n\nIP:   192.0.2.1\nURL:  http://a.example/\nTested on:  2026-11-20 04:04:18 +0200\nResult:  CYSC.MALWARE\n",
		"From: a@b.example\nTo: b@c.example\nSubject: complaint about message from 192.0.2.1\nContent-Type: multipart/mixed; boundary=x\n\n--x\nContent-Type: message/rfc822\n\nReceived: from a (b [192.0.2.1]) by c; Fri, 20 Nov 2026 01:02:03 +0000\n\nx\n--x--\n",
	} {
		f.Add("", []byte(s))
	}
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		if len(raw) > 64<<10 || len(name) > 200 || !utf8.ValidString(name) {
			return
		}
		sound(t, name, append([]byte("From: a@b.example\nTo: c@d.example\n"), raw...))
		sound(t, name, raw)
	})
}

// FuzzJSON is XARF, IntelMQ, n6, Microsoft, AnubisNetworks and MISP, alone and in
// batches.
func FuzzJSON(f *testing.F) {
	seeds(f, XARF4, XARF3, IntelMQ, N6)
	for _, s := range []string{
		`{"Version":"3.0.0","ReporterInfo":{"ReporterOrg":"A","ReporterOrgEmail":"a@b.example"},"Report":{"ReportType":"botnet","Date":"2026-11-20T11:30:15Z","Source":{"IP":"192.0.2.1","Port":5}}}`,
		`{"DataFeed":"x","SourceIp":"192.0.2.1","SourcePort":1,"DateTimeReceivedUtc":132622667720000000,"DateTimeReceivedUtcTxt":"Wednesday April 07 2021 10:59:32.0000"}`,
		`[{"indicatorthreattype":"Botnet","networksourceipv4":"192.0.2.1","firstreporteddatetime":"2026-02-06T09:37:02","confidence":20}]`,
		`{"_ts":1586319917,"src":{"ip":"192.0.2.1","port":1},"malw":{"family":"x"},"comm":{"proto":"dns"}}`,
		`{"Attribute":[{"type":"url","category":"Payload delivery","value":"http://a.example/","timestamp":"1465681304"}],"Tag":[{"name":"tlp:white"}]}`,
	} {
		f.Add("", []byte(s))
	}
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		if len(raw) < 64<<10 && len(name) < 200 && utf8.ValidString(name) {
			sound(t, name, raw)
		}
	})
}

// FuzzTable is Shadowserver, AbuseHUB, Team Cymru, Spamhaus and zone-h.
func FuzzTable(f *testing.F) {
	seeds(f, Shadowserver)
	for _, s := range []string{
		"reliable_notifier,report_type,infection_type,event_date,event_time,src_asn,src_ip,src_port,protocol\nA,Botnet Drone,x,2026-03-02,01:45:59,1,192.0.2.1,5,udp\n",
		"#\n#category|address|asn|timestamp|optional_information|asninfo\nbot|192.0.2.1|1|2026-03-22 11:18:52|family: x;port: 5;protocol: 6;|A\n",
		"; ip, asn, country, lastseen, botname, domain, remote_ip, remote_port, local_port, protocol\n192.0.2.1,AS1,AT,1441008970,asprox,,,25,,tcp\n",
		"; Spamhaus DROP List\n; Last-Modified: Mon, 14 Sep 2015 04:39:22 GMT\n192.0.2.0/24 ; SBL1\nAS64496 ; x\n",
		"\"add_date\",\"domain\",\"ip_address\",\"defacement_id\"\n\"2026-06-13 08:12:48\",\"https://a.example/\",\"192.0.2.1\",\"1\"\n",
	} {
		f.Add("x.csv", []byte(s))
	}
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		if len(raw) < 64<<10 && len(name) < 200 && utf8.ValidString(name) {
			sound(t, name, raw)
		}
	})
}

// FuzzXML is IODEF and Safe Browsing.
func FuzzXML(f *testing.F) {
	seeds(f, IODEF)
	f.Add("", []byte(`<notification_message asn="64512" date="2026-01-01"><list type="0"><url_info url="http://a.example/" ip="192.0.2.1"/></list></notification_message>`))
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		if len(raw) < 64<<10 && len(name) < 200 && utf8.ValidString(name) {
			sound(t, name, raw)
		}
	})
}

// FuzzText is what nobody has a format for, and archives.
func FuzzText(f *testing.F) {
	seeds(f, PlainText, XARF02)
	f.Add("a.zip", []byte("PK\x03\x04"))
	f.Add("a.gz", []byte("\x1f\x8b\x08\x00"))
	f.Fuzz(func(t *testing.T, name string, raw []byte) {
		if len(raw) < 64<<10 && len(name) < 200 && utf8.ValidString(name) {
			sound(t, name, raw)
		}
	})
}

// FuzzWhen holds that a time that was read is read alike from its own text.
func FuzzWhen(f *testing.F) {
	for _, s := range []string{"2026-11-20 01:02:03", "Fri, 20 Nov 2026 01:02:03 -0500 (EST)", "Mon, 21 Sep 2026 12:00AM PDT", "20/Nov/2026:01:02:03 +0100", "2026-11-20T01:02:03.5Z"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		a, _, ok := when(s)
		if !ok {
			return
		}
		if a.Year() < 1990 || a.Year() > 2100 || a.Location() != time.UTC {
			t.Fatalf("%q: %v", s, a)
		}
		if b, _, ok := when(a.Format(time.RFC3339Nano)); !ok || !a.Equal(b) {
			t.Errorf("%q: %v, again %v %v", s, a, b, ok)
		}
	})
}

// FuzzOuter is a mail's own header, by which it is answered or not.
func FuzzOuter(f *testing.F) {
	f.Add([]byte("Authentication-Results: mx.example; dmarc=pass header.from=b.example\r\nFrom: A <a@b.example>, c@d.example\r\nAuto-Submitted: no\r\nList-Id: <x>\r\nContent-Language: nl-BE\r\n\r\nx"))
	f.Add([]byte("From x\nFrom: =?utf-8?q?a?= <a@b\nFrom: c\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		o := OuterOf(raw)
		if len(o.From) > maxOuterFroms || len(o.Auth) > maxOuterAuth || len(o.MessageID) > maxOuterField || len(o.Lang) > 2 {
			t.Errorf("not bounded: %+v", o)
		}
		for _, a := range o.From {
			if len(a) > maxOuterField {
				t.Errorf("an address of %d octets", len(a))
			}
		}
	})
}

// FuzzBounce is what comes to a return path of ours.
func FuzzBounce(f *testing.F) {
	f.Add([]byte("To: b+x@c.example\nContent-Type: multipart/report; report-type=delivery-status; boundary=x\n\n--x\nContent-Type: message/delivery-status\n\nReporting-MTA: dns; a\n\nAction: failed\nStatus: 5.1.1\n--x--\n"))
	f.Add([]byte("Content-Type: multipart/report; report-type=\"delivery-status\"; boundary=\"x\"\n\n--x\nContent-Type: message/global-delivery-status\nContent-Transfer-Encoding: base64\n\nQWN0aW9uOiBkZWxheWVkClN0YXR1czogNC40LjEK\n--x\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		b := BounceOf(raw)
		if len(b.To) > maxBounceTo || b.Action != "" && (!actions[b.Action] || !statusCode.MatchString(b.Status)) || b.Action == "" && b.Status != "" {
			t.Errorf("not bounded: %+v", b)
		}
	})
}
