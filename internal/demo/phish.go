package demo

import (
	"fmt"
	"time"

	"bolwerk"
)

// PhishName is the host of the tutorial's mail. No report of the demo has it.
const PhishName = "merelbank-ontgrendelen.example"

// PhishFile is the file in the demo's folder that holds Phish.
const PhishFile = "phish.eml"

// Phish is the mail that a newcomer hands in: a phisher's mail about PhishName,
// as somebody saved it from his mail program.
func (w World) Phish() []byte {
	c := campaign{brand: bank, from: "veiligheid@merelbank.example", shown: "https://www.merelbank.example/ontgrendelen"}
	l := letter{lang: bolwerk.NL, sender: "Merelbank Veiligheid", subject: "Uw rekening is tijdelijk geblokkeerd", button: "Ontgrendelen", body: []string{
		"Geachte klant,", "wij zagen een vreemde betaling van 749 euro en hebben uw rekening voor uw veiligheid geblokkeerd. Ontgrendel uw rekening binnen 24 uur.",
		"LINK", "Met vriendelijke groet,\nMerelbank, afdeling Veiligheid"}}
	m := mailing{id: "tutorial-1", fromName: l.sender, from: c.from, to: "u@thuisnet.example", subject: l.subject, date: w.Day.Add(-10 * time.Minute), encoding: "quoted-printable"}
	m.text, m.page = l.write(c, "https://"+PhishName+"/login")
	m.fields = []string{
		"Return-Path: <bounce@203-0-113-9.example>",
		fmt.Sprintf("Received: from mailer (unknown [203.0.113.9]) by %s; %s", authserv, m.date.Format(time.RFC1123Z)),
		fmt.Sprintf("Authentication-Results: %s; spf=fail smtp.mailfrom=merelbank.example; dmarc=fail header.from=merelbank.example", authserv),
	}
	return m.bytes()
}
