package main

import (
	"database/sql"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// server knows what PostgreSQL computes for us, where it runs on this machine.
// nil is SQLite, which computes in this process.
type server struct {
	pg   *sql.DB
	pids []int
}

func newServer(url string) (*server, error) {
	pg, err := sql.Open("pgx", url)
	if err != nil {
		return nil, fmt.Errorf("not a PostgreSQL address")
	}
	return &server{pg: pg}, nil
}

func (s *server) close() { s.pg.Close() }

// look notes which processes of PostgreSQL work for us.
func (s *server) look() error {
	if s == nil {
		return nil
	}
	rows, err := s.pg.Query(`select pid from pg_stat_activity where datname=current_database() and pid<>pg_backend_pid()`)
	if err != nil {
		return err
	}
	defer rows.Close()
	s.pids = nil
	for rows.Next() {
		var pid int
		if err := rows.Scan(&pid); err != nil {
			return err
		}
		s.pids = append(s.pids, pid)
	}
	return rows.Err()
}

// computed is what this process and those of PostgreSQL computed so far.
func (s *server) computed() time.Duration {
	var u unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &u) != nil {
		return 0
	}
	all := time.Duration(u.Utime.Nano() + u.Stime.Nano())
	if s == nil {
		return all
	}
	for _, pid := range s.pids {
		b, err := os.ReadFile(fmt.Sprintf("/proc/%d/schedstat", pid)) // nanoseconds on a processor, then waiting, then turns
		if err != nil {
			continue // on another machine
		}
		ns, _, _ := strings.Cut(string(b), " ")
		n, err := strconv.ParseInt(ns, 10, 64)
		if err == nil {
			all += time.Duration(n)
		}
	}
	return all
}
