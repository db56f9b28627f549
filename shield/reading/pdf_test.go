package reading

import (
	"bytes"
	"compress/lzw"
	"compress/zlib"
	"encoding/ascii85"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"image/jpeg"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// pdfOf writes objects 1.. as a PDF.
func pdfOf(objects ...string) []byte {
	var b bytes.Buffer
	b.WriteString("%PDF-1.7\n")
	var at []int
	for i, o := range objects {
		at = append(at, b.Len())
		fmt.Fprintf(&b, "%d 0 obj\n%s\nendobj\n", i+1, o)
	}
	xref := b.Len()
	fmt.Fprintf(&b, "xref\n0 %d\n0000000000 65535 f \n", len(objects)+1)
	for _, a := range at {
		fmt.Fprintf(&b, "%010d 00000 n \n", a)
	}
	fmt.Fprintf(&b, "trailer\n<< /Size %d /Root 1 0 R /ID [<00112233445566778899AABBCCDDEEFF><00112233445566778899AABBCCDDEEFF>] >>\nstartxref\n%d\n%%%%EOF\n", len(objects)+1, xref)
	return b.Bytes()
}

func streamOf(dict string, body []byte) string {
	return fmt.Sprintf("<< %s /Length %d >>\nstream\n%s\nendstream", dict, len(body), body)
}

func deflated(b []byte) []byte {
	var out bytes.Buffer
	z := zlib.NewWriter(&out)
	z.Write(b)
	z.Close()
	return out.Bytes()
}

// onePage is a file with one page that draws content with font F1.
func onePage(content, font string, more ...string) []byte {
	return pdfOf(append([]string{"<< /Type /Catalog /Pages 2 0 R >>", "<< /Type /Pages /Kids [3 0 R] /Count 1 /MediaBox [0 0 600 800] /Resources << /Font << /F1 5 0 R >> /XObject << /X1 6 0 R >> >> >>",
		"<< /Type /Page /Parent 2 0 R /Contents 4 0 R >>", streamOf("", []byte(content)), font}, more...)...)
}

const helvetica = "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >>"

func mailWithPDF(b []byte) []byte {
	return []byte("From: a@b.example\r\nSubject: x\r\nContent-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n" + base64.StdEncoding.EncodeToString(b))
}

// TestPDF: each place of a PDF that leads somewhere is found.
func TestPDF(t *testing.T) {
	const want = "https://pdf-merelbank.example/a?b=1"
	action := "<< /Type /Annot /Subtype /Link /A << /S /URI /URI (" + want + ") >> >>"
	packed := "1 0 2 60 << /Type /Annot /A 2 0 R >>" + strings.Repeat(" ", 80)
	index := "1 0 2 40 "
	packed = index + fmt.Sprintf("%-40s", "<< /Type /Annot /A 2 0 R >>") + "<< /S /URI /URI (" + want + ") >>"
	lz := func() []byte {
		// The standard library's LZW of TIFF and PDF switches width one code later: EarlyChange 0.
		var b bytes.Buffer
		w := lzw.NewWriter(&b, lzw.MSB, 8)
		w.Write([]byte(packed))
		w.Close()
		return b.Bytes()
	}()
	a85 := make([]byte, ascii85.MaxEncodedLen(len(packed)))
	a85 = a85[:ascii85.Encode(a85, []byte(packed))]
	// PNG's "up" predictor, rows of 8.
	var up []byte
	last := make([]byte, 8)
	for rest := []byte(packed + strings.Repeat(" ", 8)); len(rest) >= 8; rest = rest[8:] {
		up = append(up, 2)
		for i := range 8 {
			up = append(up, rest[i]-last[i])
		}
		last = rest[:8]
	}
	objStm := func(filter string, b []byte) []byte {
		return pdfOf("<< /Type /Catalog >>", streamOf(fmt.Sprintf("/Type /ObjStm /N 2 /First %d %s", len(index), filter), b))
	}
	qr := qrImage(t, want, 100)
	var jpg bytes.Buffer
	if err := jpeg.Encode(&jpg, qr, nil); err != nil {
		t.Fatal(err)
	}
	var bits []byte // one bit a point
	for y := range qr.Rect.Dy() {
		row := make([]byte, (qr.Rect.Dx()+7)/8)
		for x := range qr.Rect.Dx() {
			if qr.GrayAt(x, y).Y > 128 {
				row[x/8] |= 128 >> (x % 8)
			}
		}
		bits = append(bits, row...)
	}
	var rects, paths strings.Builder
	rects.WriteString("1 1 1 rg 0 0 600 800 re f 0 0 0 rg\n")
	grid := qrModules(t, want)
	for y, row := range grid {
		for x, d := range row {
			if d {
				fmt.Fprintf(&rects, "%d %d 4 4 re f\n", 100+4*x, 400-4*y)
				fmt.Fprintf(&paths, "%d %d m %d %d l %d %d l %d %d l h ", 100+4*x, 400-4*y, 104+4*x, 400-4*y, 104+4*x, 404-4*y, 100+4*x, 404-4*y)
			}
		}
	}
	size := fmt.Sprintf("/Type /XObject /Subtype /Image /Width %d /Height %d", qr.Rect.Dx(), qr.Rect.Dy())
	hexText := func(s string, shift int) string {
		var b strings.Builder
		for _, r := range s {
			fmt.Fprintf(&b, "%04X", int(r)+shift)
		}
		return b.String()
	}
	cmap := "/CIDInit /ProcSet findresource begin 1 begincodespacerange <0000> <FFFF> endcodespacerange 2 beginbfrange <0121> <0160> <0021> <0161> <017E> <0061> endbfrange endcmap"
	for _, c := range []struct {
		name, via string
		raw       []byte
	}{
		{"a link", "application/pdf:uri", pdfOf("<< /Type /Catalog >>", action)},
		{"a link without table of contents", "application/pdf:uri", []byte("%PDF-1.4\n7 0 obj " + action + " endobj")},
		{"a link at the end that is cut off", "application/pdf:uri", []byte("%PDF-1.4\n7 0 obj " + action[:len(action)-6])},
		{"a link in hex", "application/pdf:uri", pdfOf("<< /S /URI /URI <" + hex.EncodeToString([]byte(want)) + "> >>")},
		{"a link in UTF-16", "application/pdf:uri", pdfOf("<< /S /URI /URI <FEFF" + hexText(want, 0) + "> >>")},
		{"names with codes", "application/pdf:uri", pdfOf("<< /S /#55RI /U#52I (" + want + ") >>")},
		{"a link by reference", "application/pdf:uri", pdfOf("<< /S /URI /URI 2 0 R >>", "("+want+")")},
		{"broken by line ends", "application/pdf:uri", pdfOf("<< /S /URI /URI (https://pdf-merelbank.\\\nexample/a\n?b=1) >>")},
		{"launch", "application/pdf:launch", pdfOf("<< /S /Launch /F << /Type /Filespec /F (" + want + ") >> >>")},
		{"launch of old Windows", "application/pdf:launch", pdfOf("<< /S /Launch /Win << /F (" + want + ") >> >>")},
		{"another file", "application/pdf:goto", pdfOf("<< /S /GoToR /F << /FS /URL /F (" + want + ") >> >>")},
		{"a form", "application/pdf:submit", pdfOf("<< /S /SubmitForm /F << /FS /URL /F (" + want + ") >> >>")},
		{"a script", "script", pdfOf("<< /S /JavaScript /JS (app.launchURL\\(\"" + want + "\", true\\)) >>")},
		{"a script in a stream", "script", pdfOf("<< /S /JavaScript /JS 2 0 R >>", streamOf("/Filter /FlateDecode", deflated([]byte("app.launchURL('"+want+"')"))))},
		{"object stream", "application/pdf:uri", objStm("", []byte(packed))},
		{"object stream, Flate", "application/pdf:uri", objStm("/Filter /FlateDecode", deflated([]byte(packed)))},
		{"object stream, Flate cut off", "application/pdf:uri", objStm("/Filter [/FlateDecode]", deflated([]byte(packed))[:len(deflated([]byte(packed)))-6])},
		{"object stream, predictor", "application/pdf:uri", objStm("/Filter /FlateDecode /DecodeParms << /Predictor 12 /Columns 8 >>", deflated(up))},
		{"object stream, LZW", "application/pdf:uri", objStm("/Filter /LZWDecode /DecodeParms << /EarlyChange 0 >>", lz)},
		{"object stream, ASCII85 of Flate", "application/pdf:uri", objStm("/Filter [/A85 /Fl]", func() []byte {
			z := deflated([]byte(packed))
			out := make([]byte, ascii85.MaxEncodedLen(len(z)))
			return append(out[:ascii85.Encode(out, z)], "~>"...)
		}())},
		{"object stream, ASCII85", "application/pdf:uri", objStm("/Filter /ASCII85Decode", append(a85, "~>"...))},
		{"object stream, hex", "application/pdf:uri", objStm("/Filter /ASCIIHexDecode", []byte(hex.EncodeToString([]byte(packed))+">"))},
		{"text", "application/pdf:text", onePage("BT /F1 12 Tf 50 700 Td (Ga naar "+want+" vandaag) Tj ET", helvetica)},
		{"text in pieces", "application/pdf:text", onePage("BT /F1 12 Tf 50 700 Td [(https://pdf-) -20 (merelbank) 15 (.example) 0 (/a?b=1)] TJ ET", helvetica)},
		{"text over two lines", "application/pdf:text", onePage("BT /F1 12 Tf 14 TL 50 700 Td (Zie https://pdf-merelbank.example/a?) Tj T* (b=1 vandaag) Tj ET", helvetica)},
		{"text over two lines in its host", "application/pdf:text", onePage("BT /F1 12 Tf 14 TL 50 700 Td (Zie https://pdf-) Tj T* (merelbank.example/a?b=1 vandaag) Tj ET", helvetica)},
		{"text with glyph names", "application/pdf:text", onePage("BT /F1 12 Tf 50 700 Td (HTTPSAA"+"PDFBX) Tj (\\001\\002\\003b\\0041) Tj ET", "<< /Type /Font /Subtype /Type1 /Encoding << /Differences [ 72 /h 84 /t /u 80 /p 83 /s 65 /slash 68 /d 70 /f 66 /hyphen 88 /m 1 /uni0065 /slash /question /equal] >> /ToUnicode 6 0 R >>",
			streamOf("", []byte("3 beginbfchar <58> <006D006500720065006C00620061006E006B002E006500780061006D0070006C> <01> <0065> <02> <002F0061> endbfchar 1 beginbfchar <41> <002F> endbfchar")))},
		{"text with a character map", "application/pdf:text", onePage("BT /F1 12 Tf 50 700 Td <"+hexText(want, 0x100)+"> Tj ET",
			"<< /Type /Font /Subtype /Type0 /Encoding /Identity-H /DescendantFonts [<< /DW 500 >>] /ToUnicode 6 0 R >>", streamOf("/Filter /FlateDecode", deflated([]byte(cmap))))},
		{"text in a drawing", "application/pdf:text", onePage("/X1 Do", helvetica, streamOf("/Subtype /Form", []byte("BT /F1 9 Tf ("+want+") Tj ET")))},
		{"text in a comment's look", "application/pdf:text", onePage("", helvetica, "<< >>", streamOf("/Subtype /Form /Resources << /Font << /F1 5 0 R >> >>", []byte("BT /F1 9 Tf ("+want+") Tj ET")))},
		{"a code as JPEG", "qr", onePage("/X1 Do", helvetica, streamOf(size+" /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /DCTDecode", jpg.Bytes()))},
		{"a code as grey tones", "qr", onePage("/X1 Do", helvetica, streamOf(size+" /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /FlateDecode", deflated(qr.Pix)))},
		{"a code of one bit", "qr", onePage("/X1 Do", helvetica, streamOf(size+" /ColorSpace /DeviceGray /BitsPerComponent 1 /Filter /FlateDecode", deflated(bits)))},
		{"a code with a palette", "qr", onePage("/X1 Do", helvetica, streamOf(size+" /ColorSpace [/Indexed /DeviceRGB 1 <101010F0F0F0>] /BitsPerComponent 1 /Filter /FlateDecode", deflated(bits)))},
		{"a code as a mask", "qr", onePage("/X1 Do", helvetica, streamOf(size+" /ImageMask true /Decode [1 0] /Filter /FlateDecode", deflated(bits)))},
		{"a code within the page", "qr", onePage(fmt.Sprintf("q BI /W %d /H %d /CS /G /BPC 8 /F /Fl ID %s\nEI Q", qr.Rect.Dx(), qr.Rect.Dy(), deflated(qr.Pix)), helvetica)},
		{"a code of rectangles", "qr", onePage(rects.String(), helvetica)},
		{"a code of one path", "qr", onePage(paths.String()+"f", helvetica)},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := Mail(mailWithPDF(c.raw), Option{})
			w := r.Wanted()
			if len(w) != 1 || w[0].URL != want || !slices.Contains(w[0].Via, c.via) {
				t.Errorf("got %+v\nwarnings %v\n%q", w, r.Warnings, c.raw[:min(len(c.raw), 2000)])
			}
		})
	}
}

