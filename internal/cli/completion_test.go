package cli

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// complete asks a real bash what it offers after a line.
func complete(t *testing.T, dir string, words ...string) []string {
	t.Helper()
	code, script, errs := run("completion", "bash")
	if code != Done {
		t.Fatalf("exit %d: %s", code, errs)
	}
	file := filepath.Join(t.TempDir(), "bolwerk.bash")
	if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("bash", "--norc", "-c", `compopt() { :; }; source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); _bolwerk; printf '%s\n' "${COMPREPLY[@]}"`, "bash", file)
	cmd.Args = append(cmd.Args, words...)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", words, err, out)
	}
	return strings.Fields(string(out))
}

func TestBashCompletes(t *testing.T) {
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("bash is not installed")
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "phish.eml"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(dir, "phishing"), 0o700); err != nil {
		t.Fatal(err)
	}
	for line, c := range map[string]struct{ has, not []string }{
		"bolwerk |":                  {has: []string{"case", "block", "demo", "completion"}, not: []string{"confirm", "--help", "reader"}},
		"bolwerk ca|":                {has: []string{"case"}, not: []string{"block"}},
		"bolwerk case |":             {has: []string{"list", "show", "confirm", "reject"}, not: []string{"case", "phish.eml"}},
		"bolwerk case confirm --re|": {has: []string{"--reason"}, not: []string{"--server"}},
		"bolwerk case confirm C-1 --reason x --sco|": {has: []string{"--scope"}},
		"bolwerk demo --log-format |":                {has: []string{"text", "json"}, not: []string{"--data"}},
		"bolwerk demo --data phi|":                   {has: []string{"phishing"}, not: []string{"phish.eml"}},
		"bolwerk check phi|":                         {has: []string{"phish.eml", "phishing"}},
		"bolwerk report mail phi|":                   {has: []string{"phish.eml"}},
		"bolwerk edge |":                             {has: []string{"serve", "pass"}},
		"bolwerk edge --na|":                         {has: []string{"--names"}},
		"bolwerk completion |":                       {has: []string{"bash", "zsh", "fish"}},
		"bolwerk case show --server |":               {not: []string{"list", "phish.eml"}},
	} {
		got := complete(t, dir, strings.Split(strings.TrimSuffix(line, "|"), " ")...)
		for _, want := range c.has {
			if !slices.Contains(got, want) {
				t.Errorf("%s offers %q, want %s among them", line, got, want)
			}
		}
		for _, bad := range c.not {
			if slices.Contains(got, bad) {
				t.Errorf("%s offers %q, not wanted: %s", line, got, bad)
			}
		}
	}
}

// Each shell takes what is printed for it, where it is installed.
func TestEveryShellReadsItsCompletion(t *testing.T) {
	for shell, args := range map[string][]string{"bash": {"-n"}, "zsh": {"-n"}, "fish": {"--no-execute"}} {
		code, script, errs := run("completion", shell)
		if code != Done || !strings.Contains(script, "confirm") {
			t.Errorf("%s: exit %d: %s", shell, code, errs)
		}
		if _, err := exec.LookPath(shell); err != nil {
			if os.Getenv("CI") != "" {
				t.Errorf("%s is not installed: test/peers/install.sh installs it", shell)
			}
			t.Logf("%s is not installed: its completion is not read", shell)
			continue
		}
		file := filepath.Join(t.TempDir(), "completion")
		if err := os.WriteFile(file, []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
		if out, err := exec.Command(shell, append(args, file)...).CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", shell, err, out)
		}
	}
}
