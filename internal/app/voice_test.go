package app

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestSubBrand_answers_what_is_written_to_its_addresses(t *testing.T) {
	read := func(sub string) (Config, error) {
		file := filepath.Join(t.TempDir(), "bolwerk.toml")
		text := "[public]\nurl = \"https://safe.harbour.example:8443\"\n[smtp]\naddresses = [\"report@harbour.example\", \"report@tip.example\"]\n[shield]\nanswer_from = \"safe@harbour.example\"\n" +
			"[[mailbox]]\nname = \"old\"\nkind = \"imap\"\nuser = \"Old@tip.example\"\n[[sub_brand]]\nid = \"tip\"\nname = \"Tip\"\nhosts = [\"safe.tip.example\"]\n" + sub
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		c, err := Read(file)
		if err != nil {
			t.Fatal(err)
		}
		return c, c.checkBrands()
	}
	c, err := read("report_addresses = [\"report@tip.example\", \"old@tip.example\"]\n")
	if err != nil && strings.Contains(err.Error(), "report_addresses") {
		t.Fatal(err)
	}
	if v := c.Shield.Voices[0]; v.Name != "Tip" || v.URL != "https://safe.tip.example:8443" || v.From.String() != "safe@harbour.example" || len(v.To) != 2 {
		t.Errorf("got %+v", v)
	}
	for _, addresses := range []string{`["else@tip.example"]`, `["report@tip.example", "report@tip.example"]`} {
		if _, err := read("report_addresses = " + addresses + "\n"); err == nil || !strings.Contains(err.Error(), "report_addresses") {
			t.Errorf("%s: got %v, want a problem", addresses, err)
		}
	}
}
