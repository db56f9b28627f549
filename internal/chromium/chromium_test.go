package chromium

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"testing"

	"bolwerk"
)

func TestPDF(t *testing.T) {
	if _, err := (Printer{}).find(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal(err)
		}
		t.Skip("no Chromium is installed: PDFs are not made here")
	}
	b, err := Printer{}.PDF(t.Context(), []byte("<!doctype html><title>Figures</title><p>1,204"))
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.HasPrefix(b, []byte("%PDF-")) || len(b) < 1000 {
		t.Errorf("%d bytes that begin with %q", len(b), b[:min(len(b), 8)])
	}
}

// Where there is no browser the answer says what to do; one that fails says so.
func TestNoBrowser(t *testing.T) {
	_, err := Printer{Path: filepath.Join(t.TempDir(), "none")}.PDF(t.Context(), nil)
	var r *bolwerk.Refusal
	if !errors.As(err, &r) || r.Hint == "" || !errors.Is(err, bolwerk.ErrNotFound) {
		t.Errorf("no browser: %v", err)
	}
	for name, script := range map[string]string{"fails": "#!/bin/sh\necho broken >&2; exit 3\n", "makes nothing": "#!/bin/sh\nexit 0\n", "makes something else": "#!/bin/sh\nfor a; do case $a in --print-to-pdf=*) echo no > ${a#*=};; esac; done\n"} {
		path := filepath.Join(t.TempDir(), "browser")
		if err := os.WriteFile(path, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		if _, err := (Printer{Path: path}).PDF(t.Context(), []byte("x")); err == nil {
			t.Errorf("a browser that %s: no error", name)
		}
	}
}
