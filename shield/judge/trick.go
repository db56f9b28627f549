package judge

import (
	"fmt"
	"slices"
	"strings"
	"unicode"

	"bolwerk"
	"bolwerk/internal/suffix"
)

// pictureHosts are where everybody can put a picture for nothing. A company's
// mails have theirs at home or at whoever sends them.
var pictureHosts = func() map[string]bool {
	m := map[string]bool{}
	for d := range strings.FieldsSeq(`imgur.com ibb.co imgbb.com postimg.cc postimages.org imgchest.com pinimg.com imageban.ru imagebam.com
		freeimage.host gifyu.com giphy.com tenor.com prnt.sc gyazo.com lightshot.cc imgbox.com tinypic.com photobucket.com picsum.photos
		imageshack.com imageshack.us funkyimg.com catbox.moe hizliresim.com directupload.net ibb.co.com imgpile.com imghippo.com
		sm.ms cubeupload.com vgy.me flickr.com staticflickr.com discordapp.com discordapp.net blogger.com blogspot.com`) {
		m[d] = true
	}
	return m
}()

// onPictureHost is the first picture host among the names of a mail's pictures.
func onPictureHost(pictures []bolwerk.Domain, psl *suffix.List) string {
	for _, d := range pictures {
		if at, _ := psl.Registrable(d); pictureHosts[at.String()] {
			return at.String()
		}
	}
	return ""
}

// fewLetters is how much text a mail has at most that says what it says in a
// picture.
const fewLetters = 80

// wordless says that a mail has hardly a word that a program could read.
func wordless(text string, most int) bool {
	n := 0
	for _, r := range text {
		if unicode.IsLetter(r) {
			if n++; n > most {
				return false
			}
		}
	}
	return true
}

// joined says that words are put together with signs, as nobody writes to people
// and many do to filters: "Unusual_activity_on_your_Account", "*-your*parcel". It
// is empty, or the first such word.
func joined(text string) string {
	words := strings.Fields(text)
	for _, w := range words[:min(len(words), 60)] {
		if len(w) > 200 || strings.ContainsAny(w, "/@=\\.") && !strings.Contains(w, "..") {
			continue // an address, a path, a file
		}
		signs, run := 0, 0
		letters := false
		for _, r := range w {
			switch {
			case unicode.IsLetter(r):
				if letters && run > 0 {
					signs++
				}
				letters, run = true, 0
			case r == '_' || r == '*' || r == '~' || r == '|':
				run++
			default:
				run = 0
			}
		}
		if signs >= 3 || strings.Contains(w, "__") && signs >= 1 {
			return w
		}
	}
	return ""
}

// ownAddress says that a subject has a mail address in it, and is no answer: lures
// put in the reader's own to look personal.
func ownAddress(subject string) bool {
	if head, _, ok := strings.Cut(subject, ":"); ok && len(head) <= 4 {
		return false // Re, Fwd, Antw, AW
	}
	for w := range strings.FieldsSeq(subject) {
		if local, domain, ok := strings.Cut(strings.Trim(w, `<>()[]"',;:!?.`), "@"); ok && len(local) >= 2 && len(domain) >= 2 {
			return true
		}
	}
	return false
}

// pictured says that a sender put a little picture into his name.
func pictured(name string) bool {
	return strings.ContainsFunc(name, func(r rune) bool {
		return unicode.Is(unicode.So, r) && r != '®' && r != '©' && r != '°'
	})
}

// nameShown is a host name that a sender's own name shows, as in "Shop.com Team".
func nameShown(name string, psl *suffix.List) (bolwerk.Domain, bool) {
	for w := range strings.FieldsSeq(name) {
		w = strings.ToLower(strings.Trim(w, `<>()[]"',;:!?.|*-_`))
		if len(w) > 100 || !strings.Contains(w, ".") || strings.ContainsAny(w, "@/:") {
			continue
		}
		d, err := bolwerk.ParseDomain(w)
		if err != nil || d.Labels() < 2 || !strings.ContainsFunc(w, unicode.IsLetter) {
			continue
		}
		if _, section := psl.Suffix(d); section != suffix.ICANN {
			continue
		}
		if own, ok := psl.Registrable(d); ok {
			return own, true
		}
	}
	return bolwerk.Domain{}, false
}

// dressing is the brand whose own pages most links of a mail lead to, three and
// more, though its sender is not that brand: a real mail with one link changed.
func dressing(m Message, brands *Brands) string {
	if len(m.Links) < 4 {
		return ""
	}
	count := map[string]int{}
	for _, l := range m.Links {
		if owner := brands.Owner(l.Target); owner != "" && owner != brands.Owner(m.From) && !slices.Contains(everywhereLinked, owner) {
			count[owner]++
		}
	}
	for brand, n := range count {
		if n >= 3 && n*2 > len(m.Links) && n < len(m.Links) {
			return brand
		}
	}
	return ""
}

