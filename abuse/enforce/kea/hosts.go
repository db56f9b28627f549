package kea

import (
	"context"
	"encoding/json"
	"net"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // the database is PostgreSQL

	"bolwerk/abuse/enforce"
)

// ourMark is how the user_context of a reservation of ours begins.
const ourMark = `{"bolwerk":%`

// reserve has a row in Kea's table of hosts (schema 13 of Kea 2.2), or takes it away where
// there is no class. It is one statement each: what is not ours is never changed.
func (p *Port) reserve(ctx context.Context, mac net.HardwareAddr, class string, until time.Time) (enforce.Result, error) {
	ask, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if class == "" {
		_, err := p.hosts.ExecContext(ask, `delete from hosts where dhcp_identifier=$1 and dhcp_identifier_type=0 and dhcp4_subnet_id=$2 and user_context like $3`, []byte(mac), p.cfg.Subnet, ourMark)
		return reserved(ctx, err)
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
	return enforce.Result{State: enforce.Offline, Code: "taken at the next renewal"}, nil
}
