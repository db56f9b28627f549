package shield

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/desk"
	"bolwerk/internal/job"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/shield/aid"
	"bolwerk/shield/judge"
	"bolwerk/shield/lookup"
	"bolwerk/shield/unwrap"
)

// The jobs of notices: to see who is to be told, and to tell one of them.
const (
	noticeMakeJob = "shield.notice.make"
	noticeSendJob = "shield.notice.send"
)

// tellOutside asks for everybody to be told who is to be of a block. What a rule
// decided alone is told only to whom the configuration says so.
func (s *Shield) tellOutside(tx *store.Tx, block string, by bolwerk.Actor) error {
	c := s.cfg.Notices
	if !c.any() || !by.IsPerson() && !c.early() {
		return nil
	}
	key := "block/" + block
	if by.IsPerson() {
		key += "/person" // a person may confirm what a rule blocked
	}
	return job.Add(tx, noticeMakeJob, key, "block/"+block, tx.Now())
}

// matter is what a notice tells. It holds nothing of any report, but the page.
type matter struct {
	caseID, block  string
	name           bolwerk.Domain
	place          judge.Place
	page           string // address of the page; empty where only the name is known
	cut            bool   // the address ends before a part that may name a person
	class, brand   string
	asked          aid.Set
	compromised    bool
	person         bool // a person has decided
	reports        int64
	first          time.Time // report
	addresses      []netip.Addr
	registrar      string
	registrarAbuse []string
	hostName       string
	hostAbuse      []string
	// What was tried to find the contacts of host and registrar, and from which
	// addresses mail came back.
	triedHost, triedRegistrar []Try
	returned                  returned
}

// errOver says that there is nothing to tell any more.
var errOver = errors.New("over")

// matterOf gathers what there is to tell.
func (s *Shield) matterOf(tx *store.Tx, ref string) (m matter, err error) {
	kind, id, _ := strings.Cut(ref, "/")
	var subject, outcome, state, url, verdict string
	switch kind {
	case "block":
		b, err := findBlock(tx, id)
		if errors.Is(err, bolwerk.ErrNotFound) {
			return m, errOver
		}
		if err != nil {
			return m, err
		}
		if b.State != InForce || b.Pass || b.OrderID != "" || b.CaseID == "" {
			return m, errOver
		}
		m.block, m.caseID, m.class, m.brand, m.asked, m.compromised = b.ID, b.CaseID, b.Class, b.Brand, b.AskedFor, b.Compromised
		m.person = b.Actor.IsPerson() || b.Second.IsPerson()
	default:
		if err := tx.Row(`select case_id from shield_observable where id=$1`, id).Scan(&m.caseID); err != nil || m.caseID == "" {
			if m.caseID == "" && (err == nil || store.None(err)) {
				err = errOver
			}
			return m, err
		}
	}
	var brand, class string
	var first int64
	err = tx.Row(`select c.subject,c.outcome,c.state,s.brand,s.class,s.verdict,s.reports,s.first_seen,coalesce(v.url,'') from shield_case s join desk_case c on c.id=s.id
		left join shield_visit v on v.observable=s.observable where s.id=$1`, m.caseID).Scan(&subject, &outcome, &state, &brand, &class, &verdict, &m.reports, &first, &url)
	if store.None(err) {
		return m, errOver
	}
	if err != nil {
		return m, err
	}
	if m.block == "" && (outcome != "" || judge.Word(verdict) != judge.Malicious) {
		return m, errOver
	}
	m.brand, m.class, m.first = orElse(m.brand, brand), orElse(m.class, class), store.Time(first)
	if m.name, err = bolwerk.ParseDomain(subject); err != nil {
		return m, errOver // a page on a host that strangers share
	}
	m.place = s.guard.rules().place(m.name)
	m.page, m.cut = tellable(url, m.name)
	if m.place.Registrable.IsZero() {
		return m, nil
	}
	if s.cfg.Lookup.RDAP == "" {
		m.triedRegistrar = []Try{{What: tryNoRDAP}}
	} else {
		m.triedRegistrar = []Try{{What: tryRegistrySilent, About: m.place.Registrable.String()}}
	}
	var packed string
	err = tx.Row(`select known from shield_registration where name=$1 and state<>'waiting'`, m.place.Registrable.String()).Scan(&packed)
	if store.None(err) || packed == "" {
		return m, nil
	}
	if err != nil {
		return m, err
	}
	var k known
	if err := json.Unmarshal([]byte(packed), &k); err != nil {
		return m, err
	}
	m.registrar, m.registrarAbuse, m.triedRegistrar = k.Registration.Registrar, k.Registration.Abuse, nil
	if len(m.registrarAbuse) == 0 {
		m.triedRegistrar = []Try{{What: tryRegistrarWithout, About: oneLine(m.registrar)}}
	}
	if k.DNS != nil && m.name == m.place.Registrable {
		m.addresses = k.DNS.Addresses
	}
	return m, nil
}

