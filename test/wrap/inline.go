package wrap

import (
	"bytes"
	"fmt"
	"html"
	"mime/quotedprintable"
	"strings"

	"bolwerk"
)

// Style is a mail program's way of copying a mail into the text of another.
type Style struct {
	Name string
	// marker is the line above the copied header, by language; empty where the
	// program writes none.
	marker map[bolwerk.Lang]string
	// fields are the copied fields in order: from, to, date, subject.
	fields string
	labels map[bolwerk.Lang]map[byte]string // where they are not the usual ones
	page   bool                             // sends HTML, beside the plain text
	quote  bool                             // quotes with "> " in plain text
	list   byte                             // how a header line is written: 'b' bold, 'd' one div each, 't' a table
}

const (
	nl, fr, de, en = bolwerk.NL, bolwerk.FR, bolwerk.DE, bolwerk.EN
)

// usual are the names of the fields in most programs.
var usual = map[bolwerk.Lang]map[byte]string{
	nl: {'f': "Van", 't': "Aan", 'd': "Datum", 's': "Onderwerp"},
	fr: {'f': "De", 't': "À", 'd': "Date", 's': "Objet"},
	de: {'f': "Von", 't': "An", 'd': "Datum", 's': "Betreff"},
	en: {'f': "From", 't': "To", 'd': "Date", 's': "Subject"},
}

// sent says "Sent" for the date, as Outlook, Zimbra and Yahoo do.
var sent = map[bolwerk.Lang]map[byte]string{
	nl: {'f': "Van", 't': "Aan", 'd': "Verzonden", 's': "Onderwerp"},
	fr: {'f': "De", 't': "À", 'd': "Envoyé", 's': "Objet"},
	de: {'f': "Von", 't': "An", 'd': "Gesendet", 's': "Betreff"},
	en: {'f': "From", 't': "To", 'd': "Sent", 's': "Subject"},
}

// Gmail translates some of the names only.
var gmail = map[bolwerk.Lang]map[byte]string{
	nl: {'f': "Van", 't': "To", 'd': "Date", 's': "Subject"},
	fr: {'f': "De", 't': "To", 'd': "Date", 's': "Subject"},
	de: {'f': "Von", 't': "To", 'd': "Date", 's': "Subject"},
	en: {'f': "From", 't': "To", 'd': "Date", 's': "Subject"},
}

// Styles are the programs that most people use here.
var Styles = []Style{
	{Name: "Outlook desktop", fields: "fdts", labels: sent, page: true, list: 'b'},
	{Name: "Outlook web", marker: same("________________________________"), fields: "fdts", labels: sent, page: true, list: 'b'},
	{Name: "Outlook mobile", marker: same("________________________________"), fields: "fdts", labels: sent},
	{Name: "Apple Mail", marker: map[bolwerk.Lang]string{nl: "Begin doorgestuurd bericht:", fr: "Début du message transféré :",
		de: "Anfang der weitergeleiteten Nachricht:", en: "Begin forwarded message:"}, fields: "fsdt", page: true, quote: true, list: 'd'},
	{Name: "Gmail", marker: same("---------- Forwarded message ---------"), fields: "fdst", labels: gmail, page: true, list: 'd'},
	{Name: "Thunderbird", marker: map[bolwerk.Lang]string{nl: "-------- Doorgestuurd bericht --------", fr: "-------- Message transféré --------",
		de: "-------- Weitergeleitete Nachricht --------", en: "-------- Forwarded Message --------"}, fields: "sdft", page: true, list: 't'},
	{Name: "Zimbra", marker: map[bolwerk.Lang]string{nl: "----- Doorgestuurd bericht -----", fr: "----- Mail transféré -----",
		de: "----- Weitergeleitete Mail -----", en: "----- Forwarded Message -----"}, fields: "ftds", labels: sent, page: true, list: 'b'},
	{Name: "Open-Xchange", marker: map[bolwerk.Lang]string{nl: "---------- Oorspronkelijk bericht ----------", fr: "---------- Message d'origine ----------",
		de: "---------- Ursprüngliche Nachricht ----------", en: "---------- Original Message ----------"}, fields: "ftds", page: true, quote: true, list: 'd'},
	{Name: "Yahoo", marker: map[bolwerk.Lang]string{nl: "----- Doorgestuurd bericht -----", fr: "----- Message transmis -----",
		de: "----- Weitergeleitete Nachricht -----", en: "----- Forwarded Message -----"}, fields: "ftds", labels: sent, page: true, list: 'd'},
	{Name: "GMX, WEB.DE", fields: "dfts", labels: sent, page: true, list: 'd'},
}

func same(s string) map[bolwerk.Lang]string {
	return map[bolwerk.Lang]string{nl: s, fr: s, de: s, en: s}
}

