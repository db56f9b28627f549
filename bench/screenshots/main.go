// Screenshots measures how well addresses are read in screenshots of text
// messages. It draws messages with Chromium in four languages, light and dark, at
// the sizes of phones, with invented addresses, and has them read as the desk
// does: by tesseract, within its limits, in two sizes.
//
//	go run ./bench/screenshots --n 200
//
// An address is read "exactly" when it is sure and right; "to a person" when it
// is not sure; "wrong" when it is sure and not right, which is what must not be.
package main

import (
	"context"
	"flag"
	"fmt"
	"html"
	"log"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"bolwerk/shield/reading"
)

var messages = []string{
	"PostNL: uw pakket ligt klaar. Er zijn nog kosten. Betaal voor vrijdag via %s om terugzending te voorkomen.",
	"Uw rekening wordt vandaag geblokkeerd. Bevestig uw gegevens: %s",
	"Belastingdienst: u heeft recht op een teruggave van € 248,60. %s",
	"Votre colis n'a pas pu être livré. Veuillez régler les frais de 1,95 € : %s",
	"Votre compte sera suspendu. Vérifiez vos données sur %s avant minuit.",
	"Ihr Paket konnte nicht zugestellt werden. Bitte bestätigen Sie die Adresse: %s",
	"Sparkasse: Ihr pushTAN läuft ab. Verlängern Sie hier %s",
	"Your parcel is waiting at customs. Pay the fee here: %s Thank you.",
	"We noticed a new login. If this was not you, visit %s now.",
}

var words = []string{"postnl", "merelbank", "pakket", "bezorging", "betaal", "login", "veilig", "mijn", "colis", "livraison", "impots", "paket", "zustellung", "sparkasse", "secure", "update", "klant", "service", "itsme", "bevestig"}

func address(r *rand.Rand) string {
	pick := func() string { return words[r.IntN(len(words))] }
	host := pick() + "-" + pick()
	switch r.IntN(4) {
	case 0:
		host = pick() + fmt.Sprint(r.IntN(100))
	case 1:
		host = pick() + "." + pick()
	}
	host += "." + []string{"example", "com", "top", "info", "be", "nl", "xyz"}[r.IntN(7)]
	const letters = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
	path := ""
	switch r.IntN(4) {
	case 0:
		path = "/" + pick()
	case 1: // as shorteners have it: the hard kind
		for range 6 {
			path += string(letters[r.IntN(len(letters))])
		}
		path = "/" + path
	case 2:
		path = "/" + pick() + "?id=" + fmt.Sprint(r.IntN(100000))
	}
	switch r.IntN(3) {
	case 0:
		return host + path
	case 1:
		return "http://" + host + path
	}
	return "https://" + host + path
}

type phone struct {
	name          string
	width, height int
	scale         float64
}

var phones = []phone{{"iPhone", 390, 844, 3}, {"Android", 360, 780, 3}, {"small, 2x", 375, 667, 2}, {"sent on, 1x", 414, 896, 1}}

