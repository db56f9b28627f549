package judge

import "strings"

// CampaignKey puts names of one make together: the brand that they imitate and
// the shape of the name, with the brand's token taken out and each run of digits
// written as N: bank-betaal12.example and bank-betaal7.example have the same key.
// It is empty where the name does not have the brand in it: the brand alone joins
// nothing.
func CampaignKey(p Place, name string, brands *Brands) string {
	owner := p.Owner()
	if owner.IsZero() || brands == nil {
		return ""
	}
	for _, l := range brands.Look(p) {
		if l.Brand != name {
			continue
		}
		label, rest, _ := strings.Cut(owner.String(), ".")
		switch l.Kind {
		case "combosquat":
			label = strings.Replace(label, l.Token, "{brand}", 1)
		case "tld_swap":
			label = "{brand}"
		case "idn_skeleton", "swapped":
			label = strings.Replace(skeleton(unicodeLabel(label)), skeleton(l.Token), "{brand}", 1)
		case "brand_subdomain":
			// What stands in front is the template; the domain changes.
			front := p.Name.String()[:len(p.Name.String())-len(owner.String())-1]
			return name + "|" + digitRuns(strings.Replace(front, l.Token, "{brand}", 1)) + ".*." + suffixOf(p)
		}
		return name + "|" + digitRuns(label) + "." + rest
	}
	return ""
}

func suffixOf(p Place) string {
	if !p.Tenant.IsZero() {
		return p.Platform.Name.String()
	}
	return p.Suffix.String()
}

func digitRuns(s string) string {
	var b strings.Builder
	in := false
	for _, r := range s {
		digit := r >= '0' && r <= '9'
		if digit && !in {
			b.WriteByte('N')
		}
		if !digit {
			b.WriteRune(r)
		}
		in = digit
	}
	return b.String()
}