// tellable is the address of a page as others may read it: without query, without
// addresses of people, and cut before a part of the path that may name a person.
func tellable(link string, name bolwerk.Domain) (page string, cut bool) {
	clean, _ := unwrap.Strip(link, nil)
	u, err := url.Parse(clean)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || !strings.EqualFold(u.Hostname(), name.String()) || len(clean) > 1000 {
		return "", false
	}
	parts := strings.Split(u.EscapedPath(), "/")
	for i, p := range parts {
		if personalPart(p) {
			parts, cut = append(parts[:i:i], ""), true
			break
		}
	}
	return u.Scheme + "://" + u.Host + strings.Join(parts, "/"), cut
}

// personalPart says that a part of a path looks like a number given to one person:
// long, of letters and digits or of digits alone, or changed by Strip.
func personalPart(p string) bool {
	if strings.Contains(p, "@") || strings.Contains(strings.ToLower(p), "%40") {
		return true
	}
	letters, digits := 0, 0
	for _, r := range p {
		switch {
		case r >= '0' && r <= '9':
			digits++
		case r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z':
			letters++
		}
	}
	return len(p) >= 12 && digits >= 3 && (letters > 0 || digits >= 12)
}

// makeNotices is the job that sees who is to be told of a decision, and asks the
// registry whose network the page stands in.
func (s *Shield) makeNotices(ctx context.Context, j job.Job) error {
	var m matter
	err := s.db.Read(ctx, func(tx *store.Tx) (err error) { m, err = s.matterOf(tx, j.Ref); return err })
	if errors.Is(err, errOver) {
		return nil
	}
	if err != nil {
		return err
	}
	if m.person && s.cfg.Notices.Host && s.tellsHost(m) {
		s.findHost(ctx, &m) // without an answer the others are told all the same
	}
	return s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		again, err := s.matterOf(tx, j.Ref)
		if errors.Is(err, errOver) {
			return nil // withdrawn while we asked
		}
		if err != nil {
			return err
		}
		again.addresses, again.hostName, again.hostAbuse, again.triedHost = m.addresses, m.hostName, m.hostAbuse, m.triedHost
		if again.returned, err = returnedOf(tx, s.candidates(again)...); err != nil {
			return err
		}
		all, untold := s.recipients(again)
		for _, to := range all {
			if err := s.addNotice(tx, again, to); err != nil {
				return err
			}
		}
		return keepUntold(tx, again.caseID, untold)
	})
}

// tellsHost says that whoever runs the machine behind the name has something to
// take down: the name is one party's own, and not one that everybody uses.
func (s *Shield) tellsHost(m matter) bool {
	_, popular := s.guard.rules().popular.Rank(m.name)
	return !m.place.Shared && (!popular || m.compromised)
}

