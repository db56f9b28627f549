package demo

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/binary"
	"encoding/pem"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/png"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"bolwerk"
)

// Web is the invented web: a SOCKS5 proxy (RFC 1928) whose every address leads to
// the same machine, which answers for the names of the campaigns. The demo's probe
// goes out through it, so that no port below 1024 and nothing real is needed.
type Web struct {
	root *x509.Certificate
	key  *ecdsa.PrivateKey
	day  time.Time

	mu    sync.Mutex
	certs map[string]*tls.Certificate
	sites map[string]int // name -> place in campaigns
}

// NewWeb makes the web of a world, with a certificate authority of its own.
func NewWeb(w World) (*Web, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "Invented authority of the demo"}, NotBefore: w.Day.Add(-90 * 24 * time.Hour), NotAfter: w.Day.AddDate(1, 0, 0),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	der, err := x509.CreateCertificate(rand.Reader, t, t, key.Public(), key)
	if err != nil {
		return nil, err
	}
	root, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	web := &Web{root: root, key: key, day: w.Day, certs: map[string]*tls.Certificate{}, sites: map[string]int{PhishName: 0}}
	for i, c := range campaigns() {
		for _, h := range c.hosts {
			web.sites[name(h).String()] = i
		}
	}
	return web, nil
}

// Authority is the certificate of the authority, in PEM.
func (w *Web) Authority() []byte {
	return pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: w.root.Raw})
}

// certificate is that of a site, some days old.
func (w *Web) certificate(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
	site := strings.ToLower(h.ServerName)
	if site == "" {
		site = "invented.example"
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if c := w.certs[site]; c != nil {
		return c, nil
	}
	if len(w.certs) > 1000 {
		return nil, errors.New("too many names")
	}
	t := &x509.Certificate{SerialNumber: big.NewInt(int64(len(w.certs) + 2)), Subject: pkix.Name{CommonName: site}, DNSNames: []string{site}, NotBefore: w.day.Add(-3 * 24 * time.Hour), NotAfter: w.day.AddDate(0, 3, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	der, err := x509.CreateCertificate(rand.Reader, t, w.root, w.key.Public(), w.key)
	if err != nil {
		return nil, err
	}
	c := &tls.Certificate{Certificate: [][]byte{der}, PrivateKey: w.key}
	w.certs[site] = c
	return c, nil
}

// inner hands the connections of the proxy to the sites.
type inner struct {
	at    net.Addr
	conns chan net.Conn
	end   <-chan struct{}
}

func (l *inner) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.end:
		return nil, net.ErrClosed
	}
}
func (l *inner) Close() error   { return nil }
func (l *inner) Addr() net.Addr { return l.at }

// Run serves the proxy until ctx ends, and closes its listener.
func (w *Web) Run(ctx context.Context, l net.Listener) error {
	in := &inner{at: l.Addr(), conns: make(chan net.Conn), end: ctx.Done()}
	sites := &http.Server{Handler: w, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 10 * time.Second, ErrorLog: slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)}
	var wg sync.WaitGroup
	wg.Go(func() { sites.Serve(in) })
	stop := context.AfterFunc(ctx, func() { l.Close(); sites.Close() })
	defer stop()
	defer wg.Wait()
	for {
		c, err := l.Accept()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return fmt.Errorf("invented web: %w", err)
		}
		wg.Go(func() {
			c.SetDeadline(time.Now().Add(10 * time.Second))
			port, err := socks(c)
			if err != nil {
				c.Close()
				return
			}
			c.SetDeadline(time.Time{})
			if port == 443 {
				c = tls.Server(c, &tls.Config{GetCertificate: w.certificate})
			}
			select {
			case in.conns <- c:
			case <-ctx.Done():
				c.Close()
			}
		})
	}
}

