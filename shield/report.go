package shield

import (
	"bytes"
	"context"
	"embed"
	"fmt"
	"html/template"
	"slices"
	"strconv"
	"sync"

	"bolwerk"
	"bolwerk/internal/chart"
	"bolwerk/internal/chromium"
	"bolwerk/internal/web"
	"bolwerk/shield/figures"
)

//go:embed report
var reportFiles embed.FS

// File is a document that somebody takes along.
type File struct {
	Name, Type string
	Body       []byte
}

// reports makes yearly reports, with the look of the console's brand.
type reports struct {
	frame *web.Frame
	page  *template.Template
	css   template.CSS
	print chromium.Printer
	once  sync.Mutex // one print at a time: each is a browser
}

func newReports(frame *web.Frame, printer chromium.Printer) (*reports, error) {
	css, err := reportFiles.ReadFile("report/report.css")
	if err != nil {
		return nil, err
	}
	page, err := template.New("report.html").Funcs(template.FuncMap{"t": func(string, ...any) string { return "" }}).ParseFS(reportFiles, "report/report.html")
	return &reports{frame: frame, page: page, css: template.CSS(css), print: printer}, err
}

type yearData struct {
	Lang   bolwerk.Lang
	Title  string
	Year   int
	Brand  string
	Accent template.CSS
	Logo   template.URL
	CSS    template.CSS
	Made   string
	View   figures.View
	Body   template.HTML
}

// Report makes the report of a year: format is html, one file that needs
// nothing else, or pdf, where a Chromium is installed.
func (s *Shield) Report(ctx context.Context, year string, lang bolwerk.Lang, format string) (f File, err error) {
	if s.reports == nil {
		return f, bolwerk.NotFound("this desk has no console, whose look the report has")
	}
	if !slices.Contains(bolwerk.Langs(), lang) {
		return f, bolwerk.Invalid("language %q is not one of nl, fr, de, en", lang)
	}
	if format != "html" && format != "pdf" {
		return f, bolwerk.Invalid("format %q is not one of html, pdf", format)
	}
	p, err := ParsePeriod(s.clock.Now(), year, "", "", "", "")
	if err != nil {
		return f, err
	}
	d, err := s.Figures(ctx, p)
	if err != nil {
		return f, err
	}
	name := fmt.Sprintf("figures-%d-%s", p.From.Year(), lang)
	body, err := s.reports.html(s, d, p.From.Year(), lang)
	if err != nil || format == "html" {
		return File{name + ".html", "text/html; charset=utf-8", body}, err
	}
	s.reports.once.Lock()
	defer s.reports.once.Unlock()
	body, err = s.reports.print.PDF(ctx, body)
	return File{name + ".pdf", "application/pdf", body}, err
}

func (r *reports) html(s *Shield, d figures.Document, year int, lang bolwerk.Lang) ([]byte, error) {
	texts, now := r.frame.Texts(), s.clock.Now()
	v := figures.NewView(texts, lang, d, now)
	body, err := v.Body()
	if err != nil {
		return nil, err
	}
	brand := r.frame.OwnBrand()
	data := yearData{Lang: lang, Year: year, Title: texts.T(lang, "figures.report.title", strconv.Itoa(year)), Brand: s.cfg.Operator, Accent: "#0b5a8c",
		CSS: r.css + template.CSS(chart.CSS), Made: texts.T(lang, "figures.report.made", texts.Day(lang, now, r.frame.Zone())), View: v, Body: body}
	if brand.Accent != "" {
		data.Accent = template.CSS(brand.Accent) // a checked colour
	}
	logo, err := brand.DataURI() // of a picture that the configuration has checked
	if err != nil {
		return nil, fmt.Errorf("the brand's logo: %w", err)
	}
	data.Logo = template.URL(logo)
	page, err := r.page.Clone()
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = page.Funcs(template.FuncMap{"t": func(key string, args ...any) string { return texts.T(lang, key, args...) }}).Execute(&b, data)
	return b.Bytes(), err
}
