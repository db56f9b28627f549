package demo

import (
	"time"

	"bolwerk/shield/aid"
)

// partners are whom the invented operator's customers call. No number is real:
// 000 is given to nobody.
func partners(day time.Time) aid.Partners {
	in4 := func(nl, fr, de, en string) map[string]string {
		return map[string]string{"nl": nl, "fr": fr, "de": de, "en": en}
	}
	round := in4("dag en nacht", "jour et nuit", "Tag und Nacht", "day and night")
	ps := aid.Partners{
		{Kind: aid.CardStop, Name: "Kaart Dicht", Names: in4("", "Carte Fermée", "Karte Zu", "Card Shut"), Phone: "078 000 001", Abroad: "+32 78 000 001", Hours: round,
			Note: in4("Kaart Dicht belt u nooit zelf op.", "Carte Fermée ne vous appelle jamais.", "Karte Zu ruft Sie nie an.", "Card Shut never calls you.")},
		{Kind: aid.Bank, Name: "Merelbank", Phone: "02 000 00 02", URL: "merelbank.example/fraude", Hours: round},
		{Kind: aid.DigitalID, Name: "zegmij", Phone: "02 000 00 03", URL: "zegmij.example"},
		{Kind: aid.IdentityCard, Name: "Kaartmelding", Names: in4("", "Carte Perdue", "Ausweisruf", "ID Line"), Phone: "0800 00 004", Hours: round},
		{Kind: aid.Police, Name: "Politie", Names: in4("", "Police", "Polizei", "Police"), URL: "politie.example",
			Note: in4("Maak een afspraak bij uw wijkpost.", "Prenez rendez-vous dans votre commissariat.", "Machen Sie einen Termin auf Ihrer Wache.", "Make an appointment at your local station.")},
		{Kind: aid.VictimHelp, Name: "Luisterlijn", Names: in4("", "Ligne d’écoute", "Zuhörtelefon", "Listening line"), Phone: "0800 00 006",
			Hours: in4("elke dag van 8 tot 20 uur", "tous les jours de 8 à 20 h", "täglich von 8 bis 20 Uhr", "every day from 8:00 to 20:00")},
		{Kind: aid.Assistance, Name: "Polder Telecom Hulp", Names: in4("", "Polder Telecom Assistance", "Polder Telecom Hilfe", "Polder Telecom Help"), Phone: "0800 00 007",
			Hours: in4("op werkdagen van 8 tot 18 uur", "en semaine de 8 à 18 h", "werktags von 8 bis 18 Uhr", "on working days from 8:00 to 18:00")},
	}
	for i := range ps {
		ps[i].Reviewed = aid.Day(day)
	}
	return ps
}
