package shield

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/idn"
)

// Notices are plain text; their words are texts, shield.notify.*. Whoever takes pages down by
// hand reads the text, with addresses that no mail program makes a link of; programs
// read the attachment. A robot of an authority or of a list reads links out of the
// text: those get them as they are.

// tlp is how far a recipient may pass a notice on (TLP 2.0): who has to act hands it
// to a customer; an authority and a brand keep it among those who help.
func tlp(kind string) string {
	if kind == ToAuthority || kind == ToBrand {
		return "TLP:GREEN"
	}
	return "TLP:CLEAR"
}

// defanged is an address of which no program makes a link.
func defanged(s string) string {
	return strings.ReplaceAll(strings.Replace(s, "http", "hxxp", 1), ".", "[.]")
}

// notify has the words of a notice in a language.
func (s *Shield) notify(lang bolwerk.Lang) func(key string, args ...any) string {
	return func(key string, args ...any) string {
		return s.voices[""].texts.T(lang, "shield.notify."+key, args...)
	}
}

// write fills in what a notice says.
func (s *Shield) write(n *Notice, m matter, to towards) (err error) {
	say := s.notify(to.lang)
	page := m.page
	if page == "" {
		page = "https://" + m.name.String() + "/"
	}
	shown, name := defanged(page), defanged(m.name.String())
	if to.kind == ToAuthority || to.kind == ToBrowsers {
		shown, name = page, m.name.String()
	}
	class := m.class
	if !slices.Contains(classes, class) {
		class = "phishing"
	}
	what := say("what." + class)
	n.Subject = fmt.Sprintf("[%s] %s: %s (%s)", tlp(to.kind), what, clipRunes(name, 120), n.Ref)
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	fact := func(label, value string) {
		if value != "" {
			line("%s: %s", label, value)
		}
	}
	line("%s\n", say("hello"))
	open := "open." + to.kind
	if m.compromised && to.kind == ToHost {
		open = "open.hacked"
	}
	line("%s\n", say(open, what))
	fact(say("address"), shown)
	if m.cut {
		line("%s", say("cut"))
	}
	if u := idn.Show(m.name); u != m.name.String() {
		fact(say("reads"), idn.Escape(u))
	}
	if to.kind == ToHost {
		var all []string
		for _, a := range m.addresses[:min(len(m.addresses), 4)] {
			all = append(all, a.String())
		}
		fact("IP", strings.Join(all, ", "))
	}
	fact(say("brand"), oneLine(m.brand))
	fact(say("first"), m.first.UTC().Format("2006-01-02 15:04 UTC"))
	if m.person {
		line("%s", say("person"))
	} else {
		line("%s", say("rules"))
	}
	fact(say("ours"), n.Ref)
	line("\n%s\n", say("ask."+to.kind))
	line("%s", say("reporters"))
	line("%s", say("again"))
	line("%s\n", say("pass", tlp(to.kind)))
	line("%s\n%s", s.cfg.Operator, s.noticeFrom())
	n.Body = b.String()
	n.Report, err = s.noticeReport(n, m, to, page)
	return err
}

func clipRunes(s string, most int) string {
	if r := []rune(s); len(r) > most {
		return string(r[:most-1]) + "…"
	}
	return s
}

// xarf is a report of the class "content" in the eXtended Abuse Reporting Format,
// version 4.
type xarf struct {
	Version    string    `json:"xarf_version"`
	ID         string    `json:"report_id"`
	At         string    `json:"timestamp"`
	Reporter   xarfParty `json:"reporter"`
	Sender     xarfParty `json:"sender"`
	Source     string    `json:"source_identifier"`
	Category   string    `json:"category"`
	Type       string    `json:"type"`
	Evidence   string    `json:"evidence_source"`
	URL        string    `json:"url"`
	Domain     string    `json:"domain"`
	Brand      string    `json:"target_brand,omitempty"`
	Fields     []string  `json:"credential_fields,omitempty"`
	Registrar  string    `json:"registrar,omitempty"`
	Text       string    `json:"description"`
	Classified []string  `json:"tags"`
}

type xarfParty struct {
	Org     string `json:"org"`
	Contact string `json:"contact"`
	Domain  string `json:"domain"`
}

// toldReport is what an API of the format "json" gets.
type toldReport struct {
	Action     string    `json:"action"` // report, or withdraw
	ID         string    `json:"id"`
	Withdraws  string    `json:"withdraws,omitempty"` // id of what is taken back
	Why        string    `json:"why,omitempty"`
	Sender     string    `json:"sender"`
	Contact    string    `json:"contact"`
	Name       string    `json:"name"`
	URL        string    `json:"url,omitempty"`
	Class      string    `json:"class,omitempty"`
	Brand      string    `json:"brand,omitempty"`
	AsksFor    []string  `json:"asks_for,omitempty"`
	Reports    int64     `json:"reports,omitempty"`
	FirstSeen  time.Time `json:"first_seen,omitzero"`
	DecidedBy  string    `json:"decided_by,omitempty"` // person, or rules
	TLP        string    `json:"tlp"`
	Compromise bool      `json:"compromised,omitempty"`
}