// socks takes the greeting and the request of a client; every address is there,
// at the two ports of the web.
func socks(c net.Conn) (port uint16, err error) {
	var b [256]byte
	if _, err := io.ReadFull(c, b[:2]); err != nil || b[0] != 5 {
		return 0, errors.New("no SOCKS5")
	}
	if _, err := io.ReadFull(c, b[:b[1]]); err != nil {
		return 0, err
	}
	if _, err := c.Write([]byte{5, 0}); err != nil {
		return 0, err
	}
	if _, err := io.ReadFull(c, b[:4]); err != nil {
		return 0, err
	}
	size := map[byte]int{1: 4, 4: 16}[b[3]]
	if b[1] != 1 || size == 0 { // names are the client's to resolve
		c.Write([]byte{5, 8, 0, 1, 0, 0, 0, 0, 0, 0})
		return 0, errors.New("not a connection to an address")
	}
	if _, err := io.ReadFull(c, b[:size+2]); err != nil {
		return 0, err
	}
	port = binary.BigEndian.Uint16(b[size:])
	code := byte(0)
	if port != 80 && port != 443 {
		code = 5 // refused
	}
	if _, err := c.Write([]byte{5, code, 0, 1, 0, 0, 0, 0, 0, 0}); err != nil || code != 0 {
		return 0, errors.New("no such port")
	}
	return port, nil
}

// asks is what the kits of the campaigns ask for, by brand: label and attributes
// of each field.
var asks = map[string][][2]string{
	bank:     {{"Kaartnummer", `name="cardnumber" autocomplete="cc-number"`}, {"Pincode", `name="pin" type="password"`}, {"Code van uw kaartlezer", `name="otp" autocomplete="one-time-code"`}},
	post:     {{"Kaartnummer", `name="cardnumber" autocomplete="cc-number"`}, {"Vervaldatum", `name="exp" autocomplete="cc-exp"`}, {"CVC", `name="cvc" autocomplete="cc-csc"`}},
	toll:     {{"Kaartnummer", `name="cardnumber" autocomplete="cc-number"`}, {"CVC", `name="cvc" autocomplete="cc-csc"`}},
	tax:      {{"IBAN", `name="iban"`}, {"Rijksregisternummer", `name="rijksregisternummer"`}},
	energy:   {{"IBAN", `name="iban"`}, {"Wachtwoord", `name="password" type="password"`}},
	operator: {{"E-mail", `name="login" type="email"`}, {"Wachtwoord", `name="password" type="password"`}},
	health:   {{"IBAN", `name="iban"`}, {"Numéro de carte", `name="cardnumber" autocomplete="cc-number"`}},
}

var (
	kitPage = template.Must(template.New("kit").Parse(`<!doctype html><html lang="{{.Lang}}"><head><meta charset="utf-8"><title>{{.Brand}} - {{.Title}}</title>
<meta name="viewport" content="width=device-width"><meta property="og:site_name" content="{{.Brand}}">
<link rel="icon" href="/assets/logo.png"><link rel="stylesheet" href="/assets/main.css"><script src="/assets/app.js" defer></script></head>
<body><header><img src="/assets/logo.png" alt="{{.Brand}}" width="48" height="48"> {{.Brand}}</header><main><h1>{{.Title}}</h1>{{range .Text}}<p>{{.}}</p>{{end}}
{{if .Script}}<div id="app">&hellip;</div>{{else}}{{.Form}}{{end}}</main><footer>&copy; {{.Brand}}</footer></body></html>`))
	kitForm = template.Must(template.New("form").Parse(`<form method="post" action="/send.php">{{range .}}<label>{{index . 0}} <input {{index . 1}}></label>{{end}}<button>OK</button></form>`))
)

