package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"bolwerk/test/live"
)

// server is a PostgreSQL of this test's own, reached by TCP as on another machine.
type server struct {
	t    *testing.T
	bin  string
	ip   string
	data string
	cmd  *exec.Cmd
}

// primary makes and starts a cluster.
func primary(t *testing.T) *server {
	t.Helper()
	bins, err := filepath.Glob("/usr/lib/postgresql/*/bin/postgres")
	if err != nil || len(bins) == 0 {
		t.Skip(errMissing)
	}
	dir, err := os.MkdirTemp("", "bolwerk-pg-") // PostgreSQL's user must reach it
	must(t, err)
	t.Cleanup(func() { os.RemoveAll(dir) })
	s := &server{t: t, bin: filepath.Dir(slices.Max(bins)), ip: live.Address(t), data: filepath.Join(dir, "data")}
	s.tool("initdb", "-A", "trust", "--no-sync", "-U", "bolwerk", "-E", "UTF8", "--locale=C", "-D", s.data)
	hba, err := os.OpenFile(filepath.Join(s.data, "pg_hba.conf"), os.O_APPEND|os.O_WRONLY, 0o600)
	must(t, err)
	_, err = hba.WriteString("host all all 127.0.0.0/8 trust\nhost replication all 127.0.0.0/8 trust\n")
	must(t, errors.Join(err, hba.Close()))
	s.start()
	return s
}

// standby makes a copy of a cluster that follows it.
func (s *server) standby() *server {
	s.t.Helper()
	o := &server{t: s.t, bin: s.bin, ip: live.Address(s.t), data: filepath.Join(filepath.Dir(s.data), "standby")}
	o.tool("pg_basebackup", "-h", s.ip, "-U", "bolwerk", "-D", o.data, "-R", "-X", "stream", "--no-sync", "-c", "fast")
	o.start()
	return o
}

// tool runs a program of PostgreSQL's as its user.
func (s *server) tool(name string, args ...string) {
	s.t.Helper()
	dir := filepath.Dir(s.data)
	as, err := who(dir)
	must(s.t, err)
	as.Pdeathsig = 0
	cmd := exec.Command(filepath.Join(s.bin, name), args...)
	cmd.Dir, cmd.SysProcAttr = dir, as
	if out, err := cmd.CombinedOutput(); err != nil {
		s.t.Fatalf("%s: %v\n%s", name, err, out)
	}
}

func (s *server) start() {
	s.t.Helper()
	as, err := who(filepath.Dir(s.data))
	must(s.t, err)
	log, err := os.Create(s.data + ".log")
	must(s.t, err)
	s.cmd = exec.Command(filepath.Join(s.bin, "postgres"), "-D", s.data, "-k", "", "-c", "listen_addresses="+s.ip, "-c", "fsync=off", "-c", "max_connections=150")
	s.cmd.Dir, s.cmd.SysProcAttr, s.cmd.Stdout, s.cmd.Stderr = filepath.Dir(s.data), as, log, log
	started := make(chan error)
	go func() { // the server ends with the thread that started it
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		started <- s.cmd.Start()
		s.cmd.Wait()
		log.Close()
	}()
	must(s.t, <-started)
	s.t.Cleanup(s.kill)
	if err := answers(context.Background(), "postgres://bolwerk@"+s.ip+"/postgres"); err != nil {
		out, _ := os.ReadFile(s.data + ".log")
		s.t.Fatalf("%v\n%s", err, out)
	}
}

// kill ends every process of the cluster as a power cut does.
func (s *server) kill() {
	for range 3 { // some may be born meanwhile
		all, _ := filepath.Glob("/proc/[0-9]*/cwd")
		for _, link := range all {
			if at, err := os.Readlink(link); err == nil && strings.TrimSuffix(at, " (deleted)") == s.data {
				var pid int
				fmt.Sscanf(link, "/proc/%d/cwd", &pid)
				if p, err := os.FindProcess(pid); err == nil {
					p.Kill()
				}
			}
		}
	}
}

func (s *server) sql(q string) (out string) {
	s.t.Helper()
	db, err := sql.Open("pgx", "postgres://bolwerk@"+s.ip+"/postgres")
	must(s.t, err)
	defer db.Close()
	if !strings.HasPrefix(q, "select") {
		_, err = db.Exec(q)
	} else if err = db.QueryRow(q).Scan(&out); errors.Is(err, sql.ErrNoRows) {
		err = nil
	}
	must(s.t, err)
	return out
}

// customers ask the edge all the time, for names that are blocked and others, and
// count who got no answer or the wrong one.
type customers struct {
	t    *testing.T
	s    *live.Site
	stop chan struct{}
	halt func()
	wg   sync.WaitGroup

	mu      sync.Mutex
	blocked []string
	asked   int
	failed  []string
}

func ask(t *testing.T, s *live.Site) *customers {
	c := &customers{t: t, s: s, stop: make(chan struct{})}
	c.halt = sync.OnceFunc(func() { close(c.stop); c.wg.Wait() })
	t.Cleanup(c.halt)
	c.wg.Go(func() {
		for n := 0; ; n++ {
			c.mu.Lock()
			name, want := "www.polder.example", false
			if len(c.blocked) > 0 && n%2 == 0 {
				name, want = c.blocked[n/2%len(c.blocked)], true
			}
			c.mu.Unlock()
			m := new(dns.Msg).SetQuestion(dns.Fqdn(name), dns.TypeA)
			r, _, err := (&dns.Client{Timeout: 5 * time.Second}).Exchange(m, s.DNS)
			got := false
			if err == nil {
				for _, rr := range r.Answer {
					if a, ok := rr.(*dns.A); ok && a.A.String() == live.Landing {
						got = true
					}
				}
			}
			c.mu.Lock()
			c.asked++
			if err != nil || got != want {
				c.failed = append(c.failed, fmt.Sprintf("%s: blocked %t, want %t: %v", name, got, want, err))
			}
			c.mu.Unlock()
			select {
			case <-c.stop:
				return
			case <-time.After(10 * time.Millisecond):
			}
		}
	})
	return c
}

