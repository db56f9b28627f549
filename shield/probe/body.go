package probe

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"

	"github.com/andybalholm/brotli"
	"github.com/klauspost/compress/zstd"

	"bolwerk"
)

// Bounds of a body. A layer of compression may read and write only so much,
// whatever it unfolds to.
const (
	maxLayers = 2
	maxPacked = 4 << 20 // octets that go into a layer
	maxWindow = 8 << 20 // memory of a decoder
)

// readBody reads at most max octets of what a body unfolds to. cut says that
// there was more, or that it broke off; what came until then is given.
func readBody(r io.Reader, encoding string, max int) (data []byte, cut bool, err error) {
	var layers []string
	for e := range strings.SplitSeq(strings.ToLower(encoding), ",") {
		if e = strings.TrimSpace(e); e != "" && e != "identity" {
			layers = append(layers, e)
		}
	}
	if len(layers) > maxLayers {
		return nil, false, bolwerk.Invalid("a body packed %d times", len(layers))
	}
	for i := len(layers) - 1; i >= 0; i-- { // the last one was put on last
		next, end, err := unpack(layers[i], io.LimitReader(r, maxPacked))
		if err != nil {
			return nil, false, err
		}
		defer end()
		r = next
	}
	data, err = io.ReadAll(io.LimitReader(r, int64(max)+1))
	if len(data) > max {
		return data[:max], true, nil
	}
	return data, err != nil, err
}

func unpack(how string, r io.Reader) (io.Reader, func(), error) {
	none := func() {}
	switch how {
	case "gzip", "x-gzip":
		return &lazy{r: r, open: func(r io.Reader) (io.Reader, error) { return gzip.NewReader(r) }}, none, nil
	case "deflate": // zlib by the RFC, bare by some servers
		return &lazy{r: r, open: func(r io.Reader) (io.Reader, error) {
			b := bufio.NewReader(r)
			head, err := b.Peek(2)
			if err != nil {
				return nil, err
			}
			if head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0 {
				return zlib.NewReader(b)
			}
			return flate.NewReader(b), nil
		}}, none, nil
	case "br":
		return brotli.NewReader(r), none, nil
	case "zstd":
		d, err := zstd.NewReader(r, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxWindow(maxWindow), zstd.WithDecoderMaxMemory(maxWindow))
		if err != nil {
			return nil, none, err
		}
		return d, d.Close, nil
	}
	return nil, none, bolwerk.Invalid("a body packed as %.20q", how)
}

// lazy reads the head of a packed body when it is first asked for.
type lazy struct {
	r    io.Reader
	open func(io.Reader) (io.Reader, error)
	in   io.Reader
	err  error
}

func (l *lazy) Read(b []byte) (int, error) {
	if l.in == nil && l.err == nil {
		if l.in, l.err = l.open(l.r); errors.Is(l.err, io.EOF) {
			l.err = io.EOF // an empty body
		}
	}
	if l.err != nil {
		return 0, l.err
	}
	return l.in.Read(b)
}
