// Package webhook tells facts to other systems by HTTP: signed, tried again with
// back-off, given up loudly, and never into the desk's own network.
package webhook

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/clock"
	"bolwerk/internal/factlog"
	"bolwerk/internal/gate"
	"bolwerk/internal/job"
	"bolwerk/internal/seal"
	"bolwerk/internal/store"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "webhook", Steps: []string{schema}} }

// Config says where webhooks may lead.
type Config struct {
	// Allow are networks that are not public and may be told all the same, by
	// http too: such as the staff network of a SIEM.
	Allow []netip.Prefix `toml:"allow"`
}

// Headers of a delivery. Signature is "t=SECONDS,v1=HEX", with a second v1 while
// a key is being changed: HMAC-SHA-256 over SECONDS, a full stop and the body.
const (
	HeaderSubject   = "Bolwerk-Subject"
	HeaderDelivery  = "Bolwerk-Delivery" // the same at each try
	HeaderSignature = "Bolwerk-Signature"
)

// Test is the subject of a test delivery.
const Test = "webhook.test"

const (
	maxHooks    = 50
	perRound    = 200     // facts that one hook takes up at once
	waiting     = 5_000   // deliveries of one hook under way; the next wait in the fact log
	maxReplay   = 100_000 // facts
	keep        = 30 * 24 * time.Hour
	tryTime     = 10 * time.Second
	deliveryJob = "webhook.deliver"
)

// Hook is one receiver.
type Hook struct {
	ID       string    `json:"id"`
	State    string    `json:"state" enum:"on,paused,off"`
	Name     string    `json:"name" doc:"host of the address"`
	URL      string    `json:"url"`
	Subjects []string  `json:"subjects" doc:"facts that are told; shield.block stands for all that begin so"`
	Note     string    `json:"note,omitempty"`
	TwoKeys  bool      `json:"two_keys" doc:"the key is being changed: both sign"`
	At       time.Time `json:"at"`
}

// Told is one fact on its way to one receiver.
type Told struct {
	ID      string    `json:"id"`
	State   string    `json:"state" enum:"waiting,done,failed,parked"`
	Name    string    `json:"name" doc:"subject of the fact"`
	Seq     int64     `json:"seq" doc:"number of the fact; 0 is a test"`
	Tries   int       `json:"tries"`
	Status  int       `json:"status" doc:"HTTP status of the last answer; 0 is none"`
	Error   string    `json:"error,omitempty"`
	At      time.Time `json:"at"`
	Tried   time.Time `json:"tried,omitzero"`
	NextTry time.Time `json:"next_try,omitzero"`
}

// Hooks are the receivers. They are safe for concurrent use.
type Hooks struct {
	db     *store.DB
	clock  clock.Clock
	log    *slog.Logger
	gate   *gate.Gate
	client *http.Client
	key    seal.PrivateKey
	known  []string // subjects that there are
	told   *prometheus.CounterVec
}

// New keeps what it is given; known are the subjects that there are, key seals
// the signing keys. reg may be nil.
func New(cfg Config, db *store.DB, key seal.PrivateKey, known []string, c clock.Clock, log *slog.Logger, reg prometheus.Registerer) *Hooks {
	g := gate.New(cfg.Allow)
	h := &Hooks{db: db, clock: c, log: log, gate: g, client: g.Client(tryTime), key: key, known: known,
		told: prometheus.NewCounterVec(prometheus.CounterOpts{Name: "bolwerk_webhook_tries_total", Help: "Tries to deliver a webhook, by result (done, refused, away)."}, []string{"result"})}
	if reg != nil {
		reg.MustRegister(h.told)
	}
	return h
}

// Handle gives a runner of jobs the deliveries; before its Run. Those of one hook are
// tried one after the other; no other hook waits for them.
func (h *Hooks) Handle(r *job.Runner) { r.Handle(deliveryJob, h.deliver) }

