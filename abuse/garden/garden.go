package garden

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"html/template"
	"io"
	"strconv"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/brand"
	"bolwerk/internal/web"
)

//go:embed page.html
var pageHTML string

//go:embed page.css
var pageCSS string

//go:embed texts/*.toml
var textFiles embed.FS

// Texts are the words of the page.
func Texts() (*web.Texts, error) { return web.ReadTexts(textFiles, "texts") }

// Requested is the state of a guest who asked for release, as long as the desk has not
// said what becomes of it.
const Requested = "requested"

// MaxPage bounds the whole page, in octets: small windows that telephones open by
// themselves load it on a line that hardly works.
const MaxPage = 50_000

// Look is what all pages of an operator share.
type Look struct {
	Brand brand.Brand
	// Operator is the name that guests see where the brand has none. Phone, Mail and Site
	// are how guests reach the operator; empty ones are not shown.
	Operator, Phone, Mail, Site string
	Zone                        *time.Location // of dates; nil is UTC
}

// Options are what one page shows beside the guest.
type Options struct {
	// Action is where the forms go, with Token in them; empty: the page can only be read.
	Action, Token string
	// Chosen is the device that the guest chose (see Chosen).
	Chosen string
	// Said is what became of the form that was sent: saved, help, or a text of an error:
	// busy, many, stale, empty, long. Empty: none was.
	Said string
	// Text and Contact are what stood in the form.
	Text, Contact string
	// Staff says on the page that somebody of the helpdesk looks at it; its languages are
	// links of the same page with ?in=nl.
	Staff bool
	// Now is when the page is shown: a test may be asked for again some time after the last.
	Now time.Time
	// Code is the code of a notice that the public site's forms carry, with Once, which tells
	// one form from another. With it nothing stands in an address.
	Code, Once string
	// Free shows that the line is not in quarantine; the guest is not looked at.
	Free bool
}

// Kit renders the page. It is safe for concurrent use.
type Kit struct {
	look  Look
	texts *web.Texts
	pages map[bolwerk.Lang]*template.Template
	csp   string
}

// New reads texts and templates, and the files of the brand.
func New(l Look) (*Kit, error) {
	texts, err := Texts()
	if err != nil {
		return nil, err
	}
	own, err := web.ReadReplacements(l.Brand.Texts)
	if err != nil {
		return nil, err
	}
	logo, err := l.Brand.DataURI()
	if err != nil {
		return nil, err
	}
	if l.Brand.Name != "" {
		l.Operator = l.Brand.Name
	}
	if l.Zone == nil {
		l.Zone = time.UTC
	}
	k := &Kit{look: l, texts: texts.Replaced(own), pages: map[bolwerk.Lang]*template.Template{}}
	css := l.Brand.Style(pageCSS)
	sum := sha256.Sum256([]byte(css))
	images := ""
	if logo != "" {
		images = "img-src data:; "
	}
	k.csp = "default-src 'none'; " + images + "style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
	for _, lang := range bolwerk.Langs() {
		if k.pages[lang], err = template.New("page").Funcs(template.FuncMap{
			"t":     func(key string, args ...any) string { return k.texts.T(lang, "garden."+key, args...) },
			"style": func() template.CSS { return template.CSS(css) },
			"logo":  func() template.URL { return template.URL(logo) },
			"inc":   func(i int) int { return i + 1 },
		}).Parse(pageHTML); err != nil {
			return nil, err
		}
	}
	return k, nil
}

// Policy is the content security policy of the page.
func (k *Kit) Policy() string { return k.csp }

// Token is what a form of the guest's page carries, so that no other page can send one in
// the guest's name: who knows the id of the quarantine has seen the page.
func (g Guest) Token() string {
	sum := sha256.Sum256([]byte("form of the safe environment " + g.Quarantine))
	return hex.EncodeToString(sum[:16])
}

type step struct {
	ID, Do, Why string
	Done        bool
}

type seen struct{ At, What string }

type link struct {
	Code, Name, Link string
	Here             bool
}

// view is what the template shows.
type view struct {
	Options
	Lang                       bolwerk.Lang
	Langs, Devices             []link
	Title, Operator, Plan      string
	Waits                      string // release is under way
	Guest                      Guest
	Seen                       []seen
	Steps                      []step
	Next                       *step
	NextNumber, Ready          int
	All, MayRelease            bool
	Test, Tests                string // what was found, and what is asked for
	MayTest, NoTest            bool
	Since, Until, Error, Legal string
	Reach                      [][2]string
	Works                      []string
}

// Render writes the whole page.
func (k *Kit) Render(w io.Writer, lang bolwerk.Lang, g Guest, o Options) error {
	return k.pages[lang].Execute(w, k.view(lang, g, o))
}

// Part is the title of the page, and what stands between its head and foot, for a page of
// ours that shows the same: that of the public site.
func (k *Kit) Part(lang bolwerk.Lang, g Guest, o Options) (title string, main template.HTML, err error) {
	var b bytes.Buffer
	v := k.view(lang, g, o)
	err = k.pages[lang].ExecuteTemplate(&b, "main", v)
	return v.Title, template.HTML(b.String()), err
}

