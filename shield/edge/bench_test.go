package edge

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
)

// nobody is a response that is thrown away.
type nobody struct {
	h http.Header
	n int
}

func (w *nobody) Header() http.Header         { return w.h }
func (w *nobody) Write(b []byte) (int, error) { w.n += len(b); return len(b), nil }
func (w *nobody) WriteHeader(int)             {}

// The page for one visitor after another, without the network. 5,000 pages a
// second on two cores are wanted: 400 us of one core for each.
func BenchmarkPage(b *testing.B) {
	for _, host := range []string{"asks.example", "free.example"} {
		b.Run(host, func(b *testing.B) {
			e, _ := pageEdge(b)
			h := e.Page()
			r := httptest.NewRequest("GET", "/", nil)
			r.Host = host
			r.Header.Set("Accept", "text/html")
			r.Header.Set("Accept-Language", "fr-BE,fr;q=0.9")
			b.ReportAllocs()
			for b.Loop() {
				w := &nobody{h: http.Header{}}
				h.ServeHTTP(w, r)
			}
		})
	}
}

// The same over loopback, connections kept open; what asks takes its share of the
// two cores too.
func BenchmarkPage_served(b *testing.B) {
	e, _ := pageEdge(b)
	addr := serving(b, e.ServePage)
	b.RunParallel(func(pb *testing.PB) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			b.Error(err)
			return
		}
		defer c.Close()
		in := bufio.NewReaderSize(c, 64<<10)
		for pb.Next() {
			io.WriteString(c, "GET / HTTP/1.1\r\nHost: asks.example\r\nAccept: text/html\r\nAccept-Language: fr\r\n\r\n")
			r, err := http.ReadResponse(in, nil)
			if err != nil {
				b.Error(err)
				return
			}
			if _, err := io.Copy(io.Discard, r.Body); err != nil || r.StatusCode != 200 {
				b.Error(r.Status, err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "pages/s")
}
