package edge

import (
	"fmt"
	"strings"
	"time"

	"bolwerk"
)

// words are the page's texts in one language. A test holds that none is empty.
type words struct {
	Title, First, FirstHost     string // what this is; FirstHost goes on after the name
	NowHead, Now, NowMore       string // what to do now
	WhyHead                     string
	WhyPhishing, WhyFakeShop    string
	WhyMalware, WhyScam         string
	WhyOther                    string
	Hacked                      string
	Imitates, Since, Decided    string
	Reference, Passed           string
	EnteredHead, Entered        string
	CardPhone, CardBank         string // CardPhone has the number behind it
	Password, Code, Money       string
	NeverCall                   string
	MistakeHead, Mistake, Order string
	OwnerRole, VisitorRole      string
	RoleLabel                   string
	TextLabel, TextHelp         string
	ContactLabel, ContactHelp   string
	Send, Next                  string
	ErrEmpty, ErrLong           string
	ErrContact, ErrBusy         string
	ThanksTitle, Thanks         string
	CodeLabel, CodeHelp, Due    string
	OpenTitle, Open, OpenHost   string
	WhoHead, Who, Phone, Mail   string
	Site                        string
	Preview                     string
	Languages                   string
	Months                      [12]string
	Date                        string // day, month, year
	HourDate                    string // hour and minute, then the date
}

// languageNames are what a language calls itself.
var languageNames = map[bolwerk.Lang]string{bolwerk.NL: "Nederlands", bolwerk.FR: "Français", bolwerk.DE: "Deutsch", bolwerk.EN: "English"}

func (w *words) date(t time.Time) string {
	return fmt.Sprintf(w.Date, t.Day(), w.Months[t.Month()-1], t.Year())
}

func (w *words) hour(t time.Time) string {
	return fmt.Sprintf(w.HourDate, t.Format("15:04"), w.date(t))
}

func (w *words) why(class string) string {
	switch class {
	case "phishing":
		return w.WhyPhishing
	case "fake_shop":
		return w.WhyFakeShop
	case "malware":
		return w.WhyMalware
	case "scam":
		return w.WhyScam
	}
	return w.WhyOther
}

// choose picks a language: the one asked for, else the first of Accept-Language
// (RFC 9110 section 12.5.4) by weight, else Dutch. It reads 200 octets at most.
func choose(asked, accept string) bolwerk.Lang {
	for _, l := range bolwerk.Langs() {
		if asked == string(l) {
			return l
		}
	}
	best, weight := bolwerk.NL, -1
	for part := range strings.SplitSeq(accept[:min(len(accept), 200)], ",") {
		tag, q, _ := strings.Cut(strings.TrimSpace(part), ";")
		w := 1000
		if v, ok := strings.CutPrefix(strings.TrimSpace(q), "q="); ok {
			w = 0
			for i, c := range []byte(v) { // "0.8", "1", "0.125"
				if c >= '0' && c <= '9' && i < 5 {
					w += int(c-'0') * [5]int{1000, 0, 100, 10, 1}[i]
				}
			}
		}
		tag, _, _ = strings.Cut(strings.ToLower(tag), "-")
		for _, l := range bolwerk.Langs() {
			if tag == string(l) && w > 0 && w > weight {
				best, weight = l, w
			}
		}
	}
	return best
}