func (c *customers) know(name string) {
	c.mu.Lock()
	c.blocked = append(c.blocked, name)
	c.mu.Unlock()
}

func (c *customers) end() {
	c.halt()
	if len(c.failed) > 0 {
		c.t.Errorf("%d of %d questions of customers went wrong: %s", len(c.failed), c.asked, strings.Join(c.failed[:min(5, len(c.failed))], "; "))
	}
	c.t.Logf("%d questions of customers, %d went wrong", c.asked, len(c.failed))
}

// The primary of the database and its disk are gone at once; its synchronous
// standby is promoted. What was acknowledged is there, and customers notice nothing.
func TestTheStandbyOfTheDatabaseIsPromoted(t *testing.T) {
	needPostgres(t)
	first := primary(t)
	second := first.standby()
	first.sql(`alter system set synchronous_standby_names='*'`)
	first.sql(`select pg_reload_conf()::text`)
	must(t, live.Until(30*time.Second, func() (bool, error) {
		return first.sql(`select sync_state from pg_stat_replication`) == "sync", nil
	}))
	p := newPair(t, fmt.Sprintf("postgres://bolwerk@%s:5432,%s:5432/postgres", first.ip, second.ip))
	p.holder(10 * time.Second)
	zone := follow(t, p.one.RPZ, p.two.RPZ)
	_, err := p.one.Block("before.example", "before")
	must(t, err)
	stands(t, p.site, "before.example", true)
	people := ask(t, p.site)
	people.know("before.example")

	var mu sync.Mutex
	blocked, receipts := map[string]string{}, map[string]string{}
	var firstAfter = map[string]time.Time{}
	var died time.Time
	stop := make(chan struct{})
	var wg sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); wg.Wait() })
	t.Cleanup(end)
	for i, d := range []*desk{p.one, p.two} {
		wg.Go(func() {
			for n := 0; ; n++ {
				name := fmt.Sprintf("name-%d-%d.example", i, n)
				for { // as a client of the API does: the same request with the same key
					began := time.Now()
					id, err := d.Block(name, name)
					if err == nil || live.WasDone(err) {
						mu.Lock()
						blocked[name] = id // empty where the answer was lost
						if !died.IsZero() && began.After(died) && firstAfter[d.role].IsZero() {
							firstAfter[d.role] = time.Now()
						}
						mu.Unlock()
						break
					}
					select {
					case <-stop:
						return
					case <-time.After(100 * time.Millisecond):
					}
				}
				select {
				case <-stop:
					return
				case <-time.After(20 * time.Millisecond):
				}
			}
		})
	}
	wg.Go(func() {
		for n := 0; ; n++ {
			link := fmt.Sprintf("http://reported-%d.example/login", n)
			if r, err := p.site.Report(link); err == nil {
				mu.Lock()
				receipts[link] = r
				mu.Unlock()
			} else {
				t.Errorf("a stranger's report was not taken while the database was away: %v", err)
			}
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	time.Sleep(3 * time.Second)
	mu.Lock()
	first.kill()
	died = time.Now()
	mu.Unlock()
	must(t, os.Rename(first.data, first.data+".lost"))
	second.tool("pg_ctl", "promote", "-w", "-D", second.data)
	promoted := time.Now()
	must(t, live.Until(60*time.Second, func() (bool, error) {
		mu.Lock()
		defer mu.Unlock()
		return len(firstAfter) == 2, nil
	}))
	h, _ := p.holder(30 * time.Second)
	must(t, live.Until(30*time.Second, func() (bool, error) { return soa(h.RPZ, "h.rpz") != 0, nil }))
	t.Logf("promoted %s after the kill; zones served again by %s after %s", promoted.Sub(died).Round(10*time.Millisecond), h.role, time.Since(died).Round(10*time.Millisecond))
	for role, at := range firstAfter {
		t.Logf("first decision at %s %s after the kill, %s after the promotion", role, at.Sub(died).Round(10*time.Millisecond), at.Sub(promoted).Round(10*time.Millisecond))
	}
	_, err = p.one.Block("after.example", "after")
	must(t, err)
	must(t, live.Until(40*time.Second, func() (bool, error) { return p.site.Blocked("after.example") }))
	t.Logf("a decision in force at the edge %s after the kill", time.Since(died).Round(10*time.Millisecond))
	end()
	people.end()

	listed, err := p.one.Listed("in_force")
	must(t, err)
	for name, id := range blocked {
		if got := listed[name]; got == "" || id != "" && got != id {
			t.Errorf("%s was acknowledged as %s, and is listed as %q", name, id, listed[name])
		}
		stands(t, p.site, name, true)
	}
	for link, r := range receipts {
		if err := live.Until(3*time.Minute, func() (bool, error) {
			state, err := p.site.Receipt(r)
			return state != "" && state != "received", err
		}); err != nil {
			t.Errorf("the report of %s is not read: %v", link, err)
		}
	}
	zone.end()
	t.Logf("%d blocks and %d reports acknowledged; the longest time without a zone %s", len(blocked), len(receipts), zone.gap.Round(10*time.Millisecond))
	checkRows(t, p)
	p.site.MustRun("audit", "verify", "--data", p.one.Data("desk"))
}
