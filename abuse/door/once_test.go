package door_test

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"bolwerk"
	. "bolwerk/abuse/door"
	"bolwerk/internal/clock"
	"bolwerk/internal/disk"
	"bolwerk/internal/handin"
	"bolwerk/internal/recent"
	"bolwerk/internal/seal"
)

var midday = time.Date(2026, 11, 26, 12, 0, 0, 0, time.UTC)

// A request that comes again has one effect and one code, after a restart too.
func TestOnce(t *testing.T) {
	d := disk.NewCrashing(1)
	open := func(now time.Time) *Once {
		t.Helper()
		o, err := OpenOnce(d, "/intake", now)
		if err != nil {
			t.Fatal(err)
		}
		return o
	}
	put := map[string]int{} // by id
	ask := func(o *Once, now time.Time, key, body string, fail error) (string, error) {
		code, err := o.Do(now, key, recent.KeyOf(body), func(id string, _ time.Time, _ bolwerk.Token) error {
			if fail == nil {
				put[id]++
			}
			return fail
		})
		return code.Reveal(), err
	}
	o := open(midday)
	full := errors.New("full")
	if _, err := ask(o, midday, "192.0.2.0/24\na", "x", full); err != full {
		t.Fatal(err)
	}
	first, err := ask(o, midday, "192.0.2.0/24\na", "x", nil)
	if err != nil || len(put) != 1 {
		t.Fatalf("%v, %v", put, err)
	}
	if again, err := ask(o, midday, "192.0.2.0/24\na", "x", full); err != nil || again != first {
		t.Errorf("again: %s, %v", again, err)
	}
	if other, err := ask(o, midday, "198.51.100.0/24\na", "x", nil); err != nil || other == first || len(put) != 2 {
		t.Errorf("of another network: %s, %v", other, err)
	}
	d.Crash()
	d.Restart()
	o = open(midday.Add(time.Hour))
	if again, err := ask(o, midday.Add(time.Hour), "192.0.2.0/24\na", "x", nil); err != nil || again != first || len(put) != 2 {
		t.Errorf("after a power cut: %s, want %s, %d ids (%v)", again, first, len(put), err)
	}
	if _, err := ask(o, midday.Add(time.Hour), "192.0.2.0/24\na", "y", nil); err != recent.ErrOtherBody {
		t.Errorf("another body after it: %v", err)
	}
	for _, name := range []string{"requests", "requests.key"} {
		b, err := disk.Read(d, "/intake/"+name, 1<<20)
		if err != nil || bytes.Contains(b, []byte("192.0.2")) || bytes.Contains(b, []byte(first)) {
			t.Errorf("%s: %q (%v)", name, b, err)
		}
	}
	if next, err := ask(o, midday.Add(25*time.Hour), "192.0.2.0/24\na", "y", nil); err != nil || next == first {
		t.Errorf("a day later: %s, %v", next, err)
	}
}

// Wherever the power goes, a request that was answered is answered with the same code,
// and is one item.
func TestOnceAtEveryPowerCut(t *testing.T) {
	for stop := 1; ; stop++ {
		d := disk.NewCrashing(uint64(stop))
		ids, answered := map[string]bool{}, map[string]string{}
		ask := func(o *Once, key string) error {
			code, err := o.Do(midday, key, recent.KeyOf(key), func(id string, _ time.Time, _ bolwerk.Token) error { ids[key+" "+id] = true; return nil })
			if err != nil {
				return err
			}
			if was := answered[key]; was != "" && was != code.Reveal() {
				t.Errorf("stop %d: %s was answered with another code before", stop, key)
			}
			answered[key] = code.Reveal()
			return nil
		}
		d.StopAt(stop)
		o, err := OpenOnce(d, "/intake", midday)
		for i := 0; err == nil && i < 5; i++ {
			err = ask(o, fmt.Sprint("key", i))
		}
		whole := !d.Dead()
		d.Crash()
		d.Restart()
		if o, err = OpenOnce(d, "/intake", midday); err != nil {
			t.Fatalf("stop %d: %v", stop, err)
		}
		for i := range 5 {
			if err := ask(o, fmt.Sprint("key", i)); err != nil {
				t.Fatalf("stop %d: %v", stop, err)
			}
		}
		if len(ids) != 5 {
			t.Errorf("stop %d: %d items of 5 requests", stop, len(ids))
		}
		if whole {
			return
		}
	}
}

// onceChild answers a key a line with its code, until it is killed.
func onceChild(dir string) error {
	c, log := clock.New(), slog.New(slog.DiscardHandler)
	spool, err := handin.Open(disk.System{}, filepath.Join(dir, "spool"), handin.DefaultConfig(), seal.PublicKey{}, c, log)
	if err != nil {
		return err
	}
	o, err := OpenOnce(disk.System{}, dir, c.Now())
	if err != nil {
		return err
	}
	in := bufio.NewScanner(os.Stdin)
	for in.Scan() {
		key := in.Text()
		code, err := o.Do(c.Now(), key, recent.KeyOf(key), func(id string, _ time.Time, code bolwerk.Token) error {
			return spool.PutAs(id, KindReport, Report{Channel: ByAPI, Token: code.Reveal(), Form: Any, Body: []byte(key)}.Encode())
		})
		if err != nil {
			return err
		}
		fmt.Println(key, code.Reveal())
	}
	return in.Err()
}

// Whenever the intake is killed, who sends again has the same code, and the report is
// one.
func TestTheSameRequestAfterAKill(t *testing.T) {
	dir := t.TempDir()
	const keys = 60
	answered := map[string]string{}
	for round := range 5 {
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "BOLWERK_TEST_ONCE="+dir)
		child.Stderr = os.Stderr
		in, err := child.StdinPipe()
		if err != nil {
			t.Fatal(err)
		}
		out, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		go func() { // those of before, and more
			for i := range keys {
				io.WriteString(in, fmt.Sprintf("key%d\n", i))
			}
			in.Close()
		}()
		most := rand.IntN(keys)
		if round == 4 {
			most = keys + 1
		}
		lines := bufio.NewScanner(out)
		for n := 0; n < most && lines.Scan(); n++ {
			key, code, _ := strings.Cut(lines.Text(), " ")
			if was := answered[key]; was != "" && was != code {
				t.Errorf("%s: %s, and %s before the kill", key, code, was)
			}
			answered[key] = code
		}
		child.Process.Kill()
		child.Wait()
	}
	files, err := filepath.Glob(filepath.Join(dir, "spool", "new", "0*"))
	if err != nil || len(files) != keys || len(answered) != keys {
		t.Errorf("%d items and %d answers of %d requests (%v)", len(files), len(answered), keys, err)
	}
}
