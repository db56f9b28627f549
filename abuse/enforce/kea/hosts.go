package kea

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	_ "github.com/jackc/pgx/v5/stdlib" // the database is PostgreSQL

	"bolwerk/abuse/enforce"
)

// ourMark is how the user_context of a reservation of ours begins.
const ourMark = `{"bolwerk":%`

// knownSchema is the version of Kea's tables that reserve writes: Kea 2.2, Debian 12.
const knownSchema = 13

// strange says why no reservation is made in the database: its tables are of another
// version than the one that is known, or it may not be read. Empty: it is the known one.
func (p *Port) strange(ctx context.Context) (why string, err error) {
	if p.known.Load() {
		return "", nil
	}
	version := 0
	err = p.hosts.QueryRowContext(ctx, `select version from schema_version`).Scan(&version)
	var refused *pgconn.PgError
	switch {
	case errors.As(err, &refused):
		return "the database of hosts does not tell its version: grant select on schema_version", nil
	case err != nil:
		return "", err
	case version != knownSchema:
		return fmt.Sprintf("the tables of Kea's database are of version %d; %d (Kea 2.2) is known: use control and its hook", version, knownSchema), nil
	}
	p.known.Store(true)
	return "", nil
}

// reserve has a row in Kea's table of hosts, or takes it away where there is no class. It
// is one statement each: what is not ours is never changed. What is strange holds up no
// way back.
func (p *Port) reserve(ctx context.Context, mac net.HardwareAddr, class string, until time.Time) (enforce.Result, error) {
	ask, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if class == "" {
		_, err := p.hosts.ExecContext(ask, `delete from hosts where dhcp_identifier=$1 and dhcp_identifier_type=0 and dhcp4_subnet_id=$2 and user_context like $3`, []byte(mac), p.cfg.Subnet, ourMark)
		return reserved(ctx, err)
	}
	if why, err := p.strange(ask); err != nil {
		return reserved(ctx, err)
	} else if why != "" {
		return enforce.Result{State: enforce.Refused, Code: why}, nil
	}
	// When it ends stands in the row, so that the database can see to it when we are gone.
	mark, err := json.Marshal(map[string]any{"bolwerk": map[string]int64{"until": until.Unix()}})
	if err != nil {
		return enforce.Result{}, err
	}
	r, err := p.hosts.ExecContext(ask, `insert into hosts(dhcp_identifier,dhcp_identifier_type,dhcp4_subnet_id,dhcp4_client_classes,user_context) values($1,0,$2,$3,$4)
		on conflict(dhcp_identifier,dhcp_identifier_type,dhcp4_subnet_id) where dhcp4_subnet_id is not null do update set dhcp4_client_classes=excluded.dhcp4_client_classes,user_context=excluded.user_context where hosts.user_context like $5`,
		[]byte(mac), p.cfg.Subnet, class, string(mark), ourMark)
	if err != nil {
		return reserved(ctx, err)
	}
	if n, err := r.RowsAffected(); err == nil && n == 0 {
		return enforce.Result{State: enforce.Refused, Code: "the device has a reservation that is not ours"}, nil
	}
	return reserved(ctx, nil)
}

func reserved(ctx context.Context, err error) (enforce.Result, error) {
	switch {
	case ctx.Err() != nil:
		return enforce.Result{}, ctx.Err()
	case err != nil: // it names the database, which is no word for a page
		return enforce.Result{State: enforce.Silent, Code: "the database of hosts does not answer", Again: later}, nil
	}
	return enforce.Result{State: enforce.Applied, Code: "taken at the next renewal"}, nil
}
