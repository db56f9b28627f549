package abuse

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/abuse/door"
	"bolwerk/abuse/enforce"
	"bolwerk/abuse/session"
)

const sinkholes = "2026-11-26-event4_sinkhole-example-asn.csv"

func sinkhole(at time.Time, port int) string {
	return fmt.Sprintf("timestamp,protocol,src_ip,src_port,src_asn,dst_ip,dst_port,infection\n%s,tcp,192.0.2.17,%d,64496,203.0.113.90,23,mirai\n", at.UTC().Format(time.DateTime), port)
}

// mailed is a mail with a table, as a server of ours handed it on.
func mailed(auth, from, table string) string {
	head := ""
	if auth != "" {
		head = "Authentication-Results: " + auth + "\n"
	}
	return strings.ReplaceAll(head+"From: "+from+"\nTo: abuse@isp.example\nSubject: report\nDate: Thu, 26 Nov 2026 11:00:00 +0000\nMessage-ID: <1@feed.example>\nMIME-Version: 1.0\nContent-Type: text/csv; name=\""+sinkholes+"\"\n\n"+table, "\n", "\r\n")
}

// A stranger's report, whatever it claims, opens a case and no more: a line goes into
// quarantine by rules only where a named source tells of it.
func TestAStrangersReportPutsNoLineIntoQuarantine(t *testing.T) {
	pass := "mx.isp.example; dmarc=pass header.from="
	for _, c := range []struct {
		name string
		in   door.Report
		auth string
		from string // of the mail's own header
		want bool
	}{
		{name: "by the API", in: door.Report{Channel: door.ByAPI, Name: sinkholes}},
		{name: "by mail", in: door.Report{Channel: door.ByMail, From: "x@stranger.example"}, auth: pass + "stranger.example", from: "x@stranger.example"},
		{name: "with a forged envelope", in: door.Report{Channel: door.ByMail, From: "daily@feed.example", OwnNetwork: true}, auth: pass + "stranger.example", from: "x@stranger.example"},
		{name: "with a forged sender", in: door.Report{Channel: door.ByMail, From: "daily@feed.example"}, from: "daily@feed.example"},
		{name: "with forged results", in: door.Report{Channel: door.ByMail, From: "daily@feed.example"}, auth: "mx.stranger.example; dmarc=pass header.from=feed.example", from: "daily@feed.example"},
		{name: "with two senders", in: door.Report{Channel: door.ByMail, From: "daily@feed.example", OwnNetwork: true}, from: "daily@feed.example, x@stranger.example"},
		{name: "of a proved feed", in: door.Report{Channel: door.ByMail, From: "bounces@mailer.example"}, auth: pass + "feed.example", from: "daily@feed.example", want: true},
		{name: "of a feed, by a server of ours", in: door.Report{Channel: door.ByMail, From: "daily@feed.example", OwnNetwork: true}, from: "daily@feed.example", want: true},
		{name: "a file that the desk was given", in: door.Report{Channel: door.ByFile, Name: sinkholes}, want: true},
	} {
		t.Run(strings.ReplaceAll(c.name, " ", "_"), func(t *testing.T) {
			h := open(t, func(cfg *Config, p *Parts) {
				cfg.Quarantine.Mode = "on"
				cfg.Feeds = []Feed{{Name: "sinkholes", From: []string{"feed.example"}, Every: bolwerk.Duration(24 * time.Hour)}}
				p.AuthservIDs = []string{"mx.isp.example"}
				p.Port, p.Proved = &network{has: map[string]enforce.Profile{}}, func(string) bool { return true }
			})
			h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
			h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
			body := sinkhole(noon.Add(-time.Hour), 48101)
			if c.from != "" {
				body = mailed(c.auth, c.from, body)
			}
			h.take(c.in, body)
			if n := h.number(`select solid from abuse_case`); n != 1 {
				t.Fatalf("%d events that no forged address explains, want 1", n)
			}
			if _, err := h.playSome(t.Context()); err != nil {
				t.Fatal(err)
			}
			if n := h.number(`select count(*) from abuse_quarantine`); (n > 0) != c.want {
				t.Errorf("%d quarantines, want one: %v", n, c.want)
			}
		})
	}
}

// What a stranger told first does not silence the source whose word counts; what that
// source tells again is the same event.
func TestAStrangerDoesNotSilenceANamedSource(t *testing.T) {
	h := open(t, func(cfg *Config, p *Parts) {
		cfg.Quarantine.Mode = "on"
		p.Port, p.Proved = &network{has: map[string]enforce.Profile{}}, func(string) bool { return true }
	})
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	body := sinkhole(noon.Add(-time.Hour), 48101)
	for i, in := range []door.Report{{Channel: door.ByAPI, Name: sinkholes}, {Channel: door.ByFile, Name: sinkholes}, {Channel: door.ByFile, Name: sinkholes}} {
		h.take(in, body)
		if _, err := h.playSome(t.Context()); err != nil {
			t.Fatal(err)
		}
		want := [][2]int64{{1, 0}, {2, 1}, {2, 1}}[i]
		if got := [2]int64{h.number(`select events from abuse_case`), h.number(`select count(*) from abuse_quarantine`)}; got != want {
			t.Errorf("report %d: %d events and quarantines, want %d", i+1, got, want)
		}
	}
}

// A line that a named source told of once is not put in again by a stranger's word.
func TestAStrangersReportPutsNoLineIntoQuarantineAgain(t *testing.T) {
	h := open(t, func(cfg *Config, p *Parts) {
		cfg.Quarantine.Mode = "on"
		p.Port, p.Proved = &network{has: map[string]enforce.Profile{}}, func(string) bool { return true }
	})
	h.session(session.Start, "anna", "s1", "192.0.2.17/32", noon.Add(-20*time.Hour))
	h.session(session.Interim, "anna", "s1", "192.0.2.17/32", noon)
	begun := func() int64 { // which time that the case began the rules were at it last
		t.Helper()
		if _, err := h.playSome(t.Context()); err != nil {
			t.Fatal(err)
		}
		return h.number(`select turn from abuse_play`)
	}
	h.take(door.Report{Channel: door.ByFile, Name: sinkholes}, sinkhole(noon.Add(-time.Hour), 48101))
	if n := begun(); n != 0 || h.number(`select count(*) from abuse_quarantine`) != 1 {
		t.Fatalf("no quarantine by a named source's word")
	}
	if err := h.Close(t.Context(), agent, h.text(`select id from desk_case`), Cleaned, "router reset"); err != nil {
		t.Fatal(err)
	}
	seen := func() string {
		h.clock.Add(24 * time.Hour)
		h.session(session.Interim, "anna", "s1", "192.0.2.17/32", h.clock.Now())
		return sinkhole(h.clock.Now().Add(-time.Hour), 48102)
	}
	h.take(door.Report{Channel: door.ByAPI, Name: sinkholes}, seen())
	if n := begun(); n != 0 || h.text(`select state from desk_case`) != "waiting" {
		t.Error("the rules begin again by a stranger's word, or the case does not")
	}
	h.take(door.Report{Channel: door.ByFile, Name: sinkholes}, seen())
	if n := begun(); n != 1 {
		t.Error("the rules do not begin again once a named source tells of it")
	}
}
