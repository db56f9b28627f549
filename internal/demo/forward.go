package demo

import (
	"fmt"
	"html"
	"strings"

	"bolwerk"
)

// A reporter hands a mail on in one of these forms, as mail programs do it.
type form int

const (
	attachedNamed form = iota // message/rfc822 with a file name
	attachedBare              // message/rfc822 without one
	attachedFile              // application/octet-stream *.eml in base64
	gmail                     // inline, text and page
	outlook                   // inline, block of fields in the reporter's language
	apple                     // inline, text
	thunderbird               // inline, text
	pasted                    // the text of the mail, no header
	defanged                  // a sentence with the link made harmless
	forms
)

// copied are the words that mail programs write above a forwarded mail.
type copied struct{ from, sent, date, to, subject, apple, thunderbird string }

func copiedWords(l bolwerk.Lang) copied {
	switch l {
	case bolwerk.NL:
		return copied{"Van", "Verzonden", "Datum", "Aan", "Onderwerp", "Begin doorgestuurd bericht:", "Doorgestuurd bericht"}
	case bolwerk.FR:
		return copied{"De", "Envoyé", "Date", "À", "Objet", "Début du message réexpédié :", "Message transféré"}
	case bolwerk.DE:
		return copied{"Von", "Gesendet", "Datum", "An", "Betreff", "Anfang der weitergeleiteten Nachricht:", "Weitergeleitete Nachricht"}
	}
	return copied{"From", "Sent", "Date", "To", "Subject", "Begin forwarded message:", "Forwarded Message"}
}

// handOn makes the reporter's mail around a lure. outer has the reporter's own
// words as its text; link is the lure's, for the forms without the mail itself.
func handOn(f form, outer, lure mailing, lang bolwerk.Lang, link string) []byte {
	note := outer.text
	switch f {
	case attachedNamed:
		return outer.around(part("message/rfc822", `attachment; filename="`+fileName(lure)+`"`, "", string(lure.bytes())))
	case attachedBare:
		return outer.around(part("message/rfc822", "", "", string(lure.bytes())))
	case attachedFile:
		return outer.around(part(`application/octet-stream; name="bericht.eml"`, `attachment; filename="bericht.eml"`, "base64", string(lure.bytes())))
	case pasted:
		outer.text = note + "\n\n" + lure.text
		return outer.bytes()
	case defanged:
		outer.text = note + "\n\n" + strings.NewReplacer("http", "hxxp", ".example", "[.]example").Replace(link)
		return outer.bytes()
	}
	w := copiedWords(lang)
	if f == gmail {
		w = copiedWords(bolwerk.EN)
	}
	date := lure.date.Format("2006-01-02 15:04")
	from, sent := [2]string{w.from, fmt.Sprintf("%s <%s>", lure.fromName, lure.from)}, [2]string{w.date, date}
	to, subject := [2]string{w.to, lure.to}, [2]string{w.subject, lure.subject}
	order := map[form][][2]string{
		gmail:       {from, sent, subject, to},
		outlook:     {from, {w.sent, date}, to, subject},
		apple:       {from, subject, sent, to},
		thunderbird: {subject, sent, from, to},
	}[f]
	var block, page strings.Builder
	for _, o := range order {
		fmt.Fprintf(&block, "%s: %s\n", o[0], o[1])
		fmt.Fprintf(&page, "<b>%s:</b> %s<br>", o[0], html.EscapeString(o[1]))
	}
	head := map[form]string{
		gmail:       "---------- Forwarded message ---------\n",
		outlook:     "________________________________\n",
		apple:       w.apple + "\n\n",
		thunderbird: "-------- " + w.thunderbird + " --------\n",
	}[f]
	outer.text = note + "\n\n" + head + block.String() + "\n" + lure.text
	if f == apple {
		outer.text = note + "\n\n> " + strings.ReplaceAll(strings.TrimSpace(head+block.String()+"\n"+lure.text), "\n", "\n> ") + "\n"
	}
	said := strings.ReplaceAll(html.EscapeString(note), "\n", "<br>")
	switch f {
	case gmail:
		outer.page = `<div dir="ltr">` + said + `<br><br><div class="gmail_quote"><div dir="ltr" class="gmail_attr">---------- Forwarded message ---------<br>` +
			page.String() + `</div><br>` + lure.page + `</div></div>`
	case outlook:
		outer.page = `<html><body><p class="MsoNormal">` + said + `</p><div style="border:none;border-top:solid #E1E1E1 1.0pt"><p class="MsoNormal">` +
			page.String() + `</p></div>` + lure.page + `</body></html>`
	}
	return outer.bytes()
}

func fileName(m mailing) string {
	return strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z', r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		case r == ' ':
			return '-'
		}
		return -1
	}, m.subject), "-") + ".eml"
}