// check refuses an address that is none of a receiver.
func (h *Hooks) check(address string, subjects []string) error {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" || u.User != nil || len(address) > 1000 || u.Scheme != "https" && u.Scheme != "http" {
		return bolwerk.Invalid("url: want an address such as https://siem.example/bolwerk, without a password in it")
	}
	if a, err := netip.ParseAddr(u.Hostname()); err == nil {
		if err := h.gate.Check(a); err != nil {
			return bolwerk.WithHint(bolwerk.Forbidden("url: %v", err), "an administrator can allow a network of your own: [webhook] allow in the configuration")
		}
	}
	if len(subjects) == 0 {
		return bolwerk.WithHint(bolwerk.Invalid("subjects: want at least one"), "such as shield.block, or shield.block.placed")
	}
	for _, s := range subjects {
		if !slices.ContainsFunc(h.known, func(k string) bool { return covers(s, k) }) {
			return bolwerk.WithHint(bolwerk.Invalid("subjects: nothing is called %.60q", s), fmt.Sprintf("there are %s", strings.Join(h.known, ", ")))
		}
	}
	return nil
}

// covers says that a filter means a subject: it is it, or begins it.
func covers(filter, subject string) bool {
	return filter == subject || strings.HasPrefix(subject, filter+".")
}

// Add adds a receiver that is told what happens from now on. The signing key is
// given this once.
func (h *Hooks) Add(ctx context.Context, by bolwerk.Actor, address string, subjects []string, note string) (hook Hook, key string, err error) {
	if err := h.check(address, subjects); err != nil {
		return hook, "", err
	}
	key, sealed, err := h.newKey()
	if err != nil {
		return hook, "", err
	}
	err = h.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		var n, seq int64
		if err := tx.Row(`select count(*) from webhook where state<>'off'`).Scan(&n); err != nil {
			return err
		}
		if n >= maxHooks {
			return bolwerk.Conflict("there are %d webhooks already", n)
		}
		if err := tx.Row(`select coalesce(max(seq),0) from fact`).Scan(&seq); err != nil {
			return err
		}
		id := bolwerk.NewID(tx.Now())
		if _, err := tx.Exec(`insert into webhook(id,url,subjects,note,secret,seq,state,actor,at) values($1,$2,$3,$4,$5,$6,'on',$7,$8)`,
			id, address, strings.Join(subjects, " "), note, sealed, seq, by.String(), tx.NowMicros()); err != nil {
			return err
		}
		audit.Append(tx, by, "webhook.add", id, note, map[string]any{"host": hostOf(address), "subjects": subjects})
		hook, err = find(tx, id)
		return err
	})
	return hook, key, err
}

func hostOf(address string) string {
	u, err := url.Parse(address)
	if err != nil {
		return ""
	}
	return u.Host
}

// newKey is 32 random octets, in base64 for people and sealed for the store.
func (h *Hooks) newKey() (string, []byte, error) {
	b := make([]byte, 32)
	rand.Read(b) // never fails
	text := base64.StdEncoding.EncodeToString(b)
	sealed, err := seal.Seal(h.key.Public(), "webhook", []byte(text))
	return text, sealed, err
}

const columns = `id,url,subjects,note,former is not null,state,at`

func read(scan func(...any) error) (h Hook, err error) {
	var subjects string
	var at int64
	err = scan(&h.ID, &h.URL, &subjects, &h.Note, &h.TwoKeys, &h.State, &at)
	h.Subjects, h.At, h.Name = strings.Fields(subjects), store.Time(at), hostOf(h.URL)
	return h, err
}

func find(tx *store.Tx, id string) (Hook, error) {
	h, err := read(tx.Row(`select `+columns+` from webhook where id=$1 and state<>'off'`, id).Scan)
	if store.None(err) {
		return h, bolwerk.NotFound("no webhook %q", id)
	}
	return h, err
}

// List gives the receivers, oldest first.
func (h *Hooks) List(ctx context.Context) (out []Hook, err error) {
	err = h.db.Read(ctx, func(tx *store.Tx) error {
		out, err = store.List(tx, read, `select `+columns+` from webhook where state<>'off' order by id`)
		return err
	})
	return out, err
}

// Rotate gives a receiver a new signing key; the one before signs too until
// finish is asked for.
func (h *Hooks) Rotate(ctx context.Context, by bolwerk.Actor, id string, finish bool) (key string, err error) {
	var sealed []byte
	if !finish {
		if key, sealed, err = h.newKey(); err != nil {
			return "", err
		}
	}
	return key, h.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		hook, err := find(tx, id)
		switch {
		case err != nil:
			return err
		case finish:
			_, err = tx.Exec(`update webhook set former=null where id=$1`, id)
		case hook.TwoKeys:
			return bolwerk.WithHint(bolwerk.Conflict("the key of %s is being changed already", hook.Name), "finish that first: the former key stops signing")
		default:
			_, err = tx.Exec(`update webhook set former=secret, secret=$1 where id=$2`, sealed, id)
		}
		audit.Append(tx, by, "webhook.rotate", id, "", map[string]bool{"finish": finish})
		return err
	})
}