// findHost asks where the page stands and whose network that is.
func (s *Shield) findHost(ctx context.Context, m *matter) {
	ctx, cancel := context.WithTimeout(ctx, 3*askTime)
	defer cancel()
	tried := func(what, about, detail string) {
		m.triedHost = append(m.triedHost, Try{what, oneLine(about), oneLine(detail)})
	}
	if to, err := netip.ParseAddrPort(s.cfg.Lookup.Resolver); err == nil {
		a, err := lookup.Resolve(ctx, to, m.name, bolwerk.Domain{})
		switch {
		case err != nil:
			tried(tryNoAddress, m.name.String(), short(err))
		default:
			m.addresses = a.Addresses
		}
	} else if len(m.addresses) == 0 {
		tried(tryNoResolver, "", "")
	}
	some := m.addresses[:min(len(m.addresses), 4)]
	if len(some) > 0 {
		text := make([]string, len(some))
		for i, a := range some {
			text[i] = a.String()
		}
		tried(tryAddresses, m.name.String(), strings.Join(text, ", "))
	} else if len(m.triedHost) == 0 {
		tried(tryNoAddress, m.name.String(), "")
	}
	nets, err := s.cfg.Lookup.networks()
	if err != nil || len(nets) == 0 {
		tried(tryNoNetworks, "", "")
		return
	}
	for _, a := range some {
		n, err := nets.AskNetwork(ctx, s.asker, a)
		if err != nil {
			s.log.Warn("whose network a page stands in is not known", "address", a, "err", err)
			tried(tryNetworkFailed, a.String(), short(err))
			continue
		}
		if len(n.Abuse) > 0 {
			m.hostName, m.hostAbuse = orElse(n.Name, n.Handle), n.Abuse
			return
		}
		tried(tryNetworkWithout, a.String(), orElse(n.Name, n.Handle))
	}
}

// towards is one recipient of a notice.
type towards struct {
	kind, who string
	mail      mail.Address
	url       string
	format    string
	lang      bolwerk.Lang
}

func (t towards) text() string {
	if t.url != "" {
		return t.url
	}
	return t.mail.String()
}

// recipients are all who are to be told. Only the confirmed name itself leads to
// somebody: what stands between it and the reader, such as a shortener, a filter
// or a platform, is never told. untold are those of whom no address is known that
// can be written to.
func (s *Shield) recipients(m matter) (out []towards, untold []Untold) {
	c := s.cfg.Notices
	if m.place.Shared {
		return nil, nil
	}
	without := func(kind, who string, tried ...Try) {
		untold = append(untold, Untold{Kind: kind, Who: oneLine(who), Tried: tried})
	}
	add := func(t towards) {
		if at, ok := m.returned.has(t.mail); ok && t.url == "" {
			without(t.kind, t.who, cameBack(t.mail, at))
			return
		}
		if t.url == "" && s.ours(t.mail) || slices.ContainsFunc(out, func(o towards) bool { return o.text() == t.text() }) {
			return
		}
		if t.lang == "" {
			t.lang = s.langOf(t.mail)
		}
		out = append(out, t)
	}
	for _, to := range c.To {
		if to.Format == formatWebRisk && m.class != "" && m.class != "phishing" && m.class != "malware" {
			continue // their list takes no shops and no other frauds
		}
		if !m.person && !to.BeforeDecision || to.Kind == ToBrand && !strings.EqualFold(to.Brand, m.brand) {
			continue
		}
		add(towards{to.Kind, to.Name, to.Mail, to.URL, orElse(to.Format, formatJSON), to.Lang})
	}
	if !m.person {
		return out, untold
	}
	contact := func(kind, who string, abuse []string, tried []Try) {
		for _, text := range abuse {
			a, err := mail.ParseAddress(text)
			at, back := m.returned.has(a)
			switch {
			case err != nil:
				tried = append(tried, Try{What: tryUnreadable, About: oneLine(text)})
			case m.within(a.Domain()): // whoever registered the name may have a say in what a registry answers
				tried = append(tried, Try{What: tryWithin, About: a.String()})
			case s.ours(a):
				tried = append(tried, Try{What: tryOurs, About: a.String()})
			case back:
				tried = append(tried, cameBack(a, at))
			default:
				add(towards{kind: kind, who: orElse(who, a.Domain().String()), mail: a})
				return
			}
		}
		without(kind, who, tried...)
	}
	if c.Host && s.tellsHost(m) {
		contact(ToHost, m.hostName, m.hostAbuse, m.triedHost)
	}
	_, popular := s.guard.rules().popular.Rank(m.place.Registrable)
	if c.Registrar && !m.compromised && !popular && m.place.Tenant.IsZero() {
		contact(ToRegistrar, m.registrar, m.registrarAbuse, m.triedRegistrar)
	}
	if c.Owner && m.compromised && m.place.Tenant.IsZero() && !m.place.Registrable.IsZero() {
		if a, err := mail.ParseAddress("webmaster@" + m.place.Registrable.String()); err == nil { // RFC 2142 section 5
			add(towards{kind: ToOwner, who: m.place.Registrable.String(), mail: a})
		}
	}
	return out, untold
}

