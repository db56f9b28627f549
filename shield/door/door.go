package door

import (
	"context"
	"embed"
	"encoding/json"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/mail"
	"bolwerk/internal/once"
	"bolwerk/internal/openapi"
	"bolwerk/internal/openlog"
	"bolwerk/internal/quota"
	"bolwerk/internal/recent"
	"bolwerk/internal/web"
	"bolwerk/shield/edge"
)

// Put keeps what a door took. When it returns an id, body survives a power cut
// and will reach the desk. No room is a bolwerk.ErrFull.
type Put func(kind string, body []byte) (id string, err error)

// Door takes reports by mail, form and API, and answers from its copy of what
// the public may see. It is the copies.Sink of that copy, and safe for
// concurrent use.
type Door struct {
	cfg     Config
	put     Put
	putAs   func(id, kind string, body []byte) error
	frame   *web.Frame
	pages   *web.Pages
	clock   clock.Clock
	log     *slog.Logger
	count   *metrics
	openapi []byte
	history *openlog.Store
	docs    docs
	foot    []FootLink

	list                  listing
	issued                issued
	requests              *once.Requests
	reports, bytes, looks *quota.Quota
	uploads               *quota.Places
}

// FootLink is a path of the site, and the key of its text.
type FootLink struct{ Path, Text string }

// With is what a Door needs.
type With struct {
	Put Put
	// PutAs is for what may come again: the same id has one effect.
	PutAs func(id, kind string, body []byte) error
	// Once are the requests that may come again.
	Once  *once.Requests
	Frame *web.Frame // of a web.Site that Site made
	Clock clock.Clock
	Log   *slog.Logger
	// Foot are links at the foot of each page to what others have on the site.
	Foot []FootLink
	// Describe adds the API that others have on the site to its description.
	Describe []func(*openapi.Doc)
	// OpenLog is the transparency log, served under openlog.Prefix; nil is none.
	OpenLog *openlog.Store
	// Metrics may be nil in tests.
	Metrics prometheus.Registerer
}

//go:embed texts/*.toml
var textFiles embed.FS

//go:embed pages/*.html
var pageFiles embed.FS

//go:embed static
var staticFiles embed.FS

// Texts are the words of the public site.
func Texts() (*web.Texts, error) { return web.ReadTexts(textFiles, "texts") }

// Site makes a web.Site the public site: its texts, its files, no cookies.
func Site(s web.Site) (web.Site, error) {
	texts, err := Texts()
	if err != nil {
		return s, err
	}
	files, err := fs.Sub(staticFiles, "static")
	if err != nil {
		return s, err
	}
	s.Name, s.Console, s.NoCookies = "public", false, true
	long, err := web.ReadTexts(guideFiles, "guides")
	if err != nil {
		return s, err
	}
	s.Texts, s.Static = append(s.Texts, texts, long), append(s.Static, files)
	s.Config.MaxBody = max(s.Config.MaxBody, smallBody)
	return s, nil
}

// New makes a door. cfg has passed Validate.
func New(cfg Config, with With) (*Door, error) {
	d := &Door{cfg: cfg, put: with.Put, putAs: with.PutAs, requests: with.Once, frame: with.Frame, clock: with.Clock, log: with.Log, history: with.OpenLog, foot: with.Foot,
		reports: quota.New(int64(cfg.ReportsPerHour)), bytes: quota.New(cfg.BytesPerHour), looks: quota.New(int64(cfg.LooksPerHour)),
		uploads: quota.NewPlaces(cfg.Uploads)}
	d.list.clear()
	d.issued.w = recent.NewWindow[Receipt](keepIssued, maxIssued)
	d.count = newMetrics(&d.list)
	if with.Metrics != nil {
		if err := d.count.register(with.Metrics); err != nil {
			return nil, err
		}
	}
	var err error
	if d.pages, err = with.Frame.Pages(pageFiles, "pages"); err != nil {
		return nil, err
	}
	if d.docs, err = readDocs(with.Frame.Texts()); err != nil {
		return nil, err
	}
	d.openapi, err = openAPI(cfg, with.Describe)
	return d, err
}

