package badday

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"

	"bolwerk"
	"bolwerk/test/live"
)

// restored is what "restore --show" says.
type restored struct {
	State string
	Items []struct{ Name string }
	Jobs  int `json:"jobs_parked"`
}

func show(s *live.Site) (r restored, err error) {
	out, err := s.Run("restore", "--show", "--json", "--config", filepath.Join(s.Dir, "desk.toml"))
	if err == nil {
		err = json.Unmarshal([]byte(out), &r)
	}
	return r, err
}

// serial is the SOA serial of the zone of blocks; 0 while the primary is away.
func serial(s *live.Site) uint32 {
	m := new(dns.Msg).SetQuestion("b.rpz.", dns.TypeSOA)
	r, _, err := (&dns.Client{Timeout: time.Second, Net: "tcp"}).Exchange(m, s.RPZ)
	if err == nil && len(r.Answer) == 1 {
		if soa, ok := r.Answer[0].(*dns.SOA); ok {
			return soa.Serial
		}
	}
	return 0
}

// watcher asks all the time whether a withdrawn name is blocked again, and
// whether the serial of the zone went back.
type watcher struct {
	stop  chan struct{}
	wg    sync.WaitGroup
	asked int
	last  uint32
}

func watch(t *testing.T, s *live.Site, never []string) *watcher {
	w := &watcher{stop: make(chan struct{})}
	w.wg.Go(func() {
		for {
			for _, name := range never {
				if got, err := s.Blocked(name); err == nil && got {
					t.Errorf("%s was withdrawn and is blocked again", name)
				}
				w.asked++
			}
			if n := serial(s); n != 0 {
				if n < w.last {
					t.Errorf("the serial of b.rpz went from %d to %d", w.last, n)
				}
				w.last = n
			}
			select {
			case <-w.stop:
				return
			case <-time.After(20 * time.Millisecond):
			}
		}
	})
	return w
}

func (w *watcher) end() {
	close(w.stop)
	w.wg.Wait()
}

