//go:build peers

package peers

import (
	"net/netip"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"bolwerk/test/story"
)

func TestMain(m *testing.M) { story.Main(m) }

// A story of the abuse desk beside FreeRADIUS: the access server of the line, and where
// its accounting comes from.
func TestStories(t *testing.T) {
	Need(t, "radclient")
	for _, name := range []string{"curl", "sh"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Fatal(err)
		}
	}
	login := FreePort(t)
	f := StartFreeRADIUS(t, login, "a token of aaa1, long")
	t.Cleanup(func() {
		if b, err := os.ReadFile(f.Changes); err == nil && t.Failed() {
			t.Logf("changes:\n%s", b)
		}
	})
	story.Run(t, "testdata", func(env *testscript.Env) error {
		for name, at := range map[string]netip.AddrPort{"LOGIN": login, "AUTH": f.Auth, "COA": f.CoA, "ACCOUNTING": FreePort(t)} {
			env.Setenv(name, at.String())
		}
		env.Setenv("SECRET", f.Secret)
		env.Setenv("CHANGES", f.Changes)
		host, port, _ := strings.Cut(env.Getenv("GARDEN"), ":")
		env.Setenv("GARDENHOST", host)
		env.Setenv("GARDENPORT", port)
		return nil
	})
}
