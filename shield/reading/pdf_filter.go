package reading

import (
	"bytes"
	"compress/flate"
	"compress/zlib"
	"io"
)

// decode undoes the filters of a stream. It says false where one is not known
// or the bounds are reached; what could be decoded of a broken one is given.
func (f *pdfFile) decode(s pdfStream) ([]byte, bool) {
	b, rest, ok := f.decodeUntil(s)
	return b, ok && rest == ""
}

// decodeUntil undoes filters up to one that makes a picture, whose name it gives.
func (f *pdfFile) decodeUntil(s pdfStream) (b []byte, picture pdfName, ok bool) {
	b = s.raw
	if f.crypt != nil && s.at.n >= 0 && s.dict["Type"] != pdfName("XRef") {
		if b, ok = f.crypt.open(b, s.at, f.crypt.streams); !ok {
			return nil, "", false
		}
	}
	filters := f.array(firstValue(s.dict["Filter"], s.dict["F"]))
	parms := f.array(firstValue(s.dict["DecodeParms"], s.dict["DP"]))
	if len(filters) > maxPDFFilters {
		return nil, "", false
	}
	for i, v := range filters {
		name, _ := f.get(v).(pdfName)
		var parm pdfDict
		if i < len(parms) {
			parm = f.dict(parms[i])
		}
		room := min(maxPDFStream, maxPDFDecoded-f.c.seen.decoded)
		if room <= 0 {
			f.cut = true
			return nil, "", false
		}
		switch name {
		case "FlateDecode", "Fl":
			b = unpredict(f, unFlate(b, room), parm)
		case "LZWDecode", "LZW":
			b = unpredict(f, unLZW(b, room, f.number(parm["EarlyChange"], 1) != 0), parm)
		case "ASCIIHexDecode", "AHx":
			p := &pdfParser{b: append([]byte{'<'}, b...), f: f}
			b = []byte(p.hexString())
		case "ASCII85Decode", "A85":
			b = unASCII85(b, room)
		case "RunLengthDecode", "RL":
			b = unRunLength(b, room)
		case "Crypt":
			continue
		case "DCTDecode", "DCT", "JPXDecode", "CCITTFaxDecode", "CCF", "JBIG2Decode":
			return b, name, i == len(filters)-1
		default:
			return nil, "", false
		}
		f.c.seen.decoded += len(b)
	}
	return b, "", true
}

func firstValue(a, b any) any {
	if a != nil {
		return a
	}
	return b
}

// unFlate gives what can be had, of broken data too: viewers do.
func unFlate(b []byte, room int) []byte {
	var r io.Reader
	z, err := zlib.NewReader(bytes.NewReader(b))
	if err == nil {
		r = z
	} else if len(b) > 2 {
		r = flate.NewReader(bytes.NewReader(b[2:]))
	} else {
		return nil
	}
	var out bytes.Buffer
	io.Copy(&out, io.LimitReader(r, int64(room)))
	return out.Bytes()
}

// unLZW decodes LZW as PDF and TIFF have it: codes of 9 to 12 bits, most
// significant first, 256 clears, 257 ends (ISO 32000-2 section 7.4.4).
func unLZW(b []byte, room int, early bool) []byte {
	type entry struct {
		prefix int16
		last   byte
		size   uint16
	}
	var table [4096]entry
	for i := range 256 {
		table[i] = entry{-1, byte(i), 1}
	}
	var out []byte
	next, width, before := 258, 9, -1
	acc, bits := uint32(0), 0
	for _, c := range b {
		acc, bits = acc<<8|uint32(c), bits+8
		if bits < width {
			continue
		}
		code := int(acc >> (bits - width) & (1<<width - 1))
		bits -= width
		switch {
		case code == 256:
			next, width, before = 258, 9, -1
			continue
		case code == 257:
			return out
		case code > next || code == next && before < 0 || code >= 258 && code != next && table[code].size == 0:
			return out
		}
		from := code
		if code == next {
			from = before
		}
		n := int(table[from].size)
		if len(out)+n+1 > room {
			return out
		}
		begin := len(out)
		out = append(out, make([]byte, n)...)
		for at, i := from, begin+n-1; i >= begin && at >= 0; i-- {
			out[i] = table[at].last
			at = int(table[at].prefix)
		}
		if code == next {
			out = append(out, out[begin])
		}
		if before >= 0 && next < 4096 {
			table[next] = entry{int16(before), out[begin], table[before].size + 1}
			next++
		}
		before = code
		limit := next
		if early {
			limit++
		}
		switch {
		case limit >= 2048:
			width = 12
		case limit >= 1024:
			width = 11
		case limit >= 512:
			width = 10
		}
	}
	return out
}

