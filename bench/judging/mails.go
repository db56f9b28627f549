package main

import (
	"crypto/sha256"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/shield/judge"
	"bolwerk/shield/reading"
)

// judged is what became of one mail.
type judged struct {
	hosts   int
	word    judge.Word
	reasons map[string]bool
}

// messageOf is what the desk hands to the judge of a mail.
func messageOf(r reading.Result) judge.Message {
	h := r.Inner
	if h == nil {
		return judge.Message{Text: r.Excerpt}
	}
	at := func(a string) bolwerk.Domain {
		_, d, _ := strings.Cut(a, "@")
		dom, _ := bolwerk.ParseDomain(d)
		return dom
	}
	m := judge.Message{From: at(h.From), ReplyTo: at(h.ReplyTo), Name: h.Name, ManyFroms: h.ManyFroms, Subject: h.Subject, Text: r.Excerpt}
	m.BadFrom = h.From != "" && m.From.Labels() < 2
	for _, u := range r.Wanted() {
		if !u.Name.IsZero() {
			m.Links = append(m.Links, judge.Link{Text: u.Text, Target: u.Name})
		}
	}
	for _, u := range r.URLs {
		if u.Role == reading.Image && !u.Name.IsZero() && len(m.Pictures) < 50 {
			m.Pictures = append(m.Pictures, u.Name)
		}
	}
	return m
}

// judgeMail reads and judges one mail as the desk does, without lists.
func (b *bench) judgeMail(raw []byte, popular func(judge.Place) bool) judged {
	r := reading.Mail(raw, reading.Option{Evidence: true})
	j := judged{word: judge.Inconclusive, reasons: map[string]bool{}}
	msg := judge.ReadMessage(messageOf(r), b.brands, nil, b.psl)
	seen := map[string]bool{}
	for _, u := range r.Wanted() {
		if u.Name.Labels() < 2 || seen[u.Host] || len(seen) == 50 {
			continue
		}
		seen[u.Host] = true
		j.hosts++
		p := judge.PlaceOf(u.Name, b.psl, b.platforms)
		ev := judge.NameEvidence(p, b.brands)
		about := msg.About(p, b.brands, b.psl)
		for i := range about {
			if popular(p) && about[i].Reason != "link_text" {
				about[i].Tier = 3
			}
		}
		ev = append(ev, about...)
		v := judge.Judge(ev)
		if against(v) {
			if j.word != judge.Malicious {
				j.word = v.Word
			}
			for _, e := range ev {
				if e.Tier <= 2 && (e.Verdict == judge.Suspicious || e.Verdict == judge.Malicious) {
					j.reasons[e.Reason] = true
				}
			}
		}
	}
	return j
}

// mails is the offline verdict of whole mails: how many of each kind reach
// suspicious. Phishing mails are of 2022 to 2025, ham and spam of 2002 and 2003:
// the ham says little about today's newsletters.
func (b *bench) mails() error {
	lists, err := b.popular()
	if err != nil {
		return err
	}
	popular := func(p judge.Place) bool {
		if p.Shared || !p.Tenant.IsZero() {
			return false
		}
		if _, _, ok := lists.Best(p.Name, bolwerk.ScopeHost, false); ok {
			return true
		}
		_, ok := lists.Rank(p.Registrable)
		return ok && !p.Registrable.IsZero()
	}
	fmt.Printf("%-6s %-10s %6s %9s %22s %22s %10s\n", "kind", "half", "mails", "with name", "suspicious of all", "of those with a name", "malicious")
	for _, kind := range []string{"phish", "spam", "ham"} {
		files, _ := filepath.Glob(filepath.Join(b.dir, "mail", kind, "*"))
		if len(files) == 0 {
			return fmt.Errorf("no mails in %s", kind)
		}
		type sum struct{ n, named, hit, bad int }
		sums := map[string]*sum{"tuned on": {}, "held back": {}}
		by := map[string]int{}
		var missed []string
		longest := time.Duration(0)
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			half := "held back"
			if sha256.Sum256([]byte(filepath.Base(f)))[0]%2 == 0 {
				half = "tuned on"
			}
			begun := time.Now()
			j := b.judgeMail(raw, popular)
			longest = max(longest, time.Since(begun))
			s := sums[half]
			s.n++
			if j.hosts > 0 {
				s.named++
			}
			hit := j.word == judge.Suspicious || j.word == judge.Malicious
			if hit {
				s.hit++
			}
			if j.word == judge.Malicious {
				s.bad++
			}
			if half == "tuned on" && j.hosts > 0 && hit == (kind == "ham") {
				missed = append(missed, filepath.Base(f)+" "+strings.Join(slices.Sorted(maps.Keys(j.reasons)), ","))
			}
			for r := range j.reasons {
				by[r]++
			}
		}
		for _, half := range []string{"tuned on", "held back"} {
			s := sums[half]
			fmt.Printf("%-6s %-10s %6d %9d %13d %8s %13d %8s %10d\n", kind, half, s.n, s.named, s.hit, share(s.hit, s.n), s.hit, share(s.hit, s.named), s.bad)
		}
		fmt.Printf("       by reason (tier 1 and 2): %v; longest %s\n", by, longest.Round(time.Millisecond))
		if b.show > 0 {
			fmt.Printf("       wrong in the half tuned on: %s\n", strings.Join(missed[:min(len(missed), b.show)], "; "))
		}
	}
	return nil
}
