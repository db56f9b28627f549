package main

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"maps"
	"net/mail"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/shield"
	"bolwerk/shield/judge"
	"bolwerk/shield/reading"
)

// The two halves of the data. Rules are tuned on what is in view; of the other half
// only sums are printed.
const (
	inView   = "in view"
	heldBack = "held back"
)

// judged is what became of one mail.
type judged struct {
	r     reading.Result
	word  judge.Word
	names []judgedName
	// reasons are those of tier 1 and 2 of its names that are suspicious or worse.
	reasons map[string]bool
}

// judgedName is one name that a mail links to, with all that was said of it.
type judgedName struct {
	place    judge.Place
	popular  bool
	address  bool // no name, but an address
	own      bool // a brand's own, or the sender's
	evidence []judge.Evidence
}

// readMail reads one mail of the collection as the evidence. Where it is itself what
// somebody forwarded, what he forwarded is the evidence, as it is at the desk.
func readMail(raw []byte) reading.Result {
	if m, err := mail.ReadMessage(bytes.NewReader(raw)); err == nil && strings.HasPrefix(strings.ToLower(m.Header.Get("Subject")), "fw") {
		if r := reading.Mail(raw, reading.Option{}); r.Kind == reading.Inline && r.Inner != nil {
			return r
		}
	}
	return reading.Mail(raw, reading.Option{Evidence: true})
}

// judgeMail reads and judges one mail as the desk does, without lists.
func (b *bench) judgeMail(raw []byte, popular func(judge.Place) bool) judged {
	j := judged{r: readMail(raw), word: judge.Inconclusive, reasons: map[string]bool{}}
	m := shield.MessageOf(j.r)
	msg := judge.ReadMessage(m, b.brands, nil, b.psl)
	sender, _ := b.psl.Registrable(m.From)
	seen := map[string]bool{}
	for _, u := range j.r.Wanted() {
		if seen[u.Host] || len(seen) == 50 {
			continue
		}
		if a, err := netip.ParseAddr(strings.Trim(u.Host, "[]")); err == nil {
			seen[u.Host] = true
			j.names = append(j.names, judgedName{address: true, evidence: judge.AddressEvidence(a)})
			continue
		}
		if u.Name.Labels() < 2 {
			continue
		}
		seen[u.Host] = true
		n := judgedName{place: judge.PlaceOf(u.Name, b.psl, b.platforms)}
		n.popular = popular(n.place)
		n.own = b.brands.Owner(u.Name) != "" || n.place.Registrable == sender && !sender.IsZero()
		n.evidence = judge.NameEvidence(n.place, b.brands)
		j.names = append(j.names, n)
	}
	another := slices.ContainsFunc(j.names, func(n judgedName) bool { return !n.address && !n.popular && b.brands.Owner(n.place.Name) == "" })
	for i := range j.names {
		n := &j.names[i]
		switch {
		case n.address:
		case n.popular:
			n.evidence = append(n.evidence, msg.Popular(n.place, another, b.brands, b.psl)...)
		default:
			n.evidence = append(n.evidence, msg.About(n.place, b.brands, b.psl)...)
		}
		v := judge.Judge(n.evidence)
		if !against(v) {
			continue
		}
		if j.word != judge.Malicious {
			j.word = v.Word
		}
		for _, e := range n.evidence {
			if e.Tier <= 2 && (e.Verdict == judge.Suspicious || e.Verdict == judge.Malicious) {
				j.reasons[e.Reason] = true
			}
		}
	}
	return j
}

func (j judged) hit() bool { return j.word == judge.Suspicious || j.word == judge.Malicious }

// halfOf says on which half a mail is, by its file's name.
func halfOf(file string) string {
	if sha256.Sum256([]byte(filepath.Base(file)))[0]%2 == 0 {
		return inView
	}
	return heldBack
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
	fmt.Printf("%-6s %-10s %6s %9s %22s %22s %10s\n", "kind", "half", "mails", "with link", "suspicious of all", "of those with a link", "malicious")
	missed := map[string]*causes{}
	for _, kind := range []string{"phish", "spam", "ham"} {
		files, _ := filepath.Glob(filepath.Join(b.dir, "mail", kind, "*"))
		if len(files) == 0 {
			return fmt.Errorf("no mails in %s", kind)
		}
		type sum struct {
			n, named, hit, bad int
			by                 map[string]int
		}
		sums := map[string]*sum{}
		longest := time.Duration(0)
		for _, f := range files {
			half := halfOf(f)
			if half == heldBack && b.tune {
				continue
			}
			raw, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			begun := time.Now()
			j := b.judgeMail(raw, popular)
			longest = max(longest, time.Since(begun))
			if sums[half] == nil {
				sums[half] = &sum{by: map[string]int{}}
				missed[kind+half] = &causes{count: map[string]int{}, only: map[string]int{}}
			}
			s := sums[half]
			s.n++
			if len(j.names) > 0 {
				s.named++
			}
			if j.hit() {
				s.hit++
			}
			if j.word == judge.Malicious {
				s.bad++
			}
			for r := range j.reasons {
				s.by[r]++
			}
			if !j.hit() {
				missed[kind+half].add(j)
			}
			if half == inView && b.show > 0 && j.hit() == (kind == "ham") {
				fmt.Printf("  %s %s: %s; %s\n", kind, filepath.Base(f), causeOf(j), strings.Join(j.said(), " "))
			}
		}
		for _, half := range []string{inView, heldBack} {
			if s := sums[half]; s != nil {
				fmt.Printf("%-6s %-10s %6d %9d %13d %8s %13d %8s %10d\n", kind, half, s.n, s.named, s.hit, share(s.hit, s.n), s.hit, share(s.hit, s.named), s.bad)
			}
		}
		for _, half := range []string{inView, heldBack} {
			if s := sums[half]; s != nil {
				fmt.Printf("       %s by reason (tier 1 and 2): %v\n", half, s.by)
			}
		}
		fmt.Printf("       longest %s\n", longest.Round(time.Millisecond))
	}
	fmt.Println("phishing that is missed, by the first cause that fits:")
	missed["phish"+inView].print(missed["phish"+heldBack])
	return nil
}

// said are the reasons of a mail with their tiers, the best first.
func (j judged) said() []string {
	seen := map[string]bool{}
	for _, n := range j.names {
		for _, e := range n.evidence {
			if e.Verdict == judge.Suspicious || e.Verdict == judge.Malicious {
				seen[fmt.Sprintf("%d:%s", e.Tier, e.Reason)] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}