// Accept is the mail.Accept of the door: it keeps the mail as it came, and
// nothing of the client but whether it is in an own network.
func (d *Door) Accept(_ context.Context, e mail.Envelope) (reference string, err error) {
	if len(e.Raw) == 0 {
		return "", bolwerk.Invalid("an empty mail")
	}
	r := Report{Channel: ByMail, ReceivedAt: e.ReceivedAt, Token: bolwerk.NewToken().Reveal(), OwnNetwork: e.OwnNetwork, MailFrom: e.MailFrom, Form: Mail, Body: e.Raw}
	if len(e.Rcpt) > 0 {
		r.To = e.Rcpt[0]
	}
	id, err := d.keep(e.ID, r)
	if err != nil {
		return "", err
	}
	return id[max(0, len(id)-12):], nil // the random end of the id: without its time
}

// keep hands a report in, under an id of its own or a new one.
func (d *Door) keep(id string, r Report) (_ string, err error) {
	if id != "" {
		err = d.putAs(id, KindReport, r.Encode())
	} else {
		id, err = d.put(KindReport, r.Encode())
	}
	d.count.reports.WithLabelValues(string(r.Channel), string(r.Form), result(err)).Inc()
	if err != nil {
		return "", fmt.Errorf("report by %s: %w", r.Channel, err)
	}
	return id, nil
}

// handIn hands an item in under an id, with a code that it may have had before.
type handIn = func(id string, at time.Time, code bolwerk.Token) error

// fresh hands in what does not say how it would be known if it came again.
func (d *Door) fresh(put handIn) (bolwerk.Token, error) {
	code, now := bolwerk.NewToken(), d.clock.Now()
	return code, put(bolwerk.NewID(now), now, code)
}

// receive takes a report.
func (d *Door) receive(from netip.Addr, r Report) handIn {
	return func(id string, at time.Time, code bolwerk.Token) error {
		r.ReceivedAt, r.Token, r.OwnNetwork = at, code.Reveal(), d.cfg.own(from)
		if _, err := d.keep(id, r); err != nil {
			return err
		}
		d.issued.add(at, code, Receipt{Kind: "report", State: "received", At: at})
		return nil
	}
}

// appeal takes an appeal.
func (d *Door) appeal(a edge.Appeal) handIn {
	return func(id string, at time.Time, code bolwerk.Token) error {
		a.At, a.Receipt = at, code.Hash()
		body, err := json.Marshal(a)
		if err != nil {
			return err
		}
		err = d.putAs(id, KindAppeal, body)
		d.count.appeals.WithLabelValues(result(err)).Inc()
		if err != nil {
			return fmt.Errorf("appeal: %w", err)
		}
		d.issued.add(at, code, Receipt{Kind: "appeal", State: "received", At: at, Due: at.Add(appealTime), Name: a.Name.String(), Block: a.Block})
		return nil
	}
}

// appealTime is how long an appeal may wait for its decision: the desk's own.
const appealTime = 48 * time.Hour

// errNoCopy is why nothing can be looked up before the first copy has come.
var errNoCopy = fmt.Errorf("the public copy has not come yet: %w", bolwerk.ErrFull)

// Receipt is what the holder of a code may see. Until the desk tells of a
// receipt that this process gave, it is "received" (for 48 h at most, and not
// after a restart).
func (d *Door) Receipt(code bolwerk.Token) (Receipt, error) {
	now := d.clock.Now()
	if r, ok := d.list.receipt(now, code.Hash()); ok {
		return r, nil
	}
	if r, ok := d.issued.find(now, code); ok {
		return r, nil
	}
	if !d.list.has() {
		return Receipt{}, errNoCopy
	}
	return Receipt{}, errNoCode
}

// errNoCode is the answer for every code that shows nothing, whatever the reason.
var errNoCode = bolwerk.WithHint(bolwerk.NotFound("we know no such code"), "check it for typing errors; receipts are not kept for ever")

