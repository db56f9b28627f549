package door_test

import (
	"bufio"
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
	"bolwerk/internal/once"
	"bolwerk/internal/recent"
	"bolwerk/internal/seal"
)

// onceChild answers a key a line with its code, until it is killed.
func onceChild(dir string) error {
	c, log := clock.New(), slog.New(slog.DiscardHandler)
	spool, err := handin.Open(disk.System{}, filepath.Join(dir, "spool"), handin.DefaultConfig(), seal.PublicKey{}, c, log)
	if err != nil {
		return err
	}
	o, err := once.Open(disk.System{}, dir, c.Now())
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