func TestRestore(t *testing.T) {
	long(t)
	t.Parallel()
	s := live.Apart(t, "", "", nil)
	s.Found()
	desk, edge, config := s.Data("desk"), filepath.Join(s.Data("edge"), "edge"), filepath.Join(s.Dir, "desk.toml")

	ids := map[string]string{}
	name := func(kind string, i int) string { return fmt.Sprintf("%s-%d.drill.example", kind, i) }
	for i := range 60 {
		ids[name("old", i)] = block(t, s, name("old", i))
	}
	blocked(t, s, name("old", 59), true)
	receipt, err := s.Report("http://somebody.drill.example/login") // its answer is a job for later
	if err != nil {
		t.Fatal(err)
	}
	until(t, "report read", 20*time.Second, func() (bool, error) {
		state, err := s.Receipt(receipt)
		return state != "received", err
	})
	backup := filepath.Join(t.TempDir(), "backup.db")
	s.MustRun("backup", backup, "--config", config)

	// A hundred changes that the backup does not know.
	var never, always []string
	for i := range 50 {
		always = append(always, name("new", i))
		ids[name("new", i)] = block(t, s, name("new", i))
		never = append(never, name("old", i))
		if err := s.Withdraw(ids[name("old", i)], ""); err != nil {
			t.Fatal(err)
		}
	}
	for i := 50; i < 60; i++ {
		always = append(always, name("old", i))
	}
	late, err := s.Report("http://later.drill.example/login") // committed after the backup: the intake still has it
	if err != nil {
		t.Fatal(err)
	}
	until(t, "later report read", 20*time.Second, func() (bool, error) {
		state, err := s.Receipt(late)
		return state != "received" && state != "", err
	})
	for _, n := range never {
		blocked(t, s, n, false)
	}
	for _, n := range always {
		blocked(t, s, n, true)
	}
	s.MustRun("audit", "verify", "--data", desk, "--against", edge)

	// The restore. From here on no withdrawn name may come back, at no moment.
	w := watch(t, s, never)
	if _, err := s.Run("restore", backup, "--config", config); err == nil || !strings.Contains(err.Error(), "running") {
		t.Errorf("a restore under a running desk: %v", err)
	}
	if err := s.Stop("desk"); err != nil {
		t.Fatal(err)
	}
	s.MustRun("restore", backup, "--config", config)
	s.MustStart("desk")
	began := time.Now()
	until(t, "reconciled with the edge", 60*time.Second, func() (bool, error) {
		r, err := show(s)
		return r.State == "held", err
	})
	t.Logf("held %s after the start", time.Since(began).Round(time.Millisecond))
	r, err := show(s)
	if err != nil || len(r.Items) != 0 || r.Jobs == 0 {
		t.Errorf("held: %v, %d jobs parked, %v; want nothing held, as the edge knew it all, and the answer parked", r.Items, r.Jobs, err)
	}
	check := func(when string) {
		t.Helper()
		force, err := s.Listed("in_force")
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range always {
			if force[n] != ids[n] {
				t.Errorf("%s: the desk does not have the block of %s: %q", when, n, force[n])
			}
			blocked(t, s, n, true)
		}
		for _, n := range never {
			if force[n] != "" {
				t.Errorf("%s: the desk has the withdrawn block of %s", when, n)
			}
		}
		if len(force) != len(always) {
			t.Errorf("%s: %d blocks in force, want %d", when, len(force), len(always))
		}
	}
	check("held")

	// A withdrawal waits for nobody, and neither does a new block.
	if err := s.Withdraw(ids[name("old", 59)], ""); err != nil {
		t.Errorf("a withdrawal while the restore is looked at: %v", err)
	}
	blocked(t, s, name("old", 59), false)
	always = always[:len(always)-1]

	s.MustRun("restore", "--release", "--config", config)
	if r, err := show(s); err != nil || r.State != "none" || r.Jobs != 0 {
		t.Errorf("after the release: %+v, %v", r, err)
	}
	check("released")
	fresh := block(t, s, name("after", 0))
	if fresh == "" {
		t.Error("no block after the release")
	}
	blocked(t, s, name("after", 0), true)

	// What was reported after the backup is handed in again by the intake, which
	// asks the desk once a minute whether it shall.
	until(t, "the later report, by its receipt", 90*time.Second, func() (bool, error) {
		state, err := s.Receipt(late)
		return state != "received" && state != "", err
	})
	w.end()
	t.Logf("%d questions for withdrawn names; the serial is %d", w.asked, w.last)
	if err := s.Stop("desk"); err != nil {
		t.Fatal(err)
	}
	var reports int
	if err := open(t, s).QueryRow(`select count(*) from shield_observable where value='later.drill.example' and reports=1`).Scan(&reports); err != nil || reports != 1 {
		t.Errorf("the report made after the backup is there %d times, %v", reports, err)
	}
}

// A block that no edge has ever seen waits for a person.
func TestRestore_holds_what_no_edge_knows(t *testing.T) {
	long(t)
	t.Parallel()
	s := live.Apart(t, "", "", nil)
	s.Found()
	config := filepath.Join(s.Dir, "desk.toml")
	block(t, s, "known.drill.example")
	blocked(t, s, "known.drill.example", true)
	s.Kill("edge")
	block(t, s, "unknown.drill.example")
	backup := filepath.Join(t.TempDir(), "backup.db")
	s.MustRun("backup", backup, "--config", config)
	s.Kill("desk")
	s.MustRun("restore", backup, "--config", config)
	s.MustStart("edge", "desk")
	until(t, "reconciled with the edge", 60*time.Second, func() (bool, error) {
		r, err := show(s)
		return r.State == "held", err
	})
	r, err := show(s)
	if err != nil || len(r.Items) != 1 || r.Items[0].Name != "unknown.drill.example" {
		t.Errorf("held: %+v, %v", r, err)
	}
	blocked(t, s, "known.drill.example", true)
	blocked(t, s, "unknown.drill.example", false)
	s.MustRun("restore", "--release", "--config", config)
	blocked(t, s, "unknown.drill.example", true)
	blocked(t, s, "known.drill.example", true)
}

