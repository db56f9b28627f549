package probe

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"bolwerk/shield/capture"
)

// Requests are written and read here and not by net/http's transport: a header in
// a browser's order, one connection each, and nothing of what a stranger sends
// ever in a log of ours (the transport logs what comes unasked).

const (
	maxHead  = 64 << 10 // octets of an answer's header
	maxInfos = 5        // answers of class 1xx before the answer
)

// exchange is one request and its answer. Its body is read before close.
type exchange struct {
	*http.Response
	tls     *tls.ConnectionState
	address string
	close   func()
}

// ask sends a request and reads the header of the answer, within ctx.
func (v *visit) ask(ctx context.Context, p place, dest, from string) (*exchange, error) {
	conn, addr, err := v.out.dial(ctx, p)
	if err != nil {
		return nil, err
	}
	x := &exchange{address: addr.String()}
	raw := conn
	stop := context.AfterFunc(ctx, func() { raw.SetDeadline(time.Unix(1, 0)) })
	x.close = func() { stop(); raw.Close() }
	res, err := func() (*http.Response, error) {
		if p.u.Scheme == "https" {
			c := tls.Client(conn, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, ServerName: p.name, NextProtos: []string{"http/1.1"}})
			if err := c.HandshakeContext(ctx); err != nil {
				return nil, &failure{tlsFailed, err}
			}
			s := c.ConnectionState()
			conn, x.tls = c, &s
		}
		if _, err := io.WriteString(conn, v.head(p, dest, from)); err != nil {
			return nil, &failure{connectFailed, err}
		}
		in := &io.LimitedReader{R: conn, N: maxHead}
		r := bufio.NewReader(in)
		for range maxInfos {
			res, err := http.ReadResponse(r, nil)
			switch {
			case err != nil && in.N <= 0:
				return nil, &failure{notHTTP, fmt.Errorf("a header of more than %d octets", maxHead)}
			case err != nil:
				return nil, err
			case res.StatusCode >= 200 || res.StatusCode == http.StatusSwitchingProtocols:
				in.N = math.MaxInt64 // what is read of a body is bounded by who reads it
				return res, nil
			}
		}
		return nil, &failure{notHTTP, errors.New("it goes on saying that it will answer")}
	}()
	if err != nil {
		x.close()
		switch f := (*failure)(nil); {
		case ctx.Err() != nil || isTimeout(err):
			return nil, &failure{timedOut, fmt.Errorf("no answer within %v in all", v.p.inAll)}
		case errors.As(err, &f):
			return nil, err
		}
		return nil, &failure{notHTTP, errors.New("what it sends is no answer of a web server")}
	}
	x.Response = res
	return x, nil
}

// head is a request as a browser of the profile writes it.
func (v *visit) head(p place, dest, from string) string {
	var b strings.Builder
	line := func(name, value string) { b.WriteString(name + ": " + value + "\r\n") }
	b.WriteString("GET " + p.u.RequestURI() + " HTTP/1.1\r\n")
	line("Host", p.u.Host)
	line("Connection", "keep-alive")
	if dest == "document" {
		line("Upgrade-Insecure-Requests", "1")
	}
	line("User-Agent", v.agent)
	switch dest {
	case "document":
		line("Accept", "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,*/*;q=0.8")
	case "image":
		line("Accept", "image/avif,image/webp,image/apng,image/svg+xml,image/*,*/*;q=0.8")
	default:
		line("Accept", "*/*")
	}
	if from != "" { // as strict-origin-when-cross-origin has it
		if u, err := url.Parse(from); err == nil && u.Scheme == p.u.Scheme {
			line("Referer", u.Scheme+"://"+u.Host+"/")
		}
	}
	line("Accept-Encoding", "gzip, deflate, br")
	line("Accept-Language", languages(v.lang))
	cookies, size := []string{}, 0
	for _, c := range v.jar.Cookies(p.u) {
		if size += len(c.Name) + len(c.Value) + 3; size > maxCookie {
			break
		}
		cookies = append(cookies, c.Name+"="+c.Value)
	}
	if len(cookies) > 0 {
		line("Cookie", strings.Join(cookies, "; "))
	}
	b.WriteString("\r\n")
	return b.String()
}

func isTimeout(err error) bool {
	var n net.Error
	return errors.As(err, &n) && n.Timeout()
}

// dests is what a browser fetches each kind as.
var dests = map[capture.Kind]string{capture.Script: "script", capture.Style: "style", capture.Icon: "image", capture.Frame: "document"}
