package shield_test

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bolwerk/internal/account"
	"bolwerk/shield"
)

const listToImport = `name,scope,pass,until,ground,reason
slecht.boevenbende.example,host,false,2026-12-01T00:00:00Z,policy,seen
boevenbende.example,registrable,false,,policy,all of it
www.slecht.boevenbende.example,host,false,,policy,
good.boevenbende.example,host,true,,policy,the school needs it
com,host,false,,policy,
their.example,host,false,,order,
old.example,host,false,2025-01-01T00:00:00Z,policy,
not a name,host,false,,policy,
slecht.boevenbende.example,host,false,,policy,twice
much-too-long.example,host,false,2029-01-01T00:00:00Z,policy,
`

// states are what became of each row, by its line.
func (d *apiDesk) imports(file string, args ...string) (states map[int]string, out string, err error) {
	d.t.Helper()
	out, _, err = command(d.t, "", append([]string{"import", file, "--reason", "our old list", "--server", d.server.URL}, args...)...)
	states = map[int]string{}
	var v struct {
		Items []struct {
			At    int
			State string
		}
	}
	if json.Unmarshal([]byte(out), &v) == nil {
		for _, i := range v.Items {
			states[i.At] = i.State
		}
	}
	return states, out, err
}

func TestImport(t *testing.T) {
	d := newAPIDesk(t)
	token := d.tokenFile("ann", account.Read, account.DecideScope)
	list := filepath.Join(t.TempDir(), "list.csv")
	if err := os.WriteFile(list, []byte(listToImport), 0o600); err != nil {
		t.Fatal(err)
	}
	want := map[int]string{2: "blocked", 3: "waits", 4: "blocked", 5: "waits", 7: "order", 8: "over", 9: "unreadable", 10: "in_force", 11: "refused", 6: "unreadable"}
	same := func(run string, got map[int]string) {
		t.Helper()
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s:\n got %v\nwant %v", run, got, want)
		}
	}
	dry, _, err := d.imports(list, "--token-file", token, "--dry-run", "--json")
	if err == nil || !strings.Contains(err.Error(), "3 of 10 rows") {
		t.Errorf("the dry run ends with %v", err)
	}
	same("dry run", dry)
	if n := len(listed(d.ok(token, "block", "list"))) + len(listed(d.ok(token, "case", "list"))); n != 0 {
		t.Errorf("a dry run left %d blocks and cases", n)
	}
	_, text, _ := d.imports(list, "--token-file", token, "--dry-run")
	for _, part := range []string{"     2  slecht.boevenbende.example: would be blocked until 2026-12-01", "     3  boevenbende.example (registrable): would wait for a second person", "guard 12", "nothing was done"} {
		if !strings.Contains(text, part) {
			t.Errorf("the dry run does not say %q:\n%s", part, text)
		}
	}

	done, _, _ := d.imports(list, "--token-file", token, "--json")
	same("import", done)
	blocks := listed(d.ok(token, "block", "list"))
	slices.SortFunc(blocks, func(a, b map[string]any) int { return strings.Compare(b["ref"].(string), a["ref"].(string)) })
	if len(blocks) != 2 || blocks[1]["reason"] != "seen" || blocks[0]["reason"] != "our old list" || blocks[1]["valid_until"] != "2026-12-01T00:00:00Z" {
		t.Errorf("blocks after the import: %v", blocks)
	}

	// Started again, it does nothing twice: what waits goes on waiting as it is.
	before := d.proposals(token)
	want[2], want[4] = "in_force", "in_force"
	again, text, err := d.imports(list, "--token-file", token, "--json")
	if same("again", again); err == nil {
		t.Errorf("refused rows end with success: %s", text)
	}
	if after := d.proposals(token); len(before) != 2 || fmt.Sprint(after) != fmt.Sprint(before) {
		t.Errorf("proposals before %v, after %v", before, after)
	}
}

func (d *apiDesk) proposals(token string) (ids []string) {
	d.t.Helper()
	secret, _, err := shield.ReadToken(token)
	if err != nil {
		d.t.Fatal(err)
	}
	for _, p := range listed(d.ask("Bearer "+secret.Reveal(), "GET", "/proposals", "").body) {
		ids = append(ids, p["id"].(string))
	}
	return ids
}

// What everybody would be refused ends it at once, with what to do.
func TestImportEndsAtOnce(t *testing.T) {
	d := newAPIDesk(t)
	list := filepath.Join(t.TempDir(), "list.txt")
	if err := os.WriteFile(list, []byte("a.example\nb.example\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"lacks the scope decide":         {"--token-file", d.tokenFile("ann", account.Read)},
		"no valid token":                 nil,
		"does not answer":                {"--server", "http://127.0.0.1:1"},
		"want 72h":                       {"--for", "soon"},
		"the first line names no column": {"--format", "csv"},
	} {
		if _, out, err := d.imports(list, args...); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(out, "b.example") {
			t.Errorf("%v: %v, want %q\n%s", args, err, want, out)
		}
	}
	if _, out, err := d.imports(filepath.Join(t.TempDir(), "none")); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("a file that is not there: %v %s", err, out)
	}
}