// TestPDFEncrypted: what is encrypted for everybody is read; a password is not
// guessed, and said to be needed. The files were made with qpdf 11.3.
func TestPDFEncrypted(t *testing.T) {
	files, _ := filepath.Glob("testdata/pdf/*.pdf")
	if len(files) != 6 {
		t.Fatalf("%d files", len(files))
	}
	for _, name := range files {
		t.Run(filepath.Base(name), func(t *testing.T) {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			r := Mail(mailWithPDF(b), Option{})
			var got []string
			for _, u := range r.Wanted() {
				got = append(got, u.URL)
			}
			slices.Sort(got)
			if strings.HasSuffix(name, "-password.pdf") {
				if len(got) != 0 || len(r.Warnings) != 1 || !strings.Contains(r.Warnings[0], "needs a password") {
					t.Errorf("got %q, %q", got, r.Warnings)
				}
				return
			}
			if want := []string{"https://link.example/x", "https://text.example/y"}; !slices.Equal(got, want) {
				t.Errorf("got %q, %q", got, r.Warnings)
			}
		})
	}
}

// TestPDFInnocent: what is no address is none.
func TestPDFInnocent(t *testing.T) {
	for name, raw := range map[string][]byte{
		"nothing":           nil,
		"no PDF":            []byte("hello"),
		"a page number":     pdfOf("<< /S /GoTo /D [1 0 R /Fit] >>"),
		"a telephone":       pdfOf("<< /S /URI /URI (tel:+3281234567) >>"),
		"metadata":          pdfOf(streamOf("/Type /Metadata /Subtype /XML", []byte(`<x xmlns="http://ns.adobe.com/x"/>`))),
		"references in air": pdfOf("<< /S /URI /URI 99 0 R /A 1 0 R >>", "2 0 R"),
	} {
		if r := Mail(mailWithPDF(raw), Option{}); len(r.URLs) > 0 {
			t.Errorf("%s: %+v", name, r.URLs)
		}
	}
}

