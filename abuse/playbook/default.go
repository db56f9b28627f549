package playbook

import (
	"time"

	"bolwerk"
	"bolwerk/abuse/enforce"
)

const day = 24 * time.Hour

func after(d time.Duration) bolwerk.Duration { return bolwerk.Duration(d) }

// Defaults are the books that a desk without any of its own follows. A walled garden
// cleans 92 % of consumers' infections within 14 days, mail alone no more than nothing
// does (NDSS 2019, Cetin et al.): infections and attacks go into quarantine first, what
// is only open is mailed about first.
func Defaults() []Book {
	solid := When{Events: 1, Solid: 1}
	clean := func(days int) Step { return Step{Do: CloseClean, After: after(day), CleanDays: days} }
	return []Book{
		{Name: "infected", Classes: []string{"malicious-code/infected-system", "malicious-code/c2-server", "intrusions/*"}, When: solid, Steps: []Step{
			{Do: Quarantine, Profile: enforce.Leaky, Days: 30},
			{Do: Inform},
			{Do: Inform, After: after(3 * day), When: When{Again: true}},
			clean(14),
		},
			Threat: "A device on the line is under somebody else's control and attacks others.", Necessity: "Mail alone has no effect on infected devices; the customer has to see it where it is.",
			Proportion: "Only what harms others is stopped; help, telephone and emergency calls go on, and the customer ends it alone after simple steps."},
		{Name: "attack", Classes: []string{"availability/ddos", "availability/dos", "intrusion-attempts/*", "information-gathering/scanner"}, When: solid, Steps: []Step{
			{Do: Inform},
			{Do: Quarantine, After: after(day), When: When{Events: 2, Solid: 2, Again: true}, Profile: enforce.Leaky, Days: 14},
			clean(14),
		},
			Threat: "The line attacks others.", Necessity: "The customer was told a day before, and it went on.",
			Proportion: "Only what harms others is stopped; help, telephone and emergency calls go on, and the customer ends it alone after simple steps."},
		{Name: "spam", Classes: []string{"abusive-content/spam"}, When: solid, Steps: []Step{
			{Do: Inform},
			{Do: Quarantine, After: after(2 * day), When: When{Events: 5, Solid: 5, Reporters: 2, Again: true}, Profile: enforce.Leaky, Days: 14},
			clean(14),
		},
			Threat: "The line sends mass mail that nobody asked for.", Necessity: "The customer was told two days before, and it went on.",
			Proportion: "Only sending mail is stopped; everything else goes on, and the customer ends it alone after simple steps."},
		{Name: "open", Classes: []string{"vulnerable/*"}, When: When{Events: 1}, Steps: []Step{
			{Do: Inform},
			{Do: Inform, After: after(7 * day), When: When{Again: true}},
			{Do: Quarantine, After: after(7 * day), When: When{Solid: 2, Returned: 1, Again: true}, Profile: enforce.Leaky, Days: 14},
			clean(14),
		},
			Threat: "An open service on the line is used to attack others.", Necessity: "The customer was told twice within two weeks, and it came back.",
			Proportion: "Only the open service is stopped; everything else goes on, and the customer ends it alone after simple steps."},
	}
}
