package probe

import (
	"maps"
	"net/http"
	"slices"

	"bolwerk"
	"bolwerk/shield/capture"
)

// Version names the collector in what it makes: two versions may see different
// things.
const Version = "bolwerk-probe/1"

// agents are browsers that many people use. They are kept up to date with the
// releases of the browsers: an old one stands out.
var agents = map[capture.Profile]string{
	capture.Desktop: "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/154.0.0.0 Safari/537.36",
	capture.Phone:   "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/154.0.0.0 Mobile Safari/537.36",
}

// languages is the Accept-Language of somebody in our region who speaks l.
func languages(l bolwerk.Lang) string {
	switch l {
	case bolwerk.FR:
		return "fr-BE,fr;q=0.9,nl;q=0.7,en;q=0.6"
	case bolwerk.DE:
		return "de-BE,de;q=0.9,fr;q=0.7,en;q=0.6"
	case bolwerk.EN:
		return "en-GB,en;q=0.9"
	}
	return "nl-BE,nl;q=0.9,fr;q=0.7,en;q=0.6"
}

func sortedKeys(h http.Header) []string { return slices.Sorted(maps.Keys(h)) }
