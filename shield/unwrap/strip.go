package unwrap

import (
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Nobody stands in for an address that was taken out of a link: pages that ask
// for one still open, and it belongs to nobody (RFC 2606).
const Nobody = "nobody@example.org"

// Strip takes out of a link what would tell the site whose copy of the mail was
// looked at: the reporter's addresses and every other mail address, plain,
// percent-encoded (twice too), in base64, in hex or as a digest; and the values
// of parameters that are known to name a person or his copy. It is to be called
// on everything that leaves the house: before a page is fetched, in notices, in
// exports. The fragment goes as a whole. taken says what was changed, as
// parameter names or "address"; it never holds a value. What is not a link comes
// back empty.
//
// An address in the path or in an unknown parameter becomes Nobody's in the same
// encoding, so that the page can still be reached; a known parameter is left
// without value.
func Strip(link string, addresses []string) (clean string, taken []string) {
	if len(link) > MaxBytes {
		link = link[:MaxBytes]
	}
	link, fragment, _ := strings.Cut(link, "#")
	scheme, rest, ok := strings.Cut(link, "://")
	if !ok {
		return "", nil
	}
	note := func(what string) {
		if !slices.Contains(taken, what) {
			taken = append(taken, what)
		}
	}
	if fragment != "" {
		note("fragment")
	}
	end := strings.IndexAny(rest, "/?")
	if end < 0 {
		end = len(rest)
	}
	host, rest := rest[:end], rest[end:]
	if i := strings.LastIndexByte(host, '@'); i >= 0 {
		host = host[i+1:]
		note("userinfo")
	}
	who := personsOf(addresses)
	// A host cannot be changed without asking another one: it is only told.
	for _, p := range who {
		if strings.Contains(strings.ToLower(host), p.inHost) {
			note("address-in-host")
		}
	}
	path, query, asked := strings.Cut(rest, "?")
	segments := strings.Split(path, "/")
	for i, s := range segments {
		if out, changed := who.neutral(s); changed {
			segments[i] = out
			note("address")
		}
	}
	path = strings.Join(segments, "/")
	if !asked {
		return scheme + "://" + host + path, taken
	}
	pairs := strings.Split(query, "&")
	for i, pair := range pairs {
		name, value, _ := strings.Cut(pair, "=")
		if strings.Trim(value, "=") == "" { // no value, or the padding of base64
			name, value = pair, ""
		}
		cut, inName := who.neutral(name)
		known := strings.ToLower(strings.TrimPrefix(name, "amp;"))
		switch out, changed := who.neutral(value); {
		case value == "" && inName:
			pairs[i] = cut
			note("address")
		case value == "":
		case personal(known):
			pairs[i] = cut + "="
			note(cleanName(known))
		case changed || inName:
			pairs[i] = cut + "=" + out
			note("address")
		case token(value):
			pairs[i] = name + "="
			note(cleanName(known))
		}
	}
	return scheme + "://" + host + path + "?" + strings.Join(pairs, "&"), taken
}

func cleanName(s string) string {
	if len(s) > 40 || strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789_-.") != "" {
		return "parameter"
	}
	return s
}

// person is one address in the forms in which links hold it.
type person struct {
	address string // lower case
	inHost  string // as labels of a host name
	local   string // the part before the @, where it is long enough to be somebody's
	digests []string
}

type persons []person

func personsOf(addresses []string) (ps persons) {
	for _, a := range addresses {
		a = strings.ToLower(strings.TrimSpace(a))
		local, domain, ok := strings.Cut(a, "@")
		if !ok || local == "" || domain == "" {
			continue
		}
		p := person{address: a, inHost: local + "." + domain}
		if len(local) >= 5 {
			p.local = local
		}
		m, s1, s2 := md5.Sum([]byte(a)), sha1.Sum([]byte(a)), sha256.Sum256([]byte(a))
		p.digests = []string{hex.EncodeToString(m[:]), hex.EncodeToString(s1[:]), hex.EncodeToString(s2[:])}
		ps = append(ps, p)
	}
	return ps
}

var anyAddress = regexp.MustCompile(`[A-Za-z0-9._%+'-]{1,64}@[A-Za-z0-9-]{1,63}(\.[A-Za-z0-9-]{1,63}){1,8}`)

// neutral takes the addresses out of one piece of a link: plain and encoded with
// up to three layers of percent, base64 or hex in any order. Where the piece as a
// whole says nothing, each of its words is looked at.
func (ps persons) neutral(piece string) (string, bool) {
	if out, changed := ps.layer(piece, 3); changed {
		return out, true
	}
	var b strings.Builder
	any, from := false, 0
	word := func(to int) {
		out, changed := ps.layer(piece[from:to], 3)
		any = any || changed
		b.WriteString(out)
	}
	for i, c := range []byte(piece) {
		within := encoded(c) || c == '%'
		if c == '=' && i+1 < len(piece) { // padding only ends a word
			next := piece[i+1]
			within = next == '=' || !encoded(next) && next != '%'
		}
		if !within {
			word(i)
			b.WriteByte(c)
			from = i + 1
		}
	}
	if from == 0 {
		return piece, false
	}
	word(len(piece))
	return b.String(), any
}

