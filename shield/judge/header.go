package judge

import (
	"fmt"
	"slices"
	"strings"

	"bolwerk"
	"bolwerk/internal/suffix"
)

// tell is one thing in a mail's header or in how it is addressed that honest
// programs seldom leave. One alone is context: each has an honest way to come
// about.
type tell struct {
	reason, text string
	weak         bool // small senders leave it too
}

// weak are the reasons of what small senders leave too: it takes another, or words
// that press.
var weak = map[string]bool{"returns_elsewhere": true, "odd_message_id": true, "script": true, "to_self": true, "odd_local": true}

// signers are the domains with which services sign mails that they send for
// others, and to which they let failures go.
var signers = set(`amazonses.com sendgrid.net sendgrid.info sendgrid.com mailgun.org mailgun.net mcsv.net mcdlv.net rsgsv.net mandrillapp.com mailchimpapp.net
	mailchimp.com sparkpostmail.com sparkpost.com hubspotemail.net hubspot.com sendinblue.com brevo.com brevosend.com sender-sib.com mailjet.com exacttarget.com
	salesforce.com pardot.com onmicrosoft.com gappssmtp.com google.com googlegroups.com klaviyomail.com createsend.com cmail19.com cmail20.com constantcontact.com
	ccsend.com zendesk.com intercom-mail.com postmarkapp.com mtasv.net mailerlite.com mlsend.com mailersend.net getresponse.com getresponse-mail.com keap.com infusionmail.com
	icontact.com aweber.com emarsys.net emsmtp.com sailthru.com smtp2go.com elasticemail.com zoho.com zohomail.com zcsend.net freshdesk.com freshemail.io
	shopifyemail.com myshopify.com wix.com squarespace.com substack.com beehiiv.com eventbrite.com typeform.com surveymonkey.com docusign.net messagelabs.com
	pphosted.com ppe-hosted.com mimecast.com activehosted.com flexmail.be flexmail.eu laposta.nl spotler.com mailcampaigns.nl copernica.com cleverreach.com
	rapidmail.de inxmail.com inxserver.com optimizely.com episerver.net ovh.net mailplus.nl e-ngine.nl clang.nl tripolis.com selligent.com sarbacane.com
	mailpoet.com sendpulse.com sendpul.se benchmarkemail.com dotdigital.com dotmailer.com mailup.com contactlab.com acoustic-campaign.com mkt.com`)

func set(names string) map[string]bool {
	m := map[string]bool{}
	for n := range strings.FieldsSeq(names) {
		m[n] = true
	}
	return m
}

// tells are what is against the header of a mail. Nothing of it proves anything:
// whoever writes a header writes what he wants. But a lure's is mostly written by a
// program that sends for many, and careless about what nobody looks at.
func tells(m Message, from bolwerk.Domain, brands *Brands, psl *suffix.List) (out []tell) {
	say := func(reason, format string, a ...any) {
		out = append(out, tell{reason, fmt.Sprintf(format, a...), weak[reason]})
	}
	registrable := func(d bolwerk.Domain) bolwerk.Domain {
		r, _ := psl.Registrable(d)
		return r
	}
	if !from.IsZero() && !m.List {
		aligned := slices.ContainsFunc(m.Signed, func(d bolwerk.Domain) bool { return registrable(d) == from })
		stranger := slices.IndexFunc(m.Signed, func(d bolwerk.Domain) bool { return !signers[registrable(d).String()] })
		back := registrable(m.Return)
		switch {
		case aligned:
		case stranger >= 0 && !slices.ContainsFunc(m.Signed, func(d bolwerk.Domain) bool { return signers[registrable(d).String()] }):
			say("signed_by_other", "it is signed by %s, not by its sender's domain", m.Signed[stranger])
		case len(m.Signed) == 0 && !back.IsZero() && back != from && !signers[back.String()]:
			say("returns_elsewhere", "it is not signed, and failures go to %s, not to its sender's domain", m.Return)
		}
	}
	switch id := strings.ToLower(m.ID); {
	case !m.Head || m.List:
	case id == "":
		say("no_message_id", "it has no Message-ID, which every mail program writes")
		out[len(out)-1].weak = true // nor has a draft, or what some program exported
	case strings.Contains(id, "-eop-") || strings.Contains(id, ".eop-") && strings.HasSuffix(id, ".protection.outlook.com") || id == "mx.google.com":
		// The border of Microsoft and Google puts one in where there was none.
		if own := from.String(); own != "gmail.com" && own != "googlemail.com" {
			say("no_message_id", "it has no Message-ID, which every mail program writes")
		}
	case strings.HasPrefix(id, "localhost") || !strings.Contains(id, ".") || strings.HasPrefix(id, "[") || strings.HasPrefix(id, "win-"):
		say("odd_message_id", "its Message-ID is of a machine without a name")
	}
	if m.Script {
		say("script", "a web server's script sent it")
	}
	if m.ToSelf && !m.List {
		say("to_self", "it is addressed to its own sender: who got it is hidden")
	}
	if m.Recipients >= 10 && !m.List && !m.Answer {
		say("many_recipients", "it shows the addresses of many who got it")
	}
	if made, free := madeUpLocal(m.Local), free[m.From.String()]; made != "" && !(free && made == "numbered") {
		say("odd_local", "the sender's address looks made up by a program")
	}
	if loud(m.Name) {
		say("loud_sender", "the sender's name is an offer and not a name")
	}
	return out
}

// madeUpLocal says in which way the part of an address before the @ looks made by a
// program: "mixed" letters and digits, or "numbered" as infomail974555 is. Services
// that give each mail an address of its own for answers write such too, with signs.
func madeUpLocal(local string) string {
	if len(local) > 40 || strings.ContainsAny(local, "+=.-_") {
		return ""
	}
	low := strings.ToLower(local)
	switch {
	case len(local) >= 8 && turns(local) >= 3 || madeUp(low, true):
		return "mixed"
	case longNumber(low):
		return "numbered"
	}
	return ""
}

// turns counts how often small letters are followed by capitals.
func turns(s string) (n int) {
	for i := 1; i < len(s); i++ {
		if s[i-1] >= 'a' && s[i-1] <= 'z' && s[i] >= 'A' && s[i] <= 'Z' {
			n++
		}
	}
	return n
}

// loud says that a sender put an offer where his name stands: a sum, a share, a call.
func loud(name string) bool {
	if strings.ContainsAny(name, "€$£%") {
		return true
	}
	i := strings.IndexByte(name, '!')
	return i > 0 && strings.Count(name[:i], " ") > 0 || strings.Contains(name, "!!")
}

// inLocal is the brand that stands in an address before the @, as a part of its own.
// A word of a language counts for none.
func (b *Brands) inLocal(local string) string {
	if b == nil || local == "" || len(local) > 64 {
		return ""
	}
	parts := strings.FieldsFunc(strings.ToLower(local), func(r rune) bool { return r == '.' || notLetter(r) })
	for i := range b.all {
		for _, t := range b.all[i].tokens {
			if !t.word && len(t.text) >= 5 && slices.Contains(parts, t.text) {
				return b.all[i].Name
			}
		}
	}
	return ""
}
