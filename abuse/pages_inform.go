package abuse

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"

	"bolwerk"
	"bolwerk/abuse/inform"
	"bolwerk/abuse/notice"
	"bolwerk/internal/account"
	"bolwerk/internal/web"
)

// informRoutes are the pages of what subscribers are told.
func (p *Pages) informRoutes(add func(string, account.Right, func(http.ResponseWriter, *http.Request, account.Person) error)) {
	add("GET /abuse/case/{id}/messages", account.Look, p.messages)
	add("POST /abuse/case/{id}/messages", account.Decide, p.sendMessage)
	add("GET /abuse/message/{id}/letter", account.Decide, p.letter)
	add("GET /abuse/notices", account.Look, p.notices)
}

type messagesData struct {
	common
	C        CaseRow
	All      []inform.Message
	Took     string
	Kinds    []inform.Kind
	Channels []notice.Channel
	Kind     string
	Want     []string
	Drafts   []inform.Draft // what would be sent
	Shown    bool
}

// Wants says that a way is asked for.
func (d messagesData) Wants(c notice.Channel) bool { return slices.Contains(d.Want, string(c)) }

func (p *Pages) messages(w http.ResponseWriter, r *http.Request, who account.Person) error {
	return p.showMessages(w, r, http.StatusOK, messagesData{common: commonOf(r, who)})
}

func (p *Pages) showMessages(w http.ResponseWriter, r *http.Request, status int, data messagesData) (err error) {
	id := r.PathValue("id")
	if data.C, err = p.d.Row(r.Context(), id); err != nil {
		return err
	}
	if data.All, err = p.d.Messages(r.Context(), data.Me, id); err != nil {
		return err
	}
	took, ok, err := p.d.tookToTell(r.Context(), id, data.All)
	if err != nil {
		return err
	}
	if ok {
		data.Took = web.Span(took)
	}
	data.Kinds, data.Channels = notice.Kinds(), notice.Channels()
	w.Header().Set("Cache-Control", "no-store") // letters name a subscriber
	return p.pages.Render(w, r, status, "messages", data)
}

// sendMessage shows what would be sent, and sends it once it was seen.
func (p *Pages) sendMessage(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if err := web.ReadForm(r); err != nil {
		return err
	}
	f, id := r.PostForm, r.PathValue("id")
	data := messagesData{common: commonOf(r, who), Kind: f.Get("kind"), Want: f["channel"]}
	var err error
	switch {
	case p.d.inform == nil:
		err = errUninformed
	case f.Get("do") == "send":
		if _, err = p.d.Inform(r.Context(), who, id, inform.Kind(data.Kind), data.Want); err == nil {
			http.Redirect(w, r, "/abuse/case/"+url.PathEscape(id)+"/messages?done=told", http.StatusSeeOther)
			return nil
		}
	default:
		data.Drafts, err = p.d.inform.Show(r.Context(), who.Actor(), id, inform.Kind(data.Kind), data.Want)
		data.Shown = err == nil
	}
	status := http.StatusOK
	if err != nil {
		if status, err = data.beside("inform", err); err != nil {
			return err
		}
	}
	return p.showMessages(w, r, status, data)
}

func (p *Pages) letter(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if p.d.inform == nil {
		return errUninformed
	}
	pdf, ref, err := p.d.inform.Letter(r.Context(), who.Actor(), r.PathValue("id"))
	if err != nil {
		return err
	}
	h := w.Header()
	h.Set("Content-Type", "application/pdf")
	h.Set("Content-Disposition", `attachment; filename="`+ref+`.pdf"`)
	h.Set("Content-Length", strconv.Itoa(len(pdf)))
	h.Set("Cache-Control", "no-store")
	_, err = w.Write(pdf)
	return err
}

type noticesData struct {
	common
	Kinds  []inform.Kind
	Groups []string
	Langs  []bolwerk.Lang
	Kind   inform.Kind
	Group  string
	Lang   bolwerk.Lang
	Drafts []inform.Draft
}

// notices shows the words of notices.
func (p *Pages) notices(w http.ResponseWriter, r *http.Request, who account.Person) error {
	if p.d.inform == nil {
		return errUninformed
	}
	q := r.URL.Query()
	data := noticesData{common: commonOf(r, who), Kinds: notice.Kinds(), Groups: notice.Groups(), Langs: bolwerk.Langs(), Kind: inform.Kind(q.Get("kind")), Group: q.Get("group"), Lang: bolwerk.Lang(q.Get("in"))}
	if !slices.Contains(data.Kinds, data.Kind) {
		data.Kind = inform.Warned
	}
	if !slices.Contains(data.Groups, data.Group) {
		data.Group = data.Groups[0]
	}
	if !slices.Contains(data.Langs, data.Lang) {
		data.Lang = web.Lang(r)
	}
	data.Drafts = p.d.inform.Example(data.Kind, data.Group, data.Lang)
	return p.pages.Render(w, r, http.StatusOK, "notices", data)
}
