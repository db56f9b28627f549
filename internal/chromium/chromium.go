// Package chromium prints a page of our own to PDF with the Chromium that is
// installed. The page is not a stranger's, and says itself that nothing in it may
// run or be fetched; still the browser gets no network, a folder of its own,
// little time, and one file to give back.
package chromium

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"bolwerk"
)

// Printer prints with the browser at Path; "" is the one that is found in PATH.
type Printer struct{ Path string }

// Bounds of one print.
const (
	wait    = 60 * time.Second
	maxPDF  = 32 << 20
	maxTold = 4 << 10 // of what the browser says when it fails
)

// names are how distributions call it.
var names = []string{"chromium", "chromium-browser", "google-chrome-stable", "google-chrome"}

func (p Printer) find() (string, error) {
	candidates := names
	if p.Path != "" {
		candidates = []string{p.Path}
	}
	for _, name := range candidates {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	if p.Path != "" {
		return "", bolwerk.WithHint(bolwerk.NotFound("there is no browser at %s to make a PDF with", p.Path), "set shield.chromium to the Chromium that is installed, or take the HTML and print it")
	}
	return "", bolwerk.WithHint(bolwerk.NotFound("no Chromium is installed to make a PDF with"), "install the package chromium, or set shield.chromium to its path, or take the HTML and print it")
}

// PDF prints a page of HTML that needs no other file.
func (p Printer) PDF(ctx context.Context, html []byte) ([]byte, error) {
	path, err := p.find()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "bolwerk-pdf-")
	if err != nil {
		return nil, fmt.Errorf("print to PDF: %w", err)
	}
	defer os.RemoveAll(dir)
	in, out := filepath.Join(dir, "page.html"), filepath.Join(dir, "page.pdf")
	if err := os.WriteFile(in, html, 0o600); err != nil {
		return nil, fmt.Errorf("print to PDF: %w", err)
	}
	ctx, stop := context.WithTimeout(ctx, wait)
	defer stop()
	args := []string{"--headless", "--disable-gpu", "--no-first-run", "--disable-extensions", "--disable-background-networking", "--disable-sync", "--disable-dev-shm-usage",
		"--host-resolver-rules=MAP * ~NOTFOUND", "--proxy-server=127.0.0.1:9",
		"--user-data-dir=" + filepath.Join(dir, "profile"), "--no-pdf-header-footer", "--print-to-pdf=" + out}
	if os.Geteuid() == 0 {
		args = append(args, "--no-sandbox") // as root it starts in no other way; the desk's service is not root
	}
	var told bytes.Buffer
	cmd := exec.CommandContext(ctx, path, append(args, "file://"+in)...)
	cmd.Env = []string{"HOME=" + dir, "PATH=" + os.Getenv("PATH"), "LANG=C.UTF-8", "TMPDIR=" + dir}
	cmd.Stderr = &told
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) } // with its children
	cmd.WaitDelay = 5 * time.Second
	err = cmd.Run()
	if errors.Is(ctx.Err(), context.DeadlineExceeded) {
		return nil, fmt.Errorf("print to PDF: %s took more than %v", path, wait)
	}
	if err != nil {
		return nil, fmt.Errorf("print to PDF: %s: %w: %s", path, err, tail(told.Bytes()))
	}
	f, err := os.Open(out)
	if err != nil {
		return nil, fmt.Errorf("print to PDF: %s made none: %s", path, tail(told.Bytes()))
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxPDF+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("print to PDF: %w", err)
	case len(b) > maxPDF:
		return nil, fmt.Errorf("print to PDF: %s made more than %d bytes", path, maxPDF)
	case !bytes.HasPrefix(b, []byte("%PDF-")):
		return nil, fmt.Errorf("print to PDF: %s made something else", path)
	}
	return b, nil
}

func tail(b []byte) string {
	return strings.ToValidUTF8(string(b[max(0, len(b)-maxTold):]), "?")
}
