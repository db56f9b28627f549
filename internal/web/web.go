// Package web is the frame of every site of the house: console, public site
// and API. It keeps strangers' requests within bounds, sets the headers that
// keep a page to itself, speaks the reader's language and says calmly what went
// wrong. It knows no database; who is logged in is told to it.
package web

import (
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"net/http"
	"net/url"
	"time"

	"bolwerk"
	"bolwerk/internal/brand"
	"bolwerk/internal/clock"
)

// Site is what a Frame is built from.
type Site struct {
	// Name tells sites apart in metrics and logs: "console", "public".
	Name   string
	Config Config
	// Console makes pages for the staff: dense, times with their zone, the
	// places on the left, scripts of our own allowed. Otherwise pages are for
	// the public: large controls, times spelled out, no script at all.
	Console bool
	// NoCookies keeps a language chosen with ?lang= to that one address: the
	// site's own links carry it on.
	NoCookies bool
	// Search is where the search field at the top of a console page leads, with
	// what was typed as q; empty for none.
	Search string
	// Places stand on the left of a console page, in this order.
	Places []Place
	// Who is the person a request comes from; nil, or an answer of nil, is
	// nobody. It is asked once for each page.
	Who func(*http.Request) *Who
	// Texts are those of the packages whose pages the site shows.
	Texts []*Texts
	// Static are folders with more files for /static/.
	Static []fs.FS

	Clock   clock.Clock
	Log     *slog.Logger
	Metrics *Metrics
}

// Place is an entry of the console's navigation.
type Place struct {
	Path string // "/people"; it is lit on this page and all below
	Text string // key of its name
	// Also are further paths on which it is lit, and below: "/case".
	Also []string
	// For says whether this person sees it; nil is everybody who is logged in.
	For func(*Who) bool
}

// Who is what a page shows about the person who looks at it.
type Who struct {
	Login string
	Role  string // as stored: "duty_officer"; its name is the text "role."+Role
	// Outside says that it is none of our own people.
	Outside bool
	// NoSearch says that it may not search over everything.
	NoSearch bool
	// Held is what was entered into a form that came when the session had ended,
	// and that this page shows again.
	Held []string
	// Glass is the break-glass account that is in use; every page says so.
	Glass struct {
		Login string
		Until time.Time
	}
}

// Frame is a site. It is safe for concurrent use.
type Frame struct {
	site   Site
	zone   *time.Location
	secure bool
	hosts  map[string]bool
	guard  *http.CrossOriginProtection
	texts  *Texts            // of the main brand, as paths
	assets map[string]asset  // by the path under which they are served
	paths  map[string]string // name -> path
	css    []byte            // the stylesheet without a brand
	looks  []*look           // the main brand first
	under  map[string]*look  // by host, where it is not the main one
	own    *Pages
}

// New builds a frame, or says what is wrong with the site: its configuration,
// a text that a language lacks, a page that does not parse.
func New(s Site) (*Frame, error) {
	if err := s.Config.Validate(); err != nil {
		return nil, err
	}
	f := &Frame{site: s, hosts: map[string]bool{}, guard: http.NewCrossOriginProtection(), paths: map[string]string{}, assets: map[string]asset{}}
	u, err := url.Parse(s.Config.URL)
	if err != nil {
		return nil, bolwerk.Invalid("url %q: %v", s.Config.URL, err)
	}
	f.secure = u.Scheme == "https"
	for _, h := range append([]string{u.Host}, s.Config.Hosts...) {
		f.hosts[hostOnly(h)] = true
	}
	if err := f.guard.AddTrustedOrigin(u.Scheme + "://" + u.Host); err != nil {
		return nil, bolwerk.Invalid("url %q: %v", s.Config.URL, err)
	}
	f.guard.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f.Fail(w, r, bolwerk.WithHint(bolwerk.Forbidden("this form was sent from another site"), "open the page here and send it again"))
	}))
	if f.zone, err = time.LoadLocation(s.Config.Zone); err != nil {
		return nil, bolwerk.Invalid("zone %q: %v", s.Config.Zone, err)
	}
	if f.texts, err = OwnTexts(); err != nil {
		return nil, err
	}
	for _, t := range s.Texts {
		if f.texts, err = f.texts.With(t); err != nil {
			return nil, err
		}
	}
	ours := f.texts
	if f.texts, err = reworded(ours, s.Config.Brand); err != nil {
		return nil, err
	}
	if err := f.loadAssets(); err != nil {
		return nil, err
	}
	if err := f.loadLooks(ours, u.Scheme); err != nil {
		return nil, err
	}
	if f.own, err = f.Pages(ownPages, "pages"); err != nil {
		return nil, err
	}
	for _, p := range s.Places {
		if !f.texts.Has(p.Text) {
			return nil, fmt.Errorf("place %s: no text %q", p.Path, p.Text)
		}
	}
	return f, nil
}

// Secure says that browsers reach the site by https: cookies are then for
// secure connections only and carry the prefix __Host-.
func (f *Frame) Secure() bool { return f.secure }

// URL is the address of path on this site, for a link that leaves the house.
func (f *Frame) URL(path string) string {
	u, _ := url.Parse(f.site.Config.URL)
	return u.Scheme + "://" + u.Host + path
}

// Texts are all texts of the site.
func (f *Frame) Texts() *Texts { return f.texts }

// Zone is where times are told.
func (f *Frame) Zone() *time.Location { return f.zone }

// OwnBrand is the operator's own name and look, whatever name a request came by.
func (f *Frame) OwnBrand() brand.Brand { return f.site.Config.Brand }

// Clock is the clock of the site.
func (f *Frame) Clock() clock.Clock { return f.site.Clock }

// Files are the paths of all static files by name, for a check that none is missing.
func (f *Frame) Files() map[string]string { return maps.Clone(f.paths) }
