package door

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/abuse/notice"
	"bolwerk/abuse/reading"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/recent"
	"bolwerk/internal/web"
)

// kept is a notice as the public copy has it.
type kept struct {
	Notice
	version, until int64
}

// putNotice keeps an entry that is one; false says that it is none.
func putNotice(all map[string]kept, e copies.Entry) bool {
	hash, ok := strings.CutPrefix(e.ID, NoticeEntry)
	if !ok || all[hash].version > e.Version {
		return ok
	}
	var k kept
	if len(e.Body) == 0 || json.Unmarshal(e.Body, &k.Notice) != nil {
		delete(all, hash)
		return true
	}
	k.version, k.until = e.Version, e.Until
	all[hash] = k
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
	What  string
	Steps []stepView
	F     map[string]string
	Zone  string
}

type stepView struct {
	notice.Step
	Done bool
}

// Short is the kind of trouble, for a heading.
func (p noticePage) Short() string { return notice.GroupOf(reading.Class(p.N.Class)) }

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
	for _, k := range []string{"code", "do", "step", "text", "contact", "once"} {
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
	done := slices.Clone(n.Done)
	if status, key, err := s.said(r, &p, hash, &done); err != nil {
		return err
	} else if key != "" {
		s.steps(r, &p, done)
		return fail(status, key)
	}
	s.steps(r, &p, done)
	return s.pages.Render(w, r, http.StatusOK, "notice", p)
}

// said takes what was done on the page: seen when it was only opened. key names what is
// wrong with it.
func (s *Site) said(r *http.Request, p *noticePage, hash string, done *[]string) (status int, key string, err error) {
	e := Said{Code: hash}
	e.At = s.Clock.Now()
	f := p.F
	switch do := f["do"]; do {
	case "":
		e.What = "seen"
	case "done", "undone":
		e.What, e.Step = do, f["step"]
		if !slices.ContainsFunc(s.stepsOf(r, p), func(v notice.Step) bool { return v.ID == e.Step }) {
			return http.StatusUnprocessableEntity, "notice.fault.step", nil
		}
		*done = slices.DeleteFunc(*done, func(id string) bool { return id == e.Step })
		if do == "done" {
			*done = append(*done, e.Step)
		}
	case "help", "statement":
		e.What, e.Text, e.Contact = do, strings.TrimSpace(f["text"]), strings.TrimSpace(f["contact"])
		switch {
		case e.Text == "":
			return http.StatusUnprocessableEntity, "notice.fault.text", nil
		case len(e.Text) > MaxSaid || !utf8.ValidString(e.Text):
			return http.StatusUnprocessableEntity, "notice.fault.long", nil
		case len(e.Contact) > maxContact || strings.ContainsAny(e.Contact, "\r\n"):
			return http.StatusUnprocessableEntity, "notice.fault.contact", nil
		}
		p.Done = "notice.done." + do
	default:
		return http.StatusUnprocessableEntity, "notice.fault.step", nil
	}
	if err := s.within(s.saids, r, 1, "too many messages from your network in the last hour"); err != nil {
		return 0, "", err
	}
	put := func() (bolwerk.Token, error) {
		e.ID = bolwerk.NewID(e.At)
		_, err := s.Put(KindNotice, e.Encode())
		return bolwerk.Token{}, err
	}
	// The same form sent again has one effect; looks of one code count once in an hour.
	mark := f["once"]
	if e.What == "seen" {
		mark = e.At.UTC().Format("2006-01-02T15")
	}
	sum := sha256.Sum256([]byte(fmt.Sprintf("notice %s\n%s\n%s\n%s\n%s\n%s", hash, e.What, e.Step, e.Text, e.Contact, mark)))
	_, err = s.requests.Wait(r.Context(), s.Clock.Now, recent.Key(sum), put)
	if errors.Is(err, bolwerk.ErrFull) {
		if e.What == "seen" {
			return 0, "", nil // what stands here is still shown
		}
		p.Done, p.Busy = "", true
		return http.StatusServiceUnavailable, "notice.fault.busy", nil
	}
	if err != nil {
		return 0, "", fmt.Errorf("what the holder of a code said: %w", err)
	}
	if p.Done != "" {
		f["text"], f["contact"] = "", ""
	}
	return 0, "", nil
}

func (s *Site) stepsOf(r *http.Request, p *noticePage) []notice.Step {
	_, steps := s.words.Steps(web.Lang(r), reading.Class(p.N.Class))
	return steps
}

func (s *Site) steps(r *http.Request, p *noticePage, done []string) {
	var steps []notice.Step
	p.What, steps = s.words.Steps(web.Lang(r), reading.Class(p.N.Class))
	p.Steps = nil
	for _, st := range steps {
		p.Steps = append(p.Steps, stepView{st, slices.Contains(done, st.ID)})
	}
}
