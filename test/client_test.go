package test

import (
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"bolwerk/shield"
	"bolwerk/test/live"
)

// Clients generated from our two descriptions compile, and a program that uses
// them gets from a real desk what they promise.
func TestGeneratedClients(t *testing.T) {
	if testing.Short() {
		t.Skip("stories take a minute: not with -short")
	}
	program := live.Build(t, "")
	offset, giveBack, err := live.Offset()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(giveBack)
	dir := t.TempDir()
	startDemo(t, program, dir, offset)
	demo, err := shield.ReadDemoFile(filepath.Join(dir, shield.DemoFolder))
	if err != nil {
		t.Fatal(err)
	}
	module := filepath.Join(dir, "client")
	if err := os.CopyFS(module, os.DirFS("client")); err != nil {
		t.Fatal(err)
	}
	run := func(name string, args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), name, args...)
		cmd.Dir = module
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-mod=readonly")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%s %v: %v\n%s", name, args, err, out)
		}
		return string(out)
	}
	for name, site := range map[string]string{"desk": demo.Console, "public": demo.Public} {
		if err := os.Mkdir(filepath.Join(module, name), 0o700); err != nil {
			t.Fatal(err)
		}
		description(t, site+"/api/v1/openapi.json", filepath.Join(module, name+".json"))
		run("go", "tool", "oapi-codegen", "-generate", "types,client", "-package", name, "-o", name+"/"+name+".go", name+".json")
	}
	run("go", "vet", "./...")
	if got := run("go", "run", ".", demo.Console, demo.Public, demo.TokenFile); got != "all answers are as they are described\n" {
		t.Errorf("the client says %s", got)
	}
}

func description(t *testing.T, from, to string) {
	t.Helper()
	r, err := http.Get(from)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s %v", from, r.Status, err)
	}
	if err := os.WriteFile(to, b, 0o600); err != nil {
		t.Fatal(err)
	}
}