// encoded says that a character is one of base64's alphabets or of hex.
func encoded(c byte) bool {
	return c >= '0' && c <= '9' || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '+' || c == '-' || c == '_' || c == '='
}

func (ps persons) layer(s string, depth int) (string, bool) {
	if len(s) < 3 {
		return s, false
	}
	if out, changed := ps.plain(s); changed {
		return out, true
	}
	if depth == 0 {
		return s, false
	}
	if strings.Contains(s, "%") {
		if d := unpercent(s); d != s {
			if out, changed := ps.layer(d, depth-1); changed {
				return url.QueryEscape(out), true
			}
		}
	}
	if b, err := hex.DecodeString(s); err == nil && len(b) > 4 {
		if out, changed := ps.layer(string(b), depth-1); changed {
			return hex.EncodeToString([]byte(out)), true
		}
	}
	if len(s) >= 8 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789+/-_=") == "" {
		if d, ok := fromBase64(s); ok {
			if out, changed := ps.layer(d, depth-1); changed {
				return base64.RawURLEncoding.EncodeToString([]byte(out)), true
			}
		}
	}
	return s, false
}

// unpercent undoes what is percent-encoded rightly and leaves the rest, as servers
// do.
func unpercent(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) {
			if c, err := hex.DecodeString(s[i+1 : i+3]); err == nil {
				b.WriteByte(c[0])
				i += 2
				continue
			}
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func (ps persons) plain(s string) (string, bool) {
	out := anyAddress.ReplaceAllStringFunc(s, func(a string) string {
		if a == Nobody {
			return a
		}
		return Nobody
	})
	for _, p := range ps {
		for _, word := range append([]string{p.address}, p.digests...) {
			out = replaceFold(out, word, Nobody)
		}
		if p.local != "" && strings.EqualFold(s, p.local) {
			out = "nobody"
		}
	}
	return out, out != s
}

// replaceFold replaces without regard to the case of ASCII letters.
func replaceFold(s, word, with string) string {
	low := strings.ToLower(s)
	if len(low) != len(s) || word == "" {
		return s
	}
	var b strings.Builder
	for {
		i := strings.Index(low, word)
		if i < 0 {
			b.WriteString(s)
			return b.String()
		}
		b.WriteString(s[:i] + with)
		s, low = s[i+len(word):], low[i+len(word):]
	}
}

// personal says that a parameter of this name tells one recipient from another:
// the trackers of mail and advertising systems, and what kits call their victim.
func personal(name string) bool {
	return personalNames[name] || strings.HasPrefix(name, "utm_") || strings.HasPrefix(name, "_hs") || strings.HasPrefix(name, "trk_") || strings.HasPrefix(name, "mtm_")
}

var personalNames = func() map[string]bool {
	m := map[string]bool{}
	for n := range strings.FieldsSeq(`
		fbclid gclid gclsrc dclid wbraid gbraid msclkid yclid twclid ttclid igshid li_fat_id
		mc_eid mc_cid mkt_tok vero_id vero_conv oly_enc_id oly_anon_id elqtrackid elq elqaid elqat elq_mid elq_cid
		hsctatracking wickedid rb_clickid ml_subscriber ml_subscriber_hash bsft_uid bsft_clkid bsft_eid dm_i cmpid_r
		sfmc_id sfmc_sub subscriberid subscriber subscriber_id sub_id contactid contact_id recipient recipientid recipient_id rcpt
		rid uid userid user_id user username usr login login_hint email e-mail mail emailaddress email_address email_id eml loginid
		sid sess session sessionid session_id phpsessid jsessionid token access_token id_token refresh_token auth authtoken auth_token
		otp jwt ticket apikey api_key key reset reset_token confirmation_token invite invitation signature sig hash
		phone tel telephone msisdn mobile gsm iban rekening card cardnumber customer customerid customer_id klantnummer klantnr client clientid_r
		name firstname first_name lastname last_name fullname voornaam naam achternaam nom prenom vorname nachname
		ref_email umail victim target_email data_email lead_id clickid click_id`) {
		m[n] = true
	}
	return m
}()

// token says that a value can only be one copy's mark: a signed token, or 32
// and more hex digits or letters and digits without any word's separator.
func token(v string) bool {
	if strings.HasPrefix(v, "eyJ") && strings.Count(v, ".") == 2 {
		return true
	}
	if len(v) < 32 || len(v) > 4096 {
		return false
	}
	v = strings.TrimRight(v, "=")
	digits, upper, lower := 0, 0, 0
	for i := range len(v) {
		switch c := v[i]; {
		case c >= '0' && c <= '9':
			digits++
		case c >= 'A' && c <= 'Z':
			upper++
		case c >= 'a' && c <= 'z':
			lower++
		case c == '_' || c == '-':
		default:
			return false
		}
	}
	return digits >= 2 && upper+lower+digits >= 28
}
