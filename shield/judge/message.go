package judge

import (
	_ "embed"
	"fmt"
	"slices"
	"strings"
	"sync"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"bolwerk"
	"bolwerk/internal/suffix"
)

//go:embed pressure.txt
var pressureText string

// phrase is one line of the compiled list: words in their order, with gaps.
type phrase struct {
	group string
	parts []string // with a space on both sides; between them at most maxGap words
}

const maxGap = 3

var phrases = sync.OnceValue(func() (list []phrase) {
	group := ""
	for line := range strings.Lines(pressureText) {
		line = strings.TrimSpace(line)
		switch {
		case line == "" || line[0] == '#':
		case line[0] == '[':
			group = strings.Trim(line, "[]")
		default:
			p := phrase{group: group}
			for part := range strings.SplitSeq(line, "*") {
				p.parts = append(p.parts, " "+strings.Join(strings.Fields(plainText(part)), " ")+" ")
			}
			list = append(list, p)
		}
	}
	return list
})

// maxPressed is how much of a mail's text is looked at for phrases.
const maxPressed = 8 << 10

// pressure finds how a text presses its reader: the groups in order, each with
// the first phrase of it.
func pressure(text string) (groups, said []string) {
	have := " " + strings.Join(strings.Fields(text), " ") + " "
	for _, p := range phrases() {
		if !slices.Contains(groups, p.group) && p.in(have) {
			groups = append(groups, p.group)
			said = append(said, strings.TrimSpace(strings.Join(p.parts, "…")))
		}
	}
	return groups, said
}

func (p phrase) in(text string) bool {
	for from := 0; ; {
		i := strings.Index(text[from:], p.parts[0])
		if i < 0 {
			return false
		}
		at := from + i + len(p.parts[0]) - 1
		if len(p.parts) == 1 {
			return true
		}
		end := at
		for n := 0; n <= maxGap && end < len(text); n++ {
			if strings.HasPrefix(text[end:], p.parts[1]) {
				return true
			}
			next := strings.IndexByte(text[end+1:], ' ')
			if next < 0 {
				break
			}
			end += 1 + next
		}
		from = at
	}
}

// plainText is a text as phrases are written: lower case, without accents and
// what cannot be seen, one space for all that is no letter or digit.
func plainText(text string) string {
	text = norm.NFKD.String(strings.ToValidUTF8(text, " "))
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.Is(unicode.Mn, r) || unicode.Is(unicode.Cf, r) || r == 0x034f:
			return -1
		case r == 'ß':
			return 's'
		case r == '\'' || r == '’' || r == '-':
			return r
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return ' '
	}, text)
}

// hidden says that a text has what nobody sees between its letters, or letters
// of two ways of writing in one word: it is meant for filters, not for people.
func hidden(text string) bool {
	between, styled := 0, 0
	before := ' '
	for i, r := range text {
		if r == 0x200d && before < 0x250 && unicode.IsLetter(before) {
			between++ // it joins little pictures, and letters of other writings
		}
		before = r
		if r >= 0x1d400 && r <= 0x1d7ff {
			styled++ // mathematical letters: bold to the eye, no word to a filter
		}
		if (r == 0x34f || r == 0x200b || r == 0x200c || r == 0x2060 || r == 0xad || r == 0xfeff && i > 0) && i+len(string(r)) < len(text) {
			between++
		}
	}
	if between >= 2 || styled >= 4 {
		return true
	}
	for w := range strings.FieldsSeq(text) {
		if len(w) <= 64 && mixed(strings.TrimFunc(w, func(r rune) bool { return !unicode.IsLetter(r) })) {
			return true
		}
	}
	return false
}

// free are mail services that everybody can write from: no company does.
var free = func() map[string]bool {
	m := map[string]bool{}
	for d := range strings.FieldsSeq(`gmail.com googlemail.com outlook.com hotmail.com live.com msn.com yahoo.com ymail.com rocketmail.com aol.com icloud.com
		me.com mail.com gmx.com gmx.de gmx.net web.de proton.me protonmail.com yandex.com yandex.ru mail.ru zoho.com tutanota.com hotmail.fr
		outlook.fr yahoo.fr hotmail.be live.be live.nl hotmail.nl yahoo.co.uk yahoo.de`) {
		m[d] = true
	}
	return m
}()

