package main

import (
	"bufio"
	"database/sql"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/miekg/dns"

	"bolwerk/internal/store/storetest"
	"bolwerk/test/live"
)

// pair is an installation with two desks at one PostgreSQL, and a secondary of
// the policy zones that knows both.
type pair struct {
	t    *testing.T
	url  string
	one  *desk
	two  *desk
	site *live.Site      // the first desk, with intake and edge
	told *live.Authority // hears of each block
}

// desk is one of the two.
type desk struct {
	*live.Site
	role string
	env  string
}

func (d *desk) start(env ...string) { d.T.Helper(); must(d.T, d.Start(d.role, append(env, d.env)...)) }

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// newPair starts two desks, an intake and an edge. fault is how the first desk is
// started, in a build with faults.
func newPair(t *testing.T, url string, fault ...string) *pair {
	t.Helper()
	return newPairWith(t, url, "", fault...)
}

// newPairWith adds more to the configuration of all.
func newPairWith(t *testing.T, url, more string, fault ...string) *pair {
	t.Helper()
	tags := ""
	if len(fault) > 0 {
		tags = "fault"
	}
	p := &pair{t: t, url: url, told: live.NewAuthority(t)}
	p.site = live.Apart(t, tags, fmt.Sprintf("%s[store]\nurl = '%s'\n%s", more, url, p.told.Config), nil)
	p.one, p.two = &desk{p.site, "desk", p.told.Env}, &desk{p.site.Beside(), "desk-2", p.told.Env}
	p.one.start()
	p.site.ShareKeys(p.two.Site)
	p.two.start()
	p.site.Session("dora", "duty_officer")
	p.site.Decide(p.site.Token("dora", "read,report,decide"))
	p.two.As(p.site)
	p.letNotices()
	if len(fault) > 0 {
		must(t, p.site.Stop("desk"))
		p.one.start(fault...)
	}
	for _, role := range []string{"intake", "edge"} {
		p.site.Join(role, role+"-1")
		p.site.MustStart(role)
	}
	return p
}

// letNotices has a person let the first notice go: from then on they go by themselves.
func (p *pair) letNotices() {
	p.t.Helper()
	_, err := p.site.Block("first-told.example", "")
	must(p.t, err)
	var page struct{ Items []struct{ ID, State string } }
	must(p.t, live.Until(time.Minute, func() (bool, error) {
		_, err := p.site.Call("GET", p.site.Console+"/api/v1/notices?limit=500", "", nil, &page)
		return len(page.Items) == 1 && page.Items[0].State == "held", err
	}))
	_, err = p.site.Call("POST", p.site.Console+"/api/v1/notices/"+page.Items[0].ID+"/let", "", nil, nil)
	must(p.t, err)
}

// toldOnce waits until the authority has heard of each name, and says what it was
// told more than once. A desk that is killed between the request and its row makes
// it again, under the same key.
func (p *pair) toldOnce(names []string, kills int) {
	p.t.Helper()
	must(p.t, live.Until(3*time.Minute, func() (bool, error) { // a claim of two minutes may have to run out
		for _, n := range names {
			if !p.told.Knows(n) {
				return false, fmt.Errorf("nobody was told of %s", n)
			}
		}
		return true, nil
	}))
	told, keys, requests := p.told.Told()
	if keys != told {
		p.t.Errorf("%d names were told under %d keys", told, keys)
	}
	if requests > told+kills {
		p.t.Errorf("%d requests of %d names, want %d more at most", requests, told, kills)
	}
	p.t.Logf("%d names told in %d requests", told, requests)
}

func needPostgres(t *testing.T) {
	if !storetest.Postgres() {
		t.Skip(storetest.Env + " is not set: make pg starts a PostgreSQL")
	}
}

// token is the number under which a desk publishes, as its metrics say; 0 is none.
func (d *desk) token() int64 {
	res, err := (&http.Client{Timeout: 2 * time.Second}).Get("http://" + d.Metrics[d.role] + "/metrics")
	if err != nil {
		return 0
	}
	defer res.Body.Close()
	for sc := bufio.NewScanner(res.Body); sc.Scan(); {
		if strings.HasPrefix(sc.Text(), "bolwerk_desk_lease_token{") {
			n, _ := strconv.ParseFloat(sc.Text()[strings.LastIndexByte(sc.Text(), ' ')+1:], 64)
			return int64(n)
		}
	}
	return 0
}

