package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"time"

	"bolwerk/abuse/reading"
	"bolwerk/abuse/session"
	"bolwerk/abuse/who"
)

const (
	reportRows = 5000 // of one table
	askedRows  = 250  // questions at once
)

// tables reads Shadowserver tables and asks about each row: from the bytes of a table
// to who had the address.
func tables(ctx context.Context, w *who.Who, world world) error {
	r := rand.New(rand.NewPCG(5, 6))
	var reports []string
	whose := map[string]string{}
	total := max(1, *rows/reportRows) * reportRows
	for n := 0; n < total; n += reportRows {
		var b strings.Builder
		b.WriteString(`"timestamp","ip","protocol","port","hostname","tag","dns_version","asn","geo","region","city","min_amplification","p0f_genre","p0f_detail","naics","sic","sector"` + "\n")
		for range reportRows {
			q, s := world.question(r)
			port := q.Port
			if port == 0 {
				port = 53
			}
			at := q.At.Truncate(time.Second)
			fmt.Fprintf(&b, "%q,%q,\"udp\",%d,,\"openresolver\",\"dnsmasq-2.66\",64500,\"BE\",,,\"4.6190\",,,0,0,\n", at.Format("2006-01-02 15:04:05"), q.Addr, port)
			whose[fmt.Sprint(q.Addr, port, at.Unix())] = s.Subscriber
		}
		reports = append(reports, b.String())
	}
	start, before := time.Now(), computed()
	work := make(chan string)
	type sum struct {
		events, one, wrong int
		took               []time.Duration
		err                error
	}
	sums := make([]sum, 2)
	var wg sync.WaitGroup
	for i := range sums {
		wg.Go(func() {
			s := &sums[i]
			for text := range work {
				res := reading.Read("2026-11-26-scan_dns-isp-asn.csv", []byte(text), reading.Option{Received: time.Now()})
				for part := range slices.Chunk(res.Events, askedRows) {
					qs := make([]session.Question, len(part))
					for j, e := range part {
						qs[j] = session.Question{Addr: e.SourceIP, Port: e.SourcePort, At: e.Time}
					}
					begin := time.Now()
					answers, err := w.FindMany(ctx, qs)
					if err != nil {
						s.err = err
						continue
					}
					s.took = append(s.took, time.Since(begin))
					s.events += len(part)
					for j, a := range answers {
						if c, ok := a.Act(); ok {
							s.one++
							if want := whose[fmt.Sprint(qs[j].Addr, qs[j].Port, qs[j].At.Unix())]; c.Subscriber != want {
								s.wrong++
							}
						}
					}
				}
			}
		})
	}
	for _, t := range reports {
		select {
		case work <- t:
		case <-ctx.Done():
		}
	}
	close(work)
	wg.Wait()
	wall := time.Since(start)
	all := sum{}
	for _, s := range sums {
		if s.err != nil {
			return s.err
		}
		all.events, all.one, all.wrong, all.took = all.events+s.events, all.one+s.one, all.wrong+s.wrong, append(all.took, s.took...)
	}
	if all.events != total {
		return fmt.Errorf("%d events of %d rows", all.events, total)
	}
	slices.Sort(all.took)
	fmt.Printf("%-52s %.0f/s, %.0f us of this program's CPU each; %d of %d found, %d wrong\n", fmt.Sprintf("%d Shadowserver rows to resolved events", total),
		float64(total)/wall.Seconds(), float64((computed()-before).Microseconds())/float64(total), all.one, total, all.wrong)
	fmt.Printf("%-52s p50 %s p99 %s\n", fmt.Sprintf("%d questions at once", askedRows), all.took[len(all.took)/2].Round(time.Microsecond), all.took[len(all.took)*99/100].Round(time.Microsecond))
	return nil
}

// question is about a session of the week, in its middle; s is that session.
func (w world) question(r *rand.Rand) (q session.Question, s session.Record) {
	s, end := w.about(r.IntN(*sessions))
	q = session.Question{Addr: s.Prefixes[r.IntN(len(s.Prefixes))].Addr(), At: s.At.Add(end.At.Sub(s.At) / 2), Skew: time.Minute}
	if !s.Ports.All() {
		q.Port = s.Ports.First + uint16(r.IntN(512))
	}
	return q, s
}
