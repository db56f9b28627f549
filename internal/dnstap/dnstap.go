// Package dnstap reads what resolvers tell about the questions they answer: dnstap
// over frame streams, and the messages of PowerDNS. Addresses of clients are in
// what they send; this package never reads them.
package dnstap

import (
	"bytes"
	"encoding/binary"
	"io"

	"google.golang.org/protobuf/encoding/protowire"

	"bolwerk"
)

// Response is what a resolver answered to somebody.
type Response struct {
	// Message is the answer on the wire; empty where the resolver does not tell it.
	Message []byte
	// Name is the name that was asked for, where there is no Message.
	Name string
	// Policy is the policy zone that made the answer, where the resolver says so.
	Policy string
}

// MaxFrame bounds one message: an answer, a question, and what is around them.
const MaxFrame = 160 << 10

const contentType = "protobuf:dnstap.Dnstap"

// Control frames of frame streams.
const (
	accept = 1
	start  = 2
	stop   = 3
	ready  = 4
	finish = 5
)

// Frames reads a frame stream from r and gives each data frame to each, until its
// end; w, where it is not nil, is where the sender waits for our consent. The frame
// is reused.
func Frames(r io.Reader, w io.Writer, each func([]byte)) error {
	var buf []byte
	started := false
	for {
		n, err := word(r)
		if err != nil {
			if err == io.EOF && !started {
				return nil
			}
			return err
		}
		if n != 0 {
			switch {
			case !started:
				return bolwerk.Invalid("frame stream: data before its start")
			case n > MaxFrame:
				return bolwerk.Invalid("frame stream: a frame of %d octets", n)
			}
			if buf, err = read(r, buf, n); err != nil {
				return err
			}
			each(buf)
			continue
		}
		if n, err = word(r); err != nil {
			return err
		}
		if n < 4 || n > 512 {
			return bolwerk.Invalid("frame stream: a control frame of %d octets", n)
		}
		if buf, err = read(r, buf, n); err != nil {
			return err
		}
		switch kind := binary.BigEndian.Uint32(buf); kind {
		case ready, start:
			if !speaks(buf[4:]) {
				return bolwerk.Invalid("frame stream: no %s", contentType)
			}
			if kind == start {
				started = true
			} else if err := control(w, accept); err != nil {
				return err
			}
		case stop:
			return control(w, finish)
		default:
			return bolwerk.Invalid("frame stream: control frame %d", kind)
		}
	}
}

// speaks says that a control frame offers dnstap; one without content types offers
// whatever we take.
func speaks(fields []byte) bool {
	none := true
	for len(fields) >= 8 {
		kind, n := binary.BigEndian.Uint32(fields), binary.BigEndian.Uint32(fields[4:])
		if fields = fields[8:]; uint64(n) > uint64(len(fields)) {
			return false
		}
		if kind == 1 {
			none = false
			if string(fields[:n]) == contentType {
				return true
			}
		}
		fields = fields[n:]
	}
	return none
}

func control(w io.Writer, kind uint32) error {
	if w == nil {
		return nil
	}
	var body []byte
	body = binary.BigEndian.AppendUint32(body, kind)
	if kind == accept {
		body = binary.BigEndian.AppendUint32(body, 1)
		body = binary.BigEndian.AppendUint32(body, uint32(len(contentType)))
		body = append(body, contentType...)
	}
	frame := binary.BigEndian.AppendUint32([]byte{0, 0, 0, 0}, uint32(len(body)))
	_, err := w.Write(append(frame, body...))
	return err
}

func word(r io.Reader) (int, error) {
	var b [4]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, err
	}
	return int(binary.BigEndian.Uint32(b[:])), nil
}

func read(r io.Reader, buf []byte, n int) ([]byte, error) {
	if cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	_, err := io.ReadFull(r, buf)
	return buf, err
}

// fields gives the fields of a protobuf message in turn; false where it is none.
func fields(b []byte, each func(num protowire.Number, n uint64, value []byte)) bool {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return false
		}
		b = b[n:]
		switch typ {
		case protowire.VarintType:
			v, n := protowire.ConsumeVarint(b)
			if n < 0 {
				return false
			}
			each(num, v, nil)
			b = b[n:]
		case protowire.BytesType:
			v, n := protowire.ConsumeBytes(b)
			if n < 0 {
				return false
			}
			each(num, 0, v)
			b = b[n:]
		default:
			n := protowire.ConsumeFieldValue(num, typ, b)
			if n < 0 {
				return false
			}
			b = b[n:]
		}
	}
	return true
}

// Parse reads a dnstap message; false where it is no answer to a client. What it
// gives stands in b.
func Parse(b []byte) (r Response, ok bool) {
	const typeMessage, clientResponse = 1, 6
	var typ uint64
	var message []byte
	if !fields(b, func(num protowire.Number, n uint64, v []byte) {
		switch num {
		case 15:
			typ = n
		case 14:
			message = v
		}
	}) || typ != typeMessage {
		return r, false
	}
	typ = 0
	whole := fields(message, func(num protowire.Number, n uint64, v []byte) {
		switch num { // 4 and 6, who asked, are not looked at
		case 1:
			typ = n
		case 14:
			r.Message = v
		}
	})
	return r, whole && typ == clientResponse && len(r.Message) > 0
}

// PowerDNS reads the messages that protobufServer of PowerDNS sends, each behind
// its length of two octets, and gives the answers to clients to each.
func PowerDNS(r io.Reader, each func(Response)) error {
	var buf []byte
	for {
		var b [2]byte
		if _, err := io.ReadFull(r, b[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		var err error
		if buf, err = read(r, buf, int(binary.BigEndian.Uint16(b[:]))); err != nil {
			return err
		}
		if resp, ok := ParsePowerDNS(buf); ok {
			each(resp)
		}
	}
}

// ParsePowerDNS reads one message of PowerDNS; false where it is no answer to a
// client.
func ParsePowerDNS(b []byte) (r Response, ok bool) {
	const response = 2
	var typ uint64
	var question, answer []byte
	if !fields(b, func(num protowire.Number, n uint64, v []byte) {
		switch num { // 6, who asked, is not looked at
		case 1:
			typ = n
		case 12:
			question = v
		case 13:
			answer = v
		}
	}) || typ != response {
		return r, false
	}
	whole := fields(question, func(num protowire.Number, _ uint64, v []byte) {
		if num == 1 {
			r.Name = string(v)
		}
	}) && fields(answer, func(num protowire.Number, _ uint64, v []byte) {
		if num == 3 {
			r.Policy = string(bytes.TrimSuffix(v, []byte(".")))
		}
	})
	return r, whole && r.Name != ""
}