// candidates are the mail addresses that a notice about something could go to.
func (s *Shield) candidates(m matter) (out []mail.Address) {
	texts := append(slices.Clone(m.hostAbuse), m.registrarAbuse...)
	if !m.place.Registrable.IsZero() {
		texts = append(texts, "webmaster@"+m.place.Registrable.String())
	}
	for _, text := range texts[:min(len(texts), 50)] {
		if a, err := mail.ParseAddress(text); err == nil {
			out = append(out, a)
		}
	}
	for _, to := range s.cfg.Notices.To {
		if to.URL == "" {
			out = append(out, to.Mail)
		}
	}
	return out
}

// within says that a domain belongs to whoever has the name.
func (m matter) within(d bolwerk.Domain) bool {
	owner := m.place.Owner()
	return !owner.IsZero() && (d == owner || strings.HasSuffix(d.String(), "."+owner.String()))
}

// ours says that an address is one of the operator: telling it would be talking
// to oneself, and an answer would come in as a report.
func (s *Shield) ours(a mail.Address) bool {
	if a.IsZero() || a.Same(s.noticeFrom()) || slices.ContainsFunc(s.cfg.ours(), a.Same) {
		return true
	}
	return slices.ContainsFunc(s.cfg.OwnNames, func(o bolwerk.Domain) bool {
		return a.Domain() == o || strings.HasSuffix(a.Domain().String(), "."+o.String())
	})
}

func (s *Shield) noticeFrom() mail.Address {
	if s.cfg.Notices.From.IsZero() {
		return s.cfg.AnswerFrom
	}
	return s.cfg.Notices.From
}

// langOf is the language of an address by its country, where one of ours is spoken
// there by nearly everybody.
func (s *Shield) langOf(a mail.Address) bolwerk.Lang {
	text := a.Domain().String()
	switch text[strings.LastIndexByte(text, '.')+1:] {
	case "nl":
		return bolwerk.NL
	case "fr":
		return bolwerk.FR
	case "de", "at":
		return bolwerk.DE
	}
	return s.cfg.Notices.Lang
}

// addNotice writes one notice as it goes out. A recipient is told once of a case,
// unless what it would have been told was dropped.
func (s *Shield) addNotice(tx *store.Tx, m matter, to towards) error {
	ref, err := desk.Number(tx, "N")
	if err != nil {
		return err
	}
	n := Notice{ID: bolwerk.NewID(tx.Now()), Ref: ref, Name: m.name.String(), Kind: to.kind, Who: to.who, To: to.text(), Lang: string(to.lang), MadeAt: tx.Now(),
		Say: NoticeHeld, block: m.block, caseID: m.caseID, messageID: bolwerk.NewToken().Hash()[:32], api: to.url != ""}
	if err := s.write(&n, m, to); err != nil {
		return err
	}
	return s.keepNotice(tx, n)
}

