//go:build fault

// These tests kill a process at every fault point of what the hosts write,
// and hold what was acknowledged against what is there afterwards. They need
// the build tag:
//
//	go test -tags fault ./test/crash
package crash

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bolwerk/internal/clock"
	"bolwerk/internal/copy"
	"bolwerk/internal/copy/copytest"
	"bolwerk/internal/disk"
	"bolwerk/internal/handin"
	"bolwerk/internal/join/jointest"
	"bolwerk/internal/seal"
)

const operator = "Example Telecom"

// TestMain runs the child instead of the tests where it is told to.
func TestMain(m *testing.M) {
	switch os.Getenv("BOLWERK_CRASH_CHILD") {
	case "":
		os.Exit(m.Run())
	case "handin":
		childHandin()
	case "copy":
		childCopy()
	}
}

func must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(3)
	}
}

// child runs this program as a child and returns the lines that it wrote
// before it ended or was killed.
func child(t *testing.T, what, dir, fault, log string, extra ...string) []string {
	t.Helper()
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), append(extra, "BOLWERK_CRASH_CHILD="+what, "BOLWERK_CRASH_DIR="+dir, "BOLWERK_FAULT="+fault, "BOLWERK_FAULT_LOG="+log)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	if err != nil && (!errors.As(err, &exit) || exit.ExitCode() == 3) {
		t.Fatalf("child with fault %q: %v: %s", fault, err, &stderr)
	}
	if must := strings.HasSuffix(fault, "=kill") || strings.HasSuffix(fault, "=torn"); must != (err != nil) {
		t.Errorf("child with fault %q ended with %v: %s", fault, err, &stderr)
	}
	return strings.Fields(string(out))
}

// points runs a child without a fault and lists the points that it passes with
// how often it passes each.
func points(t *testing.T, what string, extra ...string) []string {
	t.Helper()
	log := filepath.Join(t.TempDir(), "points")
	child(t, what, t.TempDir(), "", log, extra...)
	b, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	count := map[string]int{}
	var all []string
	for line := range strings.Lines(string(b)) {
		name := strings.TrimSpace(line)
		if count[name]++; count[name] > 3 {
			continue // the third passage is like the tenth
		}
		actions := []string{"kill", "error"}
		if strings.HasSuffix(name, ".write") {
			actions = []string{"kill", "torn"}
		}
		for _, action := range actions {
			all = append(all, fmt.Sprintf("%s:%d=%s", name, count[name], action))
		}
	}
	return all
}

// childHandin puts five items, says which were acknowledged, and sends them.
func childHandin() {
	base := os.Getenv("BOLWERK_CRASH_DESK")
	cfg := handin.DefaultConfig()
	cfg.MinFree = 0
	s, err := handin.Open(disk.System{}, os.Getenv("BOLWERK_CRASH_DIR"), cfg, seal.PublicKey{}, clock.New(), jointest.Quiet())
	must(err)
	ctx, stop := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { handin.NewSender(s, http.DefaultClient, base, jointest.Quiet()).Run(ctx) })
	for i := range 5 {
		if id, err := s.Put("mail", fmt.Appendf(nil, "mail %d", i)); err == nil {
			fmt.Println(id) // written at once: a pipe has no buffer of ours
		}
	}
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if n, _, _ := s.Depth(); n == 0 {
			break
		}
	}
	stop()
	wg.Wait()
}

// receiver is a desk that counts.
type receiver struct {
	mu  sync.Mutex
	got map[string]string
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, q *http.Request) {
	if q.Method != http.MethodPost {
		w.Write([]byte("{}"))
		return
	}
	b, _ := io.ReadAll(q.Body)
	r.mu.Lock()
	defer r.mu.Unlock()
	id := filepath.Base(q.URL.Path)
	if old, ok := r.got[id]; ok && old != string(b) {
		w.WriteHeader(http.StatusInternalServerError)
		r.got["changed "+id] = string(b)
		return
	}
	r.got[id] = string(b)
}

func TestHandinSurvivesAKillAtEveryPoint(t *testing.T) {
	server := func() (*receiver, string) {
		r := &receiver{got: map[string]string{}}
		s := httptest.NewServer(r)
		t.Cleanup(s.Close)
		return r, "BOLWERK_CRASH_DESK=" + s.URL
	}
	_, base := server()
	all := points(t, "handin", base)
	if len(all) < 20 {
		t.Fatalf("only %d faults: %v", len(all), all)
	}
	for _, fault := range all {
		r, base := server()
		dir := t.TempDir()
		acked := child(t, "handin", dir, fault, "", base)
		acked = append(acked, child(t, "handin", dir, "", "", base)...) // the next life
		texts := map[string]int{}
		for _, id := range acked {
			if !strings.HasPrefix(r.got[id], "mail ") {
				t.Errorf("%s: %s was acknowledged and arrived as %q", fault, id, r.got[id])
			}
		}
		for id, text := range r.got {
			texts[text]++
			if strings.HasPrefix(id, "changed") {
				t.Errorf("%s: %s with another text", fault, id)
			}
		}
		for text, n := range texts {
			if n > 2 { // each of the two lives put it once
				t.Errorf("%s: %q arrived under %d ids", fault, text, n)
			}
		}
		for _, sub := range []string{"new", "bad"} {
			if left, _ := os.ReadDir(filepath.Join(dir, sub)); len(left) != 0 {
				t.Errorf("%s: %d files left in %s", fault, len(left), sub)
			}
		}
	}
	t.Logf("%d faults", len(all))
}