// worstPDFs are made to exhaust memory, stack or time.
func worstPDFs(t testing.TB) map[string][]byte {
	rep := strings.Repeat
	zeros := deflated(make([]byte, 15<<20))
	var many, forms strings.Builder
	many.WriteString("%PDF-1.7\n")
	for i := range 200_000 {
		fmt.Fprintf(&many, "%d 0 obj<</A %d 0 R>>endobj\n", i+1, i+2)
	}
	forms.WriteString("%PDF-1.7\n1 0 obj << /Type /Page /Contents 2 0 R /Resources 9 0 R >> endobj 9 0 obj << /XObject << ")
	for i := range 1000 {
		fmt.Fprintf(&forms, "/X%d %d 0 R ", i, 10+i)
	}
	forms.WriteString(">> >> endobj 2 0 obj << >> stream\n/X0 Do\nendstream endobj\n")
	for i := range 1000 {
		fmt.Fprintf(&forms, "%d 0 obj << /Subtype /Form /Resources 9 0 R >> stream\n%s\nendstream endobj\n", 10+i, rep(fmt.Sprintf("/X%d Do /X%d Do ", (i+1)%1000, (i+7)%1000), 20))
	}
	stream := func(dict string, b []byte) string { return streamOf(dict, b) }
	return map[string][]byte{
		"opening brackets":             []byte("%PDF-1.7\n1 0 obj " + rep("[", 4<<20)),
		"opening dictionaries":         []byte("%PDF-1.7\n1 0 obj " + rep("<</A", 4<<20)),
		"opening brackets of a string": []byte("%PDF-1.7\n1 0 obj " + rep("(", 8<<20)),
		"objects":                      []byte(many.String()),
		"objects without end":          []byte("%PDF-1.7\n" + rep("1 0 obj <<>> stream\n", 500_000)),
		"the word obj":                 []byte("%PDF-1.7\n" + rep("obj ", 4<<20)),
		"trailers":                     []byte("%PDF-1.7\n" + rep("trailer<<>>", 1<<20) + "1 0 obj null endobj"),
		"forms in forms":               []byte(forms.String()),
		"a bomb in a bomb":             pdfOf(stream("/Type /ObjStm /N 10 /First 10 /Filter [/FlateDecode /FlateDecode]", deflated(zeros))),
		"many bombs":                   pdfOf(slices.Repeat([]string{stream("/Type /ObjStm /N 10 /First 10 /Filter /FlateDecode", zeros)}, 400)...),
		"an ObjStm of numbers":         pdfOf(stream("/Type /ObjStm /N 9999999 /First 9999999 /Filter /FlateDecode", deflated([]byte(rep("1 0 ", 3<<20))))),
		"operators":                    onePage(rep("q 1 0 0 1 1 1 cm ", 1<<20), helvetica),
		"text":                         onePage("BT /F1 1 Tf "+rep("(http://a.example/)' ", 1<<19), helvetica),
		"rectangles":                   onePage(rep("0 0 600 800 re f ", 1<<19), helvetica),
		"points":                       onePage("0 0 m "+rep("1 1 l 500 3 l ", 1<<19)+" f", helvetica),
		"a map of everything":          onePage("BT /F1 1 Tf (x) Tj", "<< /Type /Font /Subtype /Type0 /ToUnicode 6 0 R >>", stream("", []byte(rep("1 beginbfrange <0000> <FFFFFFFF> <0041> endbfrange ", 10000)))),
		"widths of everything":         onePage("BT /F1 1 Tf (x) Tj", "<< /Type /Font /Subtype /Type0 /DescendantFonts [<< /W ["+rep("0 999999999 1 ", 100000)+"] >>] >>"),
		"a picture of nothing":         pdfOf(slices.Repeat([]string{stream("/Subtype /Image /Width 4000 /Height 4000 /ColorSpace /DeviceGray /BitsPerComponent 8 /Filter /FlateDecode", deflated(make([]byte, 16_000_000)))}, 50)...),
		"LZW":                          pdfOf(stream("/Type /ObjStm /N 1 /First 1 /Filter /LZWDecode", []byte(rep("\x80\x00\x10\x18\x10\x14\x0e\x08", 1<<20)))),
		"a filter upon another":        pdfOf(stream("/Type /ObjStm /N 1 /First 1 /Filter ["+rep("/RunLengthDecode ", 5000)+"]", []byte("\x81a"))),
	}
}

