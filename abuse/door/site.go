package door

import (
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"mime"
	"net/http"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/abuse/garden"
	"bolwerk/internal/clock"
	copies "bolwerk/internal/copy"
	"bolwerk/internal/mail"
	"bolwerk/internal/once"
	"bolwerk/internal/quota"
	"bolwerk/internal/recent"
	"bolwerk/internal/web"
)

//go:embed texts/*.toml
var textFiles embed.FS

//go:embed pages/*.html
var pageFiles embed.FS

// Texts are the words of the abuse desk's pages on the public site.
func Texts() (*web.Texts, error) { return web.ReadTexts(textFiles, "texts") }

// With is what a Site needs.
type With struct {
	PutAs       func(id, kind string, body []byte) error
	Once        *once.Requests // those that may come again
	Frame       *web.Frame
	Clock       clock.Clock
	OwnNetworks []netip.Prefix // held to no rate
	Mail        mail.Address   // where reports may be mailed to; zero is none
	Zone        string         // that of the site, such as Europe/Brussels
	Look        garden.Look    // of the plan that a notice's page shows
}

// Site takes reports of abuse on the public site, by form and API, and shows what
// became of them.
type Site struct {
	With
	pages   *web.Pages
	issued  recent.Window[Status]
	reports *quota.Quota
	bytes   *quota.Quota
	looks   *quota.Quota
	uploads *quota.Places
	codes   *quota.Quota
	saids   *quota.Quota
	kit     *garden.Kit

	mu      sync.RWMutex
	ready   bool
	told    map[string]told // by the hash of the code
	notices map[string]kept // by the hash of the code
	given   garden.Given    // the same
}

type told struct {
	Status
	version, until int64
}

// Bounds of the public site, for one source network (/24 or /48) and hour: a desk of
// another operator sends many reports, a person few.
const (
	reportsPerHour = 600
	bytesPerHour   = 256 << 20
	looksPerHour   = 6000
	uploadsAtOnce  = 8
	smallBody      = 1 << 20
	uploadTime     = 2 * time.Minute
	keepIssued     = 48 * time.Hour
	maxRemembered  = 1 << 16
	maxText        = 20_000
)

// NewSite reads the templates.
func NewSite(with With) (*Site, error) {
	s := &Site{With: with, issued: recent.NewWindow[Status](keepIssued, maxRemembered),
		reports: quota.New(reportsPerHour), bytes: quota.New(bytesPerHour), looks: quota.New(looksPerHour), uploads: quota.NewPlaces(uploadsAtOnce),
		codes: quota.New(codesPerHour), saids: quota.New(saidPerHour), told: map[string]told{}, notices: map[string]kept{}, given: garden.Given{}}
	var err error
	if s.kit, err = garden.New(with.Look); err != nil {
		return nil, err
	}
	s.pages, err = with.Frame.Pages(fs.FS(pageFiles), "pages")
	return s, err
}

// Routes adds the pages and the API to the public site.
func (s *Site) Routes(mux *http.ServeMux) {
	for pattern, fn := range s.routes() {
		mux.Handle(pattern, s.Frame.Do(fn))
	}
}

func (s *Site) routes() map[string]web.Func {
	return map[string]web.Func{
		"GET /notice":                      s.noticeForm,
		"POST /notice":                     s.notice,
		"GET /abuse":                       s.form,
		"POST /abuse":                      s.send,
		"GET /abuse/r/{code}":              s.statusPage,
		"POST /api/v1/abuse/reports":       s.apiReport,
		"GET /api/v1/abuse/reports/{code}": s.apiStatus,
	}
}

// Beside takes from a copy what is ours; the rest goes on to another sink.
func (s *Site) Beside(rest copies.Sink) copies.Sink { return beside{s, rest} }

type beside struct {
	site *Site
	rest copies.Sink
}