func (s *Shield) keepNotice(tx *store.Tx, n Notice) error {
	if !n.Fix {
		ok, err := released(tx, n.first())
		if err != nil {
			return err
		}
		if ok {
			n.Say = NoticeWaiting
		}
	}
	if _, err := tx.Exec(`delete from shield_notice where case_id=$1 and to_text=$2 and correction=$3 and state='dropped' and sent_at=0`, n.caseID, n.To, n.Fix); err != nil {
		return err
	}
	added, err := tx.Exec(`insert into shield_notice(id,ref,case_id,block,about,kind,who,to_text,api,lang,correction,subject,body,report,message_id,state,tries,error,receipt,made_at,sent_at,receipt_at)
		values($1,$2,$3,$4,$5,$6,$7,$8,$9,$10,$11,$12,$13,$14,$15,$16,0,'','',$17,0,0) on conflict(case_id,to_text,correction) do nothing`,
		n.ID, n.Ref, n.caseID, n.block, n.Name, n.Kind, n.Who, n.To, n.api, n.Lang, n.Fix, n.Subject, n.Body, n.Report, n.messageID, string(n.Say), store.Micros(n.MadeAt))
	if err != nil || added == 0 || n.Say != NoticeWaiting {
		return err
	}
	return s.wait(tx, n)
}

// correctNotices takes back what recipients were told about a case: what has left
// is corrected, what has not is dropped. why is a Cause, or "rejected".
func (s *Shield) correctNotices(tx *store.Tx, caseID, why string) error {
	if caseID == "" {
		return nil
	}
	all, err := noticesOf(tx, caseID)
	if err != nil {
		return err
	}
	for _, n := range all {
		if n.Fix {
			continue
		}
		if n.Say == NoticeHeld || n.Say == NoticeWaiting {
			if _, err := tx.Exec(`update shield_notice set state='dropped', error=$1 where id=$2 and state in ('held','waiting')`, takenBack(why), n.ID); err != nil {
				return err
			}
			continue
		}
		if !n.SentAt.IsZero() && n.Say != NoticeReturned { // who never had it needs no correction
			if err := s.correct(tx, n, why); err != nil {
				return err
			}
		}
	}
	return nil
}

// takenBack is why a notice that had not left was dropped.
func takenBack(why string) string {
	switch Cause(why) {
	case OnAppeal:
		return dropped("taken back: an appeal was upheld")
	case Cleaned:
		return dropped("taken back: the site is clean again")
	case "rejected":
		return dropped("taken back: the case was rejected")
	}
	return dropped("taken back: the block was withdrawn")
}

// dropped marks a stored reason, so that it is there in every language.
func dropped(why string) string { return why }

func (s *Shield) correct(tx *store.Tx, n Notice, why string) error {
	ref, err := desk.Number(tx, "N")
	if err != nil {
		return err
	}
	fix := Notice{ID: bolwerk.NewID(tx.Now()), Ref: ref, Name: n.Name, Kind: n.Kind, Who: n.Who, To: n.To, Lang: n.Lang, Fix: true, Say: NoticeWaiting, MadeAt: tx.Now(),
		block: n.block, caseID: n.caseID, messageID: bolwerk.NewToken().Hash()[:32], api: n.api}
	if err := s.writeFix(&fix, n, why); err != nil {
		return err
	}
	return s.keepNotice(tx, fix)
}

// stillTrue says that what a notice tells still holds.
func stillTrue(tx *store.Tx, n Notice) (bool, error) {
	if n.Fix {
		return true, nil
	}
	if n.block != "" {
		b, err := findBlock(tx, n.block)
		if errors.Is(err, bolwerk.ErrNotFound) {
			return false, nil
		}
		return b.State == InForce, err
	}
	c, err := desk.FindCase(tx, n.caseID)
	if errors.Is(err, bolwerk.ErrNotFound) {
		return false, nil
	}
	return c.Outcome != "rejected", err
}

// statusOf is what an API's answer means to a job: nil is taken.
func statusOf(code int) (refused, ok bool) {
	switch {
	case code/100 == 2:
		return false, true
	case code == http.StatusRequestTimeout, code == http.StatusTooManyRequests, code/100 == 5:
		return false, false
	}
	return true, false
}