// holder waits until one of the desks publishes, and gives it and the other.
func (p *pair) holder(within time.Duration) (holds, other *desk) {
	p.t.Helper()
	must(p.t, live.Until(within, func() (bool, error) {
		a, b := p.one.token(), p.two.token()
		if a != 0 && b != 0 {
			p.t.Errorf("both desks publish: tokens %d and %d", a, b)
		}
		holds, other = p.one, p.two
		if b != 0 {
			holds, other = p.two, p.one
		}
		return a != 0 || b != 0, nil
	}))
	return holds, other
}

// soa is the serial of a zone as a desk answers it; 0 is no answer.
func soa(addr, zone string) uint32 {
	m := new(dns.Msg).SetQuestion(dns.Fqdn(zone), dns.TypeSOA)
	r, _, err := (&dns.Client{Timeout: time.Second}).Exchange(m, addr)
	if err != nil || r.Rcode != dns.RcodeSuccess || len(r.Answer) == 0 {
		return 0
	}
	return r.Answer[0].(*dns.SOA).Serial
}

// secondary follows the zones at whichever desk answers, as a resolver does, and
// finds serials that go back and two contents of one serial.
type secondary struct {
	t     *testing.T
	addrs []string
	stop  chan struct{}
	wg    sync.WaitGroup

	mu     sync.Mutex
	serial uint32
	text   map[uint32]string // of the hot zone
	gap    time.Duration     // the longest time without an answer
	last   time.Time
}

