package reading

import (
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/md5"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/binary"
)

// pdfCrypt opens what the standard handler encrypted for everybody: with the
// empty user password, as phishers do to hide from scanners. Nothing is guessed.
type pdfCrypt struct {
	key              []byte
	strings, streams pdfCipher
	closed           bool // another password is needed
}

type pdfCipher int

const (
	plainText pdfCipher = iota
	cipherRC4
	cipherAES    // 128 bits, a key per object
	cipherAESAll // 256 bits, one key
)

var pdfPadding = []byte("\x28\xBF\x4E\x5E\x4E\x75\x8A\x41\x64\x00\x4E\x56\xFF\xFA\x01\x08\x2E\x2E\x00\xB6\xD0\x68\x3E\x80\x2F\x0C\xA9\xFE\x64\x53\x69\x7A")

// unlock finds the key (ISO 32000-2 section 7.6).
func (f *pdfFile) unlock() {
	var enc pdfDict
	var id []byte
	for _, t := range f.trailers {
		if d := f.dict(t["Encrypt"]); d != nil {
			enc = d
		}
		if a := f.array(t["ID"]); len(a) > 0 && id == nil {
			s, _ := f.get(a[0]).(pdfString)
			id = []byte(s)
		}
	}
	if enc == nil {
		return
	}
	c := &pdfCrypt{closed: true}
	f.crypt = c
	if f.get(enc["Filter"]) != pdfName("Standard") {
		return
	}
	v, r := int(f.number(enc["V"], 0)), int(f.number(enc["R"], 0))
	o, _ := f.get(enc["O"]).(pdfString)
	u, _ := f.get(enc["U"]).(pdfString)
	c.strings, c.streams = cipherRC4, cipherRC4
	size := 5
	switch v {
	case 1:
	case 2, 3:
		size = int(f.number(enc["Length"], 40)) / 8
	case 4, 5:
		size = 16
		c.strings, c.streams = f.cipher(enc, enc["StrF"]), f.cipher(enc, enc["StmF"])
	default:
		return
	}
	if size < 5 || size > 16 || len(o) < 32 || len(u) < 32 {
		return
	}
	if v == 5 {
		ue, _ := f.get(enc["UE"]).(pdfString)
		c.key = keyAES256(r, []byte(u), []byte(ue))
		c.closed = c.key == nil
		return
	}
	p := int64(f.number(enc["P"], 0))
	h := md5.New()
	h.Write(pdfPadding)
	h.Write([]byte(o[:32]))
	h.Write(binary.LittleEndian.AppendUint32(nil, uint32(p)))
	h.Write(id)
	if r >= 4 && f.get(enc["EncryptMetadata"]) == false {
		h.Write([]byte{255, 255, 255, 255})
	}
	key := h.Sum(nil)
	if r >= 3 {
		for range 50 {
			sum := md5.Sum(key[:size])
			key = sum[:]
		}
	}
	c.key = key[:size]
	// Is it the right one? (algorithms 4 and 5)
	var want []byte
	if r == 2 {
		want = rc4(c.key, pdfPadding)
	} else {
		h := md5.New()
		h.Write(pdfPadding)
		h.Write(id)
		want = h.Sum(nil)
		for i := range 20 {
			k := bytes.Clone(c.key)
			for j := range k {
				k[j] ^= byte(i)
			}
			want = rc4(k, want)
		}
	}
	c.closed = !bytes.HasPrefix([]byte(u), want)
}

// cipher reads the crypt filter of a name.
func (f *pdfFile) cipher(enc pdfDict, v any) pdfCipher {
	name, _ := f.get(v).(pdfName)
	if name == "" || name == "Identity" {
		return plainText
	}
	switch f.get(f.dict(f.dict(enc["CF"])[name])["CFM"]) {
	case pdfName("V2"):
		return cipherRC4
	case pdfName("AESV2"):
		return cipherAES
	case pdfName("AESV3"):
		return cipherAESAll
	}
	return plainText
}

// keyAES256 is the key of revisions 5 and 6, or nil.
func keyAES256(r int, u, ue []byte) []byte {
	if len(u) < 48 || len(ue) < 32 {
		return nil
	}
	hash := func(salt []byte) []byte {
		if r >= 6 {
			return hash2B(salt)
		}
		sum := sha256.Sum256(salt)
		return sum[:]
	}
	if !bytes.Equal(hash(u[32:40]), u[:32]) {
		return nil
	}
	block, err := aes.NewCipher(hash(u[40:48]))
	if err != nil {
		return nil
	}
	key := make([]byte, 32)
	cipher.NewCBCDecrypter(block, make([]byte, 16)).CryptBlocks(key, ue[:32])
	return key
}

// hash2B is algorithm 2.B of ISO 32000-2 for the empty user password.
func hash2B(salt []byte) []byte {
	first := sha256.Sum256(salt)
	k := first[:]
	for i := 0; ; i++ {
		k1 := bytes.Repeat(k, 64)
		block, err := aes.NewCipher(k[:16])
		if err != nil {
			return nil
		}
		cipher.NewCBCEncrypter(block, k[16:32]).CryptBlocks(k1, k1)
		sum := 0
		for _, b := range k1[:16] {
			sum += int(b)
		}
		switch sum % 3 {
		case 0:
			s := sha256.Sum256(k1)
			k = s[:]
		case 1:
			s := sha512.Sum384(k1)
			k = s[:]
		default:
			s := sha512.Sum512(k1)
			k = s[:]
		}
		if i >= 63 && int(k1[len(k1)-1]) <= i-31 {
			return k[:32]
		}
	}
}

// open decrypts a string or a stream of the object at.
func (c *pdfCrypt) open(b []byte, at pdfRef, how pdfCipher) ([]byte, bool) {
	if how == plainText {
		return b, true
	}
	if c.closed {
		return nil, false
	}
	key := c.key
	if how != cipherAESAll {
		k := append(bytes.Clone(key), byte(at.n), byte(at.n>>8), byte(at.n>>16), byte(at.gen), byte(at.gen>>8))
		if how == cipherAES {
			k = append(k, "sAlT"...)
		}
		sum := md5.Sum(k)
		key = sum[:min(16, len(key)+5)]
	}
	if how == cipherRC4 {
		return rc4(key, b), true
	}
	block, err := aes.NewCipher(key)
	if err != nil || len(b) < 16 {
		return nil, false
	}
	body := bytes.Clone(b[16 : len(b)-len(b)%16])
	cipher.NewCBCDecrypter(block, b[:16]).CryptBlocks(body, body)
	if n := len(body); n > 0 && body[n-1] >= 1 && body[n-1] <= 16 {
		body = body[:n-int(body[n-1])]
	}
	return body, true
}

// rc4 is the cipher that old files are made with; the standard library warns of
// every use, here there is no choice.
func rc4(key, b []byte) []byte {
	var s [256]byte
	for i := range s {
		s[i] = byte(i)
	}
	j := byte(0)
	for i := range s {
		j += s[i] + key[i%len(key)]
		s[i], s[j] = s[j], s[i]
	}
	out := make([]byte, len(b))
	i := byte(0)
	j = 0
	for n, c := range b {
		i++
		j += s[i]
		s[i], s[j] = s[j], s[i]
		out[n] = c ^ s[s[i]+s[j]]
	}
	return out
}