// Remove ends a receiver; what is on its way to it is dropped.
func (h *Hooks) Remove(ctx context.Context, by bolwerk.Actor, id string) error {
	return h.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if _, err := find(tx, id); err != nil {
			return err
		}
		audit.Append(tx, by, "webhook.remove", id, "", nil)
		_, err := tx.Exec(`update webhook set state='off', secret=$1, former=null where id=$2`, []byte{}, id)
		return err
	})
}

// Known are the subjects that there are.
func (h *Hooks) Known() []string { return h.known }

// Pause stops telling a receiver, or goes on with what happened meanwhile. What is
// on its way already is still tried.
func (h *Hooks) Pause(ctx context.Context, by bolwerk.Actor, id string, pause bool) error {
	to, done := "on", "webhook.resume"
	if pause {
		to, done = "paused", "webhook.pause"
	}
	return h.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		hook, err := find(tx, id)
		if err != nil || hook.State == to {
			return err
		}
		audit.Append(tx, by, done, id, "", nil)
		_, err = tx.Exec(`update webhook set state=$1 where id=$2`, to, id)
		return err
	})
}

// Find gives a receiver.
func (h *Hooks) Find(ctx context.Context, id string) (hook Hook, err error) {
	err = h.db.Read(ctx, func(tx *store.Tx) error { hook, err = find(tx, id); return err })
	return hook, err
}

// Try sends a test to a receiver at once and gives what came of it.
func (h *Hooks) Try(ctx context.Context, id string) (d Told, err error) {
	d = Told{ID: bolwerk.NewID(h.clock.Now()), Name: Test, At: h.clock.Now(), Tries: 1, State: "failed"}
	status, err := h.send(ctx, id, d.ID, factlog.Fact{ID: d.ID, Subject: Test, Version: 1, At: d.At, Body: json.RawMessage(`{}`)})
	d.Status, d.Tried = status, h.clock.Now()
	switch {
	case errors.Is(err, bolwerk.ErrNotFound):
		return d, err
	case err != nil:
		d.Error = err.Error()
	default:
		d.State = "done"
	}
	return d, nil
}

// Replay tells a receiver again what happened since a time.
func (h *Hooks) Replay(ctx context.Context, by bolwerk.Actor, id string, since time.Time) (facts int64, err error) {
	err = h.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		if _, err := find(tx, id); err != nil {
			return err
		}
		var place int64
		if err := tx.Row(`select seq from webhook where id=$1`, id).Scan(&place); err != nil {
			return err
		}
		var from *int64
		if err := tx.Row(`select min(seq) from (select seq from fact where at>=$1 and seq>$2) x`, store.Micros(since), place-maxReplay).Scan(&from); err != nil {
			return err
		}
		if from == nil || *from > place {
			return nil
		}
		facts = place - *from + 1
		audit.Append(tx, by, "webhook.replay", id, "", map[string]any{"since": since})
		_, err := tx.Exec(`update webhook set seq=$1 where id=$2`, *from-1, id)
		return err
	})
	return facts, err
}

// Deliveries lists what went to a receiver, newest first; after is the last of
// the page before.
func (h *Hooks) Deliveries(ctx context.Context, id, after string, limit int) (out []Told, err error) {
	if after == "" {
		after = "g" // above every id: they are hexadecimal
	}
	err = h.db.Read(ctx, func(tx *store.Tx) error {
		if _, err := find(tx, id); err != nil {
			return err
		}
		out, err = store.List(tx, func(scan func(...any) error) (d Told, err error) {
			var at, tried, due int64
			err = scan(&d.ID, &d.Name, &d.Seq, &d.Status, &d.Error, &tried, &at, &d.State, &d.Tries, &due)
			d.At, d.Tried = store.Time(at), store.Time(tried)
			if d.State == "waiting" {
				d.NextTry = store.Time(due)
			}
			return d, err
		}, `select d.id,d.subject,d.seq,d.status,d.error,d.tried,d.at,j.state,j.tries,j.due from webhook_delivery d
			join job j on j.kind='`+deliveryJob+`' and j.key=d.id where d.hook=$1 and d.id<$2 order by d.id desc limit $3`, id, after, limit)
		return err
	})
	return out, err
}