// Reset replaces everything.
func (b beside) Reset(head copies.Head, seq func(yield func(copies.Entry) bool)) error {
	next, notices := map[string]told{}, map[string]kept{}
	known := map[string]bool{}
	err := b.rest.Reset(head, func(yield func(copies.Entry) bool) {
		seq(func(e copies.Entry) bool {
			if put(next, e) || putNotice(notices, nil, e) {
				return true
			}
			return yield(e)
		})
	})
	if err != nil {
		return err
	}
	b.site.mu.Lock()
	defer b.site.mu.Unlock()
	for hash, n := range notices {
		known[hash] = true
		b.site.given.Told(hash, n.Guest)
	}
	b.site.given.Keep(known)
	b.site.told, b.site.notices, b.site.ready = next, notices, true
	return nil
}

// Apply takes the changes of one publication.
func (b beside) Apply(head copies.Head, changes []copies.Entry) error {
	var others []copies.Entry
	b.site.mu.Lock()
	for _, e := range changes {
		if !put(b.site.told, e) && !putNotice(b.site.notices, b.site.given, e) {
			others = append(others, e)
		}
	}
	b.site.ready = true
	b.site.mu.Unlock()
	return b.rest.Apply(head, others)
}

// put keeps an entry that is ours; false says that it is not.
func put(all map[string]told, e copies.Entry) bool {
	hash, ok := strings.CutPrefix(e.ID, StatusEntry)
	if !ok || all[hash].version > e.Version {
		return ok
	}
	var t told
	if len(e.Body) == 0 || json.Unmarshal(e.Body, &t.Status) != nil {
		delete(all, hash)
		return true
	}
	t.version, t.until = e.Version, e.Until
	all[hash] = t
	return true
}

// errNoCode is the answer for every code that shows nothing, whatever the reason.
var errNoCode = bolwerk.WithHint(bolwerk.NotFound("we know no such code"), "check it for typing errors; reports are not kept for ever")

// Status is what the holder of a code may see.
func (s *Site) Status(code string) (Status, error) {
	token, err := bolwerk.ParseToken(code[:min(len(code), 200)])
	if err != nil {
		return Status{}, errNoCode
	}
	now := s.Clock.Now()
	s.mu.Lock() // looking for what was issued forgets what is old
	defer s.mu.Unlock()
	t, ok := s.told[token.Hash()]
	ready := s.ready
	if ok && (t.until == 0 || t.until > now.UnixMicro()) {
		return t.Status, nil
	}
	if st, ok := s.issued.Find(now, recent.KeyOf(token.Hash())); ok {
		return st, nil
	}
	if !ready {
		return Status{}, fmt.Errorf("the public copy has not come yet: %w", bolwerk.ErrFull)
	}
	return Status{}, errNoCode
}

// within holds a source network to its rate.
func (s *Site) within(q *quota.Quota, r *http.Request, n int, what string) error {
	from := s.Frame.Source(r)
	if s.own(from) {
		return nil
	}
	if wait := q.Take(s.Clock.Now(), web.Network(from), n); wait > 0 {
		return &web.Wait{Err: &bolwerk.Refusal{Kind: bolwerk.ErrFull, What: what}, After: wait}
	}
	return nil
}

func (s *Site) own(a netip.Addr) bool {
	return slices.ContainsFunc(s.OwnNetworks, func(p netip.Prefix) bool { return p.Contains(a) })
}

// take hands a report in and gives its code.
func (s *Site) take(r Report) (bolwerk.Token, error) {
	code, now := bolwerk.NewToken(), s.Clock.Now()
	return code, s.takeAs(bolwerk.NewID(now), now, code, r)
}

