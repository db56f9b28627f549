package shield

import (
	"fmt"
	"strings"

	"bolwerk"
)

// answerText is the mail that answers a report, in the reporter's language. It
// names the blocked name with its dots in brackets, so that no mail program
// makes a link of it.
func answerText(lang bolwerk.Lang, state string, cfg Config, code bolwerk.Token, block Block) (subject, body string) {
	t, ok := answers[lang]
	if !ok {
		t = answers[bolwerk.EN]
	}
	what, ok := t.states[state]
	if !ok {
		what = t.states["waiting"]
	}
	if strings.Contains(what, "%s") {
		what = fmt.Sprintf(what, strings.ReplaceAll(block.Name.String(), ".", "[.]"))
	}
	link := strings.TrimSuffix(cfg.PublicURL, "/") + "/r/" + code.Reveal()
	return t.subject, fmt.Sprintf("%s\n\n%s\n\n%s\n%s\n\n%s\n\n%s\n", t.thanks, what, t.follow, link, t.never, cfg.Operator)
}

type answerWords struct {
	subject, thanks, follow, never string
	states                         map[string]string
}

// answers are complete in all four languages; a test holds it.
var answers = map[bolwerk.Lang]answerWords{
	bolwerk.NL: {
		subject: "Uw melding van een verdacht bericht",
		thanks:  "Bedankt voor uw melding.",
		follow:  "Hier ziet u hoe het verder gaat. De pagina toont niets persoonlijks:",
		never:   "Hebt u al gegevens ingevuld? Bel dan meteen uw bank en verander uw wachtwoord. Wij vragen u nooit om een wachtwoord of code.",
		states: map[string]string{
			"blocked":       "De website uit het bericht, %s, is nu geblokkeerd. Wie in ons netwerk op de link klikt, krijgt een waarschuwing te zien.",
			"waiting":       "We bekijken het bericht nog. Klik intussen niet op de link.",
			"rejected":      "We hebben het bericht bekeken en de website niet geblokkeerd. Vertrouwt u het bericht niet, klik dan toch niet en gooi het weg.",
			"clean":         "De links in het bericht gaan naar bekende websites. Dat betekent niet dat het bericht eerlijk is. Vertrouwt u het niet, gooi het dan weg.",
			"no_observable": "We vonden geen link in het bericht. Ook zonder link kan een bericht oplichting zijn: antwoord niet en betaal niets.",
			"unreadable":    "We konden het bericht niet automatisch lezen. Een medewerker kijkt ernaar.",
			"training":      "Dit bericht was een oefening, bedoeld om valse berichten te leren herkennen. Goed dat u het gemeld hebt.",
		},
	},
	bolwerk.FR: {
		subject: "Votre signalement d'un message suspect",
		thanks:  "Merci pour votre signalement.",
		follow:  "Suivez la suite ici. Cette page ne montre rien de personnel :",
		never:   "Vous avez déjà donné des informations ? Appelez tout de suite votre banque et changez votre mot de passe. Nous ne vous demandons jamais de mot de passe ni de code.",
		states: map[string]string{
			"blocked":       "Le site du message, %s, est maintenant bloqué. Sur notre réseau, celui qui clique sur le lien voit un avertissement.",
			"waiting":       "Nous examinons encore le message. En attendant, ne cliquez pas sur le lien.",
			"rejected":      "Nous avons examiné le message et n'avons pas bloqué le site. Si vous avez un doute, ne cliquez pas et supprimez le message.",
			"clean":         "Les liens du message mènent à des sites connus. Cela ne veut pas dire que le message est honnête. En cas de doute, supprimez-le.",
			"no_observable": "Nous n'avons pas trouvé de lien dans le message. Un message sans lien peut aussi être une arnaque : ne répondez pas et ne payez rien.",
			"unreadable":    "Nous n'avons pas pu lire le message automatiquement. Un collègue va l'examiner.",
			"training":      "Ce message était un exercice pour apprendre à reconnaître les faux messages. Vous avez bien fait de le signaler.",
		},
	},
	bolwerk.DE: {
		subject: "Ihre Meldung einer verdächtigen Nachricht",
		thanks:  "Danke für Ihre Meldung.",
		follow:  "Hier sehen Sie, wie es weitergeht. Die Seite zeigt nichts Persönliches:",
		never:   "Haben Sie schon Daten eingegeben? Rufen Sie sofort Ihre Bank an und ändern Sie Ihr Passwort. Wir fragen Sie nie nach einem Passwort oder Code.",
		states: map[string]string{
			"blocked":       "Die Website aus der Nachricht, %s, ist jetzt gesperrt. Wer in unserem Netz auf den Link klickt, sieht eine Warnung.",
			"waiting":       "Wir prüfen die Nachricht noch. Klicken Sie bis dahin nicht auf den Link.",
			"rejected":      "Wir haben die Nachricht geprüft und die Website nicht gesperrt. Wenn Sie der Nachricht nicht trauen, klicken Sie nicht und löschen Sie sie.",
			"clean":         "Die Links der Nachricht führen zu bekannten Websites. Das heißt nicht, dass die Nachricht ehrlich ist. Im Zweifel löschen Sie sie.",
			"no_observable": "Wir haben in der Nachricht keinen Link gefunden. Auch ohne Link kann eine Nachricht Betrug sein: Antworten Sie nicht und zahlen Sie nichts.",
			"unreadable":    "Wir konnten die Nachricht nicht automatisch lesen. Jemand von uns sieht sie sich an.",
			"training":      "Diese Nachricht war eine Übung, um falsche Nachrichten erkennen zu lernen. Gut, dass Sie sie gemeldet haben.",
		},
	},
	bolwerk.EN: {
		subject: "Your report of a suspicious message",
		thanks:  "Thank you for your report.",
		follow:  "See here what happens next. The page shows nothing personal:",
		never:   "Did you already enter something? Call your bank at once and change your password. We never ask you for a password or a code.",
		states: map[string]string{
			"blocked":       "The website in the message, %s, is now blocked. On our network, whoever follows the link sees a warning.",
			"waiting":       "We are still looking at the message. Until then, do not follow the link.",
			"rejected":      "We looked at the message and did not block the website. If you do not trust the message, do not click, and delete it.",
			"clean":         "The links in the message lead to well-known websites. That does not mean that the message is honest. If in doubt, delete it.",
			"no_observable": "We found no link in the message. A message without a link can be fraud too: do not answer and do not pay.",
			"unreadable":    "We could not read the message automatically. A colleague will look at it.",
			"training":      "This message was an exercise in telling false messages. Well done for reporting it.",
		},
	},
}