func unASCII85(b []byte, room int) []byte {
	var out []byte
	var acc uint32
	n := 0
	for _, c := range bytes.TrimPrefix(bytes.TrimSpace(b), []byte("<~")) {
		if c == '~' || len(out)+4 > room {
			break
		}
		switch {
		case c == 'z' && n == 0:
			out = append(out, 0, 0, 0, 0)
		case c >= '!' && c <= 'u':
			acc = acc*85 + uint32(c-'!')
			if n++; n == 5 {
				out = append(out, byte(acc>>24), byte(acc>>16), byte(acc>>8), byte(acc))
				acc, n = 0, 0
			}
		}
	}
	if n > 1 {
		have := n
		for ; n < 5; n++ {
			acc = acc*85 + 84
		}
		out = append(out, []byte{byte(acc >> 24), byte(acc >> 16), byte(acc >> 8)}[:have-1]...)
	}
	return out
}

func unRunLength(b []byte, room int) []byte {
	var out []byte
	for len(b) > 1 && len(out) < room {
		n := int(b[0])
		switch {
		case n == 128:
			return out
		case n < 128:
			end := min(len(b), n+2)
			out = append(out, b[1:end]...)
			b = b[end:]
		default:
			out = append(out, bytes.Repeat(b[1:2], 257-n)...)
			b = b[2:]
		}
	}
	return out
}

// unpredict undoes the predictors of PNG and the one of TIFF for 8 bits.
func unpredict(f *pdfFile, b []byte, parm pdfDict) []byte {
	predictor := int(f.number(parm["Predictor"], 1))
	if predictor < 2 {
		return b
	}
	colours, bits, columns := f.number(parm["Colors"], 1), f.number(parm["BitsPerComponent"], 8), f.number(parm["Columns"], 1)
	if colours < 1 || colours > 32 || bits < 1 || bits > 16 || columns < 1 || columns > 1<<20 {
		return b
	}
	step := max(1, int(colours*bits)/8)
	row := (int(colours)*int(bits)*int(columns) + 7) / 8
	if predictor == 2 {
		if bits == 8 {
			for at := 0; at+row <= len(b); at += row {
				for i := at + step; i < at+row; i++ {
					b[i] += b[i-step]
				}
			}
		}
		return b
	}
	out := make([]byte, 0, len(b))
	above := make([]byte, row)
	for len(b) > 1 {
		kind := b[0]
		line := make([]byte, row)
		n := copy(line, b[1:])
		b = b[1+n:]
		for i := range line {
			var left, up, corner byte
			up = above[i]
			if i >= step {
				left, corner = line[i-step], above[i-step]
			}
			switch kind {
			case 1:
				line[i] += left
			case 2:
				line[i] += up
			case 3:
				line[i] += byte((int(left) + int(up)) / 2)
			case 4:
				line[i] += paeth(left, up, corner)
			}
		}
		out = append(out, line...)
		above = line
	}
	return out
}

func paeth(a, b, c byte) byte {
	p := int(a) + int(b) - int(c)
	pa, pb, pc := abs(p-int(a)), abs(p-int(b)), abs(p-int(c))
	switch {
	case pa <= pb && pa <= pc:
		return a
	case pb <= pc:
		return b
	}
	return c
}

func abs(n int) int {
	if n < 0 {
		return -n
	}
	return n
}