// ServeHTTP answers as the sites do. One kit shows itself to phones only, one
// writes its form by a script, one is gone, and a name that is nobody's has nothing.
func (w *Web) ServeHTTP(rw http.ResponseWriter, r *http.Request) {
	host, _, err := net.SplitHostPort(r.Host)
	if err != nil {
		host = r.Host
	}
	rw.Header().Set("Server", "nginx")
	place, ok := w.sites[strings.ToLower(host)]
	if !ok {
		http.NotFound(rw, r)
		return
	}
	c := campaigns()[place]
	phone := strings.Contains(r.UserAgent(), "Mobile")
	byScript := c.brand == locker
	switch {
	case strings.HasSuffix(r.URL.Path, "/logo.png"):
		rw.Header().Set("Content-Type", "image/png")
		logo := image.NewPaletted(image.Rect(0, 0, 48, 48), color.Palette{color.White, tint(place)})
		for y := range 48 {
			for x := range 48 {
				if x, y := x-24, y-24; x*x+y*y < 22*22 && (x+y)/8%2 == 0 {
					logo.SetColorIndex(x+24, y+24, 1)
				}
			}
		}
		png.Encode(rw, logo)
	case strings.HasSuffix(r.URL.Path, "/main.css"):
		rw.Header().Set("Content-Type", "text/css")
		fmt.Fprintf(rw, "body{font:16px sans-serif;margin:0;background:#f4f4f4}header{background:%s;color:#fff;padding:12px 24px;font-size:22px;display:flex;gap:12px;align-items:center}main{max-width:420px;margin:24px auto;background:#fff;padding:24px}label{display:block;margin:8px 0}input{width:100%%;padding:8px;box-sizing:border-box}button{background:%s;color:#fff;border:0;padding:10px 24px}footer{text-align:center;color:#777}", colour(place), colour(place))
	case strings.HasSuffix(r.URL.Path, "/app.js"):
		rw.Header().Set("Content-Type", "text/javascript")
		if byScript {
			var b strings.Builder
			kitForm.Execute(&b, w.fields(c.brand))
			fmt.Fprintf(rw, "document.getElementById('app').innerHTML=%q;", b.String())
		} else {
			io.WriteString(rw, "document.documentElement.dataset.ready=1;")
		}
	case r.URL.Path == "/favicon.ico":
		http.NotFound(rw, r)
	case c.brand == toll && !phone:
		http.NotFound(rw, r) // as kits of text messages do
	case c.brand == stream:
		http.Error(rw, "This account has been suspended.", http.StatusGone)
	case r.URL.Path == "/":
		http.Redirect(rw, r, c.path, http.StatusFound)
	default:
		l := c.letters[0]
		for _, other := range c.letters {
			if strings.HasPrefix(r.Header.Get("Accept-Language"), string(other.lang)) {
				l = other
			}
		}
		http.SetCookie(rw, &http.Cookie{Name: "PHPSESSID", Value: "0", Path: "/"})
		rw.Header().Set("Content-Type", "text/html; charset=utf-8")
		text := slices.DeleteFunc(slices.Clone(l.body), func(s string) bool { return s == "LINK" })
		var form strings.Builder
		kitForm.Execute(&form, w.fields(c.brand))
		kitPage.Execute(rw, struct {
			Lang         bolwerk.Lang
			Brand, Title string
			Text         []string
			Form         template.HTML
			Script       bool
		}{l.lang, c.brand, l.subject, text[:min(2, len(text))], template.HTML(form.String()), byScript})
	}
}

// fields are those of a brand's kit.
func (w *Web) fields(brand string) (out [][2]any) {
	list := asks[brand]
	if list == nil {
		list = asks[post]
	}
	for _, f := range list {
		out = append(out, [2]any{f[0], template.HTMLAttr(f[1])})
	}
	return out
}

// tint is the colour of a brand, and colour the same for a style.
func tint(place int) color.RGBA {
	return []color.RGBA{{10, 92, 158, 255}, {179, 38, 30, 255}, {27, 94, 32, 255}, {230, 81, 0, 255}, {74, 20, 140, 255}, {0, 105, 92, 255}, {121, 85, 72, 255}}[place%7]
}

func colour(place int) string {
	c := tint(place)
	return fmt.Sprintf("#%02x%02x%02x", c.R, c.G, c.B)
}
