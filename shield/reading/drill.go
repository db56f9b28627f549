package reading

import "strings"

// drills are the fields that phishing simulations leave in their mails, so that
// report buttons know them: KnowBe4, PhishingBox and FortiPhish (X-PHISHTEST),
// Gophish, Cofense PhishMe, Proofpoint ThreatSim (Wombat), Lucy, Hoxhunt, Phishing
// Tackle, Ephishiency, Tartan, Microsoft. A name that ends in a hyphen stands for
// all that begin so. Anybody can write them: a mail is an exercise by its own
// word only, and a person sees it all the same.
var drills = []string{"x-phishtest", "x-phish-crid", "x-gophish", "x-gophish-", "x-phishme", "x-phishmetracking", "x-cofense-", "x-threatsim-", "x-hoxhunt",
	"x-hoxhunt-", "x-lucy", "x-lucy-", "x-phishingtackle", "x-ephishiency", "x-fortiphish-", "x-tartan-simulation", "x-phishing-simulation", "x-ms-attacksimulator"}

// drill is the name of the field by which a mail calls itself an exercise, or empty.
func (h header) drill() string {
	for _, f := range h {
		for _, d := range drills {
			if f.name == d || strings.HasSuffix(d, "-") && strings.HasPrefix(f.name, d) {
				return f.name
			}
		}
		switch {
		case f.name == "x-mailer" && strings.EqualFold(f.value, "gophish"):
			return f.name
		// Microsoft's attack simulation training sends from within the tenant.
		case f.name == "return-path" && strings.HasSuffix(strings.ToLower(strings.Trim(f.value, "<> ")), "@simulator.office.com"):
			return f.name
		}
	}
	return ""
}
