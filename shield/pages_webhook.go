package shield

import (
	"net/http"
	"slices"
	"strings"

	"bolwerk/internal/account"
	"bolwerk/internal/web"
	"bolwerk/internal/webhook"
)

// Webhooks gives the console the receivers of facts; before Routes.
func (p *Pages) Webhooks(h *webhook.Hooks) { p.hooks = h }

// hookRoutes are the administrators' pages of receivers. Looking needs the role,
// every change a proof of the last minutes too.
func (p *Pages) hookRoutes(add func(string, account.Right, handler)) {
	look := func(path string, fn handler) { add("GET "+path, account.Administer, fn) }
	change := func(path string, fn handler) {
		add("POST "+path, account.Administer, func(w http.ResponseWriter, r *http.Request, who account.Person) error {
			if !who.Fresh(p.frame.Clock().Now()) {
				p.door.AskProof(w, r, hookPath(r.PathValue("id")))
				return nil
			}
			return fn(w, r, who)
		})
	}
	look("/webhooks", p.hookList)
	look("/webhooks/{id}", p.hookPage)
	change("/webhooks", p.addHook)
	change("/webhooks/{id}/test", p.testHook)
	change("/webhooks/{id}/pause", p.pauseHook)
	change("/webhooks/{id}/resume", p.pauseHook)
	change("/webhooks/{id}/remove", p.removeHook)
}

func hookPath(id string) string {
	if id == "" {
		return "/webhooks"
	}
	return "/webhooks/" + id
}

type hookRow struct {
	eyes
	webhook.Hook
	Last *webhook.Told // nil where nothing was told yet
}

type hooksData struct {
	common
	Fresh bool
	Rows  []hookRow
	Known []string
	Key   string // of the one that was just added
	Added webhook.Hook
}

// Ticked says whether a subject is chosen in the form that is shown again.
func (d hooksData) Ticked(subject string) bool { return slices.Contains(d.Form["subject"], subject) }

func (p *Pages) hookList(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showHooks(w, r, http.StatusOK, hooksData{common: commonOf(r, who)})
}

func (p *Pages) showHooks(w http.ResponseWriter, r *http.Request, status int, data hooksData) error {
	data.Fresh, data.Known = data.Me.Fresh(p.frame.Clock().Now()), p.hooks.Known()
	all, err := p.hooks.List(r.Context()) // at most fifty
	if err != nil {
		return err
	}
	for _, h := range all {
		told, err := p.hooks.Deliveries(r.Context(), h.ID, "", 1)
		if err != nil {
			return err
		}
		row := hookRow{Hook: h}
		if len(told) > 0 {
			row.Last = &told[0]
		}
		data.Rows = append(data.Rows, row)
	}
	return p.pages.Render(w, r, status, "webhooks", data)
}

func (p *Pages) addHook(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	data := hooksData{common: commonOf(r, who)}
	note := r.PostForm.Get("note")
	hook, key, err := p.hooks.Add(r.Context(), who.Actor(), strings.TrimSpace(r.PostForm.Get("url")), r.PostForm["subject"], note[:min(len(note), 200)])
	if err != nil {
		status, err := data.beside("add", err)
		if err != nil {
			return err
		}
		return p.showHooks(w, r, status, data)
	}
	data.Added, data.Key, data.Form = hook, key, nil
	return p.showHooks(w, r, http.StatusOK, data)
}

type hookData struct {
	common
	webhook.Hook
	Fresh bool
	Told  []webhook.Told
	Try   *webhook.Told // what came of the test that was just sent
}

// deliveriesShown are the newest ones on the page of a receiver; the API lists all.
const deliveriesShown = 50

func (p *Pages) hookPage(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showHook(w, r, hookData{common: commonOf(r, who)})
}

func (p *Pages) showHook(w http.ResponseWriter, r *http.Request, data hookData) (err error) {
	data.Fresh = data.Me.Fresh(p.frame.Clock().Now())
	if data.Hook, err = p.hooks.Find(r.Context(), r.PathValue("id")); err != nil {
		return err
	}
	if data.Told, err = p.hooks.Deliveries(r.Context(), data.ID, "", deliveriesShown); err != nil {
		return err
	}
	return p.pages.Render(w, r, http.StatusOK, "webhook", data)
}

func (p *Pages) testHook(w http.ResponseWriter, r *http.Request, who account.Person) error {
	try, err := p.hooks.Try(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	return p.showHook(w, r, hookData{common: commonOf(r, who), Try: &try})
}

func (p *Pages) pauseHook(w http.ResponseWriter, r *http.Request, who account.Person) error {
	id := r.PathValue("id")
	if err := p.hooks.Pause(r.Context(), who.Actor(), id, strings.HasSuffix(r.URL.Path, "/pause")); err != nil {
		return err
	}
	http.Redirect(w, r, hookPath(id), http.StatusSeeOther)
	return nil
}

func (p *Pages) removeHook(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := p.hooks.Remove(r.Context(), who.Actor(), r.PathValue("id")); err != nil {
		return err
	}
	http.Redirect(w, r, "/webhooks", http.StatusSeeOther)
	return nil
}