// roles are words with which a sender gives himself an office.
var roles = map[string]bool{"support": true, "service": true, "services": true, "team": true, "security": true, "helpdesk": true, "admin": true,
	"administrator": true, "account": true, "accounts": true, "billing": true, "notification": true, "notifications": true, "alert": true, "alerts": true,
	"customer": true, "care": true, "bank": true, "info": true, "noreply": true, "no-reply": true, "delivery": true, "express": true, "mail": true, "online": true,
	"klantenservice": true, "beveiliging": true, "facturen": true, "facturatie": true, "client": true, "clients": true, "securite": true, "facture": true, "assistance": true,
	"kundenservice": true, "kundendienst": true, "sicherheit": true, "rechnung": true, "inc": true, "com": true, "id": true, "pay": true, "wallet": true, "prime": true, "verification": true, "department": true, "webmail": true, "mailbox": true, "postmaster": true, "server": true}

// claims is the brand whose display name the text has as words of its own. A name
// that is also a word, or somebody's, counts only alone or beside an office: not
// Alexander Bell, but Bell Support.
func (b *Brands) claims(text string) string {
	if b == nil || text == "" {
		return ""
	}
	have := " " + words(text) + " "
	for i := range b.all {
		for _, w := range b.all[i].display {
			if !strings.Contains(have, " "+w+" ") {
				continue
			}
			if b.all[i].everyday(w) && !onlyRoles(strings.Replace(have, " "+w+" ", " ", 1)) {
				continue
			}
			return b.all[i].Name
		}
	}
	return ""
}

// everyday says that a display name is one of the brand's words.
func (b *brand) everyday(display string) bool {
	for _, t := range b.tokens {
		if t.word && t.skel == display {
			return true
		}
	}
	return false
}

func onlyRoles(rest string) bool {
	for w := range strings.FieldsSeq(rest) {
		if !roleSkeletons()[w] {
			return false
		}
	}
	return true
}

var roleSkeletons = sync.OnceValue(func() map[string]bool {
	m := map[string]bool{}
	for r := range roles {
		m[words(r)] = true
	}
	return m
})

// names are the brands that a text names; a brand that is also a word of a
// language does not count.
func (b *Brands) names(text string) (found []int) {
	if b == nil || text == "" {
		return nil
	}
	have := " " + words(text) + " "
	for i := range b.all {
		for _, w := range b.all[i].display {
			if len(w) >= 3 && !b.all[i].everyday(w) && strings.Contains(have, " "+w+" ") {
				found = append(found, i)
				break
			}
		}
	}
	return found
}

// Reading is what the mail as a whole says, made once for all of its names.
type Reading struct {
	m       Message
	own     string // brand that the From field's domain belongs to
	claimed string // brand that the sender calls himself
	dmarc   string
	groups  []string
	said    []string
	named   []string // brands in subject and text
	linked  map[string]bool
	proved  bool // the mail comes from where it says, by an authserv-id of ours
	hidden  bool
	role    string
	from    bolwerk.Domain // registrable of From
	reply   bolwerk.Domain
	inHead  []string // brands in subject and sender's name
	owners  int      // how many different parties its links lead to: leads
	leads   map[bolwerk.Domain]bool
	related bool   // one of them is the sender
	sender  string // what the sender's own name has against it
	// pictures is a place for everybody's pictures that it has some on; painted
	// says that it shows pictures at all, wordless that it has hardly a word.
	pictures          string
	painted, wordless bool
	addressed         bool           // a mail address stands in its subject
	decked            bool           // its sender's name has a little picture
	joined            string         // a word put together of several with signs
	shown             bolwerk.Domain // registrable of a host name in the sender's name
	dress             string         // the brand that most of its links lead to
	tells             []tell         // what is against its header
	inLocal           string         // the brand that the sender's address begins as
}

