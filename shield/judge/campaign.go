package judge

import (
	"fmt"
	"hash/fnv"
	"math/bits"
	"slices"
	"strings"
	"unicode"
)

// KeyKind is one way in which two cases can be of one make.
type KeyKind string

// The kinds, the strongest first.
const (
	KeyKit      KeyKind = "K1" // a rule knows the kit
	KeyForm     KeyKind = "K2" // where the form sends, with the page's own scripts
	KeyDOM      KeyKind = "K3" // simhash of the page, at most three bits apart
	KeyIcon     KeyKind = "K4" // the icon of a page on a host that is not the brand's
	KeyShape    KeyKind = "K5" // shape of the address
	KeyName     KeyKind = "K6" // shape of the name: brand, affix, suffix
	KeyRegister KeyKind = "K7" // registrar, name servers, day
	KeyText     KeyKind = "K8" // words of subject or text
	KeyBrand    KeyKind = "K9" // brand and language
)

// Key is one trait of a case. Two cases agree in a kind when they have an equal
// key of it: of K3 and K8, which are alike and not the same, each has several.
type Key struct {
	Kind  KeyKind `json:"kind"`
	Value string  `json:"value"`
	// Strong says that the key by itself puts two cases together.
	Strong bool `json:"strong,omitempty"`
}

// String is the key as a column keeps it.
func (k Key) String() string { return string(k.Kind) + "|" + k.Value }

// lone are the kinds that by themselves, or with only each other, join nothing:
// half of all phishing of a week has the same registrar, and every other mail
// the same bank.
func (k KeyKind) lone() bool { return k == KeyRegister || k == KeyBrand }

// maxKey bounds a key: what is longer is kept as its hash.
const maxKey = 200

func key(kind KeyKind, strong bool, parts ...string) Key {
	v := strings.Join(parts, "|")
	if len(v) > maxKey {
		v = fmt.Sprintf("#%016x", sum64(v))
	}
	return Key{kind, v, strong}
}

func sum64(s string) uint64 {
	h := fnv.New64a()
	h.Write([]byte(s))
	return mix(h.Sum64())
}

