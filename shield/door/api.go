package door

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"bolwerk"
	"bolwerk/internal/idn"
	"bolwerk/internal/mail"
	"bolwerk/internal/recent"
	"bolwerk/internal/web"
	"bolwerk/shield/reading"
)

// Bounds of what is typed, in bytes.
const (
	maxURL  = 8 << 10 // links of mailings carry tokens of some kilobytes
	maxText = 64 << 10
	maxName = 1 << 10
	maxKey  = 255
)

// ReportRequest is the JSON of a report: exactly one of url, text, mail and picture.
type ReportRequest struct {
	URL     string       `json:"url,omitempty" maxLength:"8192" doc:"a suspicious link, as it was received; hxxp and [.] are understood"`
	Text    string       `json:"text,omitempty" maxLength:"65536" doc:"a suspicious text message, as it was received"`
	Mail    []byte       `json:"mail,omitempty" doc:"a suspicious mail, byte for byte (.eml or .msg), in base64"`
	Picture []byte       `json:"picture,omitempty" doc:"a screenshot or a photograph of the message (PNG, JPEG, WebP, GIF or BMP), in base64"`
	Lang    bolwerk.Lang `json:"lang,omitempty" enum:"nl,fr,de,en" doc:"language of the reporter"`
	ReplyTo string       `json:"reply_to,omitempty" maxLength:"320" doc:"address of the reporter; it tells reports of one person apart. An address that nobody proved gets no mail: the receipt is the answer"`
}

// ReportAnswer is the answer to a report that was taken.
type ReportAnswer struct {
	Receipt    string `json:"receipt" doc:"code with which everybody who has it can see what became of the report"`
	ReceiptURL string `json:"receipt_url" format:"uri" doc:"page that shows it to people"`
	State      string `json:"state" enum:"received"`
}

// NameAnswer says whether a name is blocked here. All but Name and Listed is
// about the block that catches it.
type NameAnswer struct {
	Name   string    `json:"name" doc:"the name that was asked for, in A-labels"`
	Listed bool      `json:"listed" doc:"it is blocked here now"`
	Ref    string    `json:"ref,omitempty" doc:"reference of the block"`
	Block  string    `json:"block,omitempty" doc:"the blocked name: the one asked for, or one above it"`
	Scope  string    `json:"scope,omitempty" enum:"host,subtree,registrable" doc:"how much the block takes: the name, or all below it too"`
	Class  string    `json:"class,omitempty" doc:"phishing, fake_shop, malware, scam or other"`
	Ground string    `json:"ground,omitempty" enum:"policy,order,requested" doc:"own policy, order of an authority, or asked for by the customer"`
	By     string    `json:"by,omitempty" doc:"who decided"`
	Since  time.Time `json:"since,omitzero"`
	Until  time.Time `json:"until,omitzero" doc:"when it ends by itself"`
}

func (d *Door) apiReport(w http.ResponseWriter, r *http.Request) error {
	if err := d.mayReport(r); err != nil {
		return err
	}
	kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if err != nil || kind != typeJSON && kind != typeMail {
		d.frame.Refuse(w, r, http.StatusUnsupportedMediaType, bolwerk.Invalid("Content-Type: want application/json or message/rfc822"))
		return nil
	}
	most := d.cfg.MaxUpload
	if kind == typeJSON {
		most = most/3*4 + maxText // base64 and what is around it
	}
	leave, err := d.openBody(w, r, most)
	if err != nil {
		return err
	}
	defer leave()
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return readFailed(err)
	}
	if err := d.within(d.bytes, r, len(body), "too many bytes from your network in the last hour"); err != nil {
		return err
	}
	q := r.URL.Query()
	rep, err := parseReport(kind, q.Get("form"), body, d.cfg.MaxUpload)
	if err != nil {
		return err
	}
	if lang := bolwerk.Lang(q.Get("lang")); rep.Lang == "" && slices.Contains(bolwerk.Langs(), lang) {
		rep.Lang = lang
	}
	code, err := d.once(r, kind+"\n"+string(rep.Form)+"\n", body, d.receive(d.frame.Source(r), rep))
	if errors.Is(err, recent.ErrOtherBody) {
		d.frame.Refuse(w, r, http.StatusUnprocessableEntity, err)
		return nil
	}
	if err != nil {
		return err
	}
	w.Header().Set("Location", "/api/v1/receipts/"+code.Reveal())
	return web.WriteJSON(w, http.StatusCreated, ReportAnswer{Receipt: code.Reveal(), ReceiptURL: d.frame.URL("/r/" + code.Reveal()), State: "received"})
}

const (
	typeJSON = "application/json"
	typeMail = "message/rfc822"
)