// Run takes up facts for the receivers until ctx ends.
func (h *Hooks) Run(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		if err := h.round(ctx); err != nil && ctx.Err() == nil {
			h.log.Error("webhooks not taken up", "alarm", true, "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

func (h *Hooks) round(ctx context.Context) error {
	type place struct {
		id, subjects string
		seq          int64
	}
	var all []place
	err := h.db.Read(ctx, func(tx *store.Tx) (err error) {
		all, err = store.List(tx, func(scan func(...any) error) (p place, err error) {
			err = scan(&p.id, &p.subjects, &p.seq)
			return p, err
		}, `select w.id,w.subjects,w.seq from webhook w where w.state='on' and w.seq<(select coalesce(max(seq),0) from fact)`)
		return err
	})
	if err != nil {
		return err
	}
	for _, p := range all {
		for more := true; more && ctx.Err() == nil; {
			if more, err = h.take(ctx, p.id, strings.Fields(p.subjects)); err != nil {
				return err
			}
		}
	}
	return nil
}

// take makes deliveries of the next facts and says whether there are more.
func (h *Hooks) take(ctx context.Context, id string, subjects []string) (more bool, err error) {
	err = h.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		more = false
		var place, underWay int64
		if err := tx.Row(`select seq from webhook where id=$1 and state='on'`, id).Scan(&place); err != nil {
			if store.None(err) {
				return nil
			}
			return err
		}
		if err := tx.Row(`select count(*) from (select 1 from webhook_delivery d join job j on j.kind='`+deliveryJob+`' and j.key=d.id where d.hook=$1 and not d.done and j.state='waiting' limit $2) x`, id, waiting).Scan(&underWay); err != nil {
			return err
		}
		if underWay >= waiting {
			return nil // what follows waits in the fact log
		}
		type found struct {
			seq     int64
			subject string
		}
		facts, err := store.List(tx, func(scan func(...any) error) (f found, err error) { err = scan(&f.seq, &f.subject); return f, err },
			`select seq,subject from fact where seq>$1 order by seq limit $2`, place, perRound)
		if err != nil || len(facts) == 0 {
			return err
		}
		for i, f := range facts {
			if !slices.ContainsFunc(subjects, func(s string) bool { return covers(s, f.subject) }) {
				continue
			}
			d := bolwerk.NewID(tx.Now())
			if _, err := tx.Exec(`insert into webhook_delivery(id,hook,seq,subject,status,error,tried,done,at) values($1,$2,$3,$4,0,'',0,$5,$6)`, d, id, f.seq, f.subject, false, tx.NowMicros()); err != nil {
				return err
			}
			if err := job.AddBy(tx, deliveryJob, id, d, d, tx.Now().Add(time.Duration(i-perRound)*time.Microsecond)); err != nil {
				return err
			}
		}
		more = len(facts) == perRound
		_, err = tx.Exec(`update webhook set seq=$1 where id=$2`, facts[len(facts)-1].seq, id)
		return err
	})
	return more, err
}

// deliver is one try of a job.
func (h *Hooks) deliver(ctx context.Context, j job.Job) error {
	var hook string
	var fact factlog.Fact
	err := h.db.Read(ctx, func(tx *store.Tx) (err error) {
		var seq int64
		if err := tx.Row(`select hook,seq from webhook_delivery where id=$1`, j.Ref).Scan(&hook, &seq); err != nil {
			return err
		}
		fact, err = factlog.Find(tx, seq)
		return err
	})
	if store.None(err) {
		return bolwerk.Invalid("the fact or the delivery is no longer kept")
	}
	if err != nil {
		return err
	}
	status, sent := h.send(ctx, hook, j.Ref, fact)
	text := ""
	if sent != nil {
		text = sent.Error()
	}
	err = h.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		_, err := tx.Exec(`update webhook_delivery set status=$1, error=$2, tried=$3, done=$4 where id=$5`, status, text, tx.NowMicros(), sent == nil, j.Ref)
		return err
	})
	if errors.Is(sent, bolwerk.ErrNotFound) {
		return bolwerk.Invalid("the webhook was removed")
	}
	return errors.Join(sent, err)
}

