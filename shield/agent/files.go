package agent

import (
	"iter"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"bolwerk"
	"bolwerk/internal/cdb"
	"bolwerk/internal/disk"
	"bolwerk/internal/nameset"
	"bolwerk/internal/rpz"
	"bolwerk/shield/zones"
)

// Files are the policy zones as dnsdist reads them: for each zone one constant
// database of names, one of names with all below them, and one script of Lua that
// asks them in their order. A change rewrites the files of its zone; the large one
// rests as the cold zone of resolvers does.
type Files struct {
	dir    string
	canary bolwerk.Domain
	each   func(zone bolwerk.Domain) iter.Seq[rpz.Record]

	mu    sync.Mutex
	stand map[bolwerk.Domain]rpz.State
}

// NewFiles makes the folder and the script; the databases follow with the copy.
func NewFiles(dir string, w With, ttl uint32) (*Files, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if err := os.Chmod(dir, 0o755); err != nil { // another user reads it
		return nil, err
	}
	f := &Files{dir: dir, canary: w.Canary, stand: map[bolwerk.Domain]rpz.State{}}
	for _, z := range []bolwerk.Domain{zones.Pass, zones.Hot, zones.Block} {
		for _, name := range []string{f.path(z, "self"), f.path(z, "below")} {
			if _, err := os.Stat(name); os.IsNotExist(err) { // dnsdist does not start without
				if err := cdb.Write(name, func(func(k, v []byte) bool) {}); err != nil {
					return nil, err
				}
			}
		}
	}
	path := filepath.Join(dir, "bolwerk.lua")
	if err := disk.Write(path, []byte(script(dir, w, ttl)), "agent.script"); err != nil {
		return nil, err
	}
	return f, os.Chmod(path, 0o644)
}

// Of says whose names the files hold; an agent says it itself.
func (f *Files) Of(z *zones.Zones) { f.each = z.Each }

func (f *Files) path(zone bolwerk.Domain, what string) string {
	return filepath.Join(f.dir, zone.String()[:1]+"-"+what+".cdb")
}

func (f *Files) at(zone bolwerk.Domain) (rpz.State, bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s, ok := f.stand[zone]
	return s, ok
}

// Held is none: the files are in place when a change has been made.
func (f *Files) Held(bolwerk.Domain) (uint32, bool) { return 0, true }

// Load writes the files of a zone.
func (f *Files) Load(zone bolwerk.Domain, at rpz.State, _ iter.Seq2[rpz.Record, error], _ []rpz.Change) error {
	return f.write(zone, at)
}

// Commit writes the files of a zone anew.
func (f *Files) Commit(zone bolwerk.Domain, c rpz.Change) error {
	return f.write(zone, rpz.State{Serial: c.Serial, Epoch: c.Epoch})
}

func (f *Files) write(zone bolwerk.Domain, at rpz.State) error {
	for _, below := range []bool{true, false} { // the canary, in the second, proves both
		what := "self"
		if below {
			what = "below"
		}
		var key []byte
		var last bolwerk.Domain
		err := cdb.Write(f.path(zone, what), func(yield func(k, v []byte) bool) {
			for r := range f.each(zone) {
				if r.Below != below || r.Name == last {
					continue // a second address: the script has them
				}
				last = r.Name
				key = nameset.AppendWire(key[:0], r.Name)
				if !yield(key, []byte(does(r.Data))) {
					return
				}
			}
			own, err := zones.CanaryOf(zone, f.canary)
			if m := rpz.Marker(own, at); err == nil && !below && !m.IsZero() {
				yield(nameset.AppendWire(nil, m), []byte("redirect"))
			}
		})
		if err != nil {
			return err
		}
	}
	f.mu.Lock()
	f.stand[zone] = at
	f.mu.Unlock()
	return nil
}

// does is the word for what a zone says.
func does(d rpz.Data) string {
	switch d {
	case rpz.Pass:
		return "pass"
	case rpz.NXDomain:
		return "nxdomain"
	case rpz.NoData:
		return "nodata"
	}
	return "redirect"
}

// script is what dnsdist includes. dnsdist looks at its rules before its cache.
func script(dir string, w With, ttl uint32) string {
	var b strings.Builder
	line := func(s string) { b.WriteString(s + "\n") }
	line("-- Written by bolwerk agent at each start. In dnsdist.conf, before your own rules:")
	line("--   dofile(" + lua(filepath.Join(dir, "bolwerk.lua")) + ")")
	line("local function ask(file, key)")
	line("  local kvs = newCDBKVStore(" + lua(dir+"/") + " .. file, 1)")
	line("  addAction(AndRule{NotRule(TagRule('bolwerk')), KeyValueStoreLookupRule(kvs, key)}, KeyValueStoreLookupAction(kvs, key, 'bolwerk'))")
	line("end")
	line("for _, zone in ipairs({'p', 'h', 'b'}) do")
	line("  ask(zone .. '-self.cdb', KeyValueLookupKeyQName(true))")
	line("  ask(zone .. '-below.cdb', KeyValueLookupKeySuffix(0, true))")
	line("end")
	line("addAction(TagRule('bolwerk', 'nxdomain'), RCodeAction(DNSRCode.NXDOMAIN))")
	line("addAction(TagRule('bolwerk', 'nodata'), RCodeAction(DNSRCode.NOERROR))")
	for _, family := range []struct {
		typ string
		v4  bool
	}{{"A", true}, {"AAAA", false}} {
		var addrs []string
		for _, a := range w.Landing {
			if a.Unmap().Is4() == family.v4 {
				addrs = append(addrs, lua(a.Unmap().String()))
			}
		}
		if len(addrs) > 0 {
			line("addAction(AndRule{TagRule('bolwerk', 'redirect'), QTypeRule(DNSQType." + family.typ + ")}, SpoofAction({" + strings.Join(addrs, ", ") + "}, {ttl=" + strconv.FormatUint(uint64(ttl), 10) + "}))")
		}
	}
	line("addAction(TagRule('bolwerk', 'redirect'), RCodeAction(DNSRCode.NOERROR))")
	return b.String()
}

// lua is s as a string of Lua.
func lua(s string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, "'", `\'`, "\n", `\n`).Replace(s) + "'"
}