// noticeReport is what programs read of a notice.
func (s *Shield) noticeReport(n *Notice, m matter, to towards, page string) (string, error) {
	from := s.noticeFrom()
	var v any
	switch {
	case to.url == "" && (to.kind == ToAuthority || to.kind == ToBrowsers):
		return "", nil // their robots read the mail
	case to.url == "":
		party := xarfParty{s.cfg.Operator, from.String(), from.Domain().String()}
		source := m.name.String()
		if to.kind == ToHost && len(m.addresses) > 0 {
			source = m.addresses[0].String()
		}
		kind := map[string]string{"phishing": "phishing", "malware": "malware", "fake_shop": "fraud", "scam": "fraud"}[m.class]
		v = xarf{Version: "4.0.0", ID: uuidOf(n.ID), At: m.first.UTC().Format(time.RFC3339), Reporter: party, Sender: party, Source: source, Category: "content", Type: orElse(kind, "phishing"),
			Evidence: "user_report", URL: page, Domain: m.name.String(), Brand: oneLine(m.brand), Fields: m.asked.Names(), Registrar: oneLine(m.registrar),
			Text: "Confirmed by a person. Reference " + n.Ref + ".", Classified: []string{"tlp:" + strings.ToLower(strings.TrimPrefix(tlp(to.kind), "TLP:"))}}
	case to.format == formatNetcraft:
		v = map[string]any{"email": from.String(), "reason": fmt.Sprintf("%s of %s, %s", orElse(m.class, "phishing"), orElse(m.brand, "no known brand"), n.Ref), "urls": []map[string]string{{"url": page}}}
	case to.format == formatWebRisk:
		kind := "SOCIAL_ENGINEERING"
		if m.class == "malware" {
			kind = "MALWARE"
		}
		// Their words for who says so: a person, or a report of a customer that rules judged.
		label := "USER_REPORT"
		if m.person {
			label = "MANUAL_VERIFICATION"
		}
		v = map[string]any{"submission": map[string]string{"uri": page},
			"threatInfo": map[string]any{"abuseType": kind, "threatJustification": map[string][]string{"labels": {label}}}}
	default:
		by := "rules"
		if m.person {
			by = "person"
		}
		v = toldReport{Action: "report", ID: n.Ref, Sender: s.cfg.Operator, Contact: from.String(), Name: m.name.String(), URL: m.page, Class: m.class, Brand: oneLine(m.brand), AsksFor: m.asked.Names(),
			Reports: m.reports, FirstSeen: m.first.UTC(), DecidedBy: by, TLP: tlp(to.kind), Compromise: m.compromised}
	}
	b, err := json.Marshal(v)
	return string(b), err
}

// uuidOf is a random-looking id for a report that does not tell when it was made.
func uuidOf(id string) string {
	b := sha256.Sum256([]byte("xarf " + id))
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	return fmt.Sprintf("%x-%x-%x-%x-%x", b[:4], b[4:6], b[6:8], b[8:10], b[10:16])
}

// writeFix fills in what takes back an earlier notice.
func (s *Shield) writeFix(n *Notice, was Notice, why string) error {
	say := s.notify(bolwerk.Lang(n.Lang))
	name := was.Name
	if was.Kind != ToAuthority && was.Kind != ToBrowsers {
		name = defanged(name)
	}
	n.Subject = fmt.Sprintf("[%s] %s: %s (%s)", tlp(was.Kind), say("fix"), clipRunes(name, 120), was.Ref)
	said := "wrong"
	if why == string(Cleaned) {
		said = "cleaned"
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n\n", say("hello"), say(said, was.Ref, name))
	fmt.Fprintf(&b, "%s: %s\n", say("sent"), was.SentAt.UTC().Format("2006-01-02 15:04 UTC"))
	if was.Receipt != "" {
		fmt.Fprintf(&b, "%s: %s\n", say("yours"), was.Receipt)
	}
	fmt.Fprintf(&b, "%s: %s\n\n%s\n\n%s\n%s\n", say("ours"), n.Ref, say("pass", tlp(was.Kind)), s.cfg.Operator, s.noticeFrom())
	n.Body = b.String()
	if to, ok := s.cfg.Notices.recipient(was.Who); n.api && ok && orElse(to.Format, formatJSON) == formatJSON {
		b, err := json.Marshal(toldReport{Action: "withdraw", ID: n.Ref, Withdraws: was.Ref, Why: why, Sender: s.cfg.Operator, Contact: s.noticeFrom().String(), Name: was.Name, TLP: tlp(was.Kind)})
		n.Report = string(b)
		return err
	}
	return nil
}
