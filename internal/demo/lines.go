package demo

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/abuse/door"
	"bolwerk/abuse/session"
)

// Networks are the invented operator's own.
func Networks() []netip.Prefix {
	return []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24"), netip.MustParsePrefix("2001:db8:b0::/44")}
}

// customer is a line of the invented network.
type customer struct {
	login, line, addr string
	hours             int // since when the session lasts
}

var customers = []customer{
	{"anna@bolwerk.example", "eth 1/1/7:100", "192.0.2.17", 40},
	{"bakkerij-de-molen@bolwerk.example", "eth 1/1/7:101", "192.0.2.23", 70},
	{"claire@bolwerk.example", "eth 1/1/8:44", "192.0.2.40", 12},
	{"dries@bolwerk.example", "eth 1/2/1:9", "192.0.2.77", 30},
	{"elif@bolwerk.example", "eth 1/2/1:10", "192.0.2.78", 5},
	{"school-oost@bolwerk.example", "eth 1/2/3:1", "192.0.2.200", 90},
	{guest, "eth 1/2/4:1", "192.0.2.140", 20},
	{"gust@bolwerk.example", "eth 1/2/5:7", "192.0.2.90", 24 * 25},
}

// The session of the invented operator's own, by which it sees that the access
// server lets go.
const (
	CanaryUser    = "canary@bolwerk.example"
	CanarySession = "demo-canary"
)

// guest is whose camera is infected. The addresses of this machine are theirs too, so that
// a browser here sees the page of the safe environment.
const guest = "fatima@bolwerk.example"

var guestsOwn = []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("::1/128")}

