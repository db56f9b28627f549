package reading

import "strings"

const viaListUnsubscribe = "header:list-unsubscribe"

// namespaceHosts are hosts of XML namespaces and document types. A link to one
// of them over plain http is no link.
var namespaceHosts = map[string]bool{
	"www.w3.org": true, "schemas.microsoft.com": true, "schemas.openxmlformats.org": true,
	"ns.adobe.com": true, "purl.org": true, "xmlns.com": true, "schemas.xmlsoap.org": true,
}

// leaving are the words of links that leave a list, in four languages.
var leaving = []string{"unsubscribe", "opt out", "opt-out", "uitschrijven", "afmelden", "schrijf u uit", "schrijf je uit",
	"se désabonner", "désabonner", "désinscri", "desinscri", "desabonner", "abmelden", "abbestellen", "austragen"}

// leaves says that the text of a link offers to leave a list. The address of a
// link does not count: it is the sender's to choose.
func leaves(text string) bool {
	if len(text) == 0 || len(text) > 80 {
		return false
	}
	t := strings.ToLower(text)
	for _, w := range leaving {
		if strings.Contains(t, w) {
			return true
		}
	}
	return false
}
