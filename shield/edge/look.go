package edge

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"fmt"
	"html/template"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/web"
	"bolwerk/shield/aid"
)

// The look of the warning page: its template in each language with all that is
// the same for every visitor already in it.

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed texts/*.toml
var textFiles embed.FS

// Texts are the words of the warning page.
func Texts() (*web.Texts, error) { return web.ReadTexts(textFiles, "texts") }

type look struct {
	texts *web.Texts
	csp   string
	pages map[bolwerk.Lang]*template.Template
	// kinds are the steps after each kind of data was given away.
	kinds map[bolwerk.Lang]map[aid.Kind]template.HTML
}

// kind is what the template "kind" shows.
type kind struct {
	Name, First, Nobody string
	Calls               []aid.Line
	Also                []string
}

func newLook(cfg Config) (*look, error) {
	texts, err := Texts()
	if err != nil {
		return nil, err
	}
	own, err := web.ReadReplacements(cfg.Brand.Texts)
	if err != nil {
		return nil, err
	}
	logo, err := cfg.Brand.DataURI()
	if err != nil {
		return nil, err
	}
	css := cfg.Brand.Style(pageCSS)
	sum := sha256.Sum256([]byte(css))
	l := &look{texts: texts.Replaced(own), pages: map[bolwerk.Lang]*template.Template{}, kinds: map[bolwerk.Lang]map[aid.Kind]template.HTML{}}
	images := ""
	if logo != "" {
		images = "img-src data:; "
	}
	l.csp = "default-src 'none'; " + images + "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	for _, lang := range bolwerk.Langs() {
		t, err := template.New("page").Funcs(template.FuncMap{
			"t":     func(key string, args ...any) string { return l.texts.T(lang, key, args...) },
			"style": func() template.CSS { return template.CSS(css) },
			"logo":  func() template.URL { return template.URL(logo) },
			"tel":   func(digits string) template.URL { return template.URL("tel:" + digits) },
		}).Parse(pageHTML)
		if err != nil {
			return nil, err
		}
		l.pages[lang], l.kinds[lang] = t, map[aid.Kind]template.HTML{}
		for _, k := range aid.Kinds() {
			var b bytes.Buffer
			if err := t.ExecuteTemplate(&b, "kind", l.kind(cfg, lang, k)); err != nil {
				return nil, fmt.Errorf("warning page: %w", err)
			}
			l.kinds[lang][k] = template.HTML(b.String())
		}
	}
	return l, nil
}

func (l *look) kind(cfg Config, lang bolwerk.Lang, k aid.Kind) kind {
	key := "warning." + string(k) + "."
	out := kind{Name: l.texts.T(lang, key+"name"), First: l.texts.T(lang, key+"first"), Calls: cfg.Partners.For(k, lang)}
	if l.texts.Has(key + "nobody") {
		out.Nobody = l.texts.T(lang, key+"nobody")
	}
	for i := 1; l.texts.Has(key + "also" + strconv.Itoa(i)); i++ {
		out.Also = append(out.Also, l.texts.T(lang, key+"also"+strconv.Itoa(i)))
	}
	return out
}

// entered gives the steps for what the campaign asks for, and those for the rest.
func (l *look) entered(lang bolwerk.Lang, asked aid.Set) (first, rest []template.HTML) {
	for _, k := range aid.Kinds() {
		if asked.Has(k) {
			first = append(first, l.kinds[lang][k])
		} else {
			rest = append(rest, l.kinds[lang][k])
		}
	}
	return first, rest
}

func (l *look) date(lang bolwerk.Lang, t time.Time) string {
	return l.texts.T(lang, "warning.date", strconv.Itoa(t.Day()), l.texts.T(lang, "warning.month."+strconv.Itoa(int(t.Month()))), strconv.Itoa(t.Year()))
}

func (l *look) hour(lang bolwerk.Lang, t time.Time) string {
	return l.texts.T(lang, "warning.hour", t.Format("15:04"), l.date(lang, t))
}

func (l *look) why(lang bolwerk.Lang, class string) string {
	switch class {
	case "phishing", "fake_shop", "malware", "scam":
		return l.texts.T(lang, "warning."+class)
	}
	return l.texts.T(lang, "warning.other")
}

// languageNames are what a language calls itself.
var languageNames = map[bolwerk.Lang]string{bolwerk.NL: "Nederlands", bolwerk.FR: "Français", bolwerk.DE: "Deutsch", bolwerk.EN: "English"}

// MaxPage bounds the whole page, in bytes: it must come at once on a bad line.
const MaxPage = 20_000

// Check tells what Validate cannot see: files of the brand that are missing, and
// a page that became too heavy.
func (c Config) Check() error {
	e, err := New(c, "", 1, clock.New(), nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	long := strings.Repeat(strings.Repeat("x", 49)+".", 4) + "example"
	for _, lang := range bolwerk.Langs() {
		s := visit{preview: true, lang: lang, host: long, aLabels: long + "."}
		if c.Release.Minutes > 0 {
			s.ticket = strings.Repeat("0", 32)
		}
		v := e.view(s)
		v.Hacked, v.Brand = true, strings.Repeat("x", 100)
		if n := len(e.render(v, true)); n > MaxPage {
			return bolwerk.WithHint(bolwerk.Invalid("the page has %d bytes in %s, at most %d", n, lang, MaxPage), "name fewer partners, shorten notes and texts, or take a smaller logo")
		}
	}
	return nil
}