// takeAs hands a report in under an id, with a code that it may have had before.
func (s *Site) takeAs(id string, at time.Time, code bolwerk.Token, r Report) error {
	r.ReceivedAt, r.Token = at, code.Reveal()
	if err := s.PutAs(id, KindReport, r.Encode()); err != nil {
		return fmt.Errorf("report of abuse by %s: %w", r.Channel, err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.issued.Set(at, recent.KeyOf(code.Hash()), Status{Code: "QUEUED", At: at})
	return nil
}

// Taken is the answer to a report that was taken.
type Taken struct {
	Code      string `json:"correlation_id" doc:"names the report; whoever has it can see what became of it"`
	Status    string `json:"status" enum:"QUEUED"`
	StatusURL string `json:"status_url" format:"uri"`
	PageURL   string `json:"page_url" format:"uri" doc:"the same, for people"`
}

// types are the media types that the API takes: what it is, is found by reading.
var types = map[string]string{"application/json": "", "application/x-ndjson": "", "application/jsonl": "", "message/rfc822": "", "text/csv": "report.csv", "application/xml": "", "text/xml": "", "text/plain": "", "application/zip": ""}

func (s *Site) apiReport(w http.ResponseWriter, r *http.Request) error {
	if err := s.within(s.reports, r, 1, "too many reports from your network in the last hour"); err != nil {
		return err
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	name, ok := types[kind]
	if err != nil || !ok {
		s.Frame.Refuse(w, r, http.StatusUnsupportedMediaType, bolwerk.Invalid("Content-Type: want application/json, application/x-ndjson, message/rfc822, text/csv, application/xml, application/zip or text/plain"))
		return nil
	}
	body, err := s.body(w, r)
	if err != nil {
		return err
	}
	if len(strings.TrimSpace(string(body[:min(len(body), 4096)]))) == 0 {
		return bolwerk.Invalid("the body is empty")
	}
	if strings.Contains(kind, "json") {
		if err := checkJSON(body); err != nil {
			return err
		}
	}
	if file := r.URL.Query().Get("name"); file != "" { // tells the type of a table
		if len(file) > 200 || strings.ContainsAny(file, "/\\\x00\r\n") {
			return bolwerk.Invalid("name: want the name of a file, of at most 200 octets")
		}
		name = file
	}
	rep := Report{Channel: ByAPI, Name: name, Form: Any, Body: body}
	code, err := s.once(r, rep)
	if errors.Is(err, recent.ErrOtherBody) {
		s.Frame.Refuse(w, r, http.StatusUnprocessableEntity, err)
		return nil
	}
	if err != nil {
		return err
	}
	at := "/api/v1/abuse/reports/" + code.Reveal()
	w.Header().Set("Location", at)
	return web.WriteJSON(w, http.StatusCreated, Taken{code.Reveal(), "QUEUED", s.Frame.URL(at), s.Frame.URL("/abuse/r/" + code.Reveal())})
}

// checkJSON refuses what is no JSON value, or line of values, at the door: the desk
// would only find the same later.
func checkJSON(b []byte) error {
	dec := json.NewDecoder(strings.NewReader(string(b[:min(len(b), smallBody)])))
	t, err := dec.Token()
	if d, ok := t.(json.Delim); err != nil || !ok || d != '{' && d != '[' {
		return bolwerk.WithHint(bolwerk.Invalid("body: not JSON"), "send one report in XARF 4, a list of them, or one a line (application/x-ndjson)")
	}
	return nil
}

// once gives a request with a client token one effect: in the header
// Idempotency-Key, for its source network and a day.
func (s *Site) once(r *http.Request, rep Report) (bolwerk.Token, error) {
	key := r.Header.Get("Idempotency-Key")
	if key == "" {
		return s.take(rep)
	}
	if len(key) > 255 {
		return bolwerk.Token{}, bolwerk.Invalid("Idempotency-Key of %d bytes: at most 255 are allowed", len(key))
	}
	h := sha256.New()
	io.WriteString(h, rep.Name+"\n")
	h.Write(rep.Body)
	return s.Once.Do(s.Clock.Now(), "abuse report "+web.Network(s.Frame.Source(r)).String()+"\n"+key, recent.Key(h.Sum(nil)), func(id string, at time.Time, code bolwerk.Token) error {
		return s.takeAs(id, at, code, rep)
	})
}

// body reads the body of a request, within what its network may hand in.
func (s *Site) body(w http.ResponseWriter, r *http.Request) ([]byte, error) {
	if r.ContentLength > MaxReport {
		return nil, &http.MaxBytesError{Limit: MaxReport}
	}
	if r.ContentLength < 0 || r.ContentLength > smallBody {
		from := s.Frame.Source(r)
		leave := s.uploads.Take(web.Network(from), s.own(from))
		if leave == nil {
			return nil, fmt.Errorf("as many uploads as may run at once: %w", bolwerk.ErrFull)
		}
		defer leave()
		web.AllowBody(w, r, MaxReport, uploadTime)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, readFailed(err)
	}
	return body, s.within(s.bytes, r, len(body), "too many bytes from your network in the last hour")
}

func readFailed(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return err
	}
	return bolwerk.Invalid("the body did not arrive in full")
}

func (s *Site) apiStatus(w http.ResponseWriter, r *http.Request) error {
	private(w.Header())
	if err := s.within(s.looks, r, 1, "too many look-ups from your network in the last hour"); err != nil {
		return err
	}
	st, err := s.Status(r.PathValue("code"))
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, st)
}

// private keeps an answer out of search engines and its address out of other
// sites' logs.
func private(h http.Header) {
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// page is what every page of ours is given.
type page struct {
	lang string
	Mail string
}

func (s *Site) page(r *http.Request) page {
	p := page{Mail: s.Mail.String()}
	if l := bolwerk.Lang(r.URL.Query().Get("lang")); slices.Contains(bolwerk.Langs(), l) {
		p.lang = string(l)
	}
	return p
}

// To is a path of ours that keeps a language chosen by hand: the site sets no
// cookies, so that links carry it.
func (p page) To(path string) string {
	if p.lang == "" {
		return path
	}
	return path + "?lang=" + p.lang
}

// Once is the mark of a form, another one each time.
func (p page) Once() string { return rand.Text() }

type formPage struct {
	page
	F      map[string]string
	Faults map[string]string // key of the text, by field
	Whats  []string
	Busy   bool
	Zone   string
}

func (s *Site) form(w http.ResponseWriter, r *http.Request) error {
	return s.pages.Render(w, r, http.StatusOK, "abuse", formPage{page: s.page(r), Whats: Whats, Zone: s.Zone, F: map[string]string{}})
}

// send takes the form. What is wrong with a field is said beside it, and nothing of
// what was typed is lost.
func (s *Site) send(w http.ResponseWriter, r *http.Request) error {
	if err := s.within(s.reports, r, 1, "too many reports from your network in the last hour"); err != nil {
		return err
	}
	r.Body = http.MaxBytesReader(w, r.Body, 256<<10)
	if err := r.ParseForm(); err != nil {
		return readFailed(err)
	}
	p := formPage{page: s.page(r), Whats: Whats, Zone: s.Zone, F: map[string]string{}}
	for _, k := range []string{"what", "address", "port", "day", "clock", "zone", "text", "contact", "once"} {
		p.F[k] = tidy(r.PostForm.Get(k))
	}
	f, faults := fields(p.F, s.Clock.Now(), s.Zone)
	if len(faults) > 0 {
		p.Faults = faults
		return s.pages.Render(w, r, http.StatusUnprocessableEntity, "abuse", p)
	}
	body, err := json.Marshal(f)
	if err != nil {
		return err
	}
	rep := Report{Channel: ByWeb, Lang: web.Lang(r), From: f.Contact, Form: Filled, Body: body}
	var code bolwerk.Token
	if p.F["once"] == "" {
		code, err = s.take(rep)
	} else {
		code, err = s.Once.Wait(r.Context(), s.Clock.Now, "abuse form "+web.Network(s.Frame.Source(r)).String()+"\n"+p.F["once"]+"\n"+string(body), func(id string, at time.Time, code bolwerk.Token) error {
			return s.takeAs(id, at, code, rep)
		})
	}
	if errors.Is(err, bolwerk.ErrFull) {
		p.Busy = true
		w.Header().Set("Retry-After", "60")
		return s.pages.Render(w, r, http.StatusServiceUnavailable, "abuse", p)
	}
	if err != nil {
		return err
	}
	private(w.Header())
	http.Redirect(w, r, p.To("/abuse/r/"+code.Reveal()), http.StatusSeeOther)
	return nil
}

// fields reads what a person typed; faults are keys of texts, by field.
func fields(in map[string]string, now time.Time, zone string) (f Fields, faults map[string]string) {
	faults = map[string]string{}
	f.What = in["what"]
	if !slices.Contains(Whats, f.What) {
		faults["what"] = "abuse.form.fault.what"
	}
	a, err := netip.ParseAddr(strings.Trim(strings.TrimSpace(in["address"]), "[]"))
	switch {
	case err != nil || a.Zone() != "":
		faults["address"] = "abuse.form.fault.address"
	case a.IsPrivate() || a.IsLoopback() || a.IsUnspecified() || a.IsMulticast() || a.IsLinkLocalUnicast():
		faults["address"] = "abuse.form.fault.private"
	}
	f.Address = a.String()
	if text := strings.TrimSpace(in["port"]); text != "" {
		n, err := strconv.ParseUint(text, 10, 16)
		if err != nil || n == 0 {
			faults["port"] = "abuse.form.fault.port"
		}
		f.Port = uint16(n)
	}
	at, err := when(in["day"], in["clock"], in["zone"], zone)
	switch {
	case err != nil:
		faults["day"] = "abuse.form.fault.time"
	case at.After(now.Add(time.Hour)):
		faults["day"] = "abuse.form.fault.future"
	}
	f.At = at
	f.Text = strings.TrimSpace(in["text"])
	switch {
	case f.Text == "":
		faults["text"] = "abuse.form.fault.text"
	case len(f.Text) > maxText || !utf8.ValidString(f.Text):
		faults["text"] = "abuse.form.fault.long"
	}
	if f.Contact = strings.TrimSpace(in["contact"]); f.Contact != "" {
		if _, err := mail.ParseAddress(f.Contact); err != nil {
			faults["contact"] = "abuse.form.fault.contact"
		}
	}
	return f, faults
}

// when reads the day and time of the form, in the site's zone or in that of logs.
func when(day, clock, zone, ours string) (time.Time, error) {
	if zone != "local" {
		ours = "UTC"
	}
	loc, err := time.LoadLocation(ours)
	if err != nil {
		return time.Time{}, err
	}
	layout := "2006-01-02 15:04"
	if strings.Count(clock, ":") == 2 {
		layout += ":05"
	}
	t, err := time.ParseInLocation(layout, strings.TrimSpace(day)+" "+strings.TrimSpace(clock), loc)
	return t.UTC(), err
}

// tidy makes text of what a browser sent.
func tidy(s string) string {
	s = strings.ReplaceAll(strings.ToValidUTF8(s[:min(len(s), maxText+1)], "\uFFFD"), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		if r != '\n' && r != '\t' && unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
}

type statusPage struct {
	page
	S    Status
	Code string
}

func (s *Site) statusPage(w http.ResponseWriter, r *http.Request) error {
	private(w.Header())
	if err := s.within(s.looks, r, 1, "too many look-ups from your network in the last hour"); err != nil {
		return err
	}
	st, err := s.Status(r.PathValue("code"))
	if err != nil {
		return err
	}
	return s.pages.Render(w, r, http.StatusOK, "abuse-status", statusPage{s.page(r), st, groups(r.PathValue("code"))})
}

// groups writes a code in groups of four, as people read it out.
func groups(code string) string {
	var b strings.Builder
	for i, c := range strings.ReplaceAll(code[:min(len(code), 64)], "-", "") {
		if i > 0 && i%4 == 0 {
			b.WriteByte(' ')
		}
		b.WriteRune(c)
	}
	return b.String()
}
