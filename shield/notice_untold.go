package shield

import (
	"context"
	"encoding/json"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/shield/judge"
	"bolwerk/shield/reading"
)

// Untold is somebody who was to be told of a case and was not, because no address
// was found that can be written to. A person may know one.
type Untold struct {
	Kind  string    `json:"kind" enum:"authority,browsers,brand,host,registrar,owner"`
	Who   string    `json:"who,omitempty" doc:"recipient, where one is known"`
	Tried []Try     `json:"tried" doc:"what was tried, in order"`
	At    time.Time `json:"at" doc:"when"`
}

// Try is one thing that was tried to find an address.
type Try struct {
	// What is a code: text shield.untold.CODE says it.
	What   string `json:"what" enum:"no_resolver,no_address,addresses,no_networks,network_failed,network_without,no_rdap,registry_silent,registrar_without,within,ours,unreadable,came_back"`
	About  string `json:"about,omitempty" doc:"name or address that it was about"`
	Detail string `json:"detail,omitempty" doc:"what came of it"`
}

// Codes of what was tried.
const (
	tryNoResolver       = "no_resolver"       // shield.lookup.resolver is not set
	tryNoAddress        = "no_address"        // the name has no address, or none was told
	tryAddresses        = "addresses"         // where the page stands
	tryNoNetworks       = "no_networks"       // shield.lookup.networks is not set
	tryNetworkFailed    = "network_failed"    // the registry of an address did not say
	tryNetworkWithout   = "network_without"   // it said, without an abuse contact
	tryNoRDAP           = "no_rdap"           // shield.lookup.rdap is not set
	tryRegistrySilent   = "registry_silent"   // the registry of the name has not answered
	tryRegistrarWithout = "registrar_without" // it has, without an abuse contact
	tryWithin           = "within"            // the contact lies below the name itself
	tryOurs             = "ours"              // the contact is the operator
	tryUnreadable       = "unreadable"        // the contact is no mail address
	tryCameBack         = "came_back"         // mail to the contact came back
)

// untoldOf are those who could not be told of a case.
func untoldOf(tx *store.Tx, caseID string) ([]Untold, error) {
	return store.List(tx, func(scan func(...any) error) (u Untold, err error) {
		var tried string
		var at int64
		if err = scan(&u.Kind, &u.Who, &tried, &at); err == nil {
			u.At = store.Time(at)
			err = json.Unmarshal([]byte(tried), &u.Tried)
		}
		return u, err
	}, `select kind,who,tried,at from shield_notice_untold where case_id=$1 order by kind, who limit 50`, caseID)
}

// keepUntold notes who could not be told, in the place of what was noted before.
func keepUntold(tx *store.Tx, caseID string, all []Untold) error {
	if _, err := tx.Exec(`delete from shield_notice_untold where case_id=$1`, caseID); err != nil {
		return err
	}
	for _, u := range all {
		tried, err := json.Marshal(orNone(u.Tried))
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`insert into shield_notice_untold(case_id,kind,who,tried,at) values($1,$2,$3,$4,$5) on conflict do nothing`, caseID, u.Kind, u.Who, string(tried), tx.NowMicros()); err != nil {
			return err
		}
	}
	return nil
}

func cameBack(a mail.Address, at time.Time) Try {
	return Try{What: tryCameBack, About: a.String(), Detail: at.UTC().Format(time.DateOnly)}
}

// cameBackFrom says that what was sent to the address of a notice came back.
func cameBackFrom(tx *store.Tx, n Notice) (bool, error) {
	if n.api {
		return false, nil
	}
	var k int64
	err := tx.Row(`select count(*) from shield_notice_returned where address=$1`, strings.ToLower(n.To)).Scan(&k)
	return k > 0, err
}

func (s *Shield) cameBack(ctx context.Context, n Notice) (back bool, err error) {
	err = s.db.Read(ctx, func(tx *store.Tx) error { back, err = cameBackFrom(tx, n); return err })
	return back, err
}

// returned are those of some addresses from which mail came back.
type returned map[string]time.Time

func (r returned) has(a mail.Address) (time.Time, bool) {
	at, ok := r[returnedKey(a)]
	return at, ok
}

func returnedKey(a mail.Address) string { return strings.ToLower(a.String()) }

func returnedOf(tx *store.Tx, all ...mail.Address) (returned, error) {
	out := returned{}
	for _, a := range all {
		var at int64
		err := tx.Row(`select at from shield_notice_returned where address=$1`, returnedKey(a)).Scan(&at)
		if store.None(err) {
			continue
		}
		if err != nil {
			return nil, err
		}
		out[returnedKey(a)] = store.Time(at)
	}
	return out, nil
}

// noticeReturned takes a delivery report about a notice of ours: the notice did not
// arrive, and its address is used no more until a person says so. Only who was
// written to knows the Message-ID, so nobody else can have an address struck off.
func (s *Shield) noticeReturned(tx *store.Tx, ids []string, d *reading.Delivery) (bool, error) {
	if !d.Failed() {
		return false, nil
	}
	for _, id := range ids {
		n, err := readNotice(tx.Row(`select `+noticeColumns+` where n.message_id=$1 and n.sent_at>0`, id).Scan)
		if store.None(err) {
			continue
		}
		if err != nil || n.api {
			return false, err
		}
		why := oneLine(strings.TrimSpace(d.Status + " " + d.Why))
		if _, err := tx.Exec(`update shield_notice set state='returned', error=$1 where id=$2 and state='sent'`, why, n.ID); err != nil {
			return false, err
		}
		_, err = tx.Exec(`insert into shield_notice_returned(address,notice,why,at) values($1,$2,$3,$4) on conflict(address) do update set notice=excluded.notice, why=excluded.why, at=excluded.at`,
			strings.ToLower(n.To), n.ID, why, tx.NowMicros())
		tx.After(func() {
			s.count.notices.WithLabelValues(n.Kind, "returned").Inc()
			s.log.Error("a notice came back: its address is used no more", "alarm", true, "notice", n.Ref, "kind", n.Kind)
		})
		return true, err
	}
	return false, nil
}

// UseAddressAgain lets notices go again to the address of one that came back.
func (s *Shield) UseAddressAgain(ctx context.Context, who judge.Person, id string) error {
	if err := judge.May(who, judge.TellOutside); err != nil {
		return err
	}
	return s.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		n, err := findNotice(tx, id)
		if err != nil {
			return err
		}
		k, err := tx.Exec(`delete from shield_notice_returned where address=$1`, strings.ToLower(n.To))
		if err == nil && k == 0 {
			return bolwerk.Conflict("nothing that was sent to %s came back", n.To)
		}
		audit.Append(tx, bolwerk.Person(who.ID), "shield.notice.use_again", n.Ref, "", map[string]string{"to": n.To})
		return err
	})
}
