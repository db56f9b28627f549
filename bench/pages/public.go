package main

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/web"
	"bolwerk/shield/door"
)

// public measures the look-ups of the public site: blocked names and receipts,
// from the copy that an intake has.
func public(o options, names []string) (over int, err error) {
	c, log := clock.New(), slog.New(slog.DiscardHandler)
	cfg := door.DefaultConfig()
	cfg.Operator, cfg.LooksPerHour = "Harbour Telecom", 1<<30
	wc := web.DefaultConfig()
	wc.URL = "http://" + host
	ws, err := door.Site(web.Site{Config: wc, Clock: c, Log: log})
	if err != nil {
		return 0, err
	}
	frame, err := web.New(ws)
	if err != nil {
		return 0, err
	}
	d, err := door.New(cfg, door.With{Put: func(string, []byte) (string, error) { return "", nil }, Frame: frame, Clock: c, Log: log})
	if err != nil {
		return 0, err
	}
	codes := make([]bolwerk.Token, 200)
	for i := range codes {
		codes[i] = bolwerk.NewToken()
	}
	now := c.Now()
	start := time.Now()
	err = d.Reset(copies.Head{Copy: "public", Epoch: 1, Serial: 1}, func(yield func(copies.Entry) bool) {
		for i := range o.blocks / 2 {
			b := o.blocks - 1 - i
			body, _ := json.Marshal(door.Listed{Ref: ref("B", b), Name: names[b*o.cases/o.blocks], Scope: "host", Class: "phishing", Ground: "operator", Since: now.Add(-time.Hour)})
			if !yield(copies.Entry{ID: door.BlockEntry + ref("B", b), Version: 1, Body: body}) {
				return
			}
		}
		for i := range o.reports {
			h := hash("receipt", i)
			if i < len(codes) {
				h = codes[i].Hash()
			}
			body, _ := json.Marshal(door.Receipt{Kind: "report", State: "blocked", At: now.Add(-time.Hour), Number: 3, Of: 47, Name: names[i%o.cases], Block: ref("B", i%o.blocks), Changed: now})
			if !yield(copies.Entry{ID: door.ReceiptEntry + h, Version: 1, Body: body}) {
				return
			}
		}
	})
	if err != nil {
		return 0, err
	}
	fmt.Printf("%-40s %8.0f ms to load\n", "public look-up: copy", ms(time.Since(start)))
	h := d.Handler()
	get := func(path string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", path, nil)
		r.Host = host
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	for _, l := range []struct {
		what string
		path func(i int) string
	}{
		{"public look-up: page of a name", func(i int) string { return "/name?name=www." + names[len(names)-1-i%1000] }},
		{"public look-up: API of a name", func(i int) string { return "/api/v1/names/" + names[len(names)-1-i%1000] }},
		{"public look-up: page of a receipt", func(i int) string { return "/r/" + codes[i%len(codes)].Reveal() }},
		{"public look-up: API of a receipt", func(i int) string { return "/api/v1/receipts/" + codes[i%len(codes)].Reveal() }},
	} {
		var m measured
		var bad error
		m.time(nil, max(o.times, 100), func(i int) {
			w := get(l.path(i))
			if w.Code >= 400 && w.Code != http.StatusNotFound && bad == nil {
				bad = fmt.Errorf("%s: GET %s: %d", l.what, l.path(i), w.Code)
			}
			m.bytes = max(m.bytes, w.Body.Len())
		})
		if bad != nil {
			return over, bad
		}
		over += show(l.what, m, o.aim)
	}
	return over, nil
}
