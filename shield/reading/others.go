package reading

import (
	"net/url"
	"slices"
	"strings"
	"unicode"

	"bolwerk/internal/idn"
)

// Other is what a fraud without a link lives of: a number to call, an account to
// pay to, an address to answer to. It is shown to a person and never reaches the
// DNS.
type Other struct {
	Kind  OtherKind `json:"kind"`
	Value string    `json:"value"`
}

// OtherKind says what an Other is.
type OtherKind string

// The kinds.
const (
	Phone     OtherKind = "phone"     // "+31612345678", or as it is written in its country
	IBAN      OtherKind = "iban"      // checked by its check digits, without blanks
	EMail     OtherKind = "email"     // an address that the text names, its domain in lower case
	Messaging OtherKind = "messaging" // an account: "whatsapp:31612345678", "telegram:name"
)

const (
	maxOthers     = 50
	maxOthersText = 256 << 10 // of one text
)

// other keeps one; addresses of the sender and the reporter stand in the heads.
func (c *collector) other(kind OtherKind, v string) {
	o := Other{kind, v}
	if v != "" && len(c.others) < maxOthers && !slices.Contains(c.others, o) {
		c.others = append(c.others, o)
	}
}

// scanOthers looks through a text of the evidence.
func (c *collector) scanOthers(s string) {
	s = shorten(s, maxOthersText)
	for i := 0; i < len(s); {
		switch b := s[i]; {
		case b == '@':
			c.mailAddress(s, i)
		case wordStart(s, i) && b >= 'A' && b <= 'Z' && i+4 < len(s) && s[i+1] >= 'A' && s[i+1] <= 'Z' && digit(s[i+2]) && digit(s[i+3]):
			if v, n := iban(s[i:]); n > 0 {
				c.other(IBAN, v)
				i += n
				continue
			}
		case wordStart(s, i) && (b == '+' || b == '0' || b == '('):
			if v, n := phone(s[i:]); n > 0 {
				c.other(Phone, v)
				i += n
				continue
			}
		}
		i++
	}
}

func digit(b byte) bool { return b >= '0' && b <= '9' }

// wordStart says that no letter, digit or part of an address stands before i.
func wordStart(s string, i int) bool {
	return i == 0 || !nameByte(s[i-1]) && strings.IndexByte("/=.+@&?%#", s[i-1]) < 0
}

func (c *collector) mailAddress(s string, at int) {
	from, to := at, at+1
	for from > 0 && at-from < 64 && (nameByte(s[from-1]) && s[from-1] < 0x80 || strings.IndexByte(".+%", s[from-1]) >= 0) {
		from--
	}
	for to < len(s) && to-at < 254 && (nameByte(s[to]) && s[to] < 0x80 || s[to] == '.') {
		to++
	}
	local, host := strings.Trim(s[from:at], ".+%"), strings.TrimRight(s[at+1:to], ".-")
	d, err := idn.Parse(host)
	if local == "" || err != nil || d.Labels() < 2 || !knownTLD(d, c.seen.tlds) {
		return
	}
	c.other(EMail, local+"@"+d.String())
}

// ibanLengths are those of the countries whose accounts are named here most.
var ibanLengths = map[string]int{"AT": 20, "BE": 16, "BG": 22, "CH": 21, "CY": 28, "CZ": 24, "DE": 22, "DK": 18, "EE": 20, "ES": 24, "FI": 18, "FR": 27,
	"GB": 22, "GR": 27, "HR": 21, "HU": 28, "IE": 22, "IS": 26, "IT": 27, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "MC": 27, "MT": 31, "NL": 18, "NO": 15,
	"PL": 28, "PT": 25, "RO": 24, "SE": 24, "SI": 19, "SK": 24, "TR": 26, "UA": 29}

// iban reads an account number (ISO 13616) with or without blanks; n is its
// length in s, 0 where there is none.
func iban(s string) (v string, n int) {
	want := ibanLengths[s[:2]]
	if want == 0 {
		return "", 0
	}
	b := make([]byte, 0, want)
	for n < len(s) && len(b) < want {
		switch c := s[n]; {
		case digit(c) || c >= 'A' && c <= 'Z':
			b = append(b, c)
		case (c == ' ' || c == '.' || c == '-') && len(b) > 3:
		default:
			return "", 0
		}
		n++
	}
	if len(b) < want || n < len(s) && nameByte(s[n]) {
		return "", 0
	}
	rest := 0 // of the division by 97
	for _, c := range append(slices.Clone(b[4:]), b[:4]...) {
		if digit(c) {
			rest = (rest*10 + int(c-'0')) % 97
		} else {
			rest = (rest*100 + int(c-'A') + 10) % 97
		}
	}
	if rest != 1 {
		return "", 0
	}
	return string(b), n
}