// everywhereLinked are brands to which honest mails of everybody lead.
var everywhereLinked = []string{"Facebook", "Instagram", "LinkedIn", "X Twitter", "TikTok", "Google", "Apple", "WhatsApp", "Telegram", "Discord", "Yahoo", "Microsoft",
	"Amazon", "Spotify", "Zoom", "Mailchimp", "Dropbox"}

// kept says that a name is under a suffix that is kept for examples and tests
// (RFC 2606, RFC 6761): no list has it, and no stranger writes from it.
func kept(d bolwerk.Domain) bool {
	full := d.String()
	switch full[strings.LastIndexByte(full, '.')+1:] {
	case "example", "test", "invalid", "localhost", "local", "internal":
		return true
	}
	return false
}

// disguised tells where a link's address is written so that something is hidden.
func disguised(l Link, say func(Tier, string, Word, string, string, string, ...any)) bool {
	for _, note := range l.Notes {
		switch note {
		case "userinfo":
			say(2, "links", Suspicious, "disguised_link", "", "the link begins with another name, which browsers ignore")
		case "encoded-address":
			say(2, "links", Suspicious, "disguised_link", "", "the link has an address written so that nobody reads it")
		case "encoded-letters":
			say(2, "links", Suspicious, "disguised_link", "", "the link has letters written as codes, which no program does")
		case "address-in-fragment":
			say(2, "links", Suspicious, "disguised_link", "", "the link has a mail address at its end, for the page to greet its reader")
		default:
			continue
		}
		return true
	}
	return false
}

// mailing says that a name is one of a service that sends mail for others.
func mailing(p Place) bool { return p.Shared && p.Platform.Kind == ESP }

// tricks are what a mail does to be read by people and not by programs.
func (r *Reading) tricks(away bool, p Place, say func(Tier, string, Word, string, string, string, ...any)) {
	odd := away || r.sender != "" || r.role != "" || len(r.groups) > 0
	if r.pictures != "" {
		tier := Tier(3)
		if odd && !(r.proved && r.related) {
			tier = 2
		}
		say(tier, "pictures", Suspicious, "picture_host", "", "its pictures lie on %s, where everybody can put one", r.pictures)
	}
	if r.wordless && away && r.painted {
		say(2, "pictures", Suspicious, "picture_only", "", "it has hardly a word, only pictures, and leads to %s, away from its sender %s: look at the picture", p.Name, r.whom())
	}
	if r.joined != "" {
		tier := Tier(3)
		if away || len(r.groups) > 0 {
			tier = 2
		}
		say(tier, "text", Suspicious, "joined_words", "", "subject or sender joins words with signs: %s", fmt.Sprintf("%.60s", r.joined))
	}
	if away && r.addressed {
		say(2, "text", Suspicious, "address_in_subject", "", "the subject has a mail address in it, as if it were personal, and it leads to %s, away from its sender %s", p.Name, r.whom())
	}
	if away && r.decked && !mailing(p) {
		say(2, "sender", Suspicious, "decked_sender", "", "the sender put a little picture into his name, and leads to %s, away from his address %s", p.Name, r.whom())
	}
	switch t := traitsOf(p, shape(p)); {
	case !away:
	case t.cheap && !free[r.from.String()]:
		say(2, "links", Suspicious, "leads_cheap", "", "it leads only to where names cost next to nothing (%s), away from its sender %s", t.place, r.whom())
	case t.made, t.number, t.chain, t.hard && len(r.groups)+len(r.tells) > 0:
		say(2, "links", Suspicious, "leads_odd", "", "it leads only to a name that is odd by itself (%s), away from its sender %s", p.Name, r.whom())
	}
	for _, l := range r.m.Links {
		if l.Target == p.Name && disguised(l, say) {
			break
		}
	}
	if away && r.m.FilesOnly && (r.wordless || free[r.m.From.String()] && wordless(r.m.Text, 4*fewLetters)) {
		say(2, "files", Suspicious, "file_only", "", "it says little itself, and leads away from its sender %s in a file only", r.whom())
	}
	if away && r.inLocal != "" && r.own != r.inLocal && !free[r.m.From.String()] {
		say(2, "sender", Suspicious, "brand_local", r.inLocal, "the sender's address begins as %s's and is at %s", r.inLocal, r.m.From)
	}
	if !r.shown.IsZero() && r.shown != r.from && !r.from.IsZero() && !r.leads[r.shown] {
		say(2, "display_name", Suspicious, "display_domain", "", "the sender's name shows %s, and it comes from %s", r.shown, r.m.From)
	}
	if r.dress != "" && r.own != r.dress {
		say(2, "links", Suspicious, "real_links", r.dress, "most of its links are %s's own, %s is not, and neither is the sender", r.dress, p.Name)
	}
}
