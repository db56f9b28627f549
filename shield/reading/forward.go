package reading

import (
	"slices"
	"strings"
	"unicode"
)

// forward is where an inline forward begins in a text.
type forward struct {
	marker int // the reporter's own text ends here
	body   int // the evidence's text begins here, behind the copied header
	head   Head
	// sure says that the mail program wrote "forwarded"; a line "original
	// message" or a bare header block stands in replies too.
	sure bool
	// pending is a field whose value stands in the next line.
	pending string
}

// Lines that Outlook, Gmail, Apple Mail, Thunderbird and web mails write above a
// forwarded mail, without the dashes, stars and quote marks around, lower case.
var (
	forwardLines = map[string]bool{
		"forwarded message": true, "begin forwarded message:": true, "forwarded mail": true, "forwarded email": true,
		"doorgestuurd bericht": true, "begin doorgestuurd bericht:": true, "doorgestuurde e-mail": true, "begin van doorgestuurd bericht:": true,
		"message transféré": true, "début du message transféré :": true, "début du message transféré:": true,
		"début du message réexpédié :": true, "début du message réexpédié:": true, "message réexpédié": true, "e-mail transféré": true,
		"weitergeleitete nachricht": true, "anfang der weitergeleiteten nachricht:": true, "beginn der weitergeleiteten nachricht:": true,
		"weitergeleitete e-mail": true, "weitergeleitete mail": true,
		// Zimbra, Yahoo and what they were before, Proton, Samsung, phones.
		"mail transféré": true, "message transmis": true, "courriel transféré": true, "doorgestuurde mail": true, "doorgestuurd e-mailbericht": true,
		"doorgezonden bericht": true, "begin forwarded message": true, "begin doorgestuurd bericht": true,
		"début du message transféré": true, "début du message réexpédié": true, "anfang der weitergeleiteten nachricht": true,
		"anfang der weitergeleiteten e-mail:": true, "beginn der weitergeleiteten nachricht": true, "begin van het doorgestuurde bericht:": true,
	}
	originalLines = map[string]bool{
		"original message": true, "original email": true, "original e-mail": true,
		"oorspronkelijk bericht": true, "origineel bericht": true, "originele bericht": true, "oorspronkelijke e-mail": true, "oorspronkelijk e-mailbericht": true,
		"message d'origine": true, "message d’origine": true, "message original": true, "e-mail d'origine": true, "message initial": true,
		"ursprüngliche nachricht": true, "ursprüngliche mail": true, "mail original": true, "mail d'origine": true, "message d´origine": true, "message initial :": true,
		"oorspronkelijke bericht": true, "oorspronkelijke mail": true, "origineel e-mailbericht": true, "originalnachricht": true, "original-nachricht": true, "ursprüngliche e-mail": true, "originale nachricht": true,
	}
	// copied are the names of the fields that are copied into the body.
	copied = map[string]string{
		"from": "from", "van": "from", "de": "from", "von": "from", "afzender": "from", "expéditeur": "from", "absender": "from",
		"sent": "date", "date": "date", "datum": "date", "verzonden": "date", "verzonden op": "date", "verstuurd": "date",
		"date d'envoi": "date", "envoyé à": "date", "reçu": "date", "ontvangen": "date", "empfangen": "date", "sent at": "date", "gesendet um": "date",
		"envoyé": "date", "envoyé le": "date", "gesendet": "date", "gesendet am": "date", "received": "date",
		"to": "to", "aan": "to", "à": "to", "a": "to", "naar": "to", "geadresseerde": "to", "empfänger": "to", "an": "to", "pour": "to", "destinataire": "to", "cc": "to", "copie": "to", "kopie": "to", "kopie (cc)": "to", "copie à": "to", "bcc": "to",
		"subject": "subject", "onderwerp": "subject", "objet": "subject", "sujet": "subject", "betreff": "subject",
		"titel": "subject", "titre": "subject", "sujet du message": "subject",
		"reply-to": "to", "antwoord aan": "to", "répondre à": "to", "antwort an": "to", "importance": "", "priority": "", "attachments": "",
		"bijlage": "", "bijlage(n)": "", "attachment": "", "anhang": "", "anhänge": "", "pièce jointe": "", "priorité": "", "priorität": "", "sensitivity": "",
		"bijlagen": "", "pièces jointes": "", "anlagen": "", "importantie": "", "prioriteit": "", "wichtigkeit": "",
	}
)

// maxHeaderLines is how far a copied header block may reach: long recipient
// lists are folded by some programs.
const maxHeaderLines = 40