// phone reads a telephone number: with its country's number ("+31", "0031"), or
// as it is dialled within the country, with the usual signs between.
func phone(s string) (v string, n int) {
	var b []byte
	end, gap := 0, 0
	for i := 0; i < len(s) && len(b) < 17; i++ {
		c := s[i]
		switch {
		case digit(c):
			b, end, gap = append(b, c), i+1, 0
		case c == '+' && i == 0:
			b = append(b, c)
		case strings.HasPrefix(s[i:], "(0)"): // +31 (0)6
			i += 2
		case (c == ' ' || c == '-' || c == '.' || c == '/' || c == '(' || c == ')') && gap < 2:
			gap++
		default:
			i = len(s)
		}
	}
	v = string(b)
	if end < len(s) && (nameByte(s[end]) || s[end] == '@' || s[end] == '%') || date(s[:end]) {
		return "", 0
	}
	if strings.HasPrefix(v, "00") && len(v) > 2 {
		v = "+" + v[2:]
	}
	digits := len(strings.TrimPrefix(v, "+"))
	service := strings.HasPrefix(v, "0800") || strings.HasPrefix(v, "090")
	switch {
	case strings.HasPrefix(v, "+") && digits >= 9 && digits <= 15 && v[1] != '0':
	case strings.HasPrefix(v, "0") && (digits == 9 || digits == 10 || digits == 11) && strings.Trim(v, v[:1]) != "":
	case service && digits == 8:
	default:
		return "", 0
	}
	return v, end
}

// date says that what looks like a number is a day: 03-02-2026, 03/02/26 10.
func date(s string) bool {
	f := strings.FieldsFunc(s, func(r rune) bool { return !unicode.IsDigit(r) })
	return len(f) >= 3 && len(f[0]) <= 2 && len(f[1]) <= 2 && len(f[0]) > 0 && (len(f[2]) == 4 && (strings.HasPrefix(f[2], "19") || strings.HasPrefix(f[2], "20")))
}

// otherLink takes what a link names that is no page: mailto:, tel:, sms:, and
// the schemes of messengers.
func (c *collector) otherLink(raw string) {
	scheme, rest, ok := strings.Cut(raw, ":")
	if !ok {
		return
	}
	rest, _, _ = strings.Cut(rest, "?")
	rest = unescape(strings.TrimLeft(rest, "/"))
	switch strings.ToLower(strings.TrimSpace(scheme)) {
	case "mailto":
		if i := strings.IndexByte(rest, '@'); i > 0 {
			c.mailAddress(rest, i)
		}
	case "tel", "sms", "callto":
		if v, n := phone(rest); n > 0 {
			c.other(Phone, v)
		}
	case "whatsapp", "tg", "viber", "signal", "skype":
		if u, err := url.Parse(raw); err == nil {
			c.other(Messaging, strings.ToLower(scheme)+":"+shorten(value(firstOf(u.Query().Get("phone"), u.Query().Get("domain"), u.Query().Get("number"), strings.Trim(rest, "/"))), 100))
		}
	}
}

// otherURL takes the account out of a link that opens a messenger.
func (c *collector) otherURL(u URL) {
	messenger := map[string]string{"wa.me": "whatsapp", "api.whatsapp.com": "whatsapp", "chat.whatsapp.com": "whatsapp", "t.me": "telegram", "telegram.me": "telegram", "m.me": "messenger", "signal.me": "signal"}[u.Host]
	if messenger == "" {
		return
	}
	p, err := url.Parse(u.URL)
	if err != nil {
		return
	}
	if account := firstOf(p.Query().Get("phone"), strings.Trim(p.Path, "/")); account != "" {
		c.other(Messaging, messenger+":"+shorten(value(strings.TrimPrefix(account, "+")), 100))
	}
}
