package door

import (
	"encoding/json"
	"errors"
	"fmt"
	"html/template"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/abuse/garden"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/web"
)

// kept is a notice as the public copy has it.
type kept struct {
	Notice
	version, until int64
}

// putNotice keeps an entry that is one; false says that it is none. What was given is
// forgotten where the entry tells it back.
func putNotice(all map[string]kept, given garden.Given, e copies.Entry) bool {
	hash, ok := strings.CutPrefix(e.ID, NoticeEntry)
	if !ok || all[hash].version > e.Version {
		return ok
	}
	var k kept
	if len(e.Body) == 0 || json.Unmarshal(e.Body, &k.Notice) != nil {
		delete(all, hash)
		delete(given, hash)
		return true
	}
	k.version, k.until = e.Version, e.Until
	all[hash] = k
	given.Told(hash, k.Guest)
	return true
}

// What one source network may do in an hour. A guess hits one of 10,000 codes once in
// 10^12 times; the bound is for our processor, which works some ms on each.
const (
	codesPerHour = 300
	saidPerHour  = 120
)

// noticePage is what the page of a notice is given.
type noticePage struct {
	page
	Typed string
	Fault string // key of a text
	Busy  bool
	Done  string // key of a text: what was taken
	N     *Notice
	Title string
	Plan  template.HTML
	F     map[string]string
	Zone  string

	said string // what became of a form of the plan, as garden.Options have it
}

func (s *Site) noticeForm(w http.ResponseWriter, r *http.Request) error {
	private(w.Header())
	return s.pages.Render(w, r, http.StatusOK, "notice", noticePage{page: s.page(r), F: map[string]string{}})
}

// noNotice is the answer for every code that shows nothing, whatever the reason.
const noNotice = "notice.fault.none"

// notice shows what the holder of a code is shown, and takes what is done there. The
// code is typed and sent in a form: it stands in no address, and no scanner of mails
// fetches it.
func (s *Site) notice(w http.ResponseWriter, r *http.Request) error {
	private(w.Header())
	r.Body = http.MaxBytesReader(w, r.Body, 64<<10)
	if err := r.ParseForm(); err != nil {
		return readFailed(err)
	}
	p := noticePage{page: s.page(r), Zone: s.Zone, F: map[string]string{}}
	for _, k := range []string{"code", "what", "step", "text", "contact", "once", "device"} {
		p.F[k] = tidy(r.PostForm.Get(k))
	}
	p.Typed = p.F["code"][:min(len(p.F["code"]), 100)]
	fail := func(status int, key string) error {
		p.Fault = key
		return s.pages.Render(w, r, status, "notice", p)
	}
	if err := s.within(s.codes, r, 1, "too many codes from your network in the last hour"); err != nil {
		return err
	}
	code, err := ParseCaseCode(p.Typed)
	if err != nil {
		return fail(http.StatusUnprocessableEntity, "notice.fault.typed")
	}
	now := s.Clock.Now()
	hash := code.Hash()
	s.mu.RLock()
	n, ok := s.notices[hash]
	n.Guest = s.given.With(hash, n.Guest, now)
	ready := s.ready
	s.mu.RUnlock()
	switch {
	case !ready:
		return fail(http.StatusServiceUnavailable, "notice.fault.busy")
	case !ok || n.until != 0 && n.until <= now.UnixMicro():
		return fail(http.StatusNotFound, noNotice)
	}
	p.Typed = code.Reveal()
	p.N = &n.Notice
	status, key, err := s.said(r, &p, hash)
	if err != nil {
		return err
	}
	p.Fault = key
	return s.showNotice(w, r, status, p)
}

// showNotice shows the notice with its plan, in the words of the safe environment.
func (s *Site) showNotice(w http.ResponseWriter, r *http.Request, status int, p noticePage) (err error) {
	if p.N.Closed.IsZero() {
		o := garden.Options{Action: p.To("/notice"), Code: p.Typed, Once: p.Once(), Chosen: p.F["device"], Said: p.said, Now: s.Clock.Now()}
		if p.F["what"] == "help" && p.said != "help" {
			o.Text, o.Contact = p.F["text"], p.F["contact"]
		}
		if p.Title, p.Plan, err = s.kit.Part(web.Lang(r), p.N.Guest, o); err != nil {
			return err
		}
	}
	return s.pages.Render(w, r, status, "notice", p)
}

