package job

import (
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"bolwerk/internal/clock"
	"bolwerk/internal/store"
	"bolwerk/internal/store/storetest"
)

// dead is a system that takes connections and never answers: what is sent to it is
// gone.
func dead(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { c.Close() })
		}
	}()
	return l.Addr().String()
}

// ask waits for an answer of a system until ctx ends.
func ask(ctx context.Context, addr string) error {
	c, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	_, err = io.ReadFull(c, make([]byte, 1))
	return err
}

func (p *program) addBy(t *testing.T, kind, way, key string, due time.Time) {
	t.Helper()
	p.write(t, func(tx *store.Tx) error { return AddBy(tx, kind, way, key, "ref-"+key, due) })
}

// running is a program that runs; the function ends it and gives what it did.
func (p *program) running(t *testing.T) (stop func()) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := p.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop = func() { end(); wg.Wait() }
	t.Cleanup(stop)
	return stop
}

// gauges are the metrics of reg: name, labels and value of each.
func gauges(t *testing.T, reg *prometheus.Registry) (out string) {
	t.Helper()
	all, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range all {
		for _, m := range family.Metric {
			out += family.GetName()
			for _, l := range m.Label {
				out += " " + l.GetValue()
			}
			out += fmt.Sprint(" ", m.Gauge.GetValue(), "; ")
		}
	}
	return out
}

func TestAWayThatSwallowsPacketsHoldsUpNoOther(t *testing.T) {
	p := open(t, storetest.URL(t), clock.NewFake(start))
	addr, began := dead(t), make(chan string, 100)
	did := make(chan string, 100)
	p.Handle("message", func(ctx context.Context, j Job) error {
		if j.Way == "app" {
			began <- j.Ref
			return ask(ctx, addr)
		}
		did <- j.Ref
		return nil
	})
	p.Handle("alarm", func(_ context.Context, j Job) error { did <- j.Ref; return nil })
	for i := range 3 * perLook { // a pile, and all of it was there before
		p.addBy(t, "message", "app", fmt.Sprint("app", i), start.Add(-time.Hour))
	}
	p.addBy(t, "message", "mail", "mail1", start.Add(-time.Minute))
	p.addBy(t, "message", "mail", "mail2", start)
	p.add(t, "alarm", "glass", start)
	reg := prometheus.NewRegistry()
	p.Measure(reg)
	stop := p.running(t)
	<-began
	var got []string
	for range 3 {
		select {
		case ref := <-did:
			got = append(got, ref)
		case <-time.After(20 * time.Second):
			t.Fatalf("done beside the dead way: %q, want the mails and the alarm", got)
		}
	}
	if i, j := slices.Index(got, "ref-mail1"), slices.Index(got, "ref-mail2"); i < 0 || j < i || !slices.Contains(got, "ref-glass") {
		t.Errorf("did %q, want the first mail before the second, and the alarm", got)
	}
	p.addBy(t, "message", "mail", "mail3", start) // as does what comes later
	select {
	case <-did:
	case <-time.After(20 * time.Second):
		t.Error("a mail that came later waits behind the dead way")
	}
	for p.counts(t)["done"] < 4 { // a job whose end is not written down is not done
		time.Sleep(5 * time.Millisecond)
	}
	if got := gauges(t, reg); got != "bolwerk_jobs_late_seconds message app 3600; bolwerk_jobs_waiting message app 60; " {
		t.Errorf("metrics %s", got)
	}
	begun := time.Now()
	stop()
	if d := time.Since(begun); d > 10*time.Second {
		t.Errorf("the end waited %v for the dead way", d)
	}
	if len(began) > 0 {
		t.Errorf("%d more tries of the dead way at once", len(began))
	}
	p.want(t, map[string]int64{"done": 4, "waiting": 3 * perLook})
}

func TestJobsOfOneWayAreDoneInOrderAndOneAtATime(t *testing.T) {
	p := open(t, storetest.URL(t), clock.NewFake(start))
	var mu sync.Mutex
	var did []string
	now, most := 0, 0
	all := make(chan struct{})
	const n = 2*perLook + 5
	p.Handle("message", func(_ context.Context, j Job) error {
		mu.Lock()
		did = append(did, j.Ref)
		now++
		most = max(most, now)
		if len(did) == n {
			close(all)
		}
		mu.Unlock()
		time.Sleep(time.Millisecond)
		mu.Lock()
		now--
		mu.Unlock()
		return nil
	})
	var want []string
	for i := range n {
		key := fmt.Sprintf("%02d", i)
		p.addBy(t, "message", "mail", key, start.Add(time.Duration(i-n)*time.Second))
		want = append(want, "ref-"+key)
	}
	stop := p.running(t)
	select {
	case <-all:
	case <-time.After(60 * time.Second):
		t.Error("not all are done")
	}
	stop()
	if !slices.Equal(did, want) || most != 1 {
		t.Errorf("did %q, %d at once, want them in order, one at a time", did, most)
	}
}
