package web

import (
	"encoding/hex"
	"errors"
	"math"
	"net"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"time"
	_ "time/tzdata" // zones must load on a machine without the package tzdata

	"bolwerk"
)

// Config is a site's part of the configuration.
type Config struct {
	// URL is the address that people type: scheme, host and port, no path.
	URL string `toml:"url"`
	// Hosts are further names that browsers may call us by, without port. A
	// request for any other name is answered with 421, so that a page of a
	// stranger cannot reach us under its own name (DNS rebinding).
	Hosts []string `toml:"hosts"`
	// Languages are those that the site speaks, the first when a browser asks
	// for none of them.
	Languages []bolwerk.Lang `toml:"languages"`
	// Zone is an IANA name such as Europe/Brussels: where times are told.
	Zone string `toml:"zone"`
	// TrustedProxies are the addresses of our own proxies. Only what they say
	// in X-Forwarded-For is believed.
	TrustedProxies []netip.Prefix `toml:"trusted_proxies"`
	// MaxBody bounds a request's body in bytes where a page does not allow more.
	MaxBody int64 `toml:"max_body"`
	Brand   Brand `toml:"brand"`
}

// Brand is the operator's own name and look.
type Brand struct {
	Name       string `toml:"name"`        // of the operator or its service
	Accent     string `toml:"accent"`      // #rrggbb on light paper; empty is harbour blue
	AccentDark string `toml:"accent_dark"` // #rrggbb on dark paper
	Logo       string `toml:"logo"`        // path of an SVG or PNG of at most 256 KiB, shown 32 px high
}

// DefaultConfig is good for a first run on one's own machine.
func DefaultConfig() Config {
	return Config{
		URL:       "http://localhost:8080",
		Languages: bolwerk.Langs(),
		Zone:      "Europe/Brussels",
		MaxBody:   1 << 20, // a form is a few kilobytes
		Brand:     Brand{Name: "Bolwerk"},
	}
}

// Validate tells every problem at once.
func (c Config) Validate() error {
	var problems []error
	bad := func(format string, a ...any) { problems = append(problems, bolwerk.Invalid(format, a...)) }
	u, err := url.Parse(c.URL)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" {
		bad("url %q: want http://host or https://host, without path", c.URL)
	}
	for _, h := range c.Hosts {
		if hostOnly(h) == "" || strings.ContainsAny(h, "/*@ ") {
			bad("hosts: %q is not a host name", h)
		}
	}
	if len(c.Languages) == 0 {
		bad("languages: name at least one of nl, fr, de, en")
	}
	for _, l := range c.Languages {
		if !slices.Contains(bolwerk.Langs(), l) {
			bad("languages: %q is not one of nl, fr, de, en", l)
		}
	}
	if _, err := time.LoadLocation(c.Zone); err != nil || c.Zone == "" {
		bad("zone %q: not a time zone such as Europe/Brussels", c.Zone)
	}
	for _, p := range c.TrustedProxies {
		if !p.IsValid() || p.Bits() == 0 {
			bad("trusted_proxies: %q would trust everybody", p)
		}
	}
	if c.MaxBody < 64<<10 {
		bad("max_body = %d: at least %d", c.MaxBody, 64<<10)
	}
	if strings.TrimSpace(c.Brand.Name) == "" {
		bad("brand.name: is empty")
	}
	return errors.Join(append(problems, c.Brand.validate()...)...)
}

// The papers of bolwerk.css on which the accent must be readable.
const (
	paperLight, groundLight = "#ffffff", "#f4f6f8"
	paperDark, groundDark   = "#121a21", "#0c1217"
)

// minContrast is what WCAG 2.2 asks of text of normal size (criterion 1.4.3).
const minContrast = 4.5

func (b Brand) validate() (problems []error) {
	for _, v := range []struct {
		name, colour string
		papers       []string
	}{
		{"accent", b.Accent, []string{paperLight, groundLight}},
		{"accent_dark", b.AccentDark, []string{paperDark, groundDark}},
	} {
		if v.colour == "" {
			continue
		}
		for _, paper := range v.papers {
			c, err := Contrast(v.colour, paper)
			if err != nil {
				problems = append(problems, bolwerk.Invalid("brand.%s: %v", v.name, err))
				break
			}
			if c < minContrast {
				problems = append(problems, bolwerk.Invalid("brand.%s %s: its contrast with the page (%s) is %.1f, at least %.1f is needed to read it", v.name, v.colour, paper, c, minContrast))
				break
			}
		}
	}
	if b.Logo != "" {
		if _, _, err := b.logo(); err != nil {
			problems = append(problems, bolwerk.Invalid("brand.logo: %v", err))
		}
	}
	return problems
}

func (b Brand) logo() (name string, data []byte, err error) {
	s, err := os.Stat(b.Logo)
	if err != nil {
		return "", nil, err
	}
	if s.Size() > 256<<10 {
		return "", nil, bolwerk.Invalid("%d bytes, at most 262144", s.Size())
	}
	switch {
	case strings.HasSuffix(strings.ToLower(b.Logo), ".svg"):
		name = "logo.svg"
	case strings.HasSuffix(strings.ToLower(b.Logo), ".png"):
		name = "logo.png"
	default:
		return "", nil, bolwerk.Invalid("%s: want an .svg or a .png", b.Logo)
	}
	data, err = os.ReadFile(b.Logo)
	return name, data, err
}

// Contrast is the ratio of two colours #rrggbb, 1 to 21, as WCAG 2.2 defines it.
func Contrast(a, b string) (float64, error) {
	x, err := luminance(a)
	if err != nil {
		return 0, err
	}
	y, err := luminance(b)
	if err != nil {
		return 0, err
	}
	return (max(x, y) + 0.05) / (min(x, y) + 0.05), nil
}

func luminance(colour string) (float64, error) {
	rgb, err := hex.DecodeString(strings.TrimPrefix(colour, "#"))
	if err != nil || len(rgb) != 3 || colour[0] != '#' {
		return 0, bolwerk.Invalid("%q is not a colour: want #rrggbb", colour)
	}
	sum := 0.0
	for i, weight := range []float64{0.2126, 0.7152, 0.0722} {
		v := float64(rgb[i]) / 255
		if v <= 0.04045 {
			v /= 12.92
		} else {
			v = math.Pow((v+0.055)/1.055, 2.4)
		}
		sum += weight * v
	}
	return sum, nil
}

// hostOnly is a Host header without its port, in lower case, without brackets
// and final dot; empty when there is no host in it.
func hostOnly(h string) string {
	if host, _, err := net.SplitHostPort(h); err == nil {
		h = host
	}
	return strings.TrimSuffix(strings.ToLower(strings.Trim(h, "[]")), ".")
}