// said takes what was done on the page: seen when it was only opened. key names what is
// wrong with a statement; what is wrong with a form of the plan stands in p.
func (s *Site) said(r *http.Request, p *noticePage, hash string) (status int, key string, err error) {
	e := Said{Code: hash}
	e.At = s.Clock.Now()
	f := p.F
	refuse := func(status int, said string) (int, string, error) {
		p.said = said
		return status, "", nil
	}
	switch what := f["what"]; what {
	case "":
		e.What = "seen"
	case "done", "undone":
		e.What, e.Step = what, f["step"]
		switch {
		case !slices.Contains(p.N.Plan(f["device"]).Steps(), e.Step):
			return refuse(http.StatusUnprocessableEntity, "stale")
		case p.N.Full && !p.N.Held():
			return refuse(http.StatusTooManyRequests, "many")
		}
	case "release":
		if e.What = what; !p.N.MayRelease() {
			return refuse(http.StatusConflict, "stale")
		}
	case "test":
		if e.What = what; !p.N.MayTest(e.At) {
			return refuse(http.StatusConflict, "stale")
		}
	case "help":
		e.What, e.Text, e.Contact = what, strings.TrimSpace(f["text"]), strings.TrimSpace(f["contact"])
		switch {
		case e.Text == "":
			return refuse(http.StatusUnprocessableEntity, "empty")
		case tooLong(e):
			return refuse(http.StatusUnprocessableEntity, "long")
		case p.N.Full && !p.N.Held():
			return refuse(http.StatusTooManyRequests, "many")
		}
	case "statement":
		e.What, e.Text = what, strings.TrimSpace(f["text"])
		switch {
		case e.Text == "":
			return http.StatusUnprocessableEntity, "notice.fault.text", nil
		case tooLong(e):
			return http.StatusUnprocessableEntity, "notice.fault.long", nil
		case p.N.Full:
			return http.StatusTooManyRequests, "notice.fault.full", nil
		}
	default:
		return refuse(http.StatusUnprocessableEntity, "stale")
	}
	if err := s.within(s.saids, r, 1, "too many messages from your network in the last hour"); err != nil {
		return 0, "", err
	}
	put := func(id string, at time.Time, _ bolwerk.Token) error {
		e.ID, e.At = id, at
		return s.PutAs(id, KindNotice, e.Encode())
	}
	// The same form sent again has one effect; looks of one code count once in an hour.
	mark := f["once"]
	if e.What == "seen" {
		mark = e.At.UTC().Format("2006-01-02T15")
	}
	sent := fmt.Sprintf("notice %s\n%s\n%s\n%s\n%s\n%s", hash, e.What, e.Step, e.Text, e.Contact, mark)
	_, err = s.Once.Wait(r.Context(), s.Clock.Now, sent, put)
	switch {
	case errors.Is(err, bolwerk.ErrFull) && e.What == "seen": // what stands here is still shown
		return http.StatusOK, "", nil
	case errors.Is(err, bolwerk.ErrFull) && e.What == "statement":
		p.Busy = true
		return http.StatusServiceUnavailable, "notice.fault.busy", nil
	case errors.Is(err, bolwerk.ErrFull):
		return refuse(http.StatusServiceUnavailable, "busy")
	case err != nil:
		return 0, "", fmt.Errorf("what the holder of a code said: %w", err)
	}
	s.mu.Lock()
	s.given.Took(hash, e.Event)
	guest := s.given.With(hash, p.N.Guest, e.At)
	s.mu.Unlock()
	n := *p.N
	n.Guest = guest
	p.N = &n
	switch e.What {
	case "help":
		p.said = "help"
	case "statement":
		p.Done, f["text"] = "notice.done.statement", ""
	}
	return http.StatusOK, "", nil
}

func tooLong(e Said) bool {
	return len(e.Text) > MaxSaid || len(e.Contact) > maxContact || !utf8.ValidString(e.Text+e.Contact) || strings.ContainsAny(e.Contact, "\r\n")
}
