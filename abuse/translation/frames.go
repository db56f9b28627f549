package translation

import (
	"bufio"
	"errors"
	"io"

	"bolwerk"
)

// ErrLong is a message of more than MaxLine octets: it is passed over, and the next one
// can be read.
var ErrLong = bolwerk.Invalid("a message of more than %d octets", MaxLine)

// maxSkip is how long a message may say that it is (octet counting): what says more is
// no length.
const maxSkip = 1 << 20

// Frames cuts a stream of syslog into its messages (RFC 6587, section 3.4): octet
// counting where its first octet is a digit, else a message ends with a line feed or NUL.
// RFC 5425 knows the first alone.
type Frames struct {
	r       *bufio.Reader
	begun   bool
	counted bool
	line    []byte
}

// NewFrames reads r.
func NewFrames(r io.Reader) *Frames {
	return &Frames{r: bufio.NewReaderSize(r, 16<<10), line: make([]byte, 0, MaxLine)}
}

// Next gives the next message, which is good until the next call. io.EOF is an end
// between messages, io.ErrUnexpectedEOF one within a message: what came of that is not
// given, for half a number is a number too. After any error but ErrLong nothing more can
// be read.
func (f *Frames) Next() ([]byte, error) {
	if !f.begun {
		b, err := f.r.Peek(1)
		if err != nil {
			return nil, err
		}
		f.begun, f.counted = true, b[0] >= '1' && b[0] <= '9'
	}
	if f.counted {
		return f.next()
	}
	f.line = f.line[:0]
	long, any := false, false
	for {
		b, err := f.r.ReadByte()
		switch {
		case err != nil:
			return nil, torn(err, any)
		case b == '\n' || b == 0:
			if long {
				return nil, ErrLong
			}
			if n := len(f.line); n > 0 && f.line[n-1] == '\r' {
				f.line = f.line[:n-1]
			}
			if len(f.line) > 0 {
				return f.line, nil
			}
			any = false
			continue
		}
		any = true
		if long = long || len(f.line) == MaxLine; !long {
			f.line = append(f.line, b)
		}
	}
}

// next reads a message by its length.
func (f *Frames) next() ([]byte, error) {
	n := 0
	for i := 0; ; i++ {
		b, err := f.r.ReadByte()
		if err != nil {
			return nil, torn(err, i > 0)
		}
		if i > 0 && b == ' ' {
			break
		}
		if b < '0' || b > '9' || i == 0 && b == '0' || n > maxSkip {
			return nil, bolwerk.Invalid("octet counting: want the length of a message, at most %d, and a space", maxSkip)
		}
		n = n*10 + int(b-'0')
	}
	if n > MaxLine {
		if _, err := f.r.Discard(n); err != nil {
			return nil, torn(err, true)
		}
		return nil, ErrLong
	}
	f.line = f.line[:n]
	if _, err := io.ReadFull(f.r, f.line); err != nil {
		return nil, torn(err, true)
	}
	return f.line, nil
}

func torn(err error, within bool) error {
	if within && errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
