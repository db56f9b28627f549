package judge

import (
	"fmt"
	"net/netip"
	"strings"
	"unicode"

	"bolwerk"
	"bolwerk/internal/suffix"
	"bolwerk/shield/lists"
)

// NameEvidence is what a name tells by itself. A brand's own name is clean of
// tier 1: the operator configured it. A look-alike is suspicious; one that is
// written with other letters, which hardly anybody does by chance, malicious;
// both are of tier 2, so that the name alone never makes a verdict of malicious.
// Where the name stands is told as no_data: it decides the scope, not the word.
func NameEvidence(p Place, brands *Brands) (out []Evidence) {
	say := func(source string, tier Tier, w Word, reason, brand, format string, a ...any) {
		out = append(out, Evidence{Family: FamilyName, Source: source, Tier: tier, Verdict: w,
			Reason: reason, Brand: brand, Detail: fmt.Sprintf(format, a...)})
	}
	if own := brands.Owner(p.Name); own != "" && !p.Shared && p.Tenant.IsZero() && !customers(p.Name) {
		say("brands", 1, Clean, "own_name", own, "%s is %s's own", p.Name, own)
	}
	for _, l := range brands.Look(p) {
		w := Suspicious
		if l.strong() {
			w = Malicious
		}
		tier := Tier(2)
		if !l.Sure {
			tier = 3
		}
		say("brands", tier, w, l.Kind, l.Brand, "%s", l.Text)
	}
	out = append(out, lureEvidence(p, brands)...)
	for label := range strings.SplitSeq(p.Name.String(), ".") {
		if text := unicodeLabel(label); text != label && mixed(text) {
			say("scripts", 3, Suspicious, "mixed_scripts", "", "the label %s mixes scripts that are not written together", text)
			break
		}
	}
	switch {
	case p.Shared:
		say("platforms", 3, NoData, "platform", "", "strangers share %s (%s)", p.Platform.Name, p.Platform.Kind)
	case !p.Tenant.IsZero():
		say("platforms", 3, NoData, "tenant", "", "%s is a tenant of %s", p.Tenant, p.Platform.Name)
	case p.Registrable.IsZero():
		say("suffixes", 3, NoData, "suffix", "", "%s is a public suffix (%s)", p.Name, p.Section)
	case p.Section == suffix.Unknown:
		say("suffixes", 3, NoData, "unknown_suffix", "", "no list knows the suffix %s", p.Suffix)
	}
	return out
}

// AddressEvidence is what a link to a bare address tells: no honest sender leads
// people to one. Of addresses that only a house or a machine has it says nothing.
func AddressEvidence(a netip.Addr) []Evidence {
	a = a.Unmap()
	e := Evidence{Family: FamilyName, Source: "address", Tier: 2, Verdict: Suspicious, Reason: "bare_address",
		Detail: fmt.Sprintf("the link goes to the bare address %s: no name stands behind it", a)}
	if !a.IsGlobalUnicast() || a.IsPrivate() {
		e.Tier, e.Verdict, e.Reason, e.Detail = 3, NoData, "inner_address", fmt.Sprintf("%s is an address within a house: it leads nowhere from outside", a)
	}
	return []Evidence{e}
}

// customers says that a name has an address of the Internet in it, as the names of
// lines and servers that a brand gives to its customers: what stands there is not
// the brand's.
func customers(d bolwerk.Domain) bool {
	numbers := 0
	for part := range strings.FieldsFuncSeq(d.String(), func(r rune) bool { return r == '.' || r == '-' }) {
		if len(part) <= 3 && strings.Trim(part, "0123456789") == "" {
			if numbers++; numbers == 4 {
				return true
			}
		} else {
			numbers = 0
		}
	}
	return false
}

// Feed is one loaded list as evidence. Without a Set it was never loaded, and
// says failed.
type Feed struct {
	Name string
	Set  *lists.Set
	Tier Tier
	// Allow makes its names clean; otherwise they are malicious.
	Allow bool
}