// ReadMessage looks at a mail once. Authentication-Results count only from an
// authserv-id in trusted, and only the topmost of each: an attacker can write one
// into his mail, so trusted may name only hosts that take such fields off at the
// border (RFC 8601 section 5).
func ReadMessage(m Message, brands *Brands, trusted []string, psl *suffix.List) *Reading {
	if len(m.Text) > maxPressed {
		m.Text = strings.ToValidUTF8(m.Text[:maxPressed], "")
	}
	r := &Reading{m: m, own: brands.Owner(m.From), claimed: brands.claims(m.Name), dmarc: dmarc(m.Auth, trusted), linked: map[string]bool{}}
	r.groups, r.said = pressure(plainText(m.Subject + " . " + m.Name + " . " + m.Text))
	for _, i := range brands.names(m.Subject + " " + m.Text) {
		r.named = append(r.named, brands.all[i].Name)
	}
	for _, i := range brands.names(m.Subject + " " + m.Name) {
		r.inHead = append(r.inHead, brands.all[i].Name)
	}
	r.proved = r.dmarc == "pass"
	r.hidden = hidden(m.Subject) || hidden(m.Name)
	r.from, _ = psl.Registrable(m.From)
	r.reply, _ = psl.Registrable(m.ReplyTo)
	r.leads = map[bolwerk.Domain]bool{}
	shared := forEverybody(r.from)
	for _, l := range m.Links {
		r.linked[brands.Owner(l.Target)] = true
		to, _ := psl.Registrable(l.Target)
		if shared && to == r.from {
			continue // of the service, at the foot of what a stranger wrote
		}
		r.leads[to] = true
		r.related = r.related || !to.IsZero() && (to == r.from || to == r.reply)
	}
	r.owners = len(r.leads)
	for to := range r.leads { // the marks of brands and networks at its foot are no way on
		if r.owners > 1 && to != r.from && brands.Owner(to) != "" {
			r.owners--
		}
	}
	r.sender = oddSender(m, brands, psl)
	r.pictures, r.painted, r.wordless = onPictureHost(m.Pictures, psl), len(m.Pictures) > 0, wordless(m.Text, fewLetters)
	if r.joined = joined(m.Subject); r.joined == "" {
		r.joined = joined(m.Name)
	}
	r.shown, _ = nameShown(m.Name, psl)
	r.dress = dressing(m, brands)
	r.inLocal = brands.inLocal(m.Local)
	r.tells = tells(m, r.from, brands, psl)
	r.addressed, r.decked = ownAddress(m.Subject), pictured(m.Name)
	for w := range strings.FieldsSeq(plainText(m.Name)) {
		if roles[w] {
			r.role = w
			break
		}
	}
	return r
}

// forEverybody says that a sender's domain is one of a service on which strangers
// have pages or forms: it sends what they write.
func forEverybody(from bolwerk.Domain) bool {
	return !from.IsZero() && ourPlatforms().byName[from].Kind != ""
}

var ourPlatforms = sync.OnceValue(func() *Platforms {
	p, err := NewPlatforms()
	if err != nil {
		panic(err) // the compiled list
	}
	return p
})

// addressIn is the domain of a mail address within a display name.
func addressIn(name string) (bolwerk.Domain, bool) {
	for w := range strings.FieldsSeq(name) {
		if local, domain, ok := strings.Cut(strings.Trim(w, `<>()[]"',;`), "@"); ok && local != "" {
			if d, err := bolwerk.ParseDomain(domain); err == nil && d.Labels() > 1 {
				return d, true
			}
		}
	}
	return bolwerk.Domain{}, false
}

// oddSender is what is against the name that a mail claims to come from, in words.
func oddSender(m Message, brands *Brands, psl *suffix.List) string {
	switch {
	case m.BadFrom:
		return "its sender's address is none"
	case m.From.IsZero() || brands.Owner(m.From) != "":
		return ""
	}
	p := PlaceOf(m.From, psl, &Platforms{})
	switch {
	case p.Registrable.IsZero():
		return ""
	case p.Section == suffix.Unknown && !kept(m.From):
		return "its sender's name is under ." + p.Suffix.String() + ", which does not exist"
	}
	for _, e := range lureEvidence(p, brands) {
		if e.Tier <= 2 {
			return "its sender's name: " + e.Detail
		}
	}
	switch t := traitsOf(p, shape(p)); {
	case t.made:
		return "its sender's name looks made up by a machine"
	case t.cheap:
		return "its sender's name costs next to nothing (" + t.place + ")"
	}
	return ""
}

