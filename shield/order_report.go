package shield

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"bolwerk/internal/store"
)

// OrderReport is what an issuer is told of its orders: how each stands that has
// changed since the last report, and once a day what was counted on the day
// before. It goes to Issuer.Report as the body of a POST; any 2xx takes it, and
// anything else is tried again later. The same report may come twice.
type OrderReport struct {
	Issuer string    `json:"issuer"`
	Sender string    `json:"sender"` // the operator
	SentAt time.Time `json:"sent_at"`
	// Orders that have changed, oldest change first, at most 1000.
	Orders []OrderOutcome `json:"orders,omitempty"`
	// Day is what was counted from midnight to midnight, UTC.
	Day  string      `json:"day,omitempty"`
	Hits []OrderHits `json:"hits,omitempty"` // of that day; orders without any are left out
}

// OrderOutcome is how an order stands.
type OrderOutcome struct {
	ID        string    `json:"id"` // the issuer's own
	Name      string    `json:"name"`
	State     string    `json:"state"`            // held, in_force, refused, lifted, ended
	Reason    string    `json:"reason,omitempty"` // why, where it is not in force
	Block     string    `json:"block,omitempty"`  // our public reference of the block
	ChangedAt time.Time `json:"changed_at"`
}

// OrderHits is what was counted at the block of an order. None of it is a
// number of persons.
type OrderHits struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Hits
}

const (
	reportOrders = 1000 // orders in one report
	reportEvery  = 5 * time.Second
	reportWait   = time.Minute // after a refusal, doubled up to reportMost
	reportMost   = time.Hour
)

// reportBack tells issuers what became of their orders, until ctx ends.
func (s *Shield) reportBack(ctx context.Context) error {
	tick := time.NewTicker(reportEvery)
	defer tick.Stop()
	wait, next := map[string]time.Duration{}, map[string]time.Time{}
	for {
		for _, is := range s.cfg.Issuers {
			if is.Report == "" || s.clock.Now().Before(next[is.Name]) {
				continue
			}
			err := s.reportTo(ctx, is)
			if err == nil || ctx.Err() != nil {
				delete(wait, is.Name)
				continue
			}
			wait[is.Name] = min(max(reportWait, 2*wait[is.Name]), reportMost)
			next[is.Name] = s.clock.Now().Add(wait[is.Name])
			s.log.Error("an issuer was not told of its orders", "alarm", true, "issuer", is.Name, "again_in", wait[is.Name], "err", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
	}
}

// reportTo sends what there is to tell, report by report.
func (s *Shield) reportTo(ctx context.Context, is Issuer) error {
	for {
		var rep OrderReport
		var to reportPlace
		err := s.db.Read(ctx, func(tx *store.Tx) (err error) {
			rep, to, err = orderReport(tx, is.Name)
			return err
		})
		if err != nil || len(rep.Orders) == 0 && rep.Day == "" {
			return err
		}
		rep.Sender, rep.SentAt = s.cfg.Operator, s.clock.Now()
		if err := s.sendReport(ctx, is, rep); err != nil {
			return err
		}
		err = s.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			_, err := tx.Exec(`insert into shield_order_report(issuer,changed_at,order_id,day) values($1,$2,$3,$4)
				on conflict(issuer) do update set changed_at=excluded.changed_at, order_id=excluded.order_id, day=excluded.day`, is.Name, to.changed, to.order, to.day)
			return err
		})
		if err != nil {
			return err
		}
	}
}

// reportPlace is how far an issuer has been told.
type reportPlace struct {
	changed int64  // time of the last change told
	order   string // and which of that time
	day     string // last day whose counts were told
}

// orderReport gathers what an issuer has not been told. Changes younger than a
// second wait: one that is committed later may carry an earlier time.
func orderReport(tx *store.Tx, issuer string) (r OrderReport, p reportPlace, err error) {
	r.Issuer = issuer
	err = tx.Row(`select changed_at,order_id,day from shield_order_report where issuer=$1`, issuer).Scan(&p.changed, &p.order, &p.day)
	if err != nil && !store.None(err) {
		return r, p, err
	}
	type row struct {
		id string
		us int64
		OrderOutcome
	}
	rows, err := store.List(tx, func(scan func(...any) error) (o row, err error) {
		err = scan(&o.id, &o.us, &o.ID, &o.Name, &o.State, &o.Reason, &o.Block)
		o.ChangedAt = store.Time(o.us)
		return o, err
	}, `select o.id,o.changed_at,o.external,o.subject,o.state,o.reason,coalesce(b.ref,'') from desk_order o left join shield_block b on b.id=o.object
		where o.issuer=$1 and o.changed_at>=$2 and (o.changed_at>$2 or o.id>$3) and o.changed_at<$4 order by o.changed_at,o.id limit $5`,
		issuer, p.changed, p.order, store.Micros(tx.Now().Add(-time.Second)), reportOrders)
	if err != nil {
		return r, p, err
	}
	for _, o := range rows {
		r.Orders = append(r.Orders, o.OrderOutcome)
		p.changed, p.order = o.us, o.id
	}
	today := tx.Now().UTC().Truncate(24 * time.Hour)
	// Counts come in up to ten minutes late.
	if day := today.AddDate(0, 0, -1).Format(time.DateOnly); day > p.day && tx.Now().UTC().Sub(today) > 10*time.Minute {
		r.Day, p.day = day, day
		r.Hits, err = store.List(tx, func(scan func(...any) error) (h OrderHits, err error) {
			err = scan(&h.ID, &h.Name, &h.DNS, &h.Page, &h.TLS)
			return h, err
		}, `select o.external,o.subject,sum(h.dns),sum(h.page),sum(h.tls) from shield_hits h join shield_block b on b.ref=h.block join desk_order o on o.id=b.order_id
			where o.issuer=$1 and h.bucket>=$2 and h.bucket<$3 group by o.external,o.subject order by o.external`,
			issuer, store.Micros(today.AddDate(0, 0, -1)), store.Micros(today))
	}
	return r, p, err
}

// sendReport posts a report, signed with the issuer's own key where there is one:
// a bearer JWT whose claim "sha256" is the digest of the body.
func (s *Shield) sendReport(ctx context.Context, is Issuer, rep OrderReport) error {
	body, err := json.Marshal(rep)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, is.Report, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "application/json")
	if is.KeyFile != "" {
		key, err := is.key()
		if err != nil {
			return err
		}
		sum := sha256.Sum256(body)
		now := s.clock.Now()
		token, err := jwt.NewWithClaims(jwt.SigningMethodHS512, jwt.MapClaims{"sub": is.Name, "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(),
			"sha256": hex.EncodeToString(sum[:])}).SignedString(key)
		if err != nil {
			return err
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := s.guard.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.CopyN(io.Discard, resp.Body, 64<<10) // so that the connection can serve again
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("POST %s: %s", is.Report, resp.Status)
	}
	return nil
}

// key is the secret that we share with the issuer.
func (i Issuer) key() ([]byte, error) {
	b, err := os.ReadFile(i.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("key of issuer %s: %w", i.Name, err)
	}
	key := []byte(strings.TrimSpace(string(b)))
	if len(key) < 32 {
		return nil, fmt.Errorf("key of issuer %s: %d bytes, want 32 or more", i.Name, len(key))
	}
	return key, nil
}