// findForward finds the first inline forward of a text. Without a marker line
// it takes a block of at least three copied fields that begins with the sender,
// or holds a sender and a subject.
func findForward(text string) (forward, bool) {
	for at := 0; at < len(text); {
		line, next := lineAt(text, at)
		bare := bareLine(line)
		switch {
		case forwardLines[bare] || originalLines[bare]:
			f, n := readBlock(text, next)
			// The word alone in a sentence is no marker: a header or dashes make it one.
			if n == 0 && !dashed(line) && !strings.HasSuffix(bare, ":") {
				break
			}
			f.marker, f.sure = at, forwardLines[bare]
			return f, true
		case bare != "" && fieldOf(bare) == "from":
			if f, n := readBlock(text, at); n >= 3 {
				f.marker = at
				return f, true
			}
		case bare != "" && fieldOf(bare) != "":
			// GMX begins with the date, Roundcube with the subject.
			if f, n := readBlock(text, at); n >= 3 && f.head.From != "" && f.head.Subject != "" {
				f.marker = at
				return f, true
			}
		}
		at = next
	}
	return forward{}, false
}

// readBlock reads copied fields from at on; n counts the different ones.
func readBlock(text string, at int) (f forward, n int) {
	f.body = at
	seen := map[string]bool{}
	last, blank := "", 0
	for i := 0; i < maxHeaderLines && at < len(text); i++ {
		line, next := lineAt(text, at)
		trimmed := unquote(line)
		if trimmed == "" {
			if blank++; n > 0 && last != "" || blank > 3 {
				break
			}
			at = next
			continue
		}
		name, val, ok := copiedField(trimmed)
		switch {
		case ok:
			if name == "from" && seen["from"] {
				return f, n // the next mail of a thread
			}
			if name != "" && !seen[name] {
				seen[name] = true
				n++
			}
			f.set(name, val)
			last = name
			if val == "" {
				last = "" // its value stands in the next line
				f.pending = name
			}
		case f.pending != "":
			f.set(f.pending, trimmed)
			last, f.pending = f.pending, ""
		case n > 0 && last == "to" && !seen["subject"]:
			// a folded list of recipients
		default:
			return f, n
		}
		at = next
		f.body = at
	}
	return f, n
}

func (f *forward) set(name, val string) {
	switch name {
	case "from":
		name, address, many := parseFrom(shorten(val, maxFieldValue))
		f.head.Name, f.head.From, f.head.ManyFroms = value(name), value(address), many
	case "subject":
		f.head.Subject = value(val)
	case "date":
		f.head.Date = value(val)
	}
}

func lineAt(s string, at int) (line string, next int) {
	if i := strings.IndexByte(s[at:], '\n'); i >= 0 {
		return s[at : at+i], at + i + 1
	}
	return s[at:], len(s)
}

// unquote takes off quote marks and what marks bold in plain text.
func unquote(line string) string {
	return strings.TrimFunc(strings.TrimLeft(strings.TrimSpace(line), "> |"), func(r rune) bool {
		return r == '*' || unicode.IsSpace(r)
	})
}

// bareLine is a line without dashes and the like around, lower case; empty where
// the line is too long to be a marker.
func bareLine(line string) string {
	if len(line) > 300 {
		return ""
	}
	s := strings.TrimFunc(unquote(line), func(r rune) bool {
		return r == '-' || r == '_' || r == '=' || r == '*' || r == '—' || r == '–' || unicode.IsSpace(r)
	})
	return strings.ToLower(strings.ReplaceAll(s, "\u00a0", " "))
}

func dashed(line string) bool {
	s := unquote(line)
	return strings.HasPrefix(s, "--") || strings.HasPrefix(s, "__") || strings.HasPrefix(s, "==") || strings.HasPrefix(s, "—")
}

// fieldOf is the meaning of the field that a bare line begins with, or empty.
func fieldOf(bare string) string {
	name, _, ok := copiedField(bare)
	if !ok {
		return ""
	}
	return name
}

func copiedField(line string) (name, val string, ok bool) {
	i := strings.IndexByte(line, ':')
	if i < 1 || i > 40 {
		return "", "", false
	}
	key := strings.TrimFunc(line[:i], func(r rune) bool { return r == '*' || unicode.IsSpace(r) })
	name, ok = copied[strings.ToLower(key)]
	return name, strings.TrimFunc(line[i+1:], func(r rune) bool { return r == '*' || unicode.IsSpace(r) }), ok
}

// replies are the prefixes of subjects of answers, in the languages of the pages.
var replies = []string{"re:", "re :", "aw:", "antw:", "antwoord:", "réf :", "ré:", "rép:", "rép :", "sv:"}

// forwards are the prefixes of subjects of forwarded mails.
var forwards = []string{"fw:", "fwd:", "fwd :", "[fwd", "doorst:", "doorgest:", "tr:", "tr :", "wg:", "i:", "rv:", "enc:", "vs:"}

func isReply(subject string) bool   { return begins(subject, replies) }
func isForward(subject string) bool { return begins(subject, forwards) }

func begins(subject string, prefixes []string) bool {
	s := strings.ToLower(strings.TrimSpace(subject))
	return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(s, p) })
}