func follow(t *testing.T, addrs ...string) *secondary {
	s := &secondary{t: t, addrs: addrs, stop: make(chan struct{}), text: map[uint32]string{}, last: time.Now()}
	s.wg.Go(func() {
		for {
			for _, a := range addrs {
				s.look(a)
			}
			select {
			case <-s.stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
		}
	})
	t.Cleanup(s.end)
	return s
}

func (s *secondary) end() {
	select {
	case <-s.stop:
	default:
		close(s.stop)
		s.wg.Wait()
	}
}

func (s *secondary) look(addr string) {
	serial, text, err := transfer(addr, "h.rpz")
	if err != nil || serial == 0 {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.gap = max(s.gap, time.Since(s.last))
	s.last = time.Now()
	if serial < s.serial {
		s.t.Errorf("%s serves serial %d after %d was served", addr, serial, s.serial)
	}
	s.serial = max(s.serial, serial)
	if was, ok := s.text[serial]; ok && was != text {
		s.t.Errorf("serial %d stands for two contents:\n%s\n%s", serial, was, text)
	}
	s.text[serial] = text
}

// transfer takes a whole zone; its records come sorted, without the SOA.
func transfer(addr, zone string) (serial uint32, text string, err error) {
	m := new(dns.Msg).SetAxfr(dns.Fqdn(zone))
	tr := &dns.Transfer{DialTimeout: time.Second, ReadTimeout: 2 * time.Second}
	in, err := tr.In(m, addr)
	if err != nil {
		return 0, "", err
	}
	var all []string
	for e := range in {
		if e.Error != nil {
			err = e.Error
			continue
		}
		for _, rr := range e.RR {
			if s, ok := rr.(*dns.SOA); ok {
				serial = s.Serial
			} else {
				all = append(all, rr.String())
			}
		}
	}
	slices.Sort(all)
	return serial, strings.Join(all, "\n"), err
}

// Both desks answer, what one decides is in force at the edge and known to the
// other, and one of them numbers the zones.
func TestTwoDesksShareTheWork(t *testing.T) {
	needPostgres(t)
	p := newPair(t, storetest.URL(t))
	holds, other := p.holder(10 * time.Second)
	if got := soa(other.RPZ, "b.rpz"); got != 0 {
		t.Errorf("the desk without the lease serves b.rpz at %d", got)
	}
	for i, d := range []*desk{holds, other} {
		name := fmt.Sprintf("decided-at-%d.example", i)
		before := time.Now()
		id, err := d.Block(name, "key "+name)
		must(t, err)
		decided := time.Now()
		stands(t, p.site, name, true)
		t.Logf("decided in %s at %s, in force at the edge %s later", decided.Sub(before).Round(time.Millisecond), d.role, time.Since(decided).Round(time.Millisecond))
		before = time.Now()
		must(t, live.Until(10*time.Second, func() (bool, error) {
			_, text, err := transfer(holds.RPZ, "h.rpz")
			return strings.Contains(text, name), err
		}))
		t.Logf("in the hot zone %s later", time.Since(before).Round(time.Millisecond))
		for _, again := range []*desk{holds, other} { // the same key at the other desk is the same request
			got, err := again.Block(name, "key "+name)
			if err != nil || got != id {
				t.Errorf("%s: the same key made %s, want %s: %v", again.role, got, id, err)
			}
		}
		o := holds
		if d == holds {
			o = other
		}
		must(t, o.Withdraw(id, "withdraw "+name))
		stands(t, p.site, name, false)
	}

	// A session, a token and a role are the same at both, at once.
	browser := p.site.LogIn("dora")
	cookies := browser.Jar
	at := func(d *desk) int {
		req, _ := http.NewRequest("GET", d.Console+"/account", nil)
		u, _ := req.URL.Parse(p.site.Console)
		for _, c := range cookies.Cookies(u) {
			req.AddCookie(c)
		}
		res, err := (&http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}).Do(req)
		must(t, err)
		io.Copy(io.Discard, res.Body)
		res.Body.Close()
		return res.StatusCode
	}
	for _, d := range []*desk{p.one, p.two} {
		if got := at(d); got != http.StatusOK {
			t.Errorf("%s: a session of the first desk: %d", d.role, got)
		}
	}
	p.site.MustRun("user", "disable", "dora", "--reason", "left us", "--data", p.site.Data("desk"))
	for _, d := range []*desk{p.one, p.two} {
		if got := at(d); got == http.StatusOK {
			t.Errorf("%s: a session of somebody who was put out is still good", d.role)
		}
		if _, err := d.Block("late.example", "late"); err == nil {
			t.Errorf("%s: a token of somebody who was put out still decides", d.role)
		}
	}
}

// What is acknowledged while the desk that publishes is killed is there
// afterwards, once.
func TestTheDeskThatPublishesIsKilled(t *testing.T) {
	needPostgres(t)
	p := newPair(t, storetest.URL(t))
	holds, other := p.holder(10 * time.Second)
	zone := follow(t, p.one.RPZ, p.two.RPZ)

	var mu sync.Mutex
	blocked, receipts := map[string]string{}, map[string]string{}
	stop := make(chan struct{})
	var wg sync.WaitGroup
	end := sync.OnceFunc(func() { close(stop); wg.Wait() })
	t.Cleanup(end)
	work := func(pace time.Duration, fn func(n int)) {
		wg.Go(func() {
			for n := 0; ; n++ {
				fn(n)
				select {
				case <-stop:
					return
				case <-time.After(pace):
				}
			}
		})
	}
	for i, d := range []*desk{holds, other} {
		work(20*time.Millisecond, func(n int) {
			name := fmt.Sprintf("name-%d-%d.example", i, n)
			if id, err := d.Block(name, name); err == nil {
				mu.Lock()
				blocked[name] = id
				mu.Unlock()
			}
		})
	}
	work(50*time.Millisecond, func(n int) {
		link := fmt.Sprintf("http://reported-%d.example/login", n)
		if r, err := p.site.Report(link); err == nil {
			mu.Lock()
			receipts[link] = r
			mu.Unlock()
		}
	})
	time.Sleep(2 * time.Second)
	holds.Kill(holds.role)
	died := time.Now()
	must(t, live.Until(30*time.Second, func() (bool, error) { return soa(other.RPZ, "h.rpz") != 0, nil }))
	t.Logf("the other desk serves the policy zones %s after the kill", time.Since(died).Round(10*time.Millisecond))
	must(t, live.Until(30*time.Second, func() (bool, error) {
		name := fmt.Sprintf("after-%d.example", time.Now().UnixNano())
		if _, err := other.Block(name, name); err != nil {
			return false, err
		}
		ok := false
		err := live.Until(2*time.Second, func() (b bool, err error) { b, err = p.site.Blocked(name); ok = b; return b, err })
		return ok, err
	}))
	t.Logf("a new decision is in force at the edge %s after the kill", time.Since(died).Round(10*time.Millisecond))
	time.Sleep(2 * time.Second)
	end()

	listed, err := other.Listed("in_force")
	must(t, err)
	for name, id := range blocked {
		if listed[name] != id {
			t.Errorf("%s was acknowledged as %s, and is listed as %q", name, id, listed[name])
		}
	}
	for name := range blocked {
		stands(t, p.site, name, true)
	}
	must(t, live.Until(30*time.Second, func() (bool, error) {
		_, text, err := transfer(other.RPZ, "h.rpz")
		for name := range blocked {
			if !strings.Contains(text, name) {
				return false, fmt.Errorf("%s is not in h.rpz: %v", name, err)
			}
		}
		return true, err
	}))
	for link, r := range receipts {
		if err := live.Until(3*time.Minute, func() (bool, error) { // a claim of the killed desk has to run out first
			state, err := p.site.Receipt(r)
			return state != "" && state != "received", err
		}); err != nil {
			t.Errorf("the report of %s is not read: %v", link, err)
		}
	}
	zone.end()
	t.Logf("%d blocks and %d reports acknowledged; %d serials seen, the longest time without a zone %s", len(blocked), len(receipts), len(zone.text), zone.gap.Round(10*time.Millisecond))
	p.toldOnce(slices.Collect(maps.Keys(blocked)), 8)
	checkRows(t, p)
	p.site.MustRun("audit", "verify", "--data", other.Data("desk"))

	// The killed desk comes back, and leaves the lease where it is.
	holds.start()
	if h, _ := p.holder(10 * time.Second); h != other {
		t.Errorf("the desk that came back publishes")
	}
	_, err = holds.Block("back.example", "back")
	must(t, err)
	stands(t, p.site, "back.example", true)
}

// A desk that is stopped for longer than the lease and goes on can neither publish
// under it nor renumber.
func TestADeskThatWasPausedPublishesNothing(t *testing.T) {
	needPostgres(t)
	p := newPair(t, storetest.URL(t))
	holds, other := p.holder(10 * time.Second)
	zone := follow(t, p.one.RPZ, p.two.RPZ)
	_, err := holds.Block("before.example", "before")
	must(t, err)
	stands(t, p.site, "before.example", true)
	for round := range 3 {
		was := holds.token()
		holds.Signal(holds.role, syscall.SIGSTOP)
		stopped := time.Now()
		must(t, live.Until(40*time.Second, func() (bool, error) { return other.token() > was, nil }))
		t.Logf("the other desk took over %s after the pause began", time.Since(stopped).Round(10*time.Millisecond))
		name := fmt.Sprintf("meanwhile-%d.example", round)
		_, err := other.Block(name, name)
		must(t, err)
		stands(t, p.site, name, true)
		t.Logf("a decision was in force at the edge %s after the pause began", time.Since(stopped).Round(10*time.Millisecond))
		holds.Signal(holds.role, syscall.SIGCONT)
		must(t, live.Until(10*time.Second, func() (bool, error) {
			late := fmt.Sprintf("late-%d.example", round)
			_, err := holds.Block(late, late)
			return err == nil, err
		}))
		stands(t, p.site, fmt.Sprintf("late-%d.example", round), true)
		if got := holds.token(); got != 0 {
			t.Errorf("the desk that was paused publishes under %d", got)
		}
		holds, other = other, holds
	}
	zone.end()
	p.toldOnce([]string{"before.example", "late-2.example"}, 0)
	checkRows(t, p)
}

// A desk that stops in the middle of the transaction that publishes keeps nobody
// from publishing, and its decision is not made when it goes on.
func TestADeskStopsInTheMiddleOfAPublication(t *testing.T) {
	needPostgres(t)
	p := newPair(t, storetest.URL(t), "BOLWERK_FAULT=publish.write:25=stop")
	zone := follow(t, p.one.RPZ, p.two.RPZ)
	acknowledged := map[string]string{}
	done := make(chan struct{})
	var mu sync.Mutex
	go func() {
		defer close(done)
		for n := range 60 {
			name := fmt.Sprintf("mid-%d.example", n)
			id, err := p.one.Block(name, name)
			if err != nil {
				return
			}
			mu.Lock()
			acknowledged[name] = id
			mu.Unlock()
		}
	}()
	must(t, live.Until(60*time.Second, func() (bool, error) { return state(t, p.one.Program("desk").Pid()) == "T", nil }))
	stopped := time.Now()
	must(t, live.Until(60*time.Second, func() (bool, error) {
		_, err := p.two.Block("through.example", "through")
		return err == nil, err
	}))
	stands(t, p.site, "through.example", true)
	t.Logf("a decision went through %s after the other desk had stopped with the locks in its hands", time.Since(stopped).Round(10*time.Millisecond))
	must(t, live.Until(40*time.Second, func() (bool, error) { return p.two.token() != 0, nil }))
	t.Logf("and the zones were taken over after %s", time.Since(stopped).Round(10*time.Millisecond))
	p.one.Signal("desk", syscall.SIGCONT)
	<-done
	mu.Lock()
	defer mu.Unlock()
	listed, err := p.two.Listed("in_force")
	must(t, err)
	for name, id := range acknowledged {
		if listed[name] != id {
			t.Errorf("%s was acknowledged as %s, and is listed as %q", name, id, listed[name])
		}
	}
	zone.end()
	checkRows(t, p)
}

// Two desks that begin in the same moment agree on one holder, and one with other
// keys does not start.
func TestTwoDesksStartAtOnce(t *testing.T) {
	needPostgres(t)
	url := storetest.URL(t)
	s := live.Apart(t, "", fmt.Sprintf("[store]\nurl = '%s'\n", url), nil)
	two := &desk{s.Beside(), "desk-2", ""}
	s.MustStart("desk")
	if err := two.Start("desk-2"); err == nil || !strings.Contains(err.Error(), "copy the folder desk/keys") {
		t.Errorf("a desk without the keys of the other: %v, want a refusal that says what to copy", err)
	}
	must(t, s.Stop("desk"))
	s.ShareKeys(two.Site)
	p := &pair{t: t, url: url, site: s, one: &desk{s, "desk", ""}, two: two}
	for round := range 3 {
		var wg sync.WaitGroup
		for _, d := range []*desk{p.one, p.two} {
			wg.Go(func() {
				if err := d.Start(d.role); err != nil {
					t.Errorf("%s: %v", d.role, err)
				}
			})
		}
		wg.Wait()
		holds, other := p.holder(15 * time.Second)
		began := time.Now()
		must(t, holds.Stop(holds.role)) // in order: the lease is given back
		must(t, live.Until(15*time.Second, func() (bool, error) { return other.token() != 0, nil }))
		t.Logf("round %d: %s held it; handed over in %s", round, holds.role, time.Since(began).Round(10*time.Millisecond))
		must(t, other.Stop(other.role))
	}
}

// checkRows looks in the store for what was done twice or out of order.
func checkRows(t *testing.T, p *pair) {
	t.Helper()
	db, err := sql.Open("pgx", p.url)
	must(t, err)
	defer db.Close()
	none := func(what, q string) {
		t.Helper()
		var n int
		if err := db.QueryRow(q).Scan(&n); err != nil || n != 0 {
			t.Errorf("%s: %d %v", what, n, err)
		}
	}
	none("publications missing from the numbers", `select count(*) from (select serial-lag(serial) over (partition by copy,epoch order by serial) d from copy_batch) x where d<>1`)
	none("publications older than the one before", `select count(*) from (select at-lag(at) over (partition by copy,epoch order by serial) d from copy_batch) x where d<-60000000`)
	none("names blocked twice", `select count(*) from (select name from shield_block where state='in_force' group by name having count(*)>1) x`)
	none("reports told twice", `select count(*) from (select ref from job where kind='shield.answer' group by ref having count(*)>1) x`)
}

// state is the one letter that Linux has for what a process does.
func state(t *testing.T, pid int) string {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return rest[:1]
}
