package main

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/account"
	"bolwerk/internal/api"
	"bolwerk/internal/app"
	"bolwerk/internal/blob"
	"bolwerk/internal/clock"
	"bolwerk/internal/factlog"
	"bolwerk/internal/idem"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
	"bolwerk/internal/vault"
	"bolwerk/internal/web"
	"bolwerk/shield"
	"bolwerk/shield/figures"
)

// host is the name under which the console answers.
const host = "console.harbour.example"

// site is the console and the API over a store, without the rest of a desk.
type site struct {
	handler http.Handler
	cookie  string // of an analyst's session
}

// open opens a store with all tables of a desk.
func open(ctx context.Context, url string, c clock.Clock) (*store.DB, error) {
	db, err := store.Open(ctx, store.Config{URL: url}, c)
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(ctx, app.Schemas()...); err != nil {
		db.Close()
		return nil, err
	}
	return db, nil
}

func newSite(ctx context.Context, db *store.DB, dir string, c clock.Clock) (*site, error) {
	log := slog.New(slog.DiscardHandler)
	v, err := vault.Open(filepath.Join(dir, "keys"), c)
	if err != nil {
		return nil, err
	}
	cfg := shield.DefaultConfig()
	cfg.Operator = "Harbour Telecom"
	reg := prometheus.NewRegistry()
	s := shield.New(cfg, shield.Parts{DB: db, Clock: c, Log: log, Facts: factlog.New(db, log), Vault: v, Blobs: blob.New(v), Publish: publish.New(db, "harbour"), Metrics: reg})
	if err := s.Load(ctx); err != nil {
		return nil, err
	}
	own, err := shield.Texts()
	if err != nil {
		return nil, err
	}
	people, err := account.Texts()
	if err != nil {
		return nil, err
	}
	m, err := web.NewMetrics(reg)
	if err != nil {
		return nil, err
	}
	wc := web.DefaultConfig()
	wc.URL, wc.Brand.Name = "http://"+host, cfg.Operator
	told, err := figures.Texts()
	if err != nil {
		return nil, err
	}
	frame, err := web.New(web.Site{Name: "console", Config: wc, Console: true, Search: "/search", Places: shield.Places(), Who: account.Who, Texts: []*web.Texts{people, own, told}, Clock: c, Log: log, Metrics: m})
	if err != nil {
		return nil, err
	}
	accounts := account.New(db, shield.Published)
	door := account.NewDoor(accounts, frame)
	pages, err := shield.NewPages(s, frame, nil)
	if err != nil {
		return nil, err
	}
	mux := http.NewServeMux()
	pages.Routes(mux, door)
	routes := api.New(mux, door, idem.New(db, v, log), log)
	shield.NewAPI(s).Routes(routes, mux)
	routes.Done()
	out := &site{handler: frame.Handler(mux)}
	if _, err := accounts.ByLogin(ctx, "anna"); err != nil {
		if _, err := accounts.Seed(ctx, "anna", account.Analyst, bolwerk.NewSecret("seven quiet lamps 41"), c.Now().Add(-48*3600e9)); err != nil {
			return nil, err
		}
	}
	code, err := accounts.LoginLink(ctx, bolwerk.Socket(), "anna")
	if err != nil {
		return nil, err
	}
	pass, err := accounts.Enter(ctx, code, account.Entry{})
	if err != nil {
		return nil, err
	}
	out.cookie = "bolwerk_session=" + pass.Session.Reveal()
	return out, nil
}

// get asks for a page.
func (s *site) get(path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("GET", path, nil)
	r.Host = host
	r.Header.Set("Cookie", s.cookie)
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w
}
