// Package hosts is the desk's list of machines: invited, in, put out, and when
// they were last heard. It fills join.Register from the database.
package hosts

import (
	"context"
	_ "embed"
	"slices"
	"strings"
	"time"

	"bolwerk"
	"bolwerk/internal/audit"
	"bolwerk/internal/join"
	"bolwerk/internal/publish"
	"bolwerk/internal/store"
)

//go:embed schema.sql
var schema string

// Schema is the tables of this package.
func Schema() store.Schema { return store.Schema{Name: "hosts", Steps: []string{schema}} }

// List is the desk's list of hosts.
type List struct {
	db      *store.DB
	publish *publish.Desk // nil: relays are told nothing
}

// New keeps the store.
func New(db *store.DB) *List { return &List{db: db} }

// Invite keeps an invitation; the host of that name goes on until it is used.
func (l *List) Invite(ctx context.Context, inv join.Invitation) error {
	return l.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		audit.Append(tx, bolwerk.Socket(), "host.invite", inv.Name, "", map[string]string{"role": string(inv.Role), "invitation": inv.ID})
		_, err := tx.Exec(`insert into host_invitation(hash,id,name,role,expires,key_hash) values($1,$2,$3,$4,$5,'')`,
			inv.Hash, inv.ID, inv.Name, string(inv.Role), store.Micros(inv.Expires))
		return err
	})
}

// Redeem uses an invitation; see join.Register.
func (l *List) Redeem(ctx context.Context, hash, key string, now time.Time) (id join.Identity, err error) {
	err = l.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		var name, role, join_, used string
		var expires int64
		err := tx.Row(`select id,name,role,expires,key_hash from host_invitation where hash=$1`, hash).Scan(&join_, &name, &role, &expires, &used)
		if store.None(err) {
			return bolwerk.Forbidden("no such invitation")
		}
		if err != nil {
			return err
		}
		if store.Micros(now) > expires {
			return bolwerk.WithHint(bolwerk.Forbidden("the invitation of %s has expired", name), "make a new one: bolwerk host add "+name+" --role "+role)
		}
		if used != "" && used != key {
			return bolwerk.Forbidden("the invitation of %s was used by another machine", name)
		}
		id = join.Identity{Name: name, Role: join.Role(role), Join: join_}
		if used == key {
			var in int64
			if err := tx.Row(`select count(*) from host where name=$1 and join_id=$2 and revoked_at=0`, name, join_).Scan(&in); err != nil || in == 1 {
				return err
			}
			return bolwerk.Forbidden("host %s was put out", name)
		}
		if _, err := tx.Exec(`update host_invitation set key_hash=$1 where hash=$2`, key, hash); err != nil {
			return err
		}
		audit.Append(tx, bolwerk.Host(name), "host.join", name, "", map[string]string{"role": role, "invitation": join_})
		_, err = tx.Exec(`insert into host(name,role,join_id,key_hash,joined_at,revoked_at,seen_at,seen_head) values($1,$2,$3,$4,$5,0,$5,'')
			on conflict(name) do update set role=excluded.role, join_id=excluded.join_id, key_hash=excluded.key_hash, joined_at=excluded.joined_at, revoked_at=0, seen_at=excluded.seen_at`,
			name, role, join_, key, tx.NowMicros())
		if err == nil {
			err = l.tell(tx, name)
		}
		return err
	})
	return id, err
}

// Admit says whether a host is in; see join.Register.
func (l *List) Admit(ctx context.Context, id join.Identity) error {
	var in int64
	err := l.db.Read(ctx, func(tx *store.Tx) error {
		return tx.Row(`select count(*) from host where name=$1 and role=$2 and join_id=$3 and revoked_at=0`, id.Name, string(id.Role), id.Join).Scan(&in)
	})
	if err == nil && in == 0 {
		err = bolwerk.Forbidden("host %s is not in", id.Name)
	}
	return err
}

// Revoke puts a host out. It takes effect within 60 s.
func (l *List) Revoke(ctx context.Context, by bolwerk.Actor, name string) error {
	return l.db.Write(ctx, store.Decision, func(tx *store.Tx) error {
		n, err := tx.Exec(`update host set revoked_at=$1 where name=$2 and revoked_at=0`, tx.NowMicros(), name)
		if err != nil {
			return err
		}
		if n == 0 {
			return bolwerk.WithHint(bolwerk.NotFound("no host %q is in", name), "bolwerk host list shows the hosts")
		}
		if _, err := tx.Exec(`delete from host_invitation where name=$1`, name); err != nil {
			return err
		}
		audit.Append(tx, by, "host.revoke", name, "", nil)
		return l.tell(tx, name)
	})
}

