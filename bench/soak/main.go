// Soak keeps the whole product busy for half an hour and says whether anything grows:
// DNS questions of every kind, mails, blocks and withdrawals, visits to the warning page
// and a person at the console, all at once and bounded. Needs dnsperf; everything stays
// on loopback.
//
//	go run ./bench/soak --for 30m
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"bolwerk/bench/dnsload"
	"bolwerk/bench/product"
	"bolwerk/internal/mail"
)

type options struct {
	span      time.Duration
	questions int     // DNS questions a second
	mails     float64 // a second
	changes   float64 // blocks a second, and as many withdrawals
	inForce   int     // blocks that stay before they are withdrawn
	visits    float64 // of the warning page, a second
	looks     float64 // pages of the console's API, a second
}

func main() {
	var o options
	flag.DurationVar(&o.span, "for", 30*time.Minute, "how long; two minutes at least")
	flag.IntVar(&o.questions, "questions", 1000, "DNS questions a second: 90 % cached, 8 % never asked before, 2 % blocked")
	flag.Float64Var(&o.mails, "mails", 2, "reports by mail a second, each with a link of its own")
	flag.Float64Var(&o.changes, "changes", 2, "blocks a second; each is withdrawn later")
	flag.IntVar(&o.inForce, "in-force", 200, "blocks in force before the oldest is withdrawn")
	flag.Float64Var(&o.visits, "visits", 5, "visits to the warning page a second")
	flag.Float64Var(&o.looks, "looks", 1, "questions to the console's API a second")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/soak:", err)
		os.Exit(1)
	}
}

// done counts what one kind of work did.
type done struct {
	ok, failed atomic.Int64
	mu         sync.Mutex
	first      error
}

// note counts one; what the end of the time cut off is none.
func (d *done) note(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	if err == nil {
		d.ok.Add(1)
		return
	}
	d.failed.Add(1)
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.first == nil {
		d.first = err
	}
}

func run(ctx context.Context, o options) error {
	if o.span < 2*time.Minute || o.questions < 100 || o.inForce < 1 || min(o.mails, o.changes, o.visits, o.looks) <= 0 {
		return errors.New("--for is 2m or more, --questions 100 or more, and all rates are above zero")
	}
	dir, err := os.MkdirTemp("", "bolwerk-soak-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	bin, err := product.Build(ctx, dir)
	if err != nil {
		return err
	}
	upstream, err := answering(ctx)
	if err != nil {
		return err
	}
	data := filepath.Join(dir, "data")
	if err := os.Mkdir(data, 0o700); err != nil {
		return err
	}
	p, err := product.Start(ctx, product.Options{Binary: bin, Dir: data, Upstream: upstream})
	if err != nil {
		return err
	}
	defer p.Stop()
	fmt.Printf("%s, %d cores, %s, load %s before\n", time.Now().UTC().Format("2006-01-02 15:04 MST"), runtime.NumCPU(), runtime.Version(), product.Load())
	fmt.Printf("each second: %d DNS questions, %.1f mails, %.1f blocks and as many withdrawals, %.1f visits, %.1f looks\n\n", o.questions, o.mails, o.changes, o.visits, o.looks)

	var mails, changes, visits, looks done
	var asked, lost int64
	var rows []row
	working, end := context.WithTimeout(ctx, o.span)
	defer end()
	var work sync.WaitGroup
	client := mail.NewClient(mail.Target{Addr: p.SMTP, Name: "bench.example", TLS: mail.TLSNone}, (&net.Dialer{}).DialContext)
	defer client.Close()
	work.Go(func() {
		each(working, o.mails, func(i int) { mails.note(working, report(working, client, i)) })
	})
	blocked := newRing(o.inForce)
	work.Go(func() {
		each(working, o.changes, func(i int) {
			name := fmt.Sprintf("inloggen.bank-%d.example", i)
			id, err := p.Block(working, name, "host")
			if err == nil {
				if oldest := blocked.put(id, name); oldest != "" {
					err = p.API(working, "POST", "/blocks/"+oldest+"/withdraw", map[string]string{"reason": "the site is clean again", "cause": "cleaned"}, nil)
				}
			}
			changes.note(working, err)
		})
	})
	work.Go(func() {
		each(working, o.visits, func(int) { visits.note(working, visit(working, p.Warning, blocked.any())) })
	})
	work.Go(func() {
		paths := []string{"/today", "/cases?limit=50", "/blocks?limit=50", "/campaigns", "/orders", "/audit?limit=50"}
		each(working, o.looks, func(i int) { looks.note(working, p.API(working, "GET", paths[i%len(paths)], nil, nil)) })
	})

	begun := time.Now()
	fmt.Println(heading)
	for n := 0; working.Err() == nil; n++ {
		file, err := questions(dir, n, o.questions*50, blocked.names())
		if err != nil {
			return err
		}
		r, err := dnsload.Ask(working, int(p.DNS.Port()), file, "-Q", fmt.Sprint(o.questions), "-l", "50")
		if err != nil && working.Err() == nil {
			return err
		}
		asked, lost = asked+int64(r.Done+r.Lost), lost+int64(r.Lost)
		if working.Err() == nil || time.Since(begun) > o.span {
			w := take(p, data, time.Since(begun))
			rows = append(rows, w)
			fmt.Println(w)
		}
		select {
		case <-working.Done():
		case <-time.After(time.Until(begun.Add(time.Duration(n+1) * time.Minute))):
		}
	}
	end()
	work.Wait()
	fmt.Println()
	for _, d := range []struct {
		what string
		*done
	}{{"mails", &mails}, {"changes", &changes}, {"visits", &visits}, {"looks", &looks}} {
		fmt.Printf("%-8s %7d done, %d failed", d.what, d.ok.Load(), d.failed.Load())
		if d.first != nil {
			fmt.Printf(", first: %v", d.first)
		}
		fmt.Println()
	}
	fmt.Printf("%-8s %7d asked, %d lost\n", "DNS", asked, lost)
	fmt.Println(growth(rows))
	for i, a := range p.Alarms() {
		if i == 5 {
			break
		}
		fmt.Println("alarm", a)
	}
	fmt.Printf("load %s\n", product.Load())
	return ctx.Err()
}

// each does something at a rate, one after another: what is late is left out.
func each(ctx context.Context, rate float64, do func(i int)) {
	tick := time.NewTicker(time.Duration(float64(time.Second) / rate))
	defer tick.Stop()
	for i := 0; ; i++ {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			do(i)
		}
	}
}