// childCopy follows a fixed history of a copy and says where it stands.
func childCopy() {
	dir := os.Getenv("BOLWERK_CRASH_DIR")
	signer, err := copy.OpenSigner(os.Getenv("BOLWERK_CRASH_KEY"), operator)
	must(err)
	old, err := copy.OpenSigner(os.Getenv("BOLWERK_CRASH_KEY")+".first", operator)
	must(err)
	c := clock.NewFake(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
	sink := copytest.NewSink()
	sink.OnMove = func(h copy.Head) { fmt.Printf("%d/%d\n", h.Epoch, h.Serial) }
	m := copy.NewMachine(copy.NewFiles(disk.System{}, dir), sink, copy.Trust{Operator: operator, Copy: "blocks", Keys: []ed25519.PublicKey{old.Public()}})
	out, err := m.Start(c.Now())
	must(err)
	for _, o := range histories() {
		h := copy.NewHandler(o, signer, nil, c, jointest.Quiet())
		for range 2 { // once more where the first met the fault
			i := slices.IndexFunc(out, func(e copy.Effect) bool { _, ok := e.(copy.Question); return ok })
			q := out[i].(copy.Question)
			var b bytes.Buffer
			must(h.Answer(context.Background(), &b, copy.Poll{Copy: "blocks", Mark: q.Mark, Nothing: q.Nothing}, q.Key, q.Snapshot, 0))
			c.Add(time.Minute)
			out = m.Handle(m.ReadAnswer(q, &b), c.Now())
		}
	}
	entries := sink.Entries()
	b, err := json.Marshal(entries)
	must(err)
	fmt.Printf("end:%s\n", b)
}

// histories is the desk at ten moments: always the same octets.
func histories() (all []*copytest.Origin) {
	for n := range 10 {
		o := copytest.NewOrigin("blocks")
		var backup copytest.Backup
		for i := range n + 1 {
			id := fmt.Sprint("n", i%4)
			o.Publish(copy.Entry{ID: id, Version: int64(2*i + 1)}, copy.Entry{ID: fmt.Sprint("n", (i+2)%4), Version: int64(2*i + 2), Removed: true})
			switch i {
			case 3:
				backup = o.Backup()
				o.Forget() // a snapshot is needed
			case 6:
				o.Restore(backup)
			}
		}
		all = append(all, o)
	}
	return all
}

func TestACopySurvivesAKillAtEveryPoint(t *testing.T) {
	key := filepath.Join(t.TempDir(), "copy.key")
	signer, err := copy.OpenSigner(key, operator)
	if err != nil {
		t.Fatal(err)
	}
	first, _ := os.ReadFile(key)
	os.WriteFile(key+".first", first, 0o600)
	if err := signer.Rotate(time.Unix(1e9, 0)); err != nil {
		t.Fatal(err)
	}
	extra := "BOLWERK_CRASH_KEY=" + key
	want := child(t, "copy", t.TempDir(), "", "", extra)
	end := want[len(want)-1]
	all := points(t, "copy", extra)
	if len(all) < 20 {
		t.Fatalf("only %d faults: %v", len(all), all)
	}
	for _, fault := range all {
		dir := t.TempDir()
		before := child(t, "copy", dir, fault, "", extra)
		after := child(t, "copy", dir, "", "", extra)
		best, last := mark(before), mark(after)
		if len(before) > 0 && len(after) > 0 && opening(after).Before(best) {
			t.Errorf("%s: served %v, after the restart %v", fault, best, opening(after))
		}
		if got := after[len(after)-1]; got != end {
			t.Errorf("%s: ends at %v with %s, want %s", fault, last, got, end)
		}
		names, _ := os.ReadDir(dir)
		for _, n := range names {
			if disk.IsTemp(n.Name()) {
				t.Errorf("%s: %s left behind", fault, n.Name())
			}
		}
	}
	t.Logf("%d faults", len(all))
}

// mark is the furthest place among lines.
func mark(lines []string) (best copy.Mark) {
	for _, l := range lines {
		var m copy.Mark
		if _, err := fmt.Sscanf(l, "%d/%d", &m.Epoch, &m.Serial); err == nil && best.Before(m) {
			best = m
		}
	}
	return best
}

// opening is the first place among lines.
func opening(lines []string) (m copy.Mark) {
	sc := bufio.NewScanner(strings.NewReader(strings.Join(lines, "\n")))
	for sc.Scan() {
		if _, err := fmt.Sscanf(sc.Text(), "%d/%d", &m.Epoch, &m.Serial); err == nil {
			return m
		}
	}
	return m
}