// send does one request. A receiver that answers 2xx has taken it; 410 says that
// it wants nothing more of this delivery.
func (h *Hooks) send(ctx context.Context, hook, delivery string, fact factlog.Fact) (status int, err error) {
	var to Hook
	var keys []string
	err = h.db.Read(ctx, func(tx *store.Tx) (err error) {
		if to, err = find(tx, hook); err != nil {
			return err
		}
		keys, err = h.keys(tx, hook)
		return err
	})
	if err != nil {
		return 0, err
	}
	body, err := json.Marshal(fact)
	if err != nil {
		return 0, err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, to.URL, bytes.NewReader(body))
	if err != nil {
		return 0, err
	}
	if req.URL.Scheme == "http" && !h.plain(ctx, req.URL.Hostname()) {
		return 0, bolwerk.Forbidden("%s: http only goes to networks that [webhook] allow names", to.Name)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", "Bolwerk-Webhook/1")
	req.Header.Set(HeaderSubject, fact.Subject)
	req.Header.Set(HeaderDelivery, delivery)
	req.Header.Set(HeaderSignature, Sign(h.clock.Now(), body, keys...))
	res, err := h.client.Do(req)
	if err != nil {
		h.told.WithLabelValues("away").Inc()
		var u *url.Error
		if errors.As(err, &u) {
			err = u.Err // without the address, which may hold a secret of the receiver
		}
		if errors.Is(err, bolwerk.ErrForbidden) {
			return 0, bolwerk.Forbidden("%s: %v", to.Name, err)
		}
		return 0, fmt.Errorf("%s: %w", to.Name, err)
	}
	defer res.Body.Close()
	io.Copy(io.Discard, io.LimitReader(res.Body, 64<<10)) // so that the connection can be used again
	switch {
	case res.StatusCode >= 200 && res.StatusCode < 300:
		h.told.WithLabelValues("done").Inc()
		return res.StatusCode, nil
	case res.StatusCode == http.StatusGone:
		h.told.WithLabelValues("refused").Inc()
		return res.StatusCode, bolwerk.Invalid("%s answered 410: it wants no more of this", to.Name)
	}
	h.told.WithLabelValues("refused").Inc()
	return res.StatusCode, fmt.Errorf("%s answered %d", to.Name, res.StatusCode)
}

// plain says that a host is in the networks to which http may go.
func (h *Hooks) plain(ctx context.Context, host string) bool {
	all, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	return err == nil && len(all) > 0 && !slices.ContainsFunc(all, func(a netip.Addr) bool { return !h.gate.Allowed(a) })
}

func (h *Hooks) keys(tx *store.Tx, hook string) (out []string, err error) {
	var secret, former []byte
	if err := tx.Row(`select secret,former from webhook where id=$1`, hook).Scan(&secret, &former); err != nil {
		return nil, err
	}
	for _, s := range [][]byte{secret, former} {
		if len(s) == 0 {
			continue
		}
		k, err := seal.Open(s, "webhook", h.key)
		if err != nil {
			return nil, fmt.Errorf("signing key of a webhook: %w", err)
		}
		out = append(out, string(k))
	}
	return out, nil
}

// Sign makes the signature header of a body at a time, under each key (in
// base64, as it was given out).
func Sign(at time.Time, body []byte, keys ...string) string {
	t := strconv.FormatInt(at.Unix(), 10)
	out := "t=" + t
	for _, k := range keys {
		raw, err := base64.StdEncoding.DecodeString(k)
		if err != nil {
			continue
		}
		m := hmac.New(sha256.New, raw)
		m.Write([]byte(t + "."))
		m.Write(body)
		out += ",v1=" + hex.EncodeToString(m.Sum(nil))
	}
	return out
}

// Expire forgets old deliveries, a part at a time.
func Expire(tx *store.Tx) error {
	before := store.Micros(tx.Now().Add(-keep))
	if _, err := tx.Exec(`delete from job where kind='`+deliveryJob+`' and state<>'waiting' and key in (select id from webhook_delivery where at<$1 order by at limit 5000)`, before); err != nil {
		return err
	}
	_, err := tx.Exec(`delete from webhook_delivery where id in (select id from webhook_delivery where at<$1 order by at limit 5000)`, before)
	return err
}
