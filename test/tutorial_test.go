package test

import (
	"bufio"
	"bytes"
	"context"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"bolwerk/test/live"
)

// The tutorials promise commands and what they print. Each console block of them
// runs here against a demo of its own; "..." stands for anything, and a number of a
// case or a quarantine for the one that came out, as for a reader.
func TestTheTutorialsDoWhatTheySay(t *testing.T) {
	if testing.Short() {
		t.Skip("stories take a minute: not with -short")
	}
	for _, tool := range []string{"dig", "curl"} {
		if _, err := exec.LookPath(tool); err != nil {
			if os.Getenv("CI") != "" {
				t.Fatalf("%s is not installed", tool)
			}
			t.Skipf("%s is not installed: the tutorials are not run", tool)
		}
	}
	program := live.Build(t, "")
	all, err := filepath.Glob(filepath.Join("..", "docs", "learn", "*.md"))
	if err != nil || len(all) < 2 {
		t.Fatalf("%d tutorials: %v", len(all), err)
	}
	for _, file := range all {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".md"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			follow(t, program, string(text))
		})
	}
}

// follow does what a tutorial says.
func follow(t *testing.T, program, text string) {
	offset, giveBack, err := live.Offset()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(giveBack)
	dir := t.TempDir()
	startDemo(t, program, dir, offset)
	numbers := map[string]string{} // of the tutorial, with those that came out
	here := func(s string) string {
		for _, port := range live.Ports {
			s = regexp.MustCompile(`\b`+strconv.Itoa(port)+`\b`).ReplaceAllString(s, strconv.Itoa(port+offset))
		}
		return number.ReplaceAllStringFunc(s, func(n string) string {
			if mine := numbers[n]; mine != "" {
				return mine
			}
			return n
		})
	}
	steps := tutorialSteps(text)
	if len(steps) < 9 {
		t.Fatalf("%d commands in the tutorial", len(steps))
	}
	for _, s := range steps {
		command := strings.ReplaceAll(here(s.command), "./bin/bolwerk", program)
		want := here(s.want)
		var out []byte
		var ok bool
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(300 * time.Millisecond) {
			cmd := exec.Command("sh", "-c", command)
			cmd.Dir = dir
			out, _ = cmd.CombinedOutput()
			// Looking again is what a person does too; a decision is made once.
			decides := strings.Contains(command, "--reason") && !strings.Contains(command, " who ") && !strings.Contains(command, " list ")
			if ok = took(string(out), want, numbers); ok || decides || time.Now().After(end) {
				break
			}
		}
		if !ok {
			t.Fatalf("$ %s\ngot:\n%s\nthe tutorial says:\n%s", s.command, out, want)
		}
	}
}

// number is that of a case or a quarantine of the abuse desk.
var number = regexp.MustCompile(`\b(AB|Q)-20\d\d-\d{6}\b`)

// took says that out is what the tutorial wants. A number that the tutorial names for
// the first time is the first of its kind that came out: lists begin with the newest.
func took(out, want string, numbers map[string]string) bool {
	first := map[string]string{}
	for _, mine := range number.FindAllString(out, -1) {
		if first[mine[:1]] == "" {
			first[mine[:1]] = mine
		}
	}
	known := slices.Collect(maps.Values(numbers))
	fresh := map[string]string{}
	want = number.ReplaceAllStringFunc(want, func(n string) string {
		if slices.Contains(known, n) {
			return n
		}
		fresh[n] = first[n[:1]]
		return fresh[n]
	})
	if !matches(out, want) {
		return false
	}
	maps.Copy(numbers, fresh)
	return true
}

type step struct{ command, want string }

// tutorialSteps are the commands of the console blocks with what they print.
func tutorialSteps(text string) (steps []step) {
	inside := false
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		switch {
		case strings.HasPrefix(line, "```"):
			inside = line == "```console"
		case !inside:
		case strings.HasPrefix(line, "$ "):
			steps = append(steps, step{command: line[2:]})
		case len(steps) > 0:
			steps[len(steps)-1].want += line + "\n"
		}
	}
	return steps
}

var blanks = regexp.MustCompile(`[ \t]+`)

// matches says that the lines of want stand in out in their order, with "..." as
// anything and blanks as one.
func matches(out, want string) bool {
	rest := strings.Split(blanks.ReplaceAllString(out, " "), "\n")
	for line := range strings.Lines(blanks.ReplaceAllString(want, " ")) {
		line = strings.TrimSpace(line)
		if line == "..." || line == "" {
			continue
		}
		pattern := regexp.MustCompile("^ ?" + strings.ReplaceAll(regexp.QuoteMeta(line), `\.\.\.`, ".*") + " ?\r?$")
		at := 0
		for at < len(rest) && !pattern.MatchString(rest[at]) {
			at++
		}
		if at == len(rest) {
			return false
		}
		rest = rest[at+1:]
	}
	return true
}

// startDemo runs a demo in dir until the test ends.
func startDemo(t *testing.T, program, dir string, offset int) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	cmd := exec.CommandContext(ctx, program, "demo", "--port-offset", strconv.Itoa(offset), "--log-level", "error")
	cmd.Dir = dir
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	var log bytes.Buffer
	cmd.Stderr = &log
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ready := make(chan bool, 1)
	go func() {
		for sc := bufio.NewScanner(out); sc.Scan(); {
			if sc.Text() == "ready" {
				ready <- true
			}
		}
		close(ready)
	}()
	t.Cleanup(func() {
		stop()
		cmd.Wait()
		if t.Failed() {
			t.Logf("the demo said:\n%s", log.String())
		}
	})
	select {
	case ok := <-ready:
		if !ok {
			t.Fatalf("the demo ended:\n%s", log.String())
		}
	case <-time.After(time.Minute):
		t.Fatalf("the demo is not ready after a minute:\n%s", log.String())
	}
}