func report(ctx context.Context, client *mail.Client, i int) error {
	from := mail.MustAddress(fmt.Sprintf("reporter%d@customer.example", i%997))
	link := fmt.Sprintf("https://mijn-bank.veilig-%d.example/inloggen?k=%d", i/3, i)
	inner := fmt.Sprintf("From: Bank <service@bank-%d.example>\r\nTo: you@home.example\r\nSubject: Uw rekening %d\r\nDate: Mon, 23 Nov 2026 12:00:00 +0000\r\nMessage-ID: <%d@bank.example>\r\nContent-Type: text/plain; charset=utf-8\r\n\r\nUw rekening is geblokkeerd. Log in: %s\r\n", i, i, i, link)
	raw, err := mail.Forward(from, product.ReportTo, fmt.Sprintf("suspicious, no. %d", i), "Is this real?\n", []byte(inner), time.Now())
	if err == nil {
		_, err = client.Submit(ctx, from, []mail.Address{product.ReportTo}, raw)
	}
	return err
}

var browser = &http.Client{Timeout: 10 * time.Second}

func visit(ctx context.Context, at, name string) error {
	r, err := http.NewRequestWithContext(ctx, "GET", "http://"+at+"/inloggen", nil)
	if err != nil {
		return err
	}
	r.Host = name
	r.Header.Set("Accept", "text/html")
	a, err := browser.Do(r)
	if err != nil {
		return err
	}
	defer a.Body.Close()
	_, err = io.Copy(io.Discard, a.Body)
	return err
}

// answering resolves every name, as somebody else's resolver does.
func answering(ctx context.Context) (netip.AddrPort, error) {
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		return netip.AddrPort{}, err
	}
	s := &dns.Server{PacketConn: c, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		a := new(dns.Msg).SetReply(m)
		if q := m.Question[0]; q.Qtype == dns.TypeA {
			a.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: q.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 300}, A: net.IPv4(192, 0, 2, 7)}}
		}
		w.WriteMsg(a)
	})}
	go s.ActivateAndServe()
	context.AfterFunc(ctx, func() { s.Shutdown() })
	return c.LocalAddr().(*net.UDPAddr).AddrPort(), nil
}
