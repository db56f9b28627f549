package shield

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/idn"
)

// The words of notices: plain text, in four languages. Whoever takes pages down by
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

// write fills in what a notice says.
func (s *Shield) write(n *Notice, m matter, to towards) (err error) {
	t := noticeWords[to.lang]
	page := m.page
	if page == "" {
		page = "https://" + m.name.String() + "/"
	}
	shown, name := defanged(page), defanged(m.name.String())
	if to.kind == ToAuthority || to.kind == ToBrowsers {
		shown, name = page, m.name.String()
	}
	what := t.what[m.class]
	if what == "" {
		what = t.what["phishing"]
	}
	n.Subject = fmt.Sprintf("[%s] %s: %s (%s)", tlp(to.kind), what, clipRunes(name, 120), n.Ref)
	var b strings.Builder
	line := func(format string, a ...any) { fmt.Fprintf(&b, format+"\n", a...) }
	fact := func(label, value string) {
		if value != "" {
			line("%s: %s", label, value)
		}
	}
	line("%s\n", t.hello)
	open := t.open[to.kind]
	if m.compromised && to.kind == ToHost {
		open = t.hacked
	}
	line("%s\n", fmt.Sprintf(open, what))
	fact(t.address, shown)
	if m.cut {
		line("%s", t.cut)
	}
	if u := idn.Show(m.name); u != m.name.String() {
		fact(t.reads, idn.Escape(u))
	}
	if to.kind == ToHost {
		var all []string
		for _, a := range m.addresses[:min(len(m.addresses), 4)] {
			all = append(all, a.String())
		}
		fact("IP", strings.Join(all, ", "))
	}
	fact(t.brand, oneLine(m.brand))
	fact(t.first, m.first.UTC().Format("2006-01-02 15:04 UTC"))
	if m.person {
		line("%s", t.person)
	} else {
		line("%s", t.rules)
	}
	fact(t.ours, n.Ref)
	line("\n%s\n", t.ask[to.kind])
	line("%s", t.reporters)
	line("%s", t.again)
	line("%s\n", fmt.Sprintf(t.pass, tlp(to.kind)))
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
		v = map[string]any{"submission": map[string]string{"uri": page}, "threatInfo": map[string]string{"abuseType": kind}}
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
	t, ok := noticeWords[bolwerk.Lang(n.Lang)]
	if !ok {
		t = noticeWords[bolwerk.EN]
	}
	name := was.Name
	if was.Kind != ToAuthority && was.Kind != ToBrowsers {
		name = defanged(name)
	}
	n.Subject = fmt.Sprintf("[%s] %s: %s (%s)", tlp(was.Kind), t.fix, clipRunes(name, 120), was.Ref)
	said := t.wrong
	if why == string(Cleaned) {
		said = t.cleaned
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s\n\n%s\n\n", t.hello, fmt.Sprintf(said, was.Ref, name))
	fmt.Fprintf(&b, "%s: %s\n", t.sent, was.SentAt.UTC().Format("2006-01-02 15:04 UTC"))
	if was.Receipt != "" {
		fmt.Fprintf(&b, "%s: %s\n", t.yours, was.Receipt)
	}
	fmt.Fprintf(&b, "%s: %s\n\n%s\n\n%s\n%s\n", t.ours, n.Ref, fmt.Sprintf(t.pass, tlp(was.Kind)), s.cfg.Operator, s.noticeFrom())
	n.Body = b.String()
	if to, ok := s.cfg.Notices.recipient(was.Who); n.api && ok && orElse(to.Format, formatJSON) == formatJSON {
		b, err := json.Marshal(toldReport{Action: "withdraw", ID: n.Ref, Withdraws: was.Ref, Why: why, Sender: s.cfg.Operator, Contact: s.noticeFrom().String(), Name: was.Name, TLP: tlp(was.Kind)})
		n.Report = string(b)
		return err
	}
	return nil
}

// words of notices in one language.
type noticeText struct {
	hello     string
	what      map[string]string // by class
	open, ask map[string]string // by kind
	hacked    string            // opens to the host of a hacked site
	// Labels of facts.
	address, reads, brand, first, ours, yours, sent string
	cut, person, rules                              string
	reporters, again, pass                          string
	fix, wrong, cleaned                             string
}

// noticeWords are complete in all four languages; a test holds it.
var noticeWords = map[bolwerk.Lang]noticeText{
	bolwerk.NL: {
		hello: "Beste collega,",
		what:  map[string]string{"phishing": "Phishing", "fake_shop": "Valse webwinkel", "malware": "Malware", "scam": "Oplichting"},
		open: map[string]string{
			ToAuthority: "Wij geven u deze melding door. Soort: %s.",
			ToBrowsers:  "Wij melden deze pagina voor uw lijst. Soort: %s.",
			ToBrand:     "Een website doet zich voor als uw organisatie. Soort: %s. In ons netwerk is de naam geblokkeerd.",
			ToHost:      "Op een adres in uw netwerk staat een website die mensen schade doet. Soort: %s.",
			ToRegistrar: "Een domeinnaam die via u geregistreerd is, wordt misbruikt. Soort: %s.",
			ToOwner:     "Op uw website staat een pagina die daar waarschijnlijk door een indringer is gezet. Soort: %s. U hebt hier niets mee gedaan; daarom schrijven we u.",
		},
		hacked: "Op een adres in uw netwerk staat een website waarin is ingebroken. Soort: %s. De eigenaar weet dat waarschijnlijk niet.",
		ask: map[string]string{
			ToAuthority: "Stuurt u ons alstublieft een ontvangstbevestiging met uw nummer.",
			ToBrowsers:  "Bekijk de pagina alstublieft en neem haar op als u het met ons eens bent.",
			ToBrand:     "Is dit toch een website van u, laat het ons dan meteen weten: dan heffen we de blokkering op.",
			ToHost:      "Haal de pagina alstublieft weg, bewaar de logbestanden, en antwoord op deze mail met uw nummer.",
			ToRegistrar: "Onderzoek de registratie alstublieft volgens uw voorwaarden, en antwoord op deze mail met uw nummer.",
			ToOwner:     "Vraag uw webhost om de pagina te verwijderen, werk de software bij en verander de wachtwoorden. Antwoord daarna op deze mail: dan kijken we opnieuw en heffen we de blokkering op.",
		},
		address: "Adres", reads: "Leesbaar als", brand: "Nagebootst merk", first: "Eerste melding", ours: "Ons nummer", yours: "Uw nummer", sent: "Ons bericht van",
		cut:       "Het adres is afgebroken voor een deel dat iemand kan aanwijzen.",
		person:    "Een medewerker heeft dit bevestigd.",
		rules:     "Onze regels vonden dit; een medewerker heeft er nog niet over beslist. Klopt het niet, dan krijgt u een correctie.",
		reporters: "Wij geven geen gegevens door van mensen die ons iets melden.",
		again:     "Blijken wij ongelijk te hebben, dan krijgt u van ons een correctie.",
		pass:      "Doorgeven: %s.",
		fix:       "Correctie",
		wrong:     "Wij trekken bericht %s over %s in. Het was onjuist. Maak alstublieft ongedaan wat u door dat bericht hebt gedaan. Onze excuses.",
		cleaned:   "Ons bericht %s over %s is afgehandeld: de website is weer schoon en niet meer geblokkeerd. U hoeft niets meer te doen. Dank u wel.",
	},
	bolwerk.FR: {
		hello: "Madame, Monsieur,",
		what:  map[string]string{"phishing": "Hameçonnage", "fake_shop": "Fausse boutique en ligne", "malware": "Logiciel malveillant", "scam": "Escroquerie"},
		open: map[string]string{
			ToAuthority: "Nous vous transmettons ce signalement. Type : %s.",
			ToBrowsers:  "Nous signalons cette page pour votre liste. Type : %s.",
			ToBrand:     "Un site web se fait passer pour votre organisation. Type : %s. Ce nom est bloqué sur notre réseau.",
			ToHost:      "Un site web nuisible se trouve à une adresse de votre réseau. Type : %s.",
			ToRegistrar: "Un nom de domaine enregistré par votre intermédiaire est utilisé de façon abusive. Type : %s.",
			ToOwner:     "Une page de votre site web y a sans doute été placée par un intrus. Type : %s. Vous n'y êtes pour rien ; c'est pourquoi nous vous écrivons.",
		},
		hacked: "Un site web piraté se trouve à une adresse de votre réseau. Type : %s. Son propriétaire ne le sait sans doute pas.",
		ask: map[string]string{
			ToAuthority: "Merci de nous envoyer un accusé de réception avec votre numéro.",
			ToBrowsers:  "Merci d'examiner cette page et de l'ajouter si vous êtes du même avis.",
			ToBrand:     "S'il s'agit tout de même d'un de vos sites, dites-le-nous aussitôt : nous lèverons le blocage.",
			ToHost:      "Merci de retirer la page, de conserver les journaux et de répondre à ce message avec votre numéro.",
			ToRegistrar: "Merci d'examiner cet enregistrement selon vos conditions et de répondre à ce message avec votre numéro.",
			ToOwner:     "Demandez à votre hébergeur de supprimer la page, mettez les logiciels à jour et changez les mots de passe. Répondez ensuite à ce message : nous vérifierons et lèverons le blocage.",
		},
		address: "Adresse", reads: "Se lit", brand: "Marque imitée", first: "Premier signalement", ours: "Notre numéro", yours: "Votre numéro", sent: "Notre message du",
		cut:       "L'adresse s'arrête avant une partie qui pourrait désigner une personne.",
		person:    "Un collaborateur l'a confirmé.",
		rules:     "Nos règles l'ont trouvé ; aucun collaborateur n'a encore décidé. Si c'est une erreur, vous recevrez une correction.",
		reporters: "Nous ne transmettons aucune donnée des personnes qui nous signalent quelque chose.",
		again:     "S'il s'avère que nous avons tort, vous recevrez une correction.",
		pass:      "Diffusion : %s.",
		fix:       "Correction",
		wrong:     "Nous retirons le message %s au sujet de %s. Il était erroné. Merci d'annuler ce que vous avez fait à cause de ce message. Veuillez nous en excuser.",
		cleaned:   "Notre message %s au sujet de %s est clos : le site est de nouveau sain et n'est plus bloqué. Vous n'avez plus rien à faire. Merci.",
	},
	bolwerk.DE: {
		hello: "Guten Tag,",
		what:  map[string]string{"phishing": "Phishing", "fake_shop": "Fake-Shop", "malware": "Schadsoftware", "scam": "Betrug"},
		open: map[string]string{
			ToAuthority: "Wir leiten Ihnen diese Meldung weiter. Art: %s.",
			ToBrowsers:  "Wir melden diese Seite für Ihre Liste. Art: %s.",
			ToBrand:     "Eine Website gibt sich als Ihr Unternehmen aus. Art: %s. In unserem Netz ist der Name gesperrt.",
			ToHost:      "Unter einer Adresse in Ihrem Netz steht eine Website, die Menschen schadet. Art: %s.",
			ToRegistrar: "Ein über Sie registrierter Domainname wird missbraucht. Art: %s.",
			ToOwner:     "Auf Ihrer Website steht eine Seite, die dort vermutlich ein Eindringling abgelegt hat. Art: %s. Sie haben nichts falsch gemacht; deshalb schreiben wir Ihnen.",
		},
		hacked: "Unter einer Adresse in Ihrem Netz steht eine gehackte Website. Art: %s. Der Inhaber weiß das vermutlich nicht.",
		ask: map[string]string{
			ToAuthority: "Bitte bestätigen Sie uns den Eingang mit Ihrer Vorgangsnummer.",
			ToBrowsers:  "Bitte prüfen Sie die Seite und nehmen Sie sie auf, wenn Sie zum selben Ergebnis kommen.",
			ToBrand:     "Falls die Website doch Ihnen gehört, sagen Sie uns bitte sofort Bescheid: Dann heben wir die Sperre auf.",
			ToHost:      "Bitte entfernen Sie die Seite, sichern Sie die Protokolle und antworten Sie auf diese Mail mit Ihrer Vorgangsnummer.",
			ToRegistrar: "Bitte prüfen Sie die Registrierung nach Ihren Bedingungen und antworten Sie auf diese Mail mit Ihrer Vorgangsnummer.",
			ToOwner:     "Bitten Sie Ihren Webhoster, die Seite zu entfernen, aktualisieren Sie die Software und ändern Sie die Passwörter. Antworten Sie danach auf diese Mail: Dann prüfen wir erneut und heben die Sperre auf.",
		},
		address: "Adresse", reads: "Lesbar als", brand: "Nachgeahmte Marke", first: "Erste Meldung", ours: "Unsere Nummer", yours: "Ihre Nummer", sent: "Unsere Nachricht vom",
		cut:       "Die Adresse endet vor einem Teil, der auf eine Person hinweisen könnte.",
		person:    "Ein Mensch hat das bestätigt.",
		rules:     "Unsere Regeln haben das gefunden; ein Mensch hat noch nicht entschieden. Falls es nicht stimmt, erhalten Sie eine Berichtigung.",
		reporters: "Wir geben keine Daten von Menschen weiter, die uns etwas melden.",
		again:     "Falls wir uns geirrt haben, erhalten Sie von uns eine Berichtigung.",
		pass:      "Weitergabe: %s.",
		fix:       "Berichtigung",
		wrong:     "Wir ziehen die Nachricht %s über %s zurück. Sie war falsch. Bitte machen Sie rückgängig, was Sie wegen dieser Nachricht getan haben. Wir bitten um Entschuldigung.",
		cleaned:   "Unsere Nachricht %s über %s ist erledigt: Die Website ist wieder sauber und nicht mehr gesperrt. Sie müssen nichts mehr tun. Vielen Dank.",
	},
	bolwerk.EN: {
		hello: "Dear colleague,",
		what:  map[string]string{"phishing": "Phishing", "fake_shop": "Fake web shop", "malware": "Malware", "scam": "Fraud"},
		open: map[string]string{
			ToAuthority: "We pass this report on to you. Kind: %s.",
			ToBrowsers:  "We report this page for your list. Kind: %s.",
			ToBrand:     "A website pretends to be your organisation. Kind: %s. The name is blocked on our network.",
			ToHost:      "A website that harms people is served from an address in your network. Kind: %s.",
			ToRegistrar: "A domain name that was registered through you is being abused. Kind: %s.",
			ToOwner:     "There is a page on your website that an intruder has probably put there. Kind: %s. You did nothing wrong; that is why we write to you.",
		},
		hacked: "A hacked website is served from an address in your network. Kind: %s. Its owner probably does not know.",
		ask: map[string]string{
			ToAuthority: "Please confirm that you have received this, with your reference.",
			ToBrowsers:  "Please look at the page, and list it if you agree.",
			ToBrand:     "If this is a website of yours after all, tell us at once: we will lift the block.",
			ToHost:      "Please take the page down, keep the logs, and answer this mail with your reference.",
			ToRegistrar: "Please look into the registration under your terms, and answer this mail with your reference.",
			ToOwner:     "Ask your web host to remove the page, update the software and change the passwords. Then answer this mail: we will look again and lift the block.",
		},
		address: "Address", reads: "Reads as", brand: "Imitated brand", first: "First report", ours: "Our reference", yours: "Your reference", sent: "Our message of",
		cut:       "The address ends before a part that could point to a person.",
		person:    "A person has confirmed this.",
		rules:     "Our rules found this; no person has decided yet. If it is wrong, you will get a correction.",
		reporters: "We pass on nothing about the people who report to us.",
		again:     "Should we turn out to be wrong, we will send you a correction.",
		pass:      "Sharing: %s.",
		fix:       "Correction",
		wrong:     "We take back message %s about %s. It was wrong. Please undo what you did because of it. We apologise.",
		cleaned:   "Our message %s about %s is settled: the website is clean again and no longer blocked. You need not do anything more. Thank you.",
	},
}