func page(text string, dark bool, r *rand.Rand) string {
	ground, bubble, ink, soft := "#fff", "#e9e9eb", "#000", "#888"
	if dark {
		ground, bubble, ink, soft = "#000", "#262629", "#fff", "#999"
	}
	font := []string{"'DejaVu Sans'", "Roboto,'Liberation Sans',sans-serif", "'DejaVu Sans Condensed'"}[r.IntN(3)]
	link := html.EscapeString(text)
	return fmt.Sprintf(`<!doctype html><meta charset=utf-8><body style="margin:0;background:%s;color:%s;font:17px/1.35 %s">
<div style="text-align:center;padding:14px 0 6px;border-bottom:1px solid %s">+32 470 00 00 00</div>
<p style="text-align:center;color:%s;font-size:12px">Vandaag 14:%02d</p>
<div style="background:%s;border-radius:18px;padding:9px 14px;margin:6px 12px;max-width:75%%;overflow-wrap:anywhere">%s</div></body>`,
		ground, ink, font, soft, soft, r.IntN(60), bubble, link)
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "reader" {
		child()
		return
	}
	n := flag.Int("n", 100, "screenshots")
	seed := flag.Uint64("seed", 1, "of the invented addresses")
	chromium := flag.String("chromium", "chromium", "program that draws")
	tesseract := flag.String("tesseract", "tesseract", "program that reads")
	keep := flag.String("keep", "", "folder in which screenshots that were read wrongly are kept")
	flag.Parse()
	// Interrupted, it tells of those that were read; readers end last.
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	asked, release := signal.NotifyContext(ctx, os.Interrupt)
	defer release()
	self := func() *exec.Cmd { return exec.Command("/proc/self/exe", "reader") }
	pool := reading.NewPool(1, self, time.Minute, slog.New(slog.DiscardHandler))
	done := make(chan struct{})
	go func() { defer close(done); _ = pool.Run(ctx) }()
	ocr, err := reading.NewOCR(ctx, *tesseract, self, pool)
	if err != nil {
		log.Fatal(err)
	}
	version, _ := exec.Command(*tesseract, "--version").Output()
	line, _, _ := strings.Cut(string(version), "\n")
	fmt.Printf("%s, %s, %d processors, %s, %s, seed %d\n", time.Now().UTC().Format("2006-01-02"), runtime.Version(), runtime.NumCPU(), line, ocr.Languages(), *seed)
	dir, err := os.MkdirTemp("", "screenshots")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	r := rand.New(rand.NewPCG(*seed, 7))
	type score struct{ n, exact, host, person, wrong, none int }
	var all score
	by := map[string]*score{}
	var times []time.Duration
	for i := range *n {
		if asked.Err() != nil {
			break
		}
		want := address(r)
		p, dark := phones[i%len(phones)], i/len(phones)%2 == 1
		name := p.name
		if dark {
			name += ", dark"
		}
		if by[name] == nil {
			by[name] = &score{}
		}
		file, shot := filepath.Join(dir, "m.html"), filepath.Join(dir, "m.png")
		if err := os.WriteFile(file, []byte(page(fmt.Sprintf(messages[r.IntN(len(messages))], want), dark, r)), 0o600); err != nil {
			log.Fatal(err)
		}
		cmd := exec.Command(*chromium, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", fmt.Sprintf("--force-device-scale-factor=%g", p.scale),
			fmt.Sprintf("--window-size=%d,%d", p.width, p.height), "--screenshot="+shot, file)
		if out, err := cmd.CombinedOutput(); err != nil {
			log.Fatalf("%s: %v: %s", *chromium, err, out)
		}
		raw, err := os.ReadFile(shot)
		if err != nil {
			log.Fatal(err)
		}
		res, err := pool.Read(ctx, reading.ReadMail, raw, reading.Option{Evidence: true})
		if err != nil || len(res.Pictures) != 1 {
			log.Fatalf("read: %v, %d pictures", err, len(res.Pictures))
		}
		begin := time.Now()
		if err := ocr.Read(ctx, &res.Pictures[0]); err != nil {
			log.Fatal(err)
		}
		times = append(times, time.Since(begin))
		var sure, any []string
		for _, g := range res.Pictures[0].Guesses {
			any = append(any, g.Text)
			if g.Sure {
				sure = append(sure, g.Text)
			}
		}
		wrong := slices.ContainsFunc(sure, func(s string) bool { return s != want })
		for _, s := range []*score{&all, by[name]} {
			s.n++
			switch {
			case wrong:
				s.wrong++
			case len(sure) > 0:
				s.exact++
			case len(any) > 0:
				s.person++
			default:
				s.none++
			}
			if len(sure) == 0 && slices.Contains(any, want) {
				s.host++
			}
		}
		if wrong {
			fmt.Printf("wrong: %q for %q (%s)\n", sure, want, name)
			if *keep != "" {
				_ = os.WriteFile(filepath.Join(*keep, fmt.Sprintf("wrong-%d.png", i)), raw, 0o600)
			}
		} else if *keep != "" && len(sure) == 0 {
			fmt.Printf("person: %q for %q (%s)\n", any, want, name)
		}
	}
	if len(times) == 0 {
		return
	}
	slices.Sort(times)
	fmt.Printf("%-22s %5s %8s %10s %14s %8s %6s\n", "", "n", "exactly", "to person", "(right guess)", "nothing", "wrong")
	show := func(name string, s score) {
		pc := func(k int) string { return fmt.Sprintf("%.1f%%", 100*float64(k)/float64(max(1, s.n))) }
		fmt.Printf("%-22s %5d %8s %10s %14s %8s %6s\n", name, s.n, pc(s.exact), pc(s.person), pc(s.host), pc(s.none), pc(s.wrong))
	}
	names := make([]string, 0, len(by))
	for k := range by {
		names = append(names, k)
	}
	slices.Sort(names)
	for _, k := range names {
		show(k, *by[k])
	}
	show("all", all)
	fmt.Printf("time per picture: median %v, 95%% %v, worst %v\n", times[len(times)/2].Round(time.Millisecond), times[len(times)*95/100].Round(time.Millisecond), times[len(times)-1].Round(time.Millisecond))
	stop()
	<-done
}

func child() {
	var err error
	if len(os.Args) > 3 && os.Args[2] == "ocr" {
		err = reading.RunOCR(os.Args[3], os.Args[4:])
	} else {
		err = reading.Child(os.Stdin, os.Stdout, nil)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}