// Host is one machine as the list shows it.
type Host struct {
	ID       string    `json:"id"`
	Name     string    `json:"name"`
	Role     string    `json:"role"`
	State    string    `json:"state"` // in or revoked
	JoinedAt time.Time `json:"joined_at"`
}

// All lists the hosts by name.
func (l *List) All(ctx context.Context) (all []Host, err error) {
	err = l.db.Read(ctx, func(tx *store.Tx) error { all, err = Every(tx); return err })
	return all, err
}

// Every lists the hosts by name.
func Every(tx *store.Tx) ([]Host, error) {
	return store.List(tx, func(scan func(...any) error) (h Host, err error) {
		var joined, revoked int64
		err = scan(&h.Name, &h.Role, &joined, &revoked)
		h.ID, h.State, h.JoinedAt = h.Name, "in", store.Time(joined)
		if revoked > 0 {
			h.State = "revoked"
		}
		return h, err
	}, `select name,role,joined_at,revoked_at from host order by name`)
}

// Find gives the hosts whose name has part in it, by name.
func Find(tx *store.Tx, part string, limit int) ([]Host, error) {
	all, err := Every(tx)
	all = slices.DeleteFunc(all, func(h Host) bool { return !strings.Contains(h.Name, strings.ToLower(part)) })
	return all[:min(len(all), limit)], err
}

// AskReplay asks every host to hand in again what it handed in since.
func AskReplay(tx *store.Tx, since time.Time) error {
	_, err := tx.Exec(`insert into host_replay(host,id,since,items,done) select name,$1,$2,0,false from host where revoked_at=0
		on conflict(host) do update set id=excluded.id, since=excluded.since, items=0, done=false`, bolwerk.NewID(tx.Now()), store.Micros(since))
	return err
}

// Replay says which replay is wanted of a host; see handin.NewReceiver.
func (l *List) Replay(ctx context.Context, host string) (id string, since time.Time, err error) {
	err = l.db.Read(ctx, func(tx *store.Tx) error {
		var us int64
		err := tx.Row(`select id,since from host_replay where host=$1`, host).Scan(&id, &us)
		since = store.Time(us)
		if store.None(err) {
			return nil
		}
		return err
	})
	return id, since, err
}

// Replayed is how far a host is with the replay that was asked of it last.
type Replayed struct {
	Host  string `json:"host"`
	Items int64  `json:"items"`
	Done  bool   `json:"done"`
}

// Replayed notes how far a host is with a replay; one that is no longer wanted
// is no news. See handin.Receiver.
func (l *List) Replayed(ctx context.Context, host, id string, items int64, done bool) error {
	return l.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
		_, err := tx.Exec(`update host_replay set items=$1, done=$2 where host=$3 and id=$4 and not done`, items, done, host, id)
		return err
	})
}

// Replays says how far each host is.
func Replays(tx *store.Tx) ([]Replayed, error) {
	return store.List(tx, func(scan func(...any) error) (r Replayed, err error) {
		err = scan(&r.Host, &r.Items, &r.Done)
		return r, err
	}, `select r.host,r.items,r.done from host_replay r join host h on h.name=r.host where h.revoked_at=0 order by r.host`)
}

// Heard is where a host said that it stands, to whichever desk.
type Heard struct {
	Host, Role, Copy string
	Epoch, Serial    int64
	At               time.Time
}

// Share writes down what this desk has heard, and gives what any desk has since a time.
func (l *List) Share(ctx context.Context, mine []Heard, since time.Time) (all []Heard, err error) {
	if len(mine) > 0 {
		if err := l.db.Write(ctx, store.Intake, func(tx *store.Tx) error {
			for _, h := range mine {
				if _, err := tx.Exec(`insert into host_heard(host,role,copy,epoch,serial,at) values($1,$2,$3,$4,$5,$6)
					on conflict(host) do update set role=excluded.role, copy=excluded.copy, epoch=excluded.epoch, serial=excluded.serial, at=excluded.at where host_heard.at<excluded.at`,
					h.Host, h.Role, h.Copy, h.Epoch, h.Serial, store.Micros(h.At)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return nil, err
		}
	}
	err = l.db.Read(ctx, func(tx *store.Tx) error {
		all, err = store.List(tx, func(scan func(...any) error) (h Heard, err error) {
			var at int64
			err = scan(&h.Host, &h.Role, &h.Copy, &h.Epoch, &h.Serial, &at)
			h.At = store.Time(at)
			return h, err
		}, `select host,role,copy,epoch,serial,at from host_heard where at>$1 order by host`, store.Micros(since))
		return err
	})
	return all, err
}
