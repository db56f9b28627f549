// Site measures the public site and the warning page of the real program on this
// machine: how many requests a second, how long one takes, and what it costs in
// CPU time of the server, which is what counts where the load generator shares
// the machine.
//
//	go run ./bench/site
//	go run ./bench/site --for 10s --conns 32
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/signal"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"bolwerk/bench/product"
)

const blocked = "merelbank-veilig.example"

// aims are what the project is held to, in requests a second on two cores.
const (
	aimSite    = 500
	aimWarning = 5000
	cores      = 2
)

type options struct {
	binary string
	each   time.Duration
	conns  int
}

func main() {
	var o options
	flag.StringVar(&o.binary, "binary", "", "the program; empty: it is built")
	flag.DurationVar(&o.each, "for", 5*time.Second, "how long each page is asked for")
	flag.IntVar(&o.conns, "conns", 16, "connections")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, o); err != nil {
		fmt.Fprintln(os.Stderr, "bench/site:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, o options) error {
	if o.conns < 1 || o.each < time.Second {
		return errors.New("--conns is at least 1, --for at least 1s")
	}
	dir, err := os.MkdirTemp("", "bolwerk-bench-site-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if o.binary == "" {
		if o.binary, err = product.Build(ctx, dir); err != nil {
			return err
		}
	}
	p, err := product.Start(ctx, product.Options{Binary: o.binary, Dir: dir})
	if err != nil {
		return err
	}
	defer p.Stop()
	public, warning, err := addresses(p.Console)
	if err != nil {
		return err
	}
	receipt, err := prepare(ctx, p, public)
	if err != nil {
		return err
	}
	fmt.Printf("%d connections, %s each, load of the machine %s\n\n", o.conns, o.each, product.Load())
	fmt.Printf("%-34s %9s %9s %9s %9s %12s %s\n", "page", "a second", "p50", "p99", "CPU each", "cores needed", "for")
	bad := 0
	for _, page := range []struct {
		name, url, host string
		aim             int
	}{
		{"first page", public + "/?lang=nl", "", aimSite},
		{"receipt of a blocked report", public + "/r/" + receipt + "?lang=nl", "", aimSite},
		{"look-up, blocked", public + "/name?q=" + blocked, "", aimSite},
		{"look-up, not blocked", public + "/name?q=good.example", "", aimSite},
		{"look-up, JSON", public + "/api/v1/names/" + blocked, "", aimSite},
		{"first aid", public + "/first-aid?lang=nl", "", aimSite},
		{"explanation", public + "/learn/phishing?lang=nl", "", aimSite},
		{"warnings, feed", public + "/warnings.atom?lang=nl", "", aimSite},
		{"warning page", warning + "/login?card=1", blocked, aimWarning},
	} {
		before := p.Usage().CPU
		r := load(ctx, o, page.url, page.host)
		if r.done == 0 {
			return fmt.Errorf("%s: nothing was answered: %w", page.name, r.err)
		}
		bad += r.failed
		each := (p.Usage().CPU - before) / time.Duration(r.done)
		fmt.Printf("%-34s %9.0f %9s %9s %9s %12.2f %d/s\n", page.name, float64(r.done)/r.took.Seconds(), r.at(0.50), r.at(0.99), each, each.Seconds()*float64(page.aim), page.aim)
		if r.failed > 0 {
			fmt.Printf("  %d of them were not answered well: %v\n", r.failed, r.err)
		}
	}
	fmt.Printf("\nCores needed are of the server alone; %d are the aim.\n", cores)
	if bad > 0 {
		return fmt.Errorf("%d requests were not answered well", bad)
	}
	return ctx.Err()
}

// addresses are the public site and the warning page: the two ports behind the
// console's.
func addresses(console string) (public, warning string, err error) {
	u, err := url.Parse(console)
	if err != nil {
		return "", "", err
	}
	base, err := strconv.Atoi(u.Port())
	if err != nil {
		return "", "", err
	}
	return "http://" + net.JoinHostPort("localhost", strconv.Itoa(base+1)), "http://" + net.JoinHostPort("127.0.0.1", strconv.Itoa(base+2)), nil
}

// prepare reports a link, blocks its name, and waits until the receipt says so.
func prepare(ctx context.Context, p *product.Product, public string) (receipt string, err error) {
	var got struct{ Receipt, State string }
	if err := call("POST", public+"/api/v1/reports", `{"url":"https://`+blocked+`/login"}`, &got); err != nil {
		return "", err
	}
	receipt = got.Receipt
	if _, err := p.Block(ctx, blocked, "host"); err != nil {
		return "", err
	}
	for end := time.Now().Add(30 * time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		if err := call("GET", public+"/api/v1/receipts/"+receipt, "", &got); err == nil && got.State == "blocked" {
			return receipt, nil
		}
	}
	return "", errors.New("the report was not blocked within 30 s")
}

func call(method, url, body string, out any) error {
	r, err := http.NewRequest(method, url, strings.NewReader(body))
	if err != nil {
		return err
	}
	r.Header.Set("Content-Type", "application/json")
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		return err
	}
	if res.StatusCode >= 300 {
		return fmt.Errorf("%s %s: %s: %s", method, url, res.Status, b)
	}
	return json.Unmarshal(b, out)
}

type result struct {
	done, failed int
	took         time.Duration
	each         []time.Duration
	err          error // the first
}

func (r *result) at(share float64) time.Duration {
	return r.each[min(len(r.each)-1, int(share*float64(len(r.each))))].Round(10 * time.Microsecond)
}

// load asks for a page over and over on each connection.
func load(ctx context.Context, o options, url, host string) result {
	var mu sync.Mutex
	var all result
	var work sync.WaitGroup
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: o.conns}, Timeout: 10 * time.Second}
	start := time.Now()
	for range o.conns {
		work.Go(func() {
			var mine result
			for time.Since(start) < o.each && ctx.Err() == nil {
				began := time.Now()
				if err := ask(ctx, client, url, host); err != nil {
					mine.failed++
					mine.err = errors.Join(mine.err, err)
					if mine.failed > 10 {
						break
					}
					continue
				}
				mine.done++
				mine.each = append(mine.each, time.Since(began))
			}
			mu.Lock()
			defer mu.Unlock()
			all.done, all.failed, all.each = all.done+mine.done, all.failed+mine.failed, append(all.each, mine.each...)
			if all.err == nil {
				all.err = mine.err
			}
		})
	}
	work.Wait()
	all.took = time.Since(start)
	slices.Sort(all.each)
	client.CloseIdleConnections()
	return all
}

func ask(ctx context.Context, client *http.Client, url, host string) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	r.Host = host // empty is that of the URL
	res, err := client.Do(r)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		return err
	}
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", url, res.Status)
	}
	return nil
}
