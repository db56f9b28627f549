// Package corpus sends real mails through the real program, from the SMTP door
// to a proposal, and holds what is proposed against real lists of popular names.
package corpus

import (
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/bench/product"
	"bolwerk/internal/clock"
	"bolwerk/internal/mail"
	"bolwerk/internal/store"
	"bolwerk/internal/suffix"
	"bolwerk/shield/judge"
	"bolwerk/shield/reading"
)

// class is what became of the mails of one folder.
type class struct {
	name                                                    string
	files                                                   []string
	accepted, read, withURL, wanted, linked, none, training int
	unreadable                                              []string
	verdicts, scopes                                        map[string]int // of the observables that they lead to
	cases                                                   map[string]bool
}

// kept is the door's answer; it names the end of the report's id.
var kept = regexp.MustCompile(`kept as ([0-9a-f]{12})\b`)

func end(id string) string { return id[len(id)-12:] }

// Every mail that was acknowledged is read; nothing that a well-meant mail names,
// and nothing that many people use, is proposed wider than its host.
func TestCorpus(t *testing.T) {
	data := os.Getenv("BOLWERK_DATA")
	if data == "" {
		t.Skip("skipped: BOLWERK_DATA names no folder of real mails and lists")
	}
	dir := t.TempDir()
	binary, err := product.Build(t.Context(), dir)
	if err != nil {
		t.Fatal(err)
	}
	popular := map[string]bool{}
	var config strings.Builder
	for _, l := range []string{"tranco10k", "cloudflare-top100k_half_a"} {
		path := filepath.Join(dir, l+".txt")
		if err := unpack(filepath.Join(data, "lists", l+".txt.gz"), path, popular); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(&config, "[[shield.list]]\nname = %q\nkind = \"popular\"\nformat = \"plain\"\nfile = %q\n", l, path)
	}
	work := filepath.Join(dir, "data")
	if err := os.Mkdir(work, 0o700); err != nil {
		t.Fatal(err)
	}
	p, err := product.Start(t.Context(), product.Options{Binary: binary, Dir: work, More: config.String()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Stop()
	t.Logf("load %s before", product.Load())
	before, begun := p.Usage(), time.Now()
	classes := []*class{{name: "phish"}, {name: "ham"}}
	from := map[string]*class{} // by the end of a report's id
	files := map[string]string{}
	total := 0
	for _, c := range classes {
		c.verdicts, c.scopes, c.cases = map[string]int{}, map[string]int{}, map[string]bool{}
		if c.files, err = filepath.Glob(filepath.Join(data, "mail", c.name, "*.eml")); err != nil || len(c.files) == 0 {
			t.Fatalf("no mails in %s of the data (%v)", c.name, err)
		}
		for id, file := range submit(t, p, c.files) {
			from[id], files[id] = c, file
			c.accepted++
		}
		total += c.accepted
		if c.accepted != len(c.files) {
			t.Errorf("%s: %d of %d mails were taken", c.name, c.accepted, len(c.files))
		}
	}
	until(t, p, int64(total))
	took, after := time.Since(begun), p.Usage()
	t.Logf("%d mails read %.1f s after the first was sent, %.1f ms CPU a mail (%.1f of it readers), load %s", total, took.Seconds(),
		(after.CPU+after.Readers-before.CPU-before.Readers).Seconds()*1e3/float64(total), (after.Readers-before.Readers).Seconds()*1e3/float64(total), product.Load())
	hosts := readAlone(t, binary, classes)
	pictures(t, p)
	p.Stop()
	db, err := store.Open(t.Context(), store.Config{URL: filepath.Join(work, "desk", "bolwerk.db")}, clock.New())
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	look(t, db, from, files)
	for _, c := range classes {
		t.Logf("%-5s accepted %d, read %d, with URL %d (%d with one that a person can follow), linked %d, nothing to link %d, training %d, unreadable %d, cases %d", c.name, c.accepted, c.read, c.withURL, c.wanted, c.linked,
			c.none, c.training, len(c.unreadable), len(c.cases))
		t.Logf("      observables by verdict: %s", counts(c.verdicts))
		t.Logf("      proposals by scope: %s", counts(c.scopes))
		if c.linked < c.wanted-c.training {
			t.Errorf("%s: %d mails have an address that a person can follow, %d are linked", c.name, c.wanted, c.linked)
		}
		if c.read+c.none+len(c.unreadable) != c.accepted {
			t.Errorf("%s: %d accepted, but %d read, %d without an observable, %d unreadable", c.name, c.accepted, c.read, c.none, len(c.unreadable))
		}
		if len(c.unreadable) > 0 {
			t.Errorf("%s: unreadable: %s", c.name, strings.Join(c.unreadable, ", "))
		}
	}
	narrow(t, db, from, popular, hosts)
	for _, a := range p.Alarms() {
		t.Errorf("the program alarmed: %s", a)
	}
}

// unpack writes a packed list to path and notes its names.
func unpack(from, path string, names map[string]bool) error {
	f, err := os.Open(from)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	b, err := io.ReadAll(z)
	if err != nil {
		return err
	}
	for line := range strings.Lines(string(b)) {
		if d, err := bolwerk.ParseDomain(strings.TrimSpace(line)); err == nil && d.Labels() > 1 {
			names[d.String()] = true
		}
	}
	return os.WriteFile(path, b, 0o600)
}

// submit hands the mails in as a reporter's attachments, and gives the file of
// each report by what the door's answer names.
func submit(t *testing.T, p *product.Product, files []string) map[string]string {
	t.Helper()
	var mu sync.Mutex
	var work sync.WaitGroup
	out := map[string]string{}
	next := make(chan int)
	for range 8 {
		work.Go(func() {
			client := mail.NewClient(mail.Target{Addr: p.SMTP, Name: "corpus.example", TLS: mail.TLSNone}, (&net.Dialer{}).DialContext)
			defer client.Close()
			for i := range next {
				raw, err := os.ReadFile(files[i])
				from := mail.MustAddress(fmt.Sprintf("reporter%d@customer.example", i%50))
				if err == nil {
					raw, err = mail.Forward(from, product.ReportTo, fmt.Sprintf("suspicious, no. %d", i), "Is this real?\n", raw, time.Now())
				}
				var reply string
				if err == nil {
					reply, err = client.Submit(t.Context(), from, []mail.Address{product.ReportTo}, raw)
				}
				id := kept.FindStringSubmatch(reply)
				mu.Lock()
				switch {
				case err != nil:
					t.Errorf("%s: %v", filepath.Base(files[i]), err)
				case id == nil:
					t.Errorf("%s: the door answered %q", filepath.Base(files[i]), reply)
				default:
					out[id[1]] = files[i]
				}
				mu.Unlock()
			}
		})
	}
	for i := range files {
		next <- i
	}
	close(next)
	work.Wait()
	return out
}

// until waits until the desk has read want reports.
func until(t *testing.T, p *product.Product, want int64) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Minute); ; time.Sleep(100 * time.Millisecond) {
		today, err := p.Today(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if today.Reports >= want && today.Unread == 0 {
			if today.Reports != want {
				t.Errorf("the desk has %d reports, %d were acknowledged", today.Reports, want)
			}
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the desk has %d of %d reports, %d unread", today.Reports, want, today.Unread)
		}
	}
}

var noPictures = regexp.MustCompile(`(?m)^bolwerk_shield_pictures_waiting\S* 0$`)

// pictures waits until the second pass has read pictures and PDFs: some links stand
// nowhere else.
func pictures(t *testing.T, p *product.Product) {
	t.Helper()
	begin := time.Now()
	for deadline := time.Now().Add(10 * time.Minute); ; time.Sleep(500 * time.Millisecond) {
		res, err := http.Get("http://" + p.Metrics + "/metrics")
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		if noPictures.Match(b) {
			t.Logf("pictures and PDFs were read %.1f s later", time.Since(begin).Seconds())
			return
		}
		if time.Now().After(deadline) {
			t.Fatal("pictures still wait to be read")
		}
	}
}

// readAlone reads the same files with "bolwerk read": which hold an address at
// all. It returns the hosts that well-meant mails name.
func readAlone(t *testing.T, binary string, classes []*class) map[string]bool {
	t.Helper()
	hosts := map[string]bool{}
	for _, c := range classes {
		out, err := exec.CommandContext(t.Context(), binary, append([]string{"read", "--json"}, c.files...)...).Output()
		if err != nil {
			t.Logf("bolwerk read: %v", err) // a file that cannot be read has its own line
		}
		for line := range strings.Lines(string(out)) {
			var r struct {
				URLs []struct {
					URL  string       `json:"url"`
					Role reading.Role `json:"role"`
				} `json:"urls"`
			}
			if err := json.Unmarshal([]byte(line), &r); err != nil {
				t.Fatalf("bolwerk read wrote %q: %v", line, err)
			}
			wanted := false
			for _, u := range r.URLs {
				wanted = wanted || !u.Role.Noise()
				_, rest, _ := strings.Cut(u.URL, "://")
				host, _, _ := strings.Cut(strings.Split(rest, "/")[0], ":")
				if d, err := bolwerk.ParseDomain(host); err == nil && c.name == "ham" {
					hosts[d.String()] = true
				}
			}
			if len(r.URLs) > 0 {
				c.withURL++
			}
			if wanted {
				c.wanted++
			}
		}
	}
	return hosts
}

// look counts what became of each report.
func look(t *testing.T, db *store.DB, from map[string]*class, files map[string]string) {
	t.Helper()
	seen := map[string]bool{} // class and observable
	err := db.Read(context.Background(), func(tx *store.Tx) error {
		err := tx.Each(`select r.id,r.state,r.outcome,(select count(*) from shield_link l where l.report=r.id) from shield_report r`, nil, func(scan func(...any) error) error {
			var id, state, outcome string
			var links int
			if err := scan(&id, &state, &outcome, &links); err != nil {
				return err
			}
			c := from[end(id)]
			if c == nil {
				t.Errorf("report %s was never acknowledged to us", id)
				return nil
			}
			switch {
			case state == "read":
				c.read++
			case state == "unreadable":
				c.unreadable = append(c.unreadable, filepath.Base(files[end(id)]))
			default:
				c.none++
			}
			if outcome == "training" {
				c.training++
			}
			if links > 0 {
				c.linked++
			}
			return nil
		})
		if err != nil {
			return err
		}
		return tx.Each(`select l.report,o.id,o.verdict,o.case_id,coalesce(s.scope,'') from shield_link l join shield_observable o on o.id=l.observable left join shield_case s on s.id=o.case_id`, nil,
			func(scan func(...any) error) error {
				var report, observable, verdict, caseID, scope string
				if err := scan(&report, &observable, &verdict, &caseID, &scope); err != nil {
					return err
				}
				c := from[end(report)]
				if c == nil || seen[c.name+observable] {
					return nil
				}
				seen[c.name+observable] = true
				c.verdicts[verdict]++
				if caseID != "" {
					c.cases[caseID] = true
					c.scopes[scope]++
				}
				return nil
			})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// narrow holds every proposal against what must not be taken along.
func narrow(t *testing.T, db *store.DB, from map[string]*class, popular, ham map[string]bool) {
	t.Helper()
	// A tenant of a platform is its label and all below: as a host it would be
	// no other site.
	psl, wider, tenants := suffix.Builtin(), map[string]bool{}, map[string]bool{}
	tenant := func(target string) bool {
		d, err := bolwerk.ParseDomain(target)
		return err == nil && judge.PlaceOf(d, psl, platforms(t)).Tenant == d
	}
	err := db.Read(context.Background(), func(tx *store.Tx) error {
		return tx.Each(`select distinct s.target,s.scope,o.value,l.report from shield_case s join shield_observable o on o.case_id=s.id join shield_link l on l.observable=o.id
			where s.scope in ('subtree','registrable')`, nil, func(scan func(...any) error) error {
			var target, scope, value, report string
			if err := scan(&target, &scope, &value, &report); err != nil {
				return err
			}
			if tenant(target) && value == target {
				tenants[target] = true
			} else if c := from[end(report)]; c != nil && c.name == "ham" {
				t.Errorf("a well-meant mail has %s proposed as %s of %s", value, scope, target)
			}
			if wider[target] {
				return nil
			}
			wider[target] = true
			for _, list := range []struct {
				what  string
				names map[string]bool
			}{{"a popular list", popular}, {"a well-meant mail", ham}} {
				for name := range list.names {
					if name == target && !tenants[target] || strings.HasSuffix(name, "."+target) {
						t.Errorf("%s as %s would take %s, which %s has", target, scope, name, list.what)
					}
				}
			}
			return nil
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d names are proposed wider than a host, %d of them are tenants of a platform; none of %d popular names and %d names of well-meant mails is taken along", len(wider), len(tenants), len(popular), len(ham))
}

func platforms(t *testing.T) *judge.Platforms {
	t.Helper()
	p, err := judge.NewPlatforms()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func counts(m map[string]int) string {
	var out []string
	for _, k := range slices.Sorted(maps.Keys(m)) {
		name := k
		if name == "" {
			name = "none"
		}
		out = append(out, fmt.Sprintf("%s %d", name, m[k]))
	}
	return strings.Join(out, ", ")
}
