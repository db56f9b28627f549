// Command pg runs another command beside a private PostgreSQL: a fresh cluster
// in a temporary folder, reached by a socket in that folder only, named in
// BOLWERK_TEST_DSN, gone when the command ends.
//
//	go run ./test/pg go test ./internal/store/...
//
// It exits with the command's code, or with 3 where PostgreSQL is not installed.
package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"os/user"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"
)

// missing is the exit code where PostgreSQL is not installed.
const missing = 3

var errMissing = errors.New("PostgreSQL is not installed (Debian: postgresql-15); /usr/lib/postgresql/*/bin/postgres is not there")

func main() {
	if len(os.Args) < 2 {
		fmt.Fprintln(os.Stderr, "usage: pg COMMAND ARGUMENT...")
		os.Exit(2)
	}
	runtime.LockOSThread() // the server ends with the thread that started it
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := run(ctx, os.Args[1:])
	var exit *exec.ExitError
	switch {
	case err == nil:
	case errors.Is(err, errMissing):
		fmt.Fprintln(os.Stderr, "pg:", err)
		os.Exit(missing)
	case errors.As(err, &exit) && exit.ExitCode() > 0:
		os.Exit(exit.ExitCode())
	default:
		fmt.Fprintln(os.Stderr, "pg:", err)
		os.Exit(1)
	}
}

// run starts the cluster, runs the command and stops the cluster.
func run(ctx context.Context, command []string) error {
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(bins) == 0 {
		return errMissing
	}
	bin := filepath.Dir(slices.Max(bins))
	dir, err := os.MkdirTemp("", "bolwerk-pg-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	as, err := who(dir)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	initdb := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-A", "trust", "--no-sync", "-U", "bolwerk", "-E", "UTF8", "--locale=C", "-D", data)
	initdb.Dir, initdb.SysProcAttr = dir, as
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("initdb: %w\n%s", err, out)
	}
	log, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return err
	}
	defer log.Close()
	// The tests ask what is kept after a commit, not after a power cut: no fsync.
	server := exec.Command(filepath.Join(bin, "postgres"), "-D", data, "-k", dir, "-c", "listen_addresses=", "-c", "fsync=off", "-c", "deadlock_timeout=50ms", "-c", "max_connections=300")
	server.Dir, server.SysProcAttr, server.Stdout, server.Stderr = dir, as, log, log
	if err := server.Start(); err != nil {
		return fmt.Errorf("postgres: %w", err)
	}
	defer func() {
		server.Process.Signal(syscall.SIGINT) // fast shutdown
		server.Wait()
	}()
	dsn := "postgres://bolwerk@/postgres?host=" + dir
	if err := answers(ctx, dsn); err != nil {
		out, _ := os.ReadFile(log.Name())
		return fmt.Errorf("postgres: %w\n%s", err, out)
	}
	cmd := exec.CommandContext(ctx, command[0], command[1:]...)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), "BOLWERK_TEST_DSN="+dsn)
	return cmd.Run()
}

// who says as whom PostgreSQL runs: as ourselves, or, because it refuses root,
// as the user postgres, who then gets dir.
func who(dir string) (*syscall.SysProcAttr, error) {
	attr := &syscall.SysProcAttr{Pdeathsig: syscall.SIGINT, Setpgid: true}
	if os.Getuid() != 0 {
		return attr, nil
	}
	u, err := user.Lookup("postgres")
	if err != nil {
		return nil, fmt.Errorf("%w: %v", errMissing, err)
	}
	uid, err := strconv.ParseUint(u.Uid, 10, 32)
	if err != nil {
		return nil, err
	}
	gid, err := strconv.ParseUint(u.Gid, 10, 32)
	if err != nil {
		return nil, err
	}
	attr.Credential = &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}
	return attr, os.Chown(dir, int(uid), int(gid))
}

// answers waits until the cluster takes connections, 30 s at most.
func answers(ctx context.Context, dsn string) error {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		return err
	}
	defer db.Close()
	for {
		err := db.PingContext(ctx)
		if err == nil || ctx.Err() != nil {
			return err
		}
		time.Sleep(20 * time.Millisecond)
	}
}