var languageNames = map[bolwerk.Lang]string{bolwerk.NL: "Nederlands", bolwerk.FR: "Français", bolwerk.DE: "Deutsch", bolwerk.EN: "English"}

func (k *Kit) view(lang bolwerk.Lang, g Guest, o Options) view {
	t := func(key string, args ...any) string { return k.texts.T(lang, "garden."+key, args...) }
	v := view{Options: o, Lang: lang, Guest: g, Operator: k.look.Operator, Legal: k.look.Brand.Legal[string(lang)], Title: t("title")}
	for _, r := range [][2]string{{"phone", k.look.Phone}, {"mail", k.look.Mail}, {"site", k.look.Site}} {
		if r[1] != "" {
			v.Reach = append(v.Reach, [2]string{t(r[0]), r[1]})
		}
	}
	for _, l := range bolwerk.Langs() {
		to := query(string(l), o.Chosen)
		if o.Staff { // who looks goes on in their own language
			to = "?in=" + string(l)
		}
		v.Langs = append(v.Langs, link{string(l), languageNames[l], to, l == lang})
	}
	if o.Free {
		v.Title = t("title_free")
		return v
	}
	switch o.Said {
	case "busy", "many", "stale":
		v.Error = t(o.Said)
	case "empty", "long":
		v.Error = t("help_" + o.Said)
	case "help":
		v.Title = t("title_taken")
	}
	if !g.Held() {
		v.Title = t("title_line")
	}
	p := g.Plan(o.Chosen)
	v.Plan = t("plan." + string(p))
	for _, s := range g.Seen[:min(len(g.Seen), 10)] {
		v.Seen = append(v.Seen, seen{k.date(lang, s.At), s.What})
	}
	left := g.Left(p)
	for _, id := range p.Steps() {
		s := step{ID: id, Do: t("step." + id + ".do"), Why: t("step." + id + ".why"), Done: true}
		for _, l := range left {
			s.Done = s.Done && l != id
		}
		if v.Steps = append(v.Steps, s); s.Done {
			v.Ready++
		} else if v.Next == nil {
			v.Next, v.NextNumber = &s, len(v.Steps)
		}
	}
	v.All = len(left) == 0
	v.MayRelease = v.All && g.SelfLeft > 0 && g.Held()
	if was := g.Plan(""); was == Unknown || was == Attack {
		for _, c := range Chosen() {
			v.Devices = append(v.Devices, link{string(c), t("name." + string(c)), query(string(lang), string(c)), c == p})
		}
	}
	if v.Tests = strings.Join(g.Tests, ", "); g.Test != "" {
		found := g.Test
		if found == TestQuiet && !g.Held() { // no filter stops the question
			found = "gone"
		}
		v.Test = t("test_"+found, k.date(lang, g.TestAt))
	}
	v.MayTest = g.MayTest(o.Now)
	v.NoTest = len(g.Tests) == 0 && p != Amplifier && p != Service // these two: where the desk tests no lines, nothing is said
	v.Since, v.Until = k.date(lang, g.Since), k.date(lang, g.Until)
	v.Works = []string{t("works_112"), t("works_phone"), t("works_own"), t("works_updates")}
	if g.Profile == "strict" {
		v.Works = append(v.Works, t("works_strict"))
	} else {
		v.Works = append(v.Works, t("works_leaky"))
	}
	if g.State == "releasing" || g.State == Requested {
		v.Waits = t(g.State)
		v.Title = t("title_" + g.State)
	}
	return v
}

func query(lang, device string) string {
	if device == "" {
		return "/?lang=" + lang
	}
	return "/?lang=" + lang + "&device=" + device
}

func (k *Kit) date(lang bolwerk.Lang, t time.Time) string {
	if t.IsZero() {
		return ""
	}
	t = t.In(k.look.Zone)
	months := strings.Fields(k.texts.T(lang, "garden.months"))
	return k.texts.T(lang, "garden.date", strconv.Itoa(t.Day()), months[t.Month()-1], strconv.Itoa(t.Year()), t.Format("15:04"))
}

// MaxText and MaxContact bound what a guest writes, in characters and octets.
const (
	MaxText    = 2000
	MaxContact = 254
)

// Check refuses an event that no page of ours sends.
func (e Event) Check() error {
	switch {
	case e.ID == "" || len(e.ID) > 64, e.Quarantine == "" || len(e.Quarantine) > 64, e.At.IsZero():
		return bolwerk.Invalid("event of a guest without id, quarantine or time")
	case len(e.Text) > 4*MaxText || len(e.Contact) > MaxContact:
		return bolwerk.Invalid("event of a guest longer than a form takes")
	}
	switch e.What {
	case "seen", "release", "help", "test":
		return nil
	case "done", "undone":
		if !Step(e.Step) {
			return bolwerk.Invalid("event of a guest: no step %.40q", e.Step)
		}
		return nil
	}
	return fmt.Errorf("event of a guest: %w", bolwerk.Invalid("%.40q: want seen, done, undone, release, help or test", e.What))
}
