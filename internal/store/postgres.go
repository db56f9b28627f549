package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
	"golang.org/x/sys/unix"
)

// How soon we and PostgreSQL notice that the other side is gone. A desk that was
// stopped in the middle of a write holds locks that others wait for: PostgreSQL
// ends its session, and with it the write.
const (
	pgConns       = 16
	pgDial        = 3 * time.Second  // to one of the hosts
	pgSilent      = 10 * time.Second // without an acknowledgement of what was sent
	pgStuckWrite  = "10s"            // a write in which the desk says nothing
	pgStuckRead   = "10min"          // a read: a slow reader of an export may pause
	pgKeepIdle    = "10"             // seconds; PostgreSQL's side of it
	pgKeepEvery   = "5"
	pgKeepCount   = "3"
	pgUserTimeout = "15000" // milliseconds
)

// openPostgres opens two pools at the first host of the address that takes writes:
// one for writes, one for reads. After a promotion new connections find the new
// primary by themselves.
func (db *DB) openPostgres(ctx context.Context, cfg Config) error {
	c, err := pgx.ParseConfig(cfg.URL)
	if err != nil {
		return errors.New("store.url: not a PostgreSQL address") // never print it: it may hold more than an address
	}
	if cfg.PasswordFile != "" {
		b, err := os.ReadFile(cfg.PasswordFile)
		if err != nil {
			return fmt.Errorf("store.password_file: %w", err)
		}
		c.Password, _, _ = strings.Cut(string(b), "\n")
	}
	if c.ValidateConnect == nil { // a standby takes no writes
		c.ValidateConnect = pgconn.ValidateConnectTargetSessionAttrsReadWrite
	}
	if c.ConnectTimeout == 0 {
		c.ConnectTimeout = pgDial
	}
	c.DialFunc = (&net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: pgSilent, Interval: pgSilent / 5, Count: 3}, Control: userTimeout}).DialContext
	pool := func(stuck string) *sql.DB {
		own := c.Copy()
		for name, value := range map[string]string{"idle_in_transaction_session_timeout": stuck, "tcp_keepalives_idle": pgKeepIdle,
			"tcp_keepalives_interval": pgKeepEvery, "tcp_keepalives_count": pgKeepCount, "tcp_user_timeout": pgUserTimeout} {
			if _, set := own.RuntimeParams[name]; !set {
				own.RuntimeParams[name] = value
			}
		}
		p := stdlib.OpenDB(*own)
		p.SetMaxOpenConns(pgConns)
		p.SetMaxIdleConns(pgConns)
		return p
	}
	db.w, db.r, db.pg = pool(pgStuckWrite), pool(pgStuckRead), true
	if err := db.w.PingContext(ctx); err != nil {
		db.w.Close()
		db.r.Close()
		return fmt.Errorf("reach PostgreSQL: %w", err)
	}
	return nil
}

// userTimeout ends a connection whose data nobody acknowledges (RFC 5482).
func userTimeout(network, _ string, raw syscall.RawConn) error {
	if !strings.HasPrefix(network, "tcp") {
		return nil
	}
	var failed error
	err := raw.Control(func(fd uintptr) {
		failed = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(pgSilent/time.Millisecond))
	})
	return errors.Join(err, failed)
}