// Inline gives the mail of a reporter with the mail copied into its text.
func Inline(m Mail, s Style, lang bolwerk.Lang) []byte {
	labels := s.labels
	if labels == nil {
		labels = usual
	}
	colon := ":"
	if lang == fr {
		colon = " :"
	}
	var rows [][2]string
	for _, f := range []byte(s.fields) {
		v := map[byte]string{'f': fmt.Sprintf("%s <%s>", firstOf(m.FromName, m.From), m.From), 't': firstOf(m.To, "jan.peeters@voorbeeld.example"), 'd': m.Date, 's': m.Subject}[f]
		if s.Name == "Zimbra" && f == 'f' {
			v = fmt.Sprintf("\"%s\" <%s>", firstOf(m.FromName, m.From), m.From)
		}
		rows = append(rows, [2]string{labels[lang][f] + colon, strings.Join(strings.Fields(v), " ")})
	}
	said := map[bolwerk.Lang]string{nl: "Is dit echt? Groeten, Jan", fr: "Est-ce vrai ? Cordialement, Jan", de: "Ist das echt? Grüße, Jan", en: "Is this real? Regards, Jan"}[lang] + "\nhttps://jan.reporter.example/\n"
	var t strings.Builder
	t.WriteString(said + "\n")
	var copied strings.Builder
	if s.marker != nil {
		copied.WriteString(s.marker[lang] + "\n")
		if s.quote {
			copied.WriteString("\n")
		}
	}
	for _, r := range rows {
		copied.WriteString(r[0] + " " + r[1] + "\n")
	}
	copied.WriteString("\n" + m.text() + "\n")
	if s.quote {
		for line := range strings.Lines(copied.String()) {
			t.WriteString("> " + line)
		}
	} else {
		t.WriteString(copied.String())
	}
	subject := map[bolwerk.Lang]string{nl: "Fwd: ", fr: "TR: ", de: "WG: ", en: "Fw: "}[lang] + m.Subject
	var b bytes.Buffer
	b.WriteString(reporterHead(subject))
	if !s.page {
		textPart(&b, "text/plain", t.String())
		return b.Bytes()
	}
	b.WriteString("Content-Type: multipart/alternative; boundary=\"=_wrap_a1\"\r\n\r\n--=_wrap_a1\r\n")
	textPart(&b, "text/plain", t.String())
	b.WriteString("\r\n--=_wrap_a1\r\n")
	textPart(&b, "text/html", s.html(m, lang, said, rows))
	b.WriteString("\r\n--=_wrap_a1--\r\n")
	return b.Bytes()
}

func textPart(b *bytes.Buffer, kind, s string) {
	fmt.Fprintf(b, "Content-Type: %s; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\n", kind)
	w := quotedprintable.NewWriter(b)
	w.Write([]byte(strings.ReplaceAll(s, "\n", "\r\n"))) // a buffer takes all
	w.Close()
}

// html is the page that the program sends.
func (s Style) html(m Mail, lang bolwerk.Lang, said string, rows [][2]string) string {
	var b strings.Builder
	b.WriteString("<html><head><meta charset=\"utf-8\"></head><body><div>" + strings.ReplaceAll(html.EscapeString(said), "\n", "<br>") + "</div><br>\n")
	marker := html.EscapeString(s.marker[lang])
	if s.quote {
		b.WriteString(`<blockquote type="cite">`)
	}
	switch {
	case s.Name == "Outlook web":
		b.WriteString(`<hr tabindex="-1" style="display:inline-block;width:98%"><div id="divRplyFwdMsg" dir="ltr">`)
	case s.Name == "Zimbra":
		b.WriteString(`<hr id="zwchr" data-marker="__DIVIDER__"><div data-marker="__HEADERS__">`)
	case s.Name == "Outlook desktop":
		b.WriteString(`<div style="border:none;border-top:solid #E1E1E1 1.0pt;padding:3.0pt 0cm 0cm 0cm"><p class="MsoNormal">`)
	case s.marker != nil:
		b.WriteString("<div>" + marker + "</div>")
	}
	switch s.list {
	case 'b':
		for _, r := range rows {
			fmt.Fprintf(&b, "<b>%s</b> %s<br>\n", r[0], html.EscapeString(r[1]))
		}
		b.WriteString("</div>")
	case 'd':
		for _, r := range rows {
			fmt.Fprintf(&b, "<div><span style=\"color:black\"><b>%s </b></span><span>%s<br></span></div>", r[0], html.EscapeString(r[1]))
		}
	case 't':
		b.WriteString(`<table class="moz-email-headers-table" cellspacing="0"><tbody>`)
		for _, r := range rows {
			fmt.Fprintf(&b, "<tr><th valign=\"BASELINE\" nowrap align=\"RIGHT\">%s </th><td>%s</td></tr>\n", r[0], html.EscapeString(r[1]))
		}
		b.WriteString("</tbody></table><br>")
	}
	b.WriteString("<br><div>" + m.page() + "</div>")
	if s.quote {
		b.WriteString("</blockquote>")
	}
	b.WriteString("</body></html>\n")
	return b.String()
}