// Sessions is what the invented access server told of its lines.
func Sessions(now time.Time) []session.Record {
	var out []session.Record
	for i, c := range customers {
		start := now.Add(-time.Duration(c.hours) * time.Hour).Truncate(time.Second)
		r := session.Record{Kind: session.Start, Source: session.Radius, NAS: "bng1", Session: fmt.Sprintf("demo-%d", i), Identity: session.Identity{Subscriber: c.login, Line: c.line},
			Prefixes: []netip.Prefix{netip.PrefixFrom(netip.MustParseAddr(c.addr), 32), netip.MustParsePrefix(fmt.Sprintf("2001:db8:b0:%x00::/56", i+1))}, At: start}
		if c.login == guest {
			r.Prefixes = append(r.Prefixes, guestsOwn...)
		}
		out = append(out, r)
		r.Kind, r.At, r.Lasted = session.Interim, now.Truncate(time.Second), now.Sub(start).Truncate(time.Second)
		out = append(out, r)
	}
	out = append(out, session.Record{Kind: session.Start, Source: session.Radius, NAS: "bng1", Session: CanarySession, Identity: session.Identity{Subscriber: CanaryUser, Line: "eth 1/9/9:1"},
		Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.250/32")}, At: now.Add(-time.Hour).Truncate(time.Second)})
	// One address changed hands half an hour ago: what happened about then has two candidates.
	was := now.Add(-30 * time.Minute).Truncate(time.Second)
	move := func(kind session.Kind, who, name string, at time.Time, lasted time.Duration) {
		out = append(out, session.Record{Kind: kind, Source: session.Radius, NAS: "bng1", Session: name, Identity: session.Identity{Subscriber: who, Line: "eth 1/3/1:" + name[len(name)-1:]},
			Prefixes: []netip.Prefix{netip.MustParsePrefix("192.0.2.120/32")}, At: at, Lasted: lasted})
	}
	move(session.Start, "farid@bolwerk.example", "demo-m1", was.Add(-8*time.Hour), 0)
	move(session.Stop, "farid@bolwerk.example", "demo-m1", was, 8*time.Hour)
	move(session.Start, "greet@bolwerk.example", "demo-m2", was.Add(10*time.Second), 0)
	move(session.Interim, "greet@bolwerk.example", "demo-m2", now.Truncate(time.Second), now.Sub(was.Add(10*time.Second)).Truncate(time.Second))
	return out
}

// StillThere is what the access server tells of sessions that go on: edges give nobody a
// view once no accounting comes in.
func StillThere(told []session.Record, now time.Time) (out []session.Record) {
	for _, r := range told {
		if r.Kind == session.Interim {
			at := now.Truncate(time.Second)
			r.Lasted += at.Sub(r.At)
			r.At = at
			out = append(out, r)
		}
	}
	return out
}

// AbuseReport is an invented report to the abuse desk, under a fixed id.
type AbuseReport struct {
	ID string
	door.Report
}

// AbuseReports are the invented reports: tables of a feed, a feedback loop, a report in
// XARF and a letter of somebody who has no format.
func AbuseReports(now time.Time) []AbuseReport {
	at := func(ago time.Duration) time.Time { return now.Add(-ago).UTC().Truncate(time.Second) }
	table := dnsTable
	for _, r := range []struct {
		addr string
		ago  time.Duration
	}{{"192.0.2.17", 9 * time.Hour}, {"192.0.2.200", 9 * time.Hour}, {"198.51.100.9", 9 * time.Hour}, {"192.0.2.251", 3 * time.Hour}} {
		table += dnsRow(at(r.ago), r.addr)
	}
	spam := at(2 * time.Hour)
	loop := strings.ReplaceAll(fmt.Sprintf(`From: feedback@mailprovider.example
To: abuse@bolwerk.example
Subject: FW: Gefeliciteerd, u heeft gewonnen
Date: %s
Message-ID: <fbl-1@mailprovider.example>
MIME-Version: 1.0
Content-Type: multipart/report; report-type=feedback-report; boundary="b1"

--b1
Content-Type: text/plain; charset=utf-8

A customer of ours marked the mail below as spam.

--b1
Content-Type: message/feedback-report

Feedback-Type: abuse
User-Agent: Feedback/1.0
Version: 1
Source-IP: 192.0.2.23
Source-Port: 51022
Arrival-Date: %s
Original-Mail-From: <win@prijs.example>
Reporting-MTA: dns; mx.mailprovider.example

--b1
Content-Type: message/rfc822

From: <win@prijs.example>
To: <undisclosed@mailprovider.example>
Subject: Gefeliciteerd, u heeft gewonnen
Message-ID: <1@prijs.example>

Klik snel.
--b1--
`, spam.Add(time.Minute).Format(time.RFC1123Z), spam.Format(time.RFC1123Z)), "\n", "\r\n")
	login := func(ago time.Duration, nth int, addr string) string {
		return fmt.Sprintf(`{"xarf_version":"4.0.0","report_id":"7d3c1a52-6c1e-4b7e-9f2a-00000000000%d","timestamp":%q,"reporter":{"org":"Hosting Example","contact":"abuse@hosting.example","domain":"hosting.example"},"sender":{"org":"Hosting Example","contact":"abuse@hosting.example","domain":"hosting.example"},"source_identifier":%q,"source_port":%d,"category":"connection","type":"login_attack","protocol":"tcp","first_seen":%q,"destination_ip":"203.0.113.80","destination_port":22,"evidence_source":"honeypot"}`,
			nth, at(ago).Format(time.RFC3339), addr, 40000+nth, at(ago).Format(time.RFC3339))
	}
	letter := strings.ReplaceAll(fmt.Sprintf(`From: Joke <joke@buren.example>
To: abuse@bolwerk.example
Subject: Iemand valt mijn NAS aan
Date: %s
Message-ID: <brief-1@buren.example>
Content-Type: text/plain; charset=utf-8

Goedendag,

Vannacht probeerde iemand uit uw netwerk in te loggen op mijn NAS:

%s sshd[812]: Failed password for admin from 192.0.2.40 port 50112 ssh2

Kunt u er iets aan doen?

Joke
`, at(time.Hour).Format(time.RFC1123Z), at(4*time.Hour).Format("2006-01-02T15:04:05Z")), "\n", "\r\n")
	var out []AbuseReport
	add := func(channel door.Channel, from, name string, body string) {
		n := len(out) + 1
		r := door.Report{Channel: channel, ReceivedAt: now, Token: bolwerk.NewToken().Reveal(), From: from, Name: name, Form: door.Any, Body: []byte(body)}
		if channel == door.ByFile {
			r.Feed = FeedName
		}
		out = append(out, AbuseReport{fmt.Sprintf("01900000-0000-7000-8000-0000ab05e%03d", n), r})
	}
	add(door.ByFile, "reports@feed.example", at(0).Format(time.DateOnly)+"-scan_dns-bolwerk-asn.csv", table)
	add(door.ByMail, "feedback@mailprovider.example", "", loop)
	add(door.ByAPI, "abuse@hosting.example", "", login(3*time.Hour, 1, "192.0.2.77")+"\n"+login(2*time.Hour, 2, "192.0.2.77")+"\n"+login(30*time.Minute, 3, "192.0.2.120")+"\n")
	add(door.ByMail, "joke@buren.example", "", letter)
	add(door.ByFile, "reports@feed.example", at(0).Format(time.DateOnly)+"-event4_sinkhole-bolwerk-asn.csv", fmt.Sprintf("timestamp,protocol,src_ip,src_port,src_asn,dst_ip,dst_port,infection\n%s,tcp,192.0.2.140,48101,64496,203.0.113.90,23,mirai\n", at(40*time.Minute).Format(time.DateTime)))
	return out
}

// AbuseFile is the mail of a feed in the demo's folder, to try the abuse desk with.
const AbuseFile = "abuse.eml"

// AbuseMail is that mail: a table of a feed about one line, half an hour ago.
func AbuseMail(now time.Time) []byte {
	at := now.Add(-30 * time.Minute).UTC().Truncate(time.Second)
	return []byte(strings.ReplaceAll(fmt.Sprintf(`From: reports@feed.example
To: abuse@bolwerk.example
Subject: open resolvers in your network
Date: %s
Message-ID: <table-1@feed.example>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary="b1"

--b1
Content-Type: text/plain; charset=utf-8

The table is attached.

--b1
Content-Type: text/csv; name="%[2]s-scan_dns-bolwerk-asn.csv"
Content-Disposition: attachment; filename="%[2]s-scan_dns-bolwerk-asn.csv"

%[3]s--b1--
`, now.Format(time.RFC1123Z), at.Format(time.DateOnly), dnsTable+dnsRow(at, "192.0.2.78")), "\n", "\r\n"))
}
