// Program doors measures what one cached DNS question costs over TLS and over HTTPS:
// CPU time of the server per question, of our edge and of dnsdist, interleaved in one
// run.
//
//	go run ./bench/doors [-rounds 5] [-seconds 3]
//
// It needs dnsperf with DoT and DoH, dnsdist, and taskset to give the server one core and
// the load another; test/peers/install.sh installs them. Everything is on loopback.
// 16 connections are kept open, with 256 questions under way over TLS and 16 over HTTPS.
package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"flag"
	"fmt"
	"log/slog"
	"math/big"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"time"

	"github.com/miekg/dns"

	"bolwerk/bench/dnsload"
	"bolwerk/bench/product"
	"bolwerk/internal/dnsserve"
)

var (
	rounds  = flag.Int("rounds", 5, "rounds; the figures are medians")
	seconds = flag.Int("seconds", 3, "seconds of load in each")
	part    = flag.String("part", "", "run one part: upstream or edge (used by the program itself)")
	folder  = flag.String("folder", "", "the folder of the part edge")
)

const (
	upstream = "127.0.0.1:15402"
	names    = 1000
)

// outstanding is how many questions are under way on 16 connections. Over HTTPS dnsdist
// 1.7 answers dnsperf next to nothing where a connection has several.
var outstanding = map[string]string{"dot": "256", "doh": "16"}

// server is one under test, and where it listens: plain, TLS, HTTPS.
type server struct {
	name, version     string
	plain, tls, https int
	cmd               *exec.Cmd
	cost, rate        map[string][]float64
}

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	var err error
	switch *part {
	case "upstream":
		err = serveUpstream()
	case "edge":
		err = serveEdge(ctx, *folder)
	default:
		err = measure(ctx)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "doors:", err)
		os.Exit(1)
	}
}

func serveUpstream() error {
	answer := dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		a := new(dns.Msg).SetReply(m)
		a.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: m.Question[0].Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 86400}, A: net.IPv4(192, 0, 2, 7)}}
		w.WriteMsg(a)
	})
	go dns.ListenAndServe(upstream, "tcp", answer) // dnsdist passes on over TCP what came over TCP or TLS
	return dns.ListenAndServe(upstream, "udp", answer)
}

func serveEdge(ctx context.Context, dir string) error {
	c := dnsserve.DefaultConfig()
	c.Upstream = []string{upstream}
	c.Encrypted = dnsserve.Encrypted{ListenTLS: "127.0.0.1:15411", ListenHTTPS: "127.0.0.1:15412", CertFile: filepath.Join(dir, "cert"), KeyFile: filepath.Join(dir, "key")}
	s, err := dnsserve.New(c, func(*dnsserve.Question) (dnsserve.Answer, bool) { return dnsserve.Answer{}, false }, nil, nil, slog.New(slog.DiscardHandler))
	if err != nil {
		return err
	}
	k, err := dnsserve.Listen(ctx, "127.0.0.1:15410", c.WorkerCount())
	if err != nil {
		return err
	}
	d, err := dnsserve.ListenEncrypted(ctx, c.Encrypted)
	if err != nil {
		return err
	}
	return s.Run(ctx, d, k)
}

func measure(ctx context.Context) error {
	for _, tool := range []string{"dnsperf", "taskset", "dnsdist"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s is not installed: test/peers/install.sh", tool)
		}
	}
	dir, err := os.MkdirTemp("", "bolwerk-bench-doors-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := writeInputs(dir); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	up := exec.Command("taskset", "-c", "1", self, "-part", "upstream")
	if err := up.Start(); err != nil {
		return err
	}
	defer dnsload.End(up)
	v, _ := exec.Command("dnsdist", "--version").CombinedOutput()
	edge := &server{name: "bolwerk edge", version: runtime.Version(), plain: 15410, tls: 15411, https: 15412,
		cmd: exec.Command("taskset", "-c", "0", self, "-part", "edge", "-folder", dir)}
	edge.cmd.Env = append(os.Environ(), "GOMAXPROCS=1")
	peer := &server{name: "dnsdist", version: regexp.MustCompile(`\d+\.\d+\.\d+`).FindString(string(v)), plain: 15420, tls: 15421, https: 15422,
		cmd: exec.Command("taskset", "-c", "0", "dnsdist", "-C", filepath.Join(dir, "dnsdist.conf"), "--supervised", "--disable-syslog")}
	servers := []*server{edge, peer}
	for _, s := range servers {
		s.cost, s.rate = map[string][]float64{}, map[string][]float64{}
		if err := s.cmd.Start(); err != nil {
			return err
		}
		defer dnsload.End(s.cmd)
		if err := dnsload.Ready(ctx, s.plain, time.Minute); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	loads := []string{"dot", "doh"}
	for round := range *rounds + 1 { // the first one warms
		for _, load := range loads {
			for i := range servers {
				s := servers[(i+round)%len(servers)]
				port := map[string]int{"dot": s.tls, "doh": s.https}[load]
				before := product.CPU(s.cmd.Process.Pid)
				r, err := ask(ctx, load, port, filepath.Join(dir, "names"))
				if err != nil {
					return fmt.Errorf("%s, %s: %w", s.name, load, err)
				}
				if round > 0 {
					s.cost[load] = append(s.cost[load], (product.CPU(s.cmd.Process.Pid)-before).Seconds()*1e6/float64(r.Done))
					s.rate[load] = append(s.rate[load], r.Rate)
				}
			}
		}
	}
	fmt.Printf("%s, %d cores, load %s; %d rounds of %d s, medians; cached names, CPU time of the server per question, questions a second on one core\n",
		time.Now().Format(time.DateOnly), runtime.NumCPU(), product.Load(), *rounds, *seconds)
	for _, s := range servers {
		fmt.Printf("%-14s %-9s", s.name, s.version)
		for _, l := range loads {
			fmt.Printf("  %s %6.2f us %7.0f/s", l, dnsload.Median(s.cost[l]), dnsload.Median(s.rate[l]))
		}
		fmt.Println()
	}
	for _, l := range loads {
		fmt.Printf("%s: %.2f x the CPU time of dnsdist\n", l, dnsload.Median(edge.cost[l])/dnsload.Median(peer.cost[l]))
	}
	return nil
}

// writeInputs makes the questions, the certificate, and dnsdist's configuration.
func writeInputs(dir string) error {
	var questions strings.Builder
	for i := range names {
		fmt.Fprintf(&questions, "host%d.allowed%d.example A\n", i, i%97)
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "dns.example"}, DNSNames: []string{"dns.example"}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour)}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	files := map[string]string{
		"names": questions.String(),
		"cert":  string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: cert})),
		"key":   string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})),
		"dnsdist.conf": fmt.Sprintf(`setLocal("127.0.0.1:15420")
setSecurityPollSuffix("")
addTLSLocal("127.0.0.1:15421", "%[1]s/cert", "%[1]s/key", {maxInFlight=64})
addDOHLocal("127.0.0.1:15422", "%[1]s/cert", "%[1]s/key", "/dns-query")
newServer({address="%[2]s", healthCheckMode="up"})
getPool(""):setCache(newPacketCache(100000, {maxTTL=86400}))
`, dir, upstream),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// ask is a load over TLS or HTTPS.
func ask(ctx context.Context, mode string, port int, questions string) (dnsload.Run, error) {
	args := []string{"-m", mode, "-q", outstanding[mode], "-t", "5", "-l", strconv.Itoa(*seconds)}
	if mode == "doh" {
		args = append(args, "-O", "doh-uri=https://localhost/dns-query")
	}
	return dnsload.Ask(ctx, port, questions, args...)
}
