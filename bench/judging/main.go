// Judging measures what the rules make of real names, mails and links, offline:
// by the mail and the name alone, without lists, pages or registration data.
//
//	BOLWERK_DATA=/path go run ./bench/judging
//	go run ./bench/judging --data /path --only names,mails
//
// It prints tables; the figures are in docs/understand/judging.md.
package main

import (
	"bufio"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"bolwerk/internal/idn"
	"bolwerk/internal/suffix"
	"bolwerk/shield/judge"
	"bolwerk/shield/lists"
)

type bench struct {
	dir       string
	psl       *suffix.List
	platforms *judge.Platforms
	brands    *judge.Brands
	show      int
	tune      bool
}

// parts are what can be measured, in the order in which they run.
var parts = []struct {
	name string
	run  func(*bench) error
}{
	{"names", (*bench).names}, {"mails", (*bench).mails}, {"days", (*bench).days}, {"scope", (*bench).scope}, {"speed", (*bench).speed},
}

func main() {
	dir := flag.String("data", os.Getenv("BOLWERK_DATA"), "folder of real mails, links and lists; else BOLWERK_DATA")
	only := flag.String("only", "", "parts to run, by commas: names, mails, days, scope, speed")
	show := flag.Int("show", 0, "how many examples of the half in view")
	tune := flag.Bool("tune", false, "the half in view only: the other is not even read, as while rules are written")
	flag.Parse()
	if err := run(*dir, *only, *show, *tune); err != nil {
		fmt.Fprintln(os.Stderr, "bench/judging:", err)
		os.Exit(1)
	}
}

func run(dir, only string, show int, tune bool) error {
	if dir == "" {
		return errors.New("no data: give --data or BOLWERK_DATA")
	}
	platforms, err := judge.NewPlatforms()
	if err != nil {
		return err
	}
	b := &bench{dir: dir, psl: suffix.Builtin(), platforms: platforms, show: show, tune: tune}
	if b.brands, err = judge.NewBrands(b.psl, judge.KnownBrands()...); err != nil {
		return err
	}
	fmt.Printf("%s, %s, %d CPU, rules %s, suffixes %s, %d brands\n", time.Now().UTC().Format("2006-01-02"), runtime.Version(), runtime.NumCPU(), judge.Ruleset, b.psl.Version(), len(judge.KnownBrands()))
	for _, p := range parts {
		if only != "" && !slices.Contains(strings.Split(only, ","), p.name) {
			continue
		}
		fmt.Printf("\n== %s\n", p.name)
		if err := p.run(b); err != nil {
			return fmt.Errorf("%s: %w", p.name, err)
		}
	}
	return nil
}

// lines are the lines of a packed file of the data.
func (b *bench) lines(name string, each func(string) error) error {
	f, err := os.Open(filepath.Join(b.dir, name))
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	in := bufio.NewReaderSize(z, 1<<16)
	for {
		line, err := in.ReadString('\n')
		if line != "" {
			if err := each(strings.TrimRight(line, "\r\n")); err != nil {
				return err
			}
		}
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

func (b *bench) hosts(name string, each func(judge.Place)) error {
	return b.lines(name, func(line string) error {
		if d, err := idn.Parse(strings.TrimPrefix(line, ".")); err == nil && d.Labels() > 1 {
			each(judge.PlaceOf(d, b.psl, b.platforms))
		}
		return nil
	})
}

// tuned says on which half a name is: the one that rules may be tuned on, or the
// one that figures are told of. All names of one owner are on one side.
func tuned(p judge.Place) bool {
	o := p.Owner()
	if o.IsZero() {
		o = p.Name
	}
	return sha256.Sum256([]byte(o.String()))[0]%2 == 0
}

// popular are the names that many people use.
func (b *bench) popular() (lists.Popularity, error) {
	var out lists.Popularity
	for _, l := range []struct {
		file string
		top  int
	}{{"tranco10k", 10_000}, {"cloudflare-top100k_half_a", 100_000}} {
		f, err := os.Open(filepath.Join(b.dir, "lists", l.file+".txt.gz"))
		if err != nil {
			return nil, err
		}
		z, err := gzip.NewReader(f)
		if err == nil {
			var s *lists.Set
			if s, err = lists.Load(z, lists.Source{Name: l.file, Kind: lists.Popular, Format: lists.Plain, Top: l.top}, nil, b.psl); err == nil {
				out = append(out, s)
			}
		}
		f.Close()
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func share(n, of int) string {
	if of == 0 {
		return "-"
	}
	return fmt.Sprintf("%.2f %%", 100*float64(n)/float64(of))
}

// against says that a verdict is suspicious or worse.
func against(v judge.Verdict) bool { return v.Word == judge.Suspicious || v.Word == judge.Malicious }
