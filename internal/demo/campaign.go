package demo

import (
	"time"

	"bolwerk"
)

// campaign is one phisher's work: a brand, a few hosts, and texts in the
// languages of its victims.
type campaign struct {
	brand string
	kind  string   // how its names look like the brand, in the words of judge.Likeness
	hosts []string // U-labels where it has them
	// listed is how many of the hosts the feed has.
	listed int
	path   string
	// from is the sender of the mails. Where it is the brand's own, the
	// operator's mail server has seen that it is forged.
	from string
	// shown is what the link of a mail shows instead of its target; empty is the
	// text of the button.
	shown string
	// bySMS is how many of ten reports are a text message, byURL a bare link.
	bySMS, byURL int
	reports      int
	letters      []letter
}

// letter is what victims get, in one language. In body a line that is LINK is the
// button; in sms LINK is the address.
type letter struct {
	lang            bolwerk.Lang
	sender, subject string
	body            []string
	button, sms     string
}

// campaigns are the twelve, the largest first. Their reports are 179 of the 200.
func campaigns() []campaign {
	return []campaign{
		{brand: bank, kind: "combosquat", hosts: []string{"merelbank-verificatie12.example", "merelbank-verificatie47.example", "merelbank-verificatie83.example"},
			listed: 2, path: "/inloggen", from: "service@merelbank.example", shown: "https://www.merelbank.example/inloggen", bySMS: 1, byURL: 1, reports: 28,
			letters: []letter{
				{bolwerk.NL, "Merelbank", "Uw bankpas verloopt over 2 dagen", []string{"Geachte klant,",
					"uw bankpas voldoet niet meer aan de nieuwe regels. Vraag vandaag nog een nieuwe pas aan. Dat is gratis als u het binnen 48 uur doet.", "LINK",
					"Doet u niets, dan wordt uw rekening uit voorzorg geblokkeerd.", "Met vriendelijke groet,\nMerelbank, afdeling Veiligheid"},
					"Pas aanvragen", "Merelbank: uw bankpas verloopt. Vraag voor morgen uw nieuwe pas aan via LINK"},
				{bolwerk.FR, "Merelbank", "Votre carte bancaire expire dans 2 jours", []string{"Cher client,",
					"votre carte ne répond plus aux nouvelles règles. Demandez une nouvelle carte dès aujourd'hui, c'est gratuit dans les 48 heures.", "LINK",
					"Sans réponse de votre part, nous devons bloquer votre compte.", "Merelbank, service Sécurité"},
					"Demander ma carte", "Merelbank : votre carte expire. Demandez la nouvelle pour demain sur LINK"},
			}},
		{brand: post, kind: "typo", hosts: []string{"pakket.zwaluwpst.example", "volg.zwaluwpst.example"},
			listed: 1, path: "/t/3SZW", from: "noreply@bezorgd-vandaag.example", bySMS: 5, reports: 22,
			letters: []letter{
				{bolwerk.NL, "Zwaluwpost", "Uw pakket wacht op betaling (1,95 euro)", []string{"Beste klant,",
					"wij konden uw pakket niet bezorgen: er is te weinig porto betaald. Betaal 1,95 euro en kies een nieuw moment.", "LINK",
					"Na drie dagen gaat het pakket terug naar de afzender.", "Zwaluwpost klantenservice"},
					"Nu betalen", "Zwaluwpost: uw pakket kon niet worden bezorgd. Kies een nieuw moment: LINK"},
				{bolwerk.FR, "Zwaluwpost", "Votre colis attend un paiement", []string{"Bonjour,",
					"nous n'avons pas pu livrer votre colis : l'affranchissement est insuffisant. Payez 1,95 euro pour une nouvelle livraison.", "LINK",
					"Après trois jours le colis est renvoyé.", "Le service client de Zwaluwpost"},
					"Payer maintenant", "Zwaluwpost : votre colis est en attente, payez les frais sur LINK"},
			}},
		{brand: tax, kind: "brand_subdomain", hosts: []string{"tiendekantoor.example.teruggave-aanvraag.example", "tiendekantoor.example.teruggave-dossier.example"},
			path: "/mijn/teruggave.php", from: "teruggave@tiendekantoor.example", shown: "https://tiendekantoor.example/mijn", byURL: 2, reports: 20,
			letters: []letter{
				{bolwerk.NL, "Tiendekantoor", "U hebt recht op 348,20 euro teruggave", []string{"Geachte heer, mevrouw,",
					"na de jaarlijkse controle van uw aangifte blijkt dat u te veel hebt betaald. Vul uw rekeningnummer in om het bedrag te ontvangen.", "LINK",
					"Dit kan tot en met vrijdag. Daarna vervalt uw recht.", "Tiendekantoor, team Teruggave"},
					"Teruggave aanvragen", "Tiendekantoor: er staat 348,20 euro voor u klaar. Bevestig uw rekening op LINK"},
			}},
		{brand: toll, kind: "combosquat", hosts: []string{"tolpoort-openstaand7.example", "tolpoort-openstaand19.example", ordered},
			listed: 1, path: "/b/", from: "inning@tol-afhandeling.example", bySMS: 6, byURL: 1, reports: 18,
			letters: []letter{
				{bolwerk.NL, "Tolpoort", "Openstaande tol: laatste herinnering", []string{"Geachte bestuurder,",
					"voor uw kenteken staat nog 6,40 euro tol open. Betaal vandaag en voorkom een boete van 85 euro.", "LINK", "Tolpoort inning"},
					"Betaal 6,40 euro", "Tolpoort: u hebt nog 6,40 euro tol open staan. Betaal voor 18 uur via LINK"},
				{bolwerk.DE, "Tolpoort", "Offene Maut: letzte Mahnung", []string{"Sehr geehrte Damen und Herren,",
					"für Ihr Fahrzeug ist noch eine Maut von 6,40 Euro offen. Zahlen Sie heute, um ein Bußgeld von 85 Euro zu vermeiden.", "LINK",
					"Ihre Tolpoort Verwaltung"},
					"Jetzt bezahlen", "Tolpoort: Ihre Maut von 6,40 Euro ist nicht bezahlt. Bitte zahlen Sie hier: LINK"},
			}},
		{brand: operator, kind: "combosquat", hosts: []string{"mijn.poldertelecom-factuur.example", "espace.poldertelecom-factuur.example"},
			listed: 1, path: "/factuur?id=20931", from: "facturen@poldertelecom.example", shown: "https://mijn.poldertelecom.example/facturen", reports: 16,
			letters: []letter{
				{bolwerk.NL, "Polder Telecom", "Uw incasso is mislukt", []string{"Beste klant,",
					"wij konden het bedrag van uw laatste factuur niet afschrijven. Werk uw gegevens bij, anders sluiten wij uw internet en televisie af.", "LINK",
					"Met vriendelijke groet,\nPolder Telecom"}, "Gegevens bijwerken", "Polder Telecom: uw incasso is mislukt. Werk uw gegevens bij: LINK"},
				{bolwerk.FR, "Polder Telecom", "Votre domiciliation a échoué", []string{"Cher client,",
					"nous n'avons pas pu encaisser votre dernière facture. Mettez vos données à jour pour garder votre internet.", "LINK", "Polder Telecom"},
					"Mettre à jour", "Polder Telecom : votre paiement a échoué. Mettez vos données à jour sur LINK"},
				{bolwerk.EN, "Polder Telecom", "Your payment has failed", []string{"Dear customer,",
					"we could not collect your last bill. Please update your details within 24 hours to keep your connection.", "LINK", "Polder Telecom"},
					"Update my details", "Polder Telecom: your payment has failed. Update your details at LINK"},
			}},
		{brand: energy, kind: "idn_skeleton", hosts: []string{"windvаng-terugbetaling.example"}, // with a Cyrillic a
			listed: 1, path: "/jaarafrekening", from: "klant@energie-bericht.example", shown: "https://www.windvang.example/jaarafrekening", byURL: 2, reports: 14,
			letters: []letter{
				{bolwerk.NL, "Windvang Energie", "Jaarafrekening: u krijgt 212 euro terug", []string{"Beste klant,",
					"uw jaarafrekening staat klaar. U hebt minder verbruikt en u krijgt 212,15 euro terug. Bevestig uw rekening binnen 5 dagen.", "LINK",
					"Windvang Energie"}, "Bekijk de afrekening", "Windvang: u krijgt 212 euro terug van uw afrekening, zie LINK"},
				{bolwerk.DE, "Windvang Energie", "Jahresabrechnung: Sie erhalten 212 Euro zurück", []string{"Guten Tag,",
					"Ihre Abrechnung ist fertig und Sie erhalten 212,15 Euro zurück. Bitte bestätigen Sie Ihr Konto in den nächsten 5 Tagen.", "LINK",
					"Windvang Energie, Ihr Kundendienst"}, "Zur Abrechnung", "Windvang: Sie erhalten 212 Euro zurück, bitte hier bestätigen: LINK"},
			}},
		{brand: locker, kind: "tld_swap", hosts: []string{"pakketnest.webhoek.example"},
			listed: 1, path: "/kluis/open", from: "kluis@web-berichten.example", bySMS: 5, byURL: 1, reports: 13,
			letters: []letter{
				{bolwerk.NL, "Pakketnest", "Uw kluis gaat over 6 uur dicht", []string{"Hallo,",
					"er ligt een pakket voor u in een kluis bij u in de buurt. Bevestig uw adres om de code te krijgen.", "LINK", "Pakketnest"},
					"Toon mijn code", "Pakketnest: uw pakket ligt klaar. De code voor de kluis krijgt u op LINK"},
				{bolwerk.EN, "Pakketnest", "Your locker closes in 6 hours", []string{"Hello,",
					"a parcel is waiting for you in a locker near you. Confirm your address to get the code.", "LINK", "Pakketnest"},
					"Show my code", "Pakketnest: your parcel is in the locker. Get the code at LINK"},
			}},
		{brand: stream, kind: "swapped", hosts: []string{"abo.kijkki5t.example", "login.kijkki5t.example"},
			path: "/verlengen", from: "abo@kijk-en-luister.example", shown: "kijkkist.example/verlengen", reports: 12,
			letters: []letter{
				{bolwerk.NL, "Kijkkist", "Uw abonnement is opgeschort", []string{"Beste kijker,",
					"de betaling van deze maand is niet gelukt. Verleng uw abonnement om te blijven kijken.", "LINK", "Het team van Kijkkist"},
					"Verlengen", "Kijkkist: uw abonnement is opgeschort. Verleng het op LINK"},
				{bolwerk.EN, "Kijkkist", "Your membership is on hold", []string{"Hi,",
					"we could not process the payment for this month. Renew your membership to keep watching.", "LINK", "The Kijkkist team"},
					"Renew now", "Kijkkist: your membership is on hold. Renew it at LINK"},
			}},
		{brand: health, kind: "typo", hosts: []string{"remboursement.aubepnie-sante.example", "espace.aubepnie-sante.example"},
			path: "/dossier", from: "remboursements@aubepine.example", shown: "https://www.aubepine.example/espace", byURL: 1, reports: 11,
			letters: []letter{
				{bolwerk.FR, "Mutualité Aubépine", "Un remboursement de 86,40 euros vous attend", []string{"Bonjour,",
					"votre remboursement de soins est prêt. Pour le recevoir, vérifiez votre numéro de compte et votre carte de santé.", "LINK",
					"Sans réponse avant dimanche, le dossier est clos.", "Mutualité Aubépine"},
					"Recevoir mon remboursement", "Aubépine : votre remboursement de 86,40 euros est prêt sur LINK"},
			}},
		{brand: market, kind: "combosquat", hosts: []string{"veilig-vlooienplein3.example", "veilig-vlooienplein8.example"},
			path: "/betaalverzoek/91", from: "koper@vlooienplein.example", bySMS: 3, byURL: 4, reports: 10,
			letters: []letter{
				{bolwerk.NL, "Vlooienplein", "De koper heeft betaald: ontvang uw geld", []string{"Goed nieuws!",
					"de koper van uw advertentie heeft betaald met Veilig Oversteken. Bevestig uw rekening om het geld te ontvangen.", "LINK", "Vlooienplein"},
					"Geld ontvangen", "Hallo, ik wil uw kast kopen. Ik heb al betaald, u kunt het geld hier ontvangen: LINK"},
			}},
		{brand: bank, kind: "tld_swap", hosts: []string{"secure.merelbank.com.example", "app.merelbank.com.example"},
			path: "/device", from: "alerts@merelbank.example", shown: "https://secure.merelbank.example", bySMS: 2, reports: 8,
			letters: []letter{
				{bolwerk.EN, "Merelbank", "A new device was added to your account", []string{"Dear client,",
					"a new phone was added to your account today. If this was not you, please stop it now and change your access code.", "LINK",
					"Merelbank fraud desk"}, "It was not me", "Merelbank: a new device was added to your account. Not you? Stop it at LINK"},
				{bolwerk.DE, "Merelbank", "Ein neues Gerät wurde hinzugefügt", []string{"Guten Tag,",
					"ein neues Telefon ist mit Ihrem Konto verbunden. Wenn Sie das nicht waren, sperren Sie es bitte sofort.", "LINK",
					"Ihre Merelbank"}, "Das war ich nicht", "Merelbank: ein neues Gerät wurde hinzugefügt. Nicht Sie? Bitte hier sperren: LINK"},
			}},
		{brand: post, kind: "brand_subdomain", hosts: []string{"zwaluwpost.example.zoll-gebuehr.example", "zwaluwpost.example.zoll-sendung.example"},
			path: "/zahlung", from: "zoll@sendung-info.example", byURL: 1, reports: 7,
			letters: []letter{
				{bolwerk.DE, "Zwaluwpost", "Ihre Sendung liegt beim Zoll", []string{"Guten Tag,",
					"für Ihre Sendung ist eine Gebühr von 3,20 Euro nicht bezahlt. Bitte zahlen Sie, damit wir sie zustellen.", "LINK",
					"Zwaluwpost Kundendienst"}, "Gebühr bezahlen", "Zwaluwpost: für Ihre Sendung ist Zoll zu zahlen, bitte hier: LINK"},
			}},
	}
}

// Spread is how long the reports of the demo take to arrive.
const Spread = 4 * time.Minute