// mix spreads weak bits (the finaliser of SplitMix64).
func mix(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// KitKey is of a rule that knows one kit.
func KitKey(rule string) Key { return key(KeyKit, true, rule) }

// FormKey is of a form's path and the hashes of the scripts of the page's own
// host; none where either is missing: a path alone is everybody's.
func FormKey(path string, scripts []string) (out []Key) {
	if path = strings.Trim(path, "/"); path == "" || len(scripts) == 0 {
		return nil
	}
	all := slices.Clone(scripts)
	slices.Sort(all)
	return []Key{key(KeyForm, true, Digitless(path), fmt.Sprintf("%016x", sum64(strings.Join(slices.Compact(all), ","))))}
}

// DOMKeys are four bands of a simhash: two hashes at most three bits apart have
// one band equal. The full hash stands behind each, for DOMNear.
func DOMKeys(hash uint64) (out []Key) {
	if hash == 0 {
		return nil
	}
	for band := range 4 {
		out = append(out, key(KeyDOM, false, fmt.Sprintf("%d:%04x", band, uint16(hash>>(16*band)))))
	}
	return out
}

// DOMNear says that two simhashes are of one kit.
func DOMNear(a, b uint64) bool { return a != 0 && b != 0 && bits.OnesCount64(a^b) <= 3 }

// IconKey is of the hash of an icon on a foreign host.
func IconKey(sum string) Key { return key(KeyIcon, false, sum[:min(len(sum), 32)]) }

// ShapeKey is the shape of an address behind its host: digits, hexadecimal and
// addresses of mail masked. A short or common path says nothing.
func ShapeKey(rawURL string) (out []Key) {
	_, rest, ok := strings.Cut(rawURL, "://")
	if !ok {
		return nil
	}
	at := strings.IndexByte(rest, '/')
	if at < 0 {
		return nil
	}
	rest, _, _ = strings.Cut(rest[at:], "#")
	path, query, _ := strings.Cut(rest, "?")
	var parts []string
	letters := 0
	for seg := range strings.SplitSeq(strings.Trim(path, "/"), "/") {
		m := segment(seg)
		for _, r := range m {
			if unicode.IsLower(r) {
				letters++
			}
		}
		parts = append(parts, m)
	}
	shape := strings.Join(parts, "/")
	var names []string
	for pair := range strings.SplitSeq(query, "&") {
		if n, _, _ := strings.Cut(pair, "="); n != "" {
			names = append(names, segment(n))
		}
	}
	if len(parts) < 2 && len(names) < 2 || letters < 6 {
		return nil
	}
	slices.Sort(names)
	if len(names) > 0 {
		shape += "?" + strings.Join(slices.Compact(names), "&")
	}
	return []Key{key(KeyShape, false, shape)}
}

// segment is a part of a path with what is made anew for each victim masked.
func segment(s string) string {
	switch {
	case strings.Contains(s, "@") || strings.Contains(strings.ToLower(s), "%40"):
		return "@"
	case len(s) >= 8 && strings.Trim(strings.ToLower(s), "0123456789abcdef-") == "" && strings.ContainsAny(s, "0123456789"):
		return "H"
	case len(s) >= 16 && strings.ContainsAny(s, "0123456789"):
		return "T" // a token
	}
	return strings.ToLower(Digitless(s))
}

// NameKey is CampaignKey as a key. It is strong where its makers chose more than
// the brand's own word: a number, or four letters beside it.
func NameKey(p Place, name string, brands *Brands) []Key {
	v := CampaignKey(p, name, brands)
	if v == "" {
		return nil
	}
	_, shape, _ := strings.Cut(v, "|")
	label := strings.TrimSuffix(shape, "."+suffixOf(p))
	chosen := 0
	label = strings.ReplaceAll(label, "{brand}", "")
	if strings.ContainsRune(label, 'N') {
		chosen = 4
	}
	for _, r := range label {
		if unicode.IsLower(r) {
			chosen++
		}
	}
	return []Key{key(KeyName, chosen >= 4, v)}
}

// RegisterKey is of who registered a name where on which day; none where the
// registrar or the day is not known.
func RegisterKey(registrar string, servers []string, day string) (out []Key) {
	if registrar == "" || day == "" {
		return nil
	}
	all := slices.Clone(servers)
	slices.Sort(all)
	return []Key{key(KeyRegister, false, strings.ToLower(registrar), strings.ToLower(strings.Join(all, ",")), day)}
}

// BrandKey is of the imitated brand and the language.
func BrandKey(brand, lang string) []Key {
	if brand == "" {
		return nil
	}
	return []Key{key(KeyBrand, false, brand, lang)}
}

// The minhash of a text: the smallest hashes of its pairs of words, in 8 bands of
// three. Two texts of which eight tenths are the same share a band in 997 of 1,000
// cases, two of which two tenths are in 6 of 100: so a text alone joins nothing.
const (
	textRows  = 3
	textBands = 8
	textWords = 4   // fewer say nothing
	textMost  = 200 // words that are looked at
)

// TextKeys are of the words of a subject or a short message, with numbers,
// amounts, addresses and what follows a greeting masked.
func TextKeys(text string) (out []Key) {
	w := textTemplate(text)
	if len(w) < textWords {
		return nil
	}
	var low [textRows * textBands]uint64
	for i := range low {
		low[i] = ^uint64(0)
	}
	for i := range len(w) - 1 {
		base := sum64(w[i] + " " + w[i+1])
		for j := range low {
			low[j] = min(low[j], mix(base+uint64(j)*0x9e3779b97f4a7c15))
		}
	}
	for b := range textBands {
		sum := uint64(b)
		for r := range textRows {
			sum = mix(sum + low[b*textRows+r])
		}
		out = append(out, key(KeyText, false, fmt.Sprintf("%d:%016x", b, sum)))
	}
	return out
}

// greetings stand before a name.
var greetings = map[string]bool{"dear": true, "beste": true, "geachte": true, "hallo": true, "hello": true, "hi": true, "dag": true, "cher": true, "chère": true, "bonjour": true, "liebe": true, "lieber": true, "geehrte": true, "geehrter": true, "mr": true, "mrs": true, "heer": true, "mevrouw": true, "monsieur": true, "madame": true, "herr": true, "frau": true}

// textTemplate is the words of a text with masks.
func textTemplate(text string) (out []string) {
	if len(text) > 4096 {
		text = text[:4096]
	}
	after := false // of a greeting: what begins with a capital is a name
	for f := range strings.FieldsSeq(strings.ToValidUTF8(text, " ")) {
		if len(out) == textMost {
			break
		}
		plain := strings.TrimFunc(f, func(r rune) bool { return !unicode.IsLetter(r) && !unicode.IsDigit(r) })
		low := strings.ToLower(plain)
		switch {
		case strings.Contains(f, "://") || strings.HasPrefix(low, "www."):
			out = append(out, "<url>")
		case strings.Contains(f, "@"):
			out = append(out, "<mail>")
		case plain == "" && strings.ContainsAny(f, "€$£"):
			out = append(out, "<n>")
		case plain == "":
			continue
		case strings.ContainsFunc(plain, unicode.IsDigit):
			out = append(out, "<n>")
		case after && unicode.IsUpper([]rune(plain)[0]) && !greetings[low]:
			if out[len(out)-1] != "<name>" {
				out = append(out, "<name>")
			}
			if !strings.HasSuffix(f, ",") {
				continue
			}
		default:
			out = append(out, low)
		}
		after = greetings[low]
	}
	// One number or several, it is the same template.
	return slices.Compact(out)
}

// Agreement is in what two cases agree.
type Agreement struct {
	Kinds []KeyKind
	// Join says that it is enough to put them together: one strong key, or two
	// kinds of which one is more than the brand or the registration.
	Join bool
}

// Agree compares the keys of two cases.
func Agree(a, b []Key) (out Agreement) {
	have := map[string]bool{}
	for _, k := range a {
		have[k.String()] = true
	}
	var same []Key
	for _, k := range b {
		if have[k.String()] {
			same = append(same, k)
		}
	}
	return Together(same)
}

// Together says what keys that two cases share amount to.
func Together(same []Key) (out Agreement) {
	strong, tells := false, false
	for _, k := range same {
		if !slices.Contains(out.Kinds, k.Kind) {
			out.Kinds = append(out.Kinds, k.Kind)
		}
		strong = strong || k.Strong && !k.Kind.lone()
		tells = tells || !k.Kind.lone()
	}
	slices.Sort(out.Kinds)
	out.Join = strong || tells && len(out.Kinds) >= 2
	return out
}

// CampaignKey puts names of one make together: the brand that they imitate and
// the shape of the name, with the brand's token taken out and each run of digits
// written as N: bank-betaal12.example and bank-betaal7.example have the same key.
// It is empty where the name does not have the brand in it: the brand alone joins
// nothing.
func CampaignKey(p Place, name string, brands *Brands) string {
	owner := p.Owner()
	if owner.IsZero() || brands == nil {
		return ""
	}
	for _, l := range brands.Look(p) {
		if l.Brand != name {
			continue
		}
		label, rest, _ := strings.Cut(owner.String(), ".")
		switch l.Kind {
		case "combosquat":
			label = strings.Replace(label, l.Token, "{brand}", 1)
		case "tld_swap":
			label = "{brand}"
		case "idn_skeleton", "swapped":
			label = strings.Replace(skeleton(unicodeLabel(label)), skeleton(l.Token), "{brand}", 1)
		case "brand_subdomain":
			// What stands in front is the template; the domain changes.
			front := p.Name.String()[:len(p.Name.String())-len(owner.String())-1]
			return name + "|" + Digitless(strings.Replace(front, l.Token, "{brand}", 1)) + ".*." + suffixOf(p)
		}
		return name + "|" + Digitless(label) + "." + rest
	}
	return ""
}

func suffixOf(p Place) string {
	if !p.Tenant.IsZero() {
		return p.Platform.Name.String()
	}
	return p.Suffix.String()
}

// Digitless has each run of digits as one N: what counts up is not what a name,
// an address or a page is made of.
func Digitless(s string) string {
	var b strings.Builder
	in := false
	for _, r := range s {
		digit := r >= '0' && r <= '9'
		if digit && !in {
			b.WriteByte('N')
		}
		if !digit {
			b.WriteRune(r)
		}
		in = digit
	}
	return b.String()
}

// TextTitle is the beginning of a text's template, to call a campaign by that
// imitates no brand that we know. It has no names and no numbers in it.
func TextTitle(text string) string {
	w := textTemplate(text)
	return strings.Join(w[:min(len(w), 8)], " ")
}