// Listed is the block that catches a name; false is none.
func (d *Door) Listed(name bolwerk.Domain) (Listed, bool, error) {
	if !d.list.has() {
		return Listed{}, false, errNoCopy
	}
	b, ok := d.list.block(d.clock.Now(), name)
	return b, ok, nil
}

func (l *listing) has() bool { l.mu.RLock(); defer l.mu.RUnlock(); return l.ready }

// mayReport and mayLook hold a source network to its rate.
func (d *Door) mayReport(r *http.Request) error {
	return d.within(d.reports, r, 1, "too many reports from your network in the last hour")
}

func (d *Door) mayLook(r *http.Request) error {
	return d.within(d.looks, r, 1, "too many look-ups from your network in the last hour")
}

func (d *Door) within(q *quota.Quota, r *http.Request, n int, what string) error {
	from := d.frame.Source(r)
	if d.cfg.own(from) {
		return nil
	}
	if wait := q.Take(d.clock.Now(), web.Network(from), n); wait > 0 {
		d.count.slowed.Inc()
		return &web.Wait{Err: &bolwerk.Refusal{Kind: bolwerk.ErrFull, What: what}, After: wait}
	}
	return nil
}

// errUploads is why a large body has to wait.
var errUploads = fmt.Errorf("as many uploads as may run at once: %w", bolwerk.ErrFull)

const (
	smallBody  = 1 << 20
	uploadTime = 2 * time.Minute // 25 MiB at 2 Mbit/s take 105 s
)

// openBody lets the body of a request be up to max bytes. leave gives its place
// back.
func (d *Door) openBody(w http.ResponseWriter, r *http.Request, max int64) (leave func(), err error) {
	if r.ContentLength >= 0 && r.ContentLength <= smallBody {
		return func() {}, nil
	}
	if r.ContentLength > max {
		return nil, &http.MaxBytesError{Limit: max}
	}
	from := d.frame.Source(r)
	leave = d.uploads.Take(web.Network(from), d.cfg.own(from))
	if leave == nil {
		return nil, errUploads
	}
	web.AllowBody(w, r, max, uploadTime)
	return leave, nil
}

// Handler is the public site; more adds the pages of others to it.
func (d *Door) Handler(more ...func(*http.ServeMux)) http.Handler {
	mux := http.NewServeMux()
	routes := map[string]web.Func{
		"POST /api/v1/reports":        d.apiReport,
		"GET /api/v1/receipts/{code}": d.apiReceipt,
		"GET /api/v1/names/{name}":    d.apiName,
		"GET /api/v1/openapi.json":    d.apiDescription,
		"GET /{$}":                    d.home,
		"POST /report":                d.report,
		"GET /r":                      d.enterCode,
		"GET /r/{code}":               d.receiptPage,
		"GET /name":                   d.namePage,
		"POST /appeal":                d.appealForm,
		"GET /first-aid":              d.firstAid,
		"GET /warnings":               d.warningsPage,
		"GET /warnings.atom":          d.atom,
		"GET /transparency":           d.transparency,
		"GET /api/v1/warnings":        d.apiWarnings,
		"GET /api/v1/figures":         d.apiFigures,
		"GET /api/v1/names":           d.apiNameQuery,
		"GET /learn":                  d.learn,
		"GET /learn/{guide}":          d.guide,
		"GET /robots.txt":             robots,
	}
	d.logRoutes(routes)
	for pattern, fn := range routes {
		mux.Handle(pattern, d.frame.Do(fn))
	}
	for _, add := range more {
		add(mux)
	}
	return d.frame.Handler(mux)
}

// robots keeps crawlers from questions without end. Receipts are not named here:
// a crawler that may not read one would never see that it must not be listed.
func robots(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("Cache-Control", "public, max-age=86400")
	_, err := fmt.Fprint(w, "User-agent: *\nDisallow: /api/\nDisallow: /name?\nDisallow: /log/\n")
	return err
}

// private keeps a page out of search engines and its address out of other
// sites' logs.
func private(h http.Header) {
	h.Set("X-Robots-Tag", "noindex, nofollow")
	h.Set("Referrer-Policy", "no-referrer")
}