// rewrite changes an entry of the trail and makes all that follows fit again, as
// somebody with the database in his hands would.
func rewrite(t *testing.T, s *live.Site, chain bool) {
	t.Helper()
	db := open(t, s)
	rows, err := db.Query(`select seq,at,actor,action,object,reason,detail,hash from audit order by seq`)
	if err != nil {
		t.Fatal(err)
	}
	type entry struct {
		seq, at                                     int64
		actor, action, object, reason, detail, hash string
	}
	var all []entry
	for rows.Next() {
		var e entry
		if err := rows.Scan(&e.seq, &e.at, &e.actor, &e.action, &e.object, &e.reason, &e.detail, &e.hash); err != nil {
			t.Fatal(err)
		}
		all = append(all, e)
	}
	rows.Close()
	prev, changed := "", false
	for _, e := range all {
		if !changed && e.action == "shield.block.confirm" {
			e.reason, changed = "because I was told to", true
			if !chain {
				if _, err := db.Exec(`update audit set reason=$1 where seq=$2`, e.reason, e.seq); err != nil {
					t.Fatal(err)
				}
				return
			}
		}
		hash := e.hash
		if changed {
			actor, err := bolwerk.ParseActor(e.actor)
			if err != nil {
				t.Fatal(err)
			}
			b, _ := json.Marshal([]any{e.seq, e.at, actor, e.action, e.object, e.reason, e.detail, prev})
			sum := sha256.Sum256(b)
			hash = hex.EncodeToString(sum[:])
			if _, err := db.Exec(`update audit set reason=$1, prev=$2, hash=$3 where seq=$4`, e.reason, prev, hash, e.seq); err != nil {
				t.Fatal(err)
			}
		}
		prev = hash
	}
	if !changed {
		t.Fatal("no decision in the trail")
	}
}

func TestAudit(t *testing.T) {
	long(t)
	t.Parallel()
	s := live.Apart(t, "", "", nil)
	s.Found()
	for i := range 5 {
		block(t, s, fmt.Sprintf("audited-%d.example", i))
	}
	blocked(t, s, "audited-4.example", true)
	desk, edge := s.Data("desk"), filepath.Join(s.Data("edge"), "edge")
	verify := func(against bool) error {
		args := []string{"audit", "verify", "--data", desk}
		if against {
			args = append(args, "--against", edge)
		}
		_, err := s.Run(args...)
		return err
	}
	for _, against := range []bool{false, true} {
		if err := verify(against); err != nil {
			t.Fatalf("the trail is whole: %v", err)
		}
	}
	keep := filepath.Join(t.TempDir(), "whole.db")
	s.MustRun("backup", keep, "--config", filepath.Join(s.Dir, "desk.toml"))
	again := func(change func()) {
		t.Helper()
		s.Kill("edge") // its heads stay what they are
		if err := s.Stop("desk"); err != nil {
			t.Fatal(err)
		}
		change()
		s.MustStart("desk")
	}
	again(func() { rewrite(t, s, false) })
	if err := verify(false); err == nil || !strings.Contains(err.Error(), "was changed") {
		t.Errorf("a changed entry: %v", err)
	}
	again(func() { rewrite(t, s, true) })
	if err := verify(false); err != nil {
		t.Errorf("a trail that was made to fit looks whole from within: %v", err)
	}
	if err := verify(true); err == nil || !strings.Contains(err.Error(), "rewritten") {
		t.Errorf("a rewritten trail against what the edge has seen: %v", err)
	}
	again(func() {
		if _, err := open(t, s).Exec(`delete from audit where seq>(select max(seq)-2 from audit)`); err != nil {
			t.Fatal(err)
		}
	})
	if err := verify(true); err == nil {
		t.Error("a trail that was cut is whole against what the edge has seen")
	}
}
