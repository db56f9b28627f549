package aid

import "github.com/pelletier/go-toml/v2"

// known are national numbers with a public source. A number without one does
// not belong here: a wrong number on a warning page is worse than none. Of
// Belgium there is one; operators elsewhere name their own.
var known = Partners{
	{
		// FPS Economy (economie.fgov.be, "Card Stop") and Safeonweb (safeonweb.be,
		// first aid). An older page of Safeonweb still says 070 344 344. Criminals
		// call people in its name, hence the note.
		Kind: CardStop, Name: "Card Stop", Country: "BE", Phone: "078 170 170", Abroad: "+32 78 170 170",
		Note: map[string]string{
			"nl": "Card Stop belt u nooit zelf op.",
			"fr": "Card Stop ne vous appelle jamais.",
			"de": "Card Stop ruft Sie nie an.",
			"en": "Card Stop never calls you.",
		},
		Reviewed: toml.LocalDate{Year: 2026, Month: 11, Day: 25},
	},
}
