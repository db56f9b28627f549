package kill

import (
	"database/sql"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite"

	"bolwerk/test/live"
)

// world is what happens outside while the program is killed: strangers report,
// staff decide. What was acknowledged is in a file of its own before anything
// else happens.
type world struct {
	t    *testing.T
	s    *live.Site
	file *os.File
	stop chan struct{}
	wg   sync.WaitGroup

	mu        sync.Mutex
	receipts  map[string]string // marker -> receipt of a link
	mails     map[string]bool   // marker of a mail
	blocked   map[string]string // name -> id of its block, empty where the answer died with the desk
	withdrawn map[string]bool   // name
	tried     map[string]bool   // marker of a link or a mail, acknowledged or not
}

func begin(t *testing.T, s *live.Site) *world {
	f, err := os.OpenFile(filepath.Join(t.TempDir(), "acknowledged"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, s: s, file: f, stop: make(chan struct{}), receipts: map[string]string{}, mails: map[string]bool{},
		blocked: map[string]string{}, withdrawn: map[string]bool{}, tried: map[string]bool{}}
	w.wg.Go(w.links)
	w.wg.Go(w.letters)
	w.wg.Go(w.decisions)
	return w
}

// acknowledged notes durably what the program has promised.
func (w *world) acknowledged(note func(), line string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	note()
	fmt.Fprintln(w.file, line)
	if err := w.file.Sync(); err != nil {
		w.t.Error(err)
	}
}

// each calls fn with 0, 1, 2 ... until the end, at the given pace.
func (w *world) each(pace time.Duration, fn func(n int)) {
	for n := 0; ; n++ {
		fn(n)
		select {
		case <-w.stop:
			return
		case <-time.After(pace):
		}
	}
}

func (w *world) try(marker string) {
	w.mu.Lock()
	w.tried[marker] = true
	w.mu.Unlock()
}

// links are reports at the public site, each tried once: one that got no answer
// is not repeated.
func (w *world) links() {
	w.each(30*time.Millisecond, func(n int) {
		marker := fmt.Sprintf("link-%d.reported.example", n)
		w.try(marker)
		if receipt, err := w.s.Report("http://" + marker + "/login"); err == nil {
			w.acknowledged(func() { w.receipts[marker] = receipt }, "link "+marker+" "+receipt)
		}
	})
}

// letters are reports by mail.
func (w *world) letters() {
	w.each(50*time.Millisecond, func(n int) {
		marker := fmt.Sprintf("mail-%d.reported.example", n)
		w.try(marker)
		from := fmt.Sprintf("reporter-%d@customer.example", n)
		raw := fmt.Sprintf("From: <%s>\r\nTo: <%s>\r\nSubject: Fwd: is this real?\r\nMessage-ID: <%d@customer.example>\r\n\r\n"+
			"---------- Forwarded message ---------\r\nFrom: Bank <no-reply@bank.example>\r\nSubject: your card\r\n\r\nGo to http://%s/login now.\r\n", from, live.ReportTo, n, marker)
		if err := w.s.Mail(from, raw); err == nil {
			w.acknowledged(func() { w.mails[marker] = true }, "mail "+marker)
		}
	})
}

// decisions are blocks, every third of them withdrawn again. One that got no
// answer is repeated with the same key, as a client of the API does, and is done
// then: no other refusal is right than that it was.
func (w *world) decisions() {
	w.each(40*time.Millisecond, func(n int) {
		name := fmt.Sprintf("block-%d.decided.example", n)
		var id string
		if !w.again(func() (err error) { id, err = w.s.Block(name, "add "+name); return err }) {
			return
		}
		w.acknowledged(func() { w.blocked[name] = id }, "block "+name)
		if n%3 != 0 || id == "" { // its answer died with the desk
			return
		}
		done := w.again(func() error { return w.s.Withdraw(id, "withdraw "+name) })
		w.acknowledged(func() {
			delete(w.blocked, name) // neither may be claimed of one that got no answer
			if done {
				w.withdrawn[name] = true
			}
		}, "withdraw "+name)
	})
}

var refused = regexp.MustCompile(`: 4\d\d [A-Z]`)

// again repeats fn until it is done. False: nobody knows whether it is. A request
// whose answer died with the desk was done.
func (w *world) again(fn func() error) bool {
	for {
		err := fn()
		if err == nil || live.WasDone(err) {
			return true
		}
		if refused.MatchString(err.Error()) && !strings.Contains(err.Error(), "still being answered") {
			w.t.Errorf("a repeated request was refused: %v", err)
			return false
		}
		select {
		case <-w.stop:
			return false
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// enough is how much of each kind must have happened for a test to say something.
const enough = 3

// end waits until enough has happened, and lets the last requests finish; then
// nothing comes in any more.
func (w *world) end() {
	if err := live.Until(time.Minute, func() (bool, error) {
		w.mu.Lock()
		defer w.mu.Unlock()
		return min(len(w.receipts), len(w.mails), len(w.blocked), len(w.withdrawn)) >= enough, nil
	}); err != nil {
		w.t.Errorf("too little happened for this test to say anything: %d links, %d mails, %d blocks, %d withdrawals", len(w.receipts), len(w.mails), len(w.blocked), len(w.withdrawn))
	}
	close(w.stop)
	w.wg.Wait()
	w.file.Close()
}

// settle is how long what was taken may need until it is read.
const settle = 60 * time.Second

// hold holds what was acknowledged against what is there.
func (w *world) hold() {
	t := w.t
	t.Helper()
	t.Logf("acknowledged: %d links, %d mails, %d blocks in force, %d withdrawn; tried: %d reports", len(w.receipts), len(w.mails), len(w.blocked), len(w.withdrawn), len(w.tried))
	w.readByAll()
	w.decidedEverywhere()
	w.store(w.s.Store())
}

// readByAll waits until each acknowledged report is read, by its receipt.
func (w *world) readByAll() {
	start := time.Now()
	open := maps.Clone(w.receipts)
	if err := live.Until(settle, func() (bool, error) {
		for marker, receipt := range open {
			state, err := w.s.Receipt(receipt)
			if err != nil {
				return false, fmt.Errorf("%s, receipt %s: %w", marker, receipt, err)
			}
			if state == "received" {
				return false, fmt.Errorf("%s is not read yet", marker)
			}
			delete(open, marker)
		}
		return true, nil
	}); err != nil {
		w.t.Errorf("%d of %d acknowledged links: %v", len(open), len(w.receipts), err)
	}
	w.t.Logf("all read %s after the last report", time.Since(start).Round(time.Millisecond))
}

// decidedEverywhere asks the desk, the edge, and the edge again when it starts
// from its own copy while the desk is away.
func (w *world) decidedEverywhere() {
	force, err := w.s.Listed("in_force")
	if err != nil {
		w.t.Fatal(err)
	}
	ended, err := w.s.Listed("withdrawn")
	if err != nil {
		w.t.Fatal(err)
	}
	for name, id := range w.blocked {
		if got := force[name]; got == "" || id != "" && got != id {
			w.t.Errorf("the desk lost the block of %s (%s): has %q", name, id, force[name])
		}
	}
	for name := range w.withdrawn {
		if force[name] != "" || ended[name] == "" {
			w.t.Errorf("the desk lost the withdrawal of %s", name)
		}
	}
	w.edge("the edge")
	if len(w.s.Roles()) > 1 {
		w.s.Kill("desk")
		w.s.Kill("edge")
		w.s.MustStart("edge")
		w.edge("the edge alone, from its copy")
	}
	for _, role := range w.s.Roles() {
		if err := w.s.Stop(role); err != nil {
			w.t.Errorf("%s: %v", role, err)
		}
	}
}

func (w *world) edge(who string) {
	ask := func(name string, want bool) {
		if err := live.Until(5*time.Second, func() (bool, error) {
			got, err := w.s.Blocked(name)
			return got == want, err
		}); err != nil {
			w.t.Errorf("%s: %s is not blocked=%v: %v", who, name, want, err)
		}
	}
	for name := range w.blocked {
		ask(name, true)
	}
	for name := range w.withdrawn {
		ask(name, false)
	}
}

// store looks into the desk's database while nothing runs: nothing is there
// twice, nothing that nobody sent.
func (w *world) store(path string) {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		w.t.Fatal(err)
	}
	defer db.Close()
	count := func(query string, args ...any) (n int) {
		w.t.Helper()
		if err := db.QueryRow(query, args...).Scan(&n); err != nil {
			w.t.Fatalf("%s: %v", query, err)
		}
		return n
	}
	reports := func(marker string) (n, state int) {
		return count(`select count(*) from shield_link l join shield_observable o on o.id=l.observable where o.value=$1`, marker),
			count(`select count(*) from shield_report r join shield_link l on l.report=r.id join shield_observable o on o.id=l.observable where o.value=$1 and r.state='read'`, marker)
	}
	found := 0
	for marker := range w.tried {
		n, read := reports(marker)
		found += n
		least := 0
		if w.receipts[marker] != "" || w.mails[marker] {
			least = 1
		}
		if n < least || n > 1 || n != read {
			w.t.Errorf("%s: reported %d times, read %d times, acknowledged %d times", marker, n, read, least)
		}
		if c := count(`select coalesce(sum(reports),0) from shield_observable where value=$1`, marker); c != n {
			w.t.Errorf("%s: counted %d times, reported %d times", marker, c, n)
		}
	}
	if n := count(`select count(*) from shield_observable where value like '%.reported.example'`); n != found {
		w.t.Errorf("%d names of reports, %d were sent", n, found)
	}
	unread := count(`select count(*) from shield_report where state='received'`)
	if unread > 0 && len(w.s.Roles()) > 1 { // the demo's own reports go on arriving
		w.t.Errorf("%d reports are not read", unread)
	}
	for _, q := range []string{
		`select count(*) from (select name from shield_block where name like '%.decided.example' group by name having count(*)>1)`,
		`select count(*) from (select object from audit where action='shield.block.confirm' group by object having count(*)>1)`,
		`select count(*) from (select object from audit where action='shield.block.withdraw' group by object having count(*)>1)`,
		`select count(*) from (select subject,ref from fact where subject in ('shield.block.placed','shield.block.ended','shield.report.received','shield.report.read') group by subject,ref having count(*)>1)`,
		`select count(*) from shield_block b where name like '%.decided.example' and not exists (select 1 from audit a where a.object=b.ref and a.action='shield.block.confirm')`,
		`select count(*) from shield_block b where state='in_force' and not exists (select 1 from copy_entry e where e.copy='blocks' and e.id=b.id)`,
		`select count(*) from shield_block b where state<>'in_force' and exists (select 1 from copy_entry e where e.copy='blocks' and e.id=b.id)`,
	} {
		if n := count(q); n > 0 {
			w.t.Errorf("%d rows of: %s", n, q)
		}
	}
	w.t.Logf("%d reports in the store for %d acknowledged and %d tried", found, len(w.receipts)+len(w.mails), len(w.tried))
}
