package badday

import (
	"crypto/rand"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"bolwerk/test/live"
)

// mounts marks the child that has mounts of its own.
const mounts = "BOLWERK_TEST_MOUNTS"

// ownMounts runs the test again in a mount namespace of its own, where it may
// mount small file systems that end with it. True: this is that run.
func ownMounts(t *testing.T) bool {
	t.Helper()
	if os.Getenv(mounts) != "" {
		return true
	}
	if os.Geteuid() != 0 {
		if os.Getenv("CI") != "" {
			t.Fatal("CI must run this as root: it mounts a small file system in a namespace of its own")
		}
		t.Skip("mounting a small file system needs root: sudo go test ./test/badday -run " + t.Name())
	}
	cmd := exec.Command("unshare", "-m", "--propagation", "private", os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.v", "-test.timeout", "5m")
	cmd.Env = append(os.Environ(), mounts+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("in a mount namespace of its own: %v\n%s", err, out)
	}
	t.Logf("%s", out)
	return false
}

// small mounts a file system of that size.
func small(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "mode=0700,size="+size); err != nil {
		t.Fatalf("mount: %v", err)
	}
	t.Cleanup(func() { syscall.Unmount(dir, syscall.MNT_DETACH) })
	return dir
}

// fill takes room on the file system of dir: n bytes, or with 0 all there is. It
// gives it back when what it returns is called.
func fill(t *testing.T, dir string, n int64) (empty func()) {
	t.Helper()
	path := filepath.Join(dir, "somebody-else")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if n == 0 {
		n = 1 << 40
	}
	if _, err = io.CopyN(f, rand.Reader, n); err != nil && !errors.Is(err, syscall.ENOSPC) {
		t.Fatal(err)
	}
	return func() { os.Remove(path) }
}

func TestFullDisk(t *testing.T) {
	long(t)
	if !ownMounts(t) {
		return
	}
	// The spool wants 512 MiB free, the desk's ballast takes 64 MiB.
	desk, intake := small(t, "200m"), small(t, "540m")
	s := live.Apart(t, "", "", map[string]string{"desk": desk, "intake": intake})
	s.Found()
	ballast := filepath.Join(desk, "desk", "ballast")
	names := []string{"one.full.example", "two.full.example", "three.full.example", "four.full.example"}
	ids := map[string]string{}
	for _, n := range names {
		ids[n] = block(t, s, n)
	}
	for _, n := range names {
		blocked(t, s, n, true)
	}
	until(t, "ballast", 5*time.Second, func() (bool, error) {
		st, err := os.Stat(ballast)
		return err == nil && st.Sys().(*syscall.Stat_t).Blocks*512 >= 64<<20, err
	})

	// The intake's disk is full: strangers are put off, never lied to.
	empty := fill(t, intake, 40<<20)
	if err := s.Mail("somebody@customer.example", "From: <somebody@customer.example>\r\nSubject: x\r\n\r\nhttp://a.full.example/\r\n"); err == nil || !strings.HasPrefix(err.Error(), "452 ") {
		t.Errorf("a mail to a full intake: %v, want 452", err)
	}
	if status, err := s.Call("POST", s.Public+"/api/v1/reports", "", map[string]string{"url": "http://a.full.example/"}, nil); status != 503 {
		t.Errorf("a report to a full intake: %d %v, want 503", status, err)
	}
	blocked(t, s, names[0], true)
	empty()
	if _, err := s.Report("http://a.full.example/"); err != nil {
		t.Errorf("a report once there is room again: %v", err)
	}

	// The desk's disk is full.
	empty = fill(t, desk, 0)
	for i := 0; ; i++ { // what SQLite has already is used up first
		status, err := s.Call("POST", s.Console+"/api/v1/blocks", "", map[string]string{"name": "no-room.full.example", "reason": strings.Repeat("x", 1500)}, nil)
		if status == 503 {
			break
		}
		if err == nil {
			id, err := s.Listed("in_force")
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Withdraw(id["no-room.full.example"], ""); err != nil {
				t.Fatal(err)
			}
		} else {
			t.Fatalf("a block on a full disk: %d %v, want 503", status, err)
		}
		if i == 2000 {
			t.Fatal("the disk does not get full")
		}
	}
	receipt, err := s.Report("http://b.full.example/") // the intake has room and keeps it
	if err != nil {
		t.Errorf("a report while the desk is full: %v", err)
	}
	for _, n := range names {
		blocked(t, s, n, true)
	}
	start := time.Now()
	if err := s.Withdraw(ids[names[0]], "a key"); err != nil {
		t.Fatalf("a withdrawal on a full disk: %v", err)
	}
	blocked(t, s, names[0], false)
	t.Logf("withdrawn %s after it was asked for, on a full disk", time.Since(start).Round(time.Millisecond))
	if err := s.Withdraw(ids[names[1]], ""); err != nil {
		t.Errorf("a second one: %v", err)
	}
	blocked(t, s, names[1], false)
	s.LogIn("anna")
	if status, _ := s.Call("POST", s.Console+"/api/v1/blocks", "", map[string]string{"name": "more.full.example", "reason": "seen"}, nil); status != 503 {
		t.Errorf("a block while only withdrawals are written: %d, want 503", status)
	}

	// A desk that is killed now comes back and can still withdraw.
	s.Kill("desk")
	s.MustStart("desk")
	if err := s.Withdraw(ids[names[2]], ""); err != nil {
		t.Errorf("a withdrawal after a restart on a full disk: %v", err)
	}
	blocked(t, s, names[2], false)
	blocked(t, s, names[3], true)

	// There is room again: all goes on by itself.
	empty()
	until(t, "a block once there is room", 30*time.Second, func() (bool, error) {
		_, err := s.Block("room.full.example", "")
		return err == nil, err
	})
	blocked(t, s, "room.full.example", true)
	until(t, "the report that waited", 60*time.Second, func() (bool, error) {
		state, err := s.Receipt(receipt)
		return state != "received", err
	})
	if _, err := os.Stat(ballast); err != nil {
		t.Errorf("the ballast: %v", err)
	}
	if log := s.Log("desk"); !strings.Contains(log, "alarm=true") || !strings.Contains(log, "has room again") {
		t.Error("no alarm of the full disk, or no word that it is over")
	}
}
