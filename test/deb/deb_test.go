// Package deb builds the Debian package, installs it on a machine of its own,
// and does there what the documents say.
package deb

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
)

// build builds the packages from the tree in root into dir.
func build(t *testing.T, root, dir string) []string {
	t.Helper()
	if _, err := exec.LookPath("dpkg-deb"); err != nil {
		missing(t, "dpkg-deb is not installed")
	}
	cmd := exec.Command(filepath.Join(root, "packaging", "build-deb.sh"), dir)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	all, err := filepath.Glob(filepath.Join(dir, "*.deb"))
	if err != nil || len(all) != 2 {
		t.Fatalf("packages %q, %v", all, err)
	}
	return all
}

func tree(t *testing.T) string {
	t.Helper()
	if os.Getenv("BOLWERK_DEB") == "" {
		t.Skip("builds a package: make deb-test")
	}
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// packages are those of the tree, built once for all tests.
var packages struct {
	once sync.Once
	dir  string
	all  []string
}

func TestMain(m *testing.M) {
	code := m.Run()
	if packages.dir != "" {
		os.RemoveAll(packages.dir)
	}
	os.Exit(code)
}

// built are the packages of the tree, and their folder.
func built(t *testing.T, root string) (dir string, all []string) {
	t.Helper()
	packages.once.Do(func() {
		var err error
		if packages.dir, err = os.MkdirTemp("", "bolwerk-deb-"); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(packages.dir, 0o755); err != nil { // as a folder of a test
			t.Fatal(err)
		}
		packages.all = build(t, root, packages.dir)
	})
	if packages.all == nil {
		t.Fatal("the packages could not be built")
	}
	return packages.dir, packages.all
}

func TestThePackageIsTheSameFromTheSameCommit(t *testing.T) {
	root := tree(t)
	if out, err := exec.Command("git", "-C", root, "status", "--porcelain").Output(); err != nil || len(out) > 0 {
		missing(t, "the tree has changes that are not committed")
	}
	elsewhere := filepath.Join(t.TempDir(), "another", "place")
	if out, err := exec.Command("git", "clone", "-q", root, elsewhere).CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	_, here := built(t, root)
	there := build(t, elsewhere, t.TempDir())
	for i := range here {
		a, err := os.ReadFile(here[i])
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(there[i])
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(a, b) {
			t.Errorf("two builds of one commit differ: %s has %d and %d bytes", filepath.Base(here[i]), len(a), len(b))
		}
	}
}

// What the unit leaves open, as systemd counts it: 0 is nothing, 10 is all.
var exposure = map[string]string{"bolwerk@all.service": "20", "bolwerk@desk.service": "15"} // in tenths

func TestTheUnitIsHardened(t *testing.T) {
	root := tree(t)
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		missing(t, "systemd-analyze is not installed")
	}
	dir := filepath.Join(t.TempDir(), "usr/lib/systemd/system")
	for from, to := range map[string]string{"bolwerk@.service": "bolwerk@.service", "desk.conf": "bolwerk@desk.service.d/desk.conf", "probe.conf": "bolwerk@probe.service.d/probe.conf", "relay.conf": "bolwerk@relay.service.d/relay.conf", "agent.conf": "bolwerk@agent.service.d/agent.conf", "all.conf": "bolwerk@all.service.d/all.conf"} {
		b, err := os.ReadFile(filepath.Join(root, "packaging/systemd", from))
		if err != nil {
			t.Fatal(err)
		}
		to = filepath.Join(dir, to)
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		// The program is not installed here.
		b = bytes.Replace(b, []byte("/usr/bin/bolwerk"), []byte("/bin/true"), 1)
		if err := os.WriteFile(to, b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	analyze := func(args ...string) string {
		cmd := exec.Command("systemd-analyze", append(args, "--man=no")...)
		cmd.Env = append(os.Environ(), "SYSTEMD_UNIT_PATH="+dir+":")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("systemd-analyze %s: %v\n%s", args, err, out)
		}
		return string(out)
	}
	for unit, most := range exposure {
		if out := analyze("verify", unit); strings.Contains(out, "bolwerk") {
			t.Errorf("verify %s: %s", unit, out)
		}
		out := analyze("security", "--offline=true", "--threshold="+most, unit)
		t.Log(unit, regexp.MustCompile(`Overall exposure level.*`).FindString(out))
	}
}

// A block of a document that begins with "sh run" is run on the machine.
var runBlock = regexp.MustCompile("(?s)```sh run\n(.*?)```")

// blocks are the commands of a document, with words in the place of others.
func (m *machine) blocks(root, doc string, words ...string) (all []string) {
	m.t.Helper()
	b, err := os.ReadFile(filepath.Join(root, "docs", doc))
	if err != nil {
		m.t.Fatal(err)
	}
	for _, block := range runBlock.FindAllStringSubmatch(string(b), -1) {
		all = append(all, strings.NewReplacer(words...).Replace(block[1]))
	}
	if len(all) == 0 {
		m.t.Fatalf("nothing is run of %s", doc)
	}
	return all
}