// About is what the mail tells about a name that it links to. Nothing that the
// whole mail says counts against a brand's own name: lures are full of them.
func (r *Reading) About(p Place, brands *Brands, psl *suffix.List) (out []Evidence) {
	say := func(tier Tier, source string, w Word, reason, brand, format string, a ...any) {
		out = append(out, Evidence{Family: FamilyMessage, Source: source, Tier: tier, Verdict: w,
			Reason: reason, Brand: brand, Detail: fmt.Sprintf(format, a...)})
	}
	m := r.m
	owner := ""
	if !p.Shared && p.Tenant.IsZero() {
		owner = brands.Owner(p.Name)
	}
	registrable := p.Registrable
	if owner == "" {
		if r.own != "" && r.dmarc == "fail" {
			say(2, "dmarc", Malicious, "forged_brand", r.own, "the mail says it is from %s, which is %s's, and DMARC says it is not", m.From, r.own)
		}
		foreign := r.claimed != "" && r.own != r.claimed && !m.From.IsZero()
		if foreign {
			say(2, "display_name", Suspicious, "display_name", r.claimed, "the sender calls himself %s and writes from %s", r.claimed, m.From)
		}
		if shown, ok := addressIn(m.Name); ok && r.claimed == "" {
			if a, _ := psl.Registrable(shown); !a.IsZero() && a != r.from {
				say(2, "display_name", Suspicious, "display_address", brands.Owner(shown), "the sender's name shows an address at %s, and it comes from %s", shown, m.From)
			}
		}
		if !r.reply.IsZero() && !r.from.IsZero() && r.reply != r.from {
			tier := Tier(3)
			// Discussion lists put their own address there. From free mail people have
			// answers sent to where they work.
			if !m.List && (foreign || r.own != "" && !free[m.From.String()] || free[r.reply.String()] && !free[r.from.String()] && len(r.groups) > 0) {
				tier = 2
			}
			say(tier, "reply_to", Suspicious, "reply_to", "", "it comes from %s and wants answers at %s", m.From, m.ReplyTo)
		}
		if m.ManyFroms {
			say(2, "sender", Suspicious, "many_senders", "", "it has more than one sender, which no mail program writes")
		}
		if r.hidden {
			say(2, "text", Suspicious, "hidden_text", "", "subject or sender has letters that look like others, or characters that nobody sees")
		}
		if r.role != "" && free[m.From.String()] {
			say(2, "sender", Suspicious, "free_mail", "", "the sender calls himself %s and writes from %s, where everybody can", r.role, m.From)
		}
		r.press(p, registrable, say)
		r.lead(p, say)
	}
	for _, l := range m.Links {
		if l.Target != p.Name {
			continue
		}
		shown, ok := nameIn(l.Text)
		if !ok {
			continue
		}
		a, _ := psl.Registrable(shown)
		if b, _ := psl.Registrable(l.Target); !a.IsZero() && a != b {
			tier := Tier(2)
			// A mailing service counts clicks so: of all links, or of those to the sender.
			if brands.Owner(shown) == "" && (p.Shared || b == r.from || a == r.from || !r.few() || labelOf(a) == labelOf(b)) {
				tier = 3
			}
			say(tier, "link_text", Suspicious, "link_text", brands.Owner(shown), "the link shows %s and goes to %s", shown, l.Target)
			break
		}
	}
	return out
}

// Popular is About for a name that many people use. Lures link to such names beside
// their own: where there is another, or the name is the sender's own, what the whole
// mail says of it is context only. A lure that leads nowhere else has its page there,
// or a way on, so what it says counts; what its name looks like does not.
func (r *Reading) Popular(p Place, another bool, brands *Brands, psl *suffix.List) []Evidence {
	out := r.About(p, brands, psl)
	own := !r.from.IsZero() && p.Registrable == r.from
	for i := range out {
		switch e := &out[i]; {
		case e.Reason == "link_text" && e.Brand != "":
		case e.Reason == "link_text": // nobody hides a site that everybody knows
			e.Tier = 3
		case another || own || e.Reason == "leads_odd" || e.Reason == "leads_cheap":
			e.Tier = 3
		}
	}
	return out
}

// press weighs the words of a mail: which brand it speaks of although the link is
// not the brand's, and how it presses.
func (r *Reading) press(p Place, registrable bolwerk.Domain, say func(Tier, string, Word, string, string, string, ...any)) {
	own := r.proved && registrable == r.from // it sends from where it leads to
	said := strings.Join(r.said[:min(3, len(r.said))], "; ")
	for _, brand := range r.named {
		if brand == r.own || brand == r.claimed || r.linked[brand] && len(r.groups) < 2 || len(r.named) > maxNamed {
			continue
		}
		tier := Tier(3)
		if len(r.groups) > 0 && slices.Contains(r.inHead, brand) && r.few() && !own {
			tier = 2
		}
		say(tier, "text", Suspicious, "brand_named", brand, "it speaks of %s, and neither the sender nor the link %s is %s's%s", brand, p.Name, brand, and(said))
		break
	}
	switch {
	case (len(r.groups) >= 4 || len(r.groups) == 3 && len(r.tells) > 0 || len(r.groups) >= 2 && !r.related && (r.owners <= 2 || len(r.groups) > 2)) && r.hard() && !own && r.few() && !(r.m.List && r.m.Answer):
		say(2, "text", Suspicious, "pressure", "", "it presses: %s", said)
	case len(r.groups) > 0:
		say(3, "text", Suspicious, "pressure", "", "it says: %s", said)
	}
}

