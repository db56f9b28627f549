package notice

import "strings"

// gsmBasic is the default alphabet of text messages (3GPP TS 23.038, 6.2.1) as far as
// our languages use it; gsmMore takes two Septets a sign (6.2.1.1).
const (
	gsmBasic = "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
	gsmMore  = "^{}\\[~]|€"
)

// MaxSeptets is two parts of a text message: 153 Septets each, beside the header that
// joins them (3GPP TS 23.040, 9.2.3.24.1).
const MaxSeptets = 2 * 153

// fold writes signs that the alphabet lacks as those that come nearest.
var fold = strings.NewReplacer("’", "'", "‘", "'", "“", "\"", "”", "\"", "„", "\"", "«", "\"", "»", "\"", "–", "-", "\u00a0", " ", "\u202f", " ",
	"ç", "c", "ê", "e", "ë", "e", "î", "i", "ï", "i", "ô", "o", "û", "u", "â", "a", "œ", "oe", "á", "a", "í", "i", "ó", "o", "ú", "u", "À", "A", "È", "E", "Ê", "E", "Ë", "E")

// Septets is how long a text is as a text message; ok says that the alphabet has it all.
func Septets(text string) (n int, ok bool) {
	for _, r := range text {
		switch {
		case strings.ContainsRune(gsmBasic, r):
			n++
		case strings.ContainsRune(gsmMore, r):
			n += 2
		default:
			return n, false
		}
	}
	return n, true
}