// ListEvidence asks each list about a name and, where the report had one, the
// address of the page. An entry above the name counts only as far as its owner
// goes: a feed with a platform or a suffix in it says nothing about a tenant, and
// on a shared host only the very page counts. A host of which another page is
// listed is suspicious, of tier 3.
func ListEvidence(p Place, url string, feeds []Feed) (out []Evidence) {
	for _, f := range feeds {
		e := Evidence{Family: FamilyList, Source: f.Name, Tier: f.Tier, Verdict: NoData, Reason: "not_listed"}
		if f.Set == nil {
			e.Verdict, e.Reason = Failed, "not_loaded"
			out = append(out, e)
			continue
		}
		e.ListVersion = f.Set.Version()
		word := Malicious
		if f.Allow {
			word = Clean
		}
		entry, listed := f.Set.Above(p.Name)
		owner := p.Owner()
		switch {
		case url != "" && f.Set.HasURL(url):
			e.Verdict, e.Reason, e.Detail = word, "listed_page", "this very page"
		case listed && p.Shared:
			e.Reason, e.Detail = "listed_platform", fmt.Sprintf("it lists %s, which strangers share", entry)
		case listed && !owner.IsZero() && entry.Below(owner):
			e.Verdict, e.Reason, e.Detail = word, "listed", fmt.Sprintf("it lists %s", entry)
		case listed:
			e.Reason, e.Detail = "listed_platform", fmt.Sprintf("it lists %s, which has more than one owner", entry)
		case !f.Allow && !p.Shared && f.Set.HasURLOn(p.Name):
			e.Tier, e.Verdict, e.Reason, e.Detail = 3, Suspicious, "listed_page_on_host", "another page on this host"
		}
		out = append(out, e)
	}
	return out
}

// Message is what reading found in the mail that a name came in: facts, not yet
// evidence.
type Message struct {
	From bolwerk.Domain // of the From field; zero without one
	Name string         // the display name of the From field, decoded
	// ReplyTo is the domain of the Reply-To field; zero without one.
	ReplyTo bolwerk.Domain
	// ManyFroms says that more than one sender stands in the From field.
	ManyFroms bool
	// BadFrom says that the sender's address has no domain that can exist.
	BadFrom bool
	Subject string
	Text    string // the beginning of what a reader sees
	// Head says that the whole header is there, as in a mail that came as a file, and
	// not only what a mail program copies when it forwards: what is missing says
	// something then.
	Head bool
	// Local is the sender's address before the @.
	Local string
	// Return is the domain to which failures go, ID what stands behind the @ of the
	// Message-ID, Signed are the domains that DKIM signatures claim, unverified.
	Return bolwerk.Domain
	ID     string
	Signed []bolwerk.Domain
	// Script says that a web server's script sent it, ToSelf that it is addressed to
	// its own sender, Recipients how many addresses it shows.
	Script, ToSelf bool
	Recipients     int
	// List says that a discussion list sent it on, Answer that it answers a mail.
	List, Answer bool
	// FilesOnly says that all its links stand in files beside it.
	FilesOnly bool
	// Auth are the Authentication-Results fields (RFC 8601) from the top of the
	// header down.
	Auth  []Auth
	Links []Link
	// Pictures are the hosts of the pictures that it shows from elsewhere.
	Pictures []bolwerk.Domain
}

// Auth is one Authentication-Results field.
type Auth struct {
	ServID string // who wrote it
	DMARC  string // pass, fail, none ...; empty where it says nothing
}

// Link is a link of the mail: what it shows and where it goes.
type Link struct {
	Text   string
	Target bolwerk.Domain
	// Notes are what its address was written with to hide something: see reading.URL.
	Notes []string
}

// dmarc is what the first trusted field says.
func dmarc(fields []Auth, trusted []string) string {
	for _, f := range fields {
		for _, t := range trusted {
			if strings.EqualFold(f.ServID, t) {
				return strings.ToLower(f.DMARC)
			}
		}
	}
	return ""
}

// words is a text as skeletons of its words with one space between them.
func words(text string) string {
	if len(text) > maxPressed {
		text = strings.ToValidUTF8(text[:maxPressed], "")
	}
	return strings.Join(strings.FieldsFunc(skeleton(text), func(r rune) bool {
		return unicode.IsSpace(r) || unicode.Is(unicode.So, r) || r == 0xfe0f || r == '"' || r == '\'' || r == '(' || r == ')' || r == ',' || r == '-' || r == '|' || r == ':' || r == '.' || r == '!' ||
			r == '?' || r == ';' || r == '/' || r == '[' || r == ']' || r == '<' || r == '>' || r == '*' || r == '_' || r == '’'
	}), " ")
}

// nameIn is the host name that a link's text shows, when the text is an address
// or a name and not a sentence.
func nameIn(text string) (bolwerk.Domain, bool) {
	text = strings.TrimSpace(text)
	if len(text) > 2048 || strings.ContainsAny(text, " \t\r\n@") {
		return bolwerk.Domain{}, false
	}
	if _, rest, ok := strings.Cut(text, "://"); ok {
		text = rest
	}
	if i := strings.IndexAny(text, "/?#:"); i >= 0 {
		text = text[:i]
	}
	d, err := bolwerk.ParseDomain(text)
	return d, err == nil && d.Labels() > 1
}
