package demo

import "bolwerk"

// reporters are invented subscribers: name and address.
var reporters = map[bolwerk.Lang][][2]string{
	bolwerk.NL: {{"Greet Vandewalle", "greet@thuisnet.example"}, {"Koen de Ruiter", "koen.deruiter@poldertelecom.example"}, {"Fatima El Amrani", "fatima@thuisnet.example"},
		{"Wim Haverkamp", "w.haverkamp@thuisnet.example"}, {"Lotte Smeets", "lotte@poldertelecom.example"}, {"Bram Postma", "bram@thuisnet.example"},
		{"Ria Claes", "ria.claes@poldertelecom.example"}, {"Youssef Bakker", "y.bakker@thuisnet.example"}, {"Els Goossens", "els@poldertelecom.example"},
		{"Piet Zonneveld", "piet@thuisnet.example"}, {"Noor Jacobs", "noor@poldertelecom.example"}, {"", "geen.naam@thuisnet.example"}},
	bolwerk.FR: {{"Amélie Lambert", "amelie@courriel.example"}, {"Gérard Dubois", "g.dubois@courriel.example"}, {"Nadia Benali", "nadia@poldertelecom.example"},
		{"Luc Hennequin", "luc@courriel.example"}, {"Chloé Maréchal", "chloe@poldertelecom.example"}},
	bolwerk.DE: {{"Jürgen Weiß", "juergen@briefkasten.example"}, {"Heike Schröder", "heike@briefkasten.example"}, {"Uwe Backes", "uwe@poldertelecom.example"},
		{"Sabine Thelen", "sabine@briefkasten.example"}},
	bolwerk.EN: {{"Priya Raman", "priya@thuisnet.example"}, {"Tom O'Leary", "tom@poldertelecom.example"}, {"Grace Obi", "grace@thuisnet.example"}},
}

// notes are what reporters write above.
var notes = map[bolwerk.Lang][]string{
	bolwerk.NL: {"Volgens mij is dit nep. Kunnen jullie dit nakijken?", "Kreeg dit vanochtend, ik ben niet eens klant daar.", "Ter info. Groeten", "Mijn moeder heeft hier bijna op geklikt!",
		"Zie hieronder, lijkt mij geen echte mail.\n\nVerstuurd vanaf mijn telefoon", "Verdacht bericht"},
	bolwerk.FR: {"Je pense que c'est une arnaque.", "Bonjour, j'ai reçu ceci ce matin, est-ce vrai ?", "Pour information.\n\nEnvoyé de mon téléphone", "Encore un faux message..."},
	bolwerk.DE: {"Das ist bestimmt Betrug, oder?", "Zur Kenntnis, bitte prüfen.", "Habe ich heute bekommen, bin dort kein Kunde.\n\nVon unterwegs gesendet"},
	bolwerk.EN: {"Looks like phishing to me.", "Got this today, please check.", "Is this real?\n\nSent from my phone"},
}

var newsTitle = map[bolwerk.Lang]string{bolwerk.NL: "Nieuw deze week", bolwerk.FR: "Les nouveautés de la semaine", bolwerk.DE: "Neu in dieser Woche", bolwerk.EN: "New this week"}

var newsText = map[bolwerk.Lang]string{
	bolwerk.NL: "Wij hebben het mooiste van deze week voor u bij elkaar gezet. Kijk gerust even rond.",
	bolwerk.FR: "Nous avons choisi pour vous le meilleur de la semaine. Bonne visite sur notre site.",
	bolwerk.DE: "Wir haben für Sie das Beste der Woche ausgesucht. Schauen Sie doch mal vorbei.",
	bolwerk.EN: "We picked the best of this week for you. Have a look around.",
}