func TestWorstPDFs(t *testing.T) {
	if testing.Short() {
		t.Skip("takes some ten seconds")
	}
	for name, raw := range worstPDFs(t) {
		t.Run(name, func(t *testing.T) {
			r := Mail(mailWithPDF(raw[:min(len(raw), 18<<20)]), Option{})
			if len(r.URLs) > MaxURLs {
				t.Errorf("%d URLs", len(r.URLs))
			}
		})
	}
}

func FuzzPDF(f *testing.F) {
	for _, b := range [][]byte{pdfOf("<< /S /URI /URI (http://a.example/) >>"), onePage("BT /F1 12 Tf (http://a.example) Tj ET 0 0 10 10 re f", helvetica),
		pdfOf(streamOf("/Type /ObjStm /N 1 /First 4 /Filter /AHx", []byte(hex.EncodeToString([]byte("1 0 (x)"))))), pdfOf(streamOf("/Subtype /Image /Width 30 /Height 30", make([]byte, 900)))} {
		f.Add(b)
	}
	files, _ := filepath.Glob("testdata/pdf/*.pdf")
	for _, n := range files {
		if b, err := os.ReadFile(n); err == nil {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) > 1<<16 {
			return
		}
		l := leaf{kind: "application/pdf", body: b}
		var c collector
		l.read(&evidence{c: &c, role: Lure})
		if c.seen.decoded > maxPDFDecoded+maxPDFStream || c.seen.pixels > maxAllPixels {
			t.Fatalf("bounds: %+v", c.seen)
		}
		holds(t, c.result(Result{Kind: Plain}))
	})
}