// A newsletter names many and leads to many; a lure speaks of one thing.
const (
	maxNamed  = 2
	maxOwners = 5
)

// hard says that it presses with more than a hurry and a call to click. An
// advertisement of a sender for himself presses too, with what one may win.
func (r *Reading) hard() bool {
	return slices.ContainsFunc(r.groups, func(g string) bool {
		return g != "act" && g != "deadline" && (g != "gain" || !r.related)
	})
}

func (r *Reading) few() bool { return r.owners <= maxOwners }

// lead weighs where a mail leads beside where it comes from. Each of these is
// common alone, so it takes two: a mail that leads only away from its sender, and
// something odd about the sender, a way that hides its end, or words that press.
func (r *Reading) lead(p Place, say func(Tier, string, Word, string, string, string, ...any)) {
	if r.proved && r.related {
		return
	}
	away := (!r.from.IsZero() || r.m.BadFrom) && !r.related && r.owners > 0 && r.owners <= 2
	if r.sender != "" {
		tier := Tier(3)
		if away || len(r.groups)+len(r.tells) > 0 {
			tier = 2
		}
		say(tier, "sender", Suspicious, "odd_sender", "", "%s", r.sender)
	}
	r.head(away, say)
	r.tricks(away, p, say)
	if !away {
		return
	}
	switch {
	case r.own != "" && !free[r.from.String()] && r.dmarc != "pass" && !p.Shared:
		say(2, "sender", Suspicious, "brand_sender", r.own, "it says it is from %s, and leads to %s only", r.m.From, p.Name)
	case p.Shared && p.Platform.Kind == Shortener:
		tier := Tier(3)
		if len(r.groups) > 0 || !free[r.m.From.String()] || r.claimed != "" {
			tier = 2
		}
		say(tier, "text", Suspicious, "hidden_end", "", "its only way leads through %s, which hides its end", p.Platform.Name)
	case len(r.groups) > 1 && (r.hard() || !r.m.List && !r.m.Answer),
		r.hard() && !free[r.from.String()] && !mailing(p) && !r.m.List && !r.m.Answer: // a list's mail leads away from who wrote it
		say(2, "text", Suspicious, "leads_away", "", "it says %s, and leads to %s, away from its sender %s", strings.Join(r.said[:min(2, len(r.said))], "; "), p.Name, r.whom())
	case r.hard() && free[r.from.String()] && p.Shared && p.Platform.Kind == TenantPath:
		say(2, "text", Suspicious, "free_form", "", "it says %s, comes from %s, where everybody can write, and leads to %s, where everybody can put a page", strings.Join(r.said[:min(2, len(r.said))], "; "), r.m.From, p.Name)
	default:
		say(3, "text", Suspicious, "leads_away", "", "it leads to %s, away from its sender %s", p.Name, r.whom())
	}
}

// whom is the sender's domain for a sentence, where there is one.
func (r *Reading) whom() string {
	if r.m.From.IsZero() {
		return "?"
	}
	return r.m.From.String()
}

// head tells what is against the header. With a mail that leads only away from its
// sender, or two of them together with words that press, it is suspicious.
func (r *Reading) head(away bool, say func(Tier, string, Word, string, string, string, ...any)) {
	for _, t := range r.tells {
		tier := Tier(3)
		if away && (!t.weak || len(r.tells) > 1 || len(r.groups) > 0) || len(r.tells) > 1 && len(r.groups) > 0 {
			tier = 2
		}
		say(tier, "header", Suspicious, t.reason, "", "%s", t.text)
	}
}

// labelOf is the label that an owner chose: of one under two suffixes it is the same.
func labelOf(registrable bolwerk.Domain) string {
	label, _, _ := strings.Cut(registrable.String(), ".")
	return label
}

func and(said string) string {
	if said == "" {
		return ""
	}
	return "; it says " + said
}

// MessageEvidence is ReadMessage and About for one name.
func MessageEvidence(m Message, p Place, brands *Brands, trusted []string, psl *suffix.List) []Evidence {
	return ReadMessage(m, brands, trusted, psl).About(p, brands, psl)
}