// readFailed makes the kinds of our own of a body that did not come.
func readFailed(err error) error {
	var large *http.MaxBytesError
	if errors.As(err, &large) {
		return err
	}
	return bolwerk.Invalid("the body did not arrive in full")
}

// once gives a request with an Idempotency-Key one effect. The key is the source
// network's: two strangers may use the same.
func (d *Door) once(r *http.Request, kind string, body []byte, put handIn) (bolwerk.Token, error) {
	text := r.Header.Get("Idempotency-Key")
	if text == "" {
		return d.fresh(put)
	}
	if len(text) > maxKey {
		return bolwerk.Token{}, bolwerk.Invalid("Idempotency-Key of %d bytes: at most %d are allowed", len(text), maxKey)
	}
	h := sha256.New()
	io.WriteString(h, kind)
	h.Write(body)
	return d.requests.Do(d.clock.Now(), "report "+web.Network(d.frame.Source(r)).String()+"\n"+text, recent.Key(h.Sum(nil)), put)
}

// parseReport reads what a program sent. Token, time and source are not in it.
func parseReport(kind, form string, body []byte, maxMail int64) (Report, error) {
	r := Report{Channel: ByAPI, Form: Evidence}
	switch form {
	case "", string(Evidence):
	case string(Mail):
		r.Form = Mail
	default:
		return r, bolwerk.Invalid("form %.40q: want evidence or mail", form)
	}
	if kind == typeMail {
		r.Body = body
		return r, checkMail(body, maxMail)
	}
	var in ReportRequest
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&in); err != nil {
		return r, bolwerk.WithHint(bolwerk.Invalid("body: %s", plain(err)), `send {"url":"..."}, {"text":"..."}, {"mail":"base64"} or {"picture":"base64"}`)
	}
	if _, err := dec.Token(); err != io.EOF {
		return r, bolwerk.Invalid("body: something follows the JSON object")
	}
	if in.Lang != "" && !slices.Contains(bolwerk.Langs(), in.Lang) {
		return r, bolwerk.Invalid("lang %.40q: want nl, fr, de or en", in.Lang)
	}
	if in.ReplyTo != "" {
		to, err := mail.ParseAddress(in.ReplyTo)
		if err != nil {
			return r, bolwerk.Invalid("reply_to: want an address name@domain")
		}
		in.ReplyTo = to.String()
	}
	r.Lang, r.ReplyTo = in.Lang, in.ReplyTo
	switch {
	case in.URL != "" && in.Text == "" && in.Mail == nil && in.Picture == nil:
		r.Form, r.Body = Link, []byte(strings.TrimSpace(in.URL))
		return r, checkURL(string(r.Body))
	case in.Text != "" && in.URL == "" && in.Mail == nil && in.Picture == nil:
		r.Form, r.Body = Text, []byte(in.Text)
		return r, checkText(in.Text)
	case in.Picture != nil && in.URL == "" && in.Text == "" && in.Mail == nil:
		r.Form, r.Body = Picture, in.Picture
		return r, checkPicture(in.Picture, maxMail)
	case in.Mail != nil && in.URL == "" && in.Text == "" && in.Picture == nil:
		r.Body = in.Mail
		return r, checkMail(in.Mail, maxMail)
	}
	return r, bolwerk.Invalid("want exactly one of url, text, mail and picture")
}

// plain is an error of encoding/json without names of Go types.
func plain(err error) string {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return "not JSON"
	case errors.As(err, &kind):
		return "a field is of the wrong type"
	case strings.HasPrefix(err.Error(), "json: unknown field "):
		return "unknown field " + idn.Escape(strings.TrimPrefix(err.Error(), "json: unknown field ")[:min(60, len(err.Error())-len("json: unknown field "))])
	case strings.Contains(err.Error(), "base64"):
		return "mail is not base64"
	}
	return "not a JSON object"
}

func checkURL(s string) error {
	switch {
	case len(s) > maxURL:
		return bolwerk.Invalid("url of %d bytes: at most %d are allowed", len(s), maxURL)
	case !utf8.ValidString(s), strings.ContainsFunc(s, func(r rune) bool { return unicode.IsSpace(r) || unicode.IsControl(r) }), !strings.ContainsAny(s, ".:"):
		return bolwerk.Invalid("url: that is no link")
	}
	return nil
}

func checkText(s string) error {
	switch {
	case len(s) > maxText:
		return bolwerk.Invalid("text of %d bytes: at most %d are allowed", len(s), maxText)
	case strings.TrimSpace(s) == "":
		return bolwerk.Invalid("text: is empty")
	}
	return nil
}