var texts = map[bolwerk.Lang]*words{
	bolwerk.NL: {
		Title: "Deze website is tegengehouden", First: "U wilde naar", FirstHost: "We hebben u tegengehouden, omdat die website gevaarlijk is. U hebt niets fout gedaan.",
		NowHead: "Wat doet u nu?", Now: "Sluit deze pagina. Meer hoeft u niet te doen.", NowMore: "Kwam de link uit een e-mail of sms? Verwijder dat bericht en klik niet nog eens.",
		WhyHead:     "Waarom?",
		WhyPhishing: "De website doet zich voor als iemand anders om uw gegevens of geld te stelen (phishing).",
		WhyFakeShop: "De website lijkt een winkel, maar wie er betaalt, krijgt niets.",
		WhyMalware:  "De website verspreidt programma’s die schade doen aan uw toestel.",
		WhyScam:     "De website probeert mensen op te lichten.",
		WhyOther:    "De website staat op een lijst van gevaarlijke websites.",
		Hacked:      "De website is waarschijnlijk gehackt. De eigenaar kan er zelf slachtoffer van zijn.",
		Imitates:    "Doet zich voor als", Since: "Tegengehouden sinds", Decided: "Beslist door", Reference: "Kenmerk",
		Passed:      "Deze website wordt niet meer tegengehouden. Het kan enkele minuten duren voor u dat merkt.",
		EnteredHead: "Ik heb al gegevens ingevuld", Entered: "Wacht niet. Doe wat bij u past:",
		CardPhone: "Bankkaart of bankgegevens: laat uw kaart blokkeren via", CardBank: "Bankkaart of bankgegevens: bel uw bank en laat uw kaart blokkeren.",
		Password: "Wachtwoord: verander het meteen op de echte website, en overal waar u hetzelfde wachtwoord gebruikt.",
		Code:     "Code of bevestiging in een app: bel uw bank. Keur niets meer goed.",
		Money:    "Geld kwijt: bel uw bank en doe aangifte bij de politie. Bewaar het bericht.", NeverCall: "Niemand van ons of van uw bank belt u om een code te vragen.",
		MistakeHead: "Dit is een vergissing", Mistake: "Is dit uw website, of kent u hem goed? Schrijf ons. We kijken opnieuw en antwoorden binnen 48 uur.",
		Order:     "Deze beslissing komt van een andere instantie. We geven uw bericht aan haar door.",
		RoleLabel: "Wie bent u?", OwnerRole: "Ik ben de eigenaar van de website", VisitorRole: "Ik ben een bezoeker",
		TextLabel: "Waarom is het een vergissing?", TextHelp: "Ten hoogste 2000 tekens. Zet hier geen wachtwoorden.",
		ContactLabel: "Uw e-mailadres of telefoonnummer", ContactHelp: "Niet verplicht. We gebruiken het alleen om te antwoorden.",
		Send: "Versturen", Next: "U krijgt daarna een code waarmee u ons antwoord kunt lezen.",
		ErrEmpty: "Schrijf waarom het een vergissing is.", ErrLong: "De tekst is te lang: ten hoogste 2000 tekens.", ErrContact: "Dit is te lang voor een e-mailadres of telefoonnummer.",
		ErrBusy:     "We konden uw bericht nu niet bewaren. Probeer het over een minuut nog eens.",
		ThanksTitle: "We hebben uw bericht", Thanks: "We kijken opnieuw naar",
		CodeLabel: "Uw code", CodeHelp: "Bewaar deze code. U hebt hem nodig om ons antwoord te lezen. We tonen hem maar één keer.", Due: "U krijgt antwoord vóór",
		OpenTitle: "Hier wordt niets tegengehouden", Open: "U vroeg naar", OpenHost: "Die website houden wij niet tegen. Probeer het over een minuut opnieuw.",
		WhoHead: "Wie zijn wij?", Who: "Deze pagina komt van %s, uw internetprovider. We zien niet wie u bent en bewaren niet dat u hier was.",
		Phone: "Telefoon", Mail: "E-mail", Site: "Website", Preview: "Dit is een voorbeeld. Er is niets tegengehouden.", Languages: "Taal",
		Months: [12]string{"januari", "februari", "maart", "april", "mei", "juni", "juli", "augustus", "september", "oktober", "november", "december"},
		Date:   "%d %s %d", HourDate: "%s uur op %s",
	},
	bolwerk.FR: {
		Title: "Ce site a été bloqué", First: "Vous vouliez aller sur", FirstHost: "Nous vous avons arrêté, car ce site est dangereux. Vous n’avez rien fait de mal.",
		NowHead: "Que faire maintenant ?", Now: "Fermez cette page. C’est tout ce que vous devez faire.", NowMore: "Le lien venait d’un e-mail ou d’un SMS ? Supprimez ce message et ne cliquez plus dessus.",
		WhyHead:     "Pourquoi ?",
		WhyPhishing: "Ce site se fait passer pour quelqu’un d’autre pour voler vos données ou votre argent (hameçonnage).",
		WhyFakeShop: "Ce site ressemble à un magasin, mais celui qui paie ne reçoit rien.",
		WhyMalware:  "Ce site diffuse des programmes qui abîment votre appareil.",
		WhyScam:     "Ce site essaie d’escroquer les gens.",
		WhyOther:    "Ce site est sur une liste de sites dangereux.",
		Hacked:      "Ce site a sans doute été piraté. Son propriétaire peut en être lui-même victime.",
		Imitates:    "Se fait passer pour", Since: "Bloqué depuis le", Decided: "Décidé par", Reference: "Référence",
		Passed:      "Ce site n’est plus bloqué. Il faut parfois quelques minutes pour que vous le remarquiez.",
		EnteredHead: "J’ai déjà donné mes données", Entered: "N’attendez pas. Faites ce qui vous concerne :",
		CardPhone: "Carte bancaire ou données bancaires : faites bloquer votre carte au", CardBank: "Carte bancaire ou données bancaires : appelez votre banque et faites bloquer votre carte.",
		Password: "Mot de passe : changez-le tout de suite sur le vrai site, et partout où vous utilisez le même.",
		Code:     "Code ou confirmation dans une application : appelez votre banque. N’approuvez plus rien.",
		Money:    "Argent perdu : appelez votre banque et portez plainte à la police. Gardez le message.", NeverCall: "Ni nous ni votre banque ne vous appellerons pour demander un code.",
		MistakeHead: "C’est une erreur", Mistake: "C’est votre site, ou vous le connaissez bien ? Écrivez-nous. Nous vérifions à nouveau et répondons dans les 48 heures.",
		Order:     "Cette décision vient d’une autre autorité. Nous lui transmettons votre message.",
		RoleLabel: "Qui êtes-vous ?", OwnerRole: "Je suis le propriétaire du site", VisitorRole: "Je suis un visiteur",
		TextLabel: "Pourquoi est-ce une erreur ?", TextHelp: "2000 caractères au plus. N’écrivez pas de mot de passe.",
		ContactLabel: "Votre adresse e-mail ou numéro de téléphone", ContactHelp: "Facultatif. Nous l’utilisons seulement pour vous répondre.",
		Send: "Envoyer", Next: "Vous recevez ensuite un code pour lire notre réponse.",
		ErrEmpty: "Écrivez pourquoi c’est une erreur.", ErrLong: "Le texte est trop long : 2000 caractères au plus.", ErrContact: "C’est trop long pour une adresse e-mail ou un numéro de téléphone.",
		ErrBusy:     "Nous n’avons pas pu garder votre message. Réessayez dans une minute.",
		ThanksTitle: "Nous avons votre message", Thanks: "Nous vérifions à nouveau",
		CodeLabel: "Votre code", CodeHelp: "Gardez ce code. Il vous faut pour lire notre réponse. Nous ne le montrons qu’une fois.", Due: "Vous avez une réponse avant",
		OpenTitle: "Rien n’est bloqué ici", Open: "Vous avez demandé", OpenHost: "Nous ne bloquons pas ce site. Réessayez dans une minute.",
		WhoHead: "Qui sommes-nous ?", Who: "Cette page vient de %s, votre fournisseur d’accès. Nous ne voyons pas qui vous êtes et ne gardons pas trace de votre visite.",
		Phone: "Téléphone", Mail: "E-mail", Site: "Site web", Preview: "Ceci est un exemple. Rien n’a été bloqué.", Languages: "Langue",
		Months: [12]string{"janvier", "février", "mars", "avril", "mai", "juin", "juillet", "août", "septembre", "octobre", "novembre", "décembre"},
		Date:   "%d %s %d", HourDate: "%s le %s",
	},
	bolwerk.DE: {
		Title: "Diese Website wurde gesperrt", First: "Sie wollten zu", FirstHost: "Wir haben Sie aufgehalten, weil diese Website gefährlich ist. Sie haben nichts falsch gemacht.",
		NowHead: "Was tun Sie jetzt?", Now: "Schließen Sie diese Seite. Mehr müssen Sie nicht tun.", NowMore: "Kam der Link aus einer E-Mail oder SMS? Löschen Sie die Nachricht und klicken Sie nicht noch einmal.",
		WhyHead:     "Warum?",
		WhyPhishing: "Die Website gibt sich für jemand anderen aus, um Ihre Daten oder Ihr Geld zu stehlen (Phishing).",
		WhyFakeShop: "Die Website sieht aus wie ein Geschäft, aber wer zahlt, bekommt nichts.",
		WhyMalware:  "Die Website verbreitet Programme, die Ihrem Gerät schaden.",
		WhyScam:     "Die Website versucht, Menschen zu betrügen.",
		WhyOther:    "Die Website steht auf einer Liste gefährlicher Websites.",
		Hacked:      "Die Website wurde wahrscheinlich gehackt. Der Inhaber kann selbst Opfer sein.",
		Imitates:    "Gibt sich aus für", Since: "Gesperrt seit", Decided: "Entschieden von", Reference: "Kennzeichen",
		Passed:      "Diese Website ist nicht mehr gesperrt. Es kann einige Minuten dauern, bis Sie das merken.",
		EnteredHead: "Ich habe schon Daten eingegeben", Entered: "Warten Sie nicht. Tun Sie, was auf Sie zutrifft:",
		CardPhone: "Bankkarte oder Bankdaten: Lassen Sie Ihre Karte sperren unter", CardBank: "Bankkarte oder Bankdaten: Rufen Sie Ihre Bank an und lassen Sie die Karte sperren.",
		Password: "Passwort: Ändern Sie es sofort auf der echten Website, und überall, wo Sie dasselbe benutzen.",
		Code:     "Code oder Bestätigung in einer App: Rufen Sie Ihre Bank an. Bestätigen Sie nichts mehr.",
		Money:    "Geld verloren: Rufen Sie Ihre Bank an und gehen Sie zur Polizei. Bewahren Sie die Nachricht auf.", NeverCall: "Weder wir noch Ihre Bank rufen Sie an, um nach einem Code zu fragen.",
		MistakeHead: "Das ist ein Irrtum", Mistake: "Ist das Ihre Website, oder kennen Sie sie gut? Schreiben Sie uns. Wir prüfen noch einmal und antworten innerhalb von 48 Stunden.",
		Order:     "Diese Entscheidung kommt von einer anderen Stelle. Wir leiten Ihre Nachricht an sie weiter.",
		RoleLabel: "Wer sind Sie?", OwnerRole: "Ich bin Inhaber der Website", VisitorRole: "Ich bin Besucher",
		TextLabel: "Warum ist es ein Irrtum?", TextHelp: "Höchstens 2000 Zeichen. Schreiben Sie keine Passwörter.",
		ContactLabel: "Ihre E-Mail-Adresse oder Telefonnummer", ContactHelp: "Freiwillig. Wir benutzen sie nur, um zu antworten.",
		Send: "Senden", Next: "Sie bekommen danach einen Code, mit dem Sie unsere Antwort lesen können.",
		ErrEmpty: "Schreiben Sie, warum es ein Irrtum ist.", ErrLong: "Der Text ist zu lang: höchstens 2000 Zeichen.", ErrContact: "Das ist zu lang für eine E-Mail-Adresse oder Telefonnummer.",
		ErrBusy:     "Wir konnten Ihre Nachricht gerade nicht speichern. Versuchen Sie es in einer Minute noch einmal.",
		ThanksTitle: "Wir haben Ihre Nachricht", Thanks: "Wir prüfen noch einmal",
		CodeLabel: "Ihr Code", CodeHelp: "Bewahren Sie diesen Code auf. Sie brauchen ihn, um unsere Antwort zu lesen. Wir zeigen ihn nur einmal.", Due: "Sie bekommen Antwort vor",
		OpenTitle: "Hier ist nichts gesperrt", Open: "Sie fragten nach", OpenHost: "Diese Website sperren wir nicht. Versuchen Sie es in einer Minute noch einmal.",
		WhoHead: "Wer sind wir?", Who: "Diese Seite kommt von %s, Ihrem Internetanbieter. Wir sehen nicht, wer Sie sind, und speichern nicht, dass Sie hier waren.",
		Phone: "Telefon", Mail: "E-Mail", Site: "Website", Preview: "Dies ist ein Beispiel. Es wurde nichts gesperrt.", Languages: "Sprache",
		Months: [12]string{"Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober", "November", "Dezember"},
		Date:   "%d. %s %d", HourDate: "%s Uhr am %s",
	},
	bolwerk.EN: {
		Title: "This website was stopped", First: "You wanted to go to", FirstHost: "We stopped you, because that website is dangerous. You did nothing wrong.",
		NowHead: "What should you do now?", Now: "Close this page. That is all you have to do.", NowMore: "Did the link come from an email or text message? Delete that message and do not click it again.",
		WhyHead:     "Why?",
		WhyPhishing: "The website pretends to be somebody else to steal your data or money (phishing).",
		WhyFakeShop: "The website looks like a shop, but people who pay get nothing.",
		WhyMalware:  "The website spreads programs that harm your device.",
		WhyScam:     "The website tries to cheat people.",
		WhyOther:    "The website is on a list of dangerous websites.",
		Hacked:      "The website was probably hacked. Its owner may be a victim too.",
		Imitates:    "Pretends to be", Since: "Stopped since", Decided: "Decided by", Reference: "Reference",
		Passed:      "This website is not stopped any more. It can take a few minutes until you notice.",
		EnteredHead: "I already entered my data", Entered: "Do not wait. Do what fits you:",
		CardPhone: "Bank card or bank details: have your card blocked at", CardBank: "Bank card or bank details: call your bank and have your card blocked.",
		Password: "Password: change it at once on the real website, and everywhere you use the same one.",
		Code:     "Code or confirmation in an app: call your bank. Approve nothing more.",
		Money:    "Money lost: call your bank and go to the police. Keep the message.", NeverCall: "Neither we nor your bank will call you to ask for a code.",
		MistakeHead: "This is a mistake", Mistake: "Is this your website, or do you know it well? Write to us. We look again and answer within 48 hours.",
		Order:     "This decision comes from another authority. We pass your message on to it.",
		RoleLabel: "Who are you?", OwnerRole: "I own the website", VisitorRole: "I am a visitor",
		TextLabel: "Why is it a mistake?", TextHelp: "2000 characters at most. Do not write passwords here.",
		ContactLabel: "Your email address or phone number", ContactHelp: "Not required. We use it only to answer you.",
		Send: "Send", Next: "You then get a code with which you can read our answer.",
		ErrEmpty: "Write why it is a mistake.", ErrLong: "The text is too long: 2000 characters at most.", ErrContact: "That is too long for an email address or phone number.",
		ErrBusy:     "We could not keep your message just now. Please try again in a minute.",
		ThanksTitle: "We have your message", Thanks: "We are looking again at",
		CodeLabel: "Your code", CodeHelp: "Keep this code. You need it to read our answer. We show it only once.", Due: "You get an answer before",
		OpenTitle: "Nothing is stopped here", Open: "You asked for", OpenHost: "We do not stop that website. Try again in a minute.",
		WhoHead: "Who are we?", Who: "This page comes from %s, your internet provider. We do not see who you are and keep no record of your visit.",
		Phone: "Phone", Mail: "Email", Site: "Website", Preview: "This is an example. Nothing was stopped.", Languages: "Language",
		Months: [12]string{"January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"},
		Date:   "%d %s %d", HourDate: "%s on %s",
	},
}