// header is a header field (RFC 5322 section 2.2) at the start of a mail, behind
// what some programs put there: empty lines, a byte order mark, a "From " or
// ">From " line of a mailbox file.
var header = regexp.MustCompile(`^(?:\x{FEFF})?(?:[ \t]*\r?\n)*(?:>?From [^\n]*\n)?[!-9;-~]{1,77}[ \t]*:`)

// compound is how a mail begins that Outlook saved (.msg): a compound file
// (MS-CFB section 2.2).
const compound = "\xD0\xCF\x11\xE0\xA1\xB1\x1A\xE1"

func checkPicture(b []byte, most int64) error {
	switch {
	case int64(len(b)) > most:
		return &http.MaxBytesError{Limit: most}
	case !isPicture(b):
		return bolwerk.Invalid("picture: want a PNG, JPEG, WebP, GIF or BMP")
	}
	return nil
}

func checkMail(b []byte, most int64) error {
	switch {
	case len(b) == 0:
		return bolwerk.Invalid("the mail is empty")
	case int64(len(b)) > most:
		return &http.MaxBytesError{Limit: most}
	case !header.Match(b[:min(len(b), 4<<10)]) && !bytes.HasPrefix(b, []byte(compound)):
		return bolwerk.WithHint(bolwerk.Invalid("that is no mail: it does not begin with a header field"), "send the mail byte for byte, as it was saved (.eml or .msg)")
	}
	return nil
}

func (d *Door) apiReceipt(w http.ResponseWriter, r *http.Request) error {
	private(w.Header())
	if err := d.mayLook(r); err != nil {
		return err
	}
	got, err := d.receiptOf(r.PathValue("code"))
	if errors.Is(err, bolwerk.ErrInvalid) {
		return errNoCode // the same for a program: there is no such thing
	}
	if err != nil {
		return err
	}
	return web.WriteJSON(w, http.StatusOK, got)
}

// receiptOf looks up a code as people type it, and counts.
func (d *Door) receiptOf(text string) (Receipt, error) {
	code, err := bolwerk.ParseToken(text[:min(len(text), 200)])
	var got Receipt
	if err == nil {
		got, err = d.Receipt(code)
	}
	d.count.looked("receipt", err == nil, err)
	return got, err
}

func (d *Door) apiName(w http.ResponseWriter, r *http.Request) error {
	if err := d.mayLook(r); err != nil {
		return err
	}
	return d.answerName(w, r.PathValue("name"))
}

// apiNameQuery is apiName for what does not fit a path: a pasted link.
func (d *Door) apiNameQuery(w http.ResponseWriter, r *http.Request) error {
	if err := d.mayLook(r); err != nil {
		return err
	}
	return d.answerName(w, r.URL.Query().Get("q"))
}

func (d *Door) answerName(w http.ResponseWriter, text string) error {
	name, b, ok, err := d.nameOf(text)
	if err != nil {
		return err
	}
	a := NameAnswer{Name: name.String(), Listed: ok}
	if ok {
		a.Ref, a.Block, a.Scope, a.Class, a.Ground, a.By, a.Since, a.Until = b.Ref, b.Name, b.Scope, b.Class, b.Ground, b.By, b.Since, b.Until
	}
	return web.WriteJSON(w, http.StatusOK, a)
}

// nameOf looks up a name as people type it, or a link with the name in it, and
// counts.
func (d *Door) nameOf(text string) (name bolwerk.Domain, b Listed, ok bool, err error) {
	name, err = parseName(text)
	if err == nil {
		b, ok, err = d.Listed(name)
	}
	d.count.looked("name", ok, err)
	return name, b, ok, err
}

// parseName reads a name, or the name out of a link.
func parseName(text string) (bolwerk.Domain, error) {
	if len(text) > maxName {
		return bolwerk.Domain{}, bolwerk.Invalid("a name of %d bytes: at most 253 are allowed", len(text))
	}
	s := reading.Refang(strings.TrimSpace(text))
	if _, rest, ok := strings.Cut(s, "://"); ok {
		s = rest
	}
	if i := strings.IndexAny(s, `/\?#`); i >= 0 {
		s = s[:i]
	}
	s = s[strings.LastIndexByte(s, '@')+1:]
	if i := strings.LastIndexByte(s, ':'); i >= 0 && strings.Trim(s[i+1:], "0123456789") == "" {
		s = s[:i]
	}
	name, err := idn.Parse(s)
	if err == nil && name.Labels() < 2 {
		err = bolwerk.Invalid("%q is not a whole name", name)
	}
	return name, err
}

func (d *Door) apiDescription(w http.ResponseWriter, _ *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, err := w.Write(d.openapi)
	return err
}
