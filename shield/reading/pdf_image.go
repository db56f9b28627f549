package reading

import (
	"image"
	"image/color"
	"slices"
)

// readPictures looks for QR codes in the pictures of a PDF, whether or not a
// page shows them.
func (f *pdfFile) readPictures(role Role, via []string) {
	for _, o := range f.all {
		s, ok := o.(pdfOwned).v.(pdfStream)
		if !ok || f.get(s.dict["Subtype"]) != pdfName("Image") {
			continue
		}
		f.readPicture(s, role, slices.Clone(via))
	}
}

func (f *pdfFile) readPicture(s pdfStream, role Role, via []string) {
	w, h := f.number(s.dict["Width"], 0), f.number(s.dict["Height"], 0)
	if w < minPictureSide || h < minPictureSide {
		return
	}
	if f.pictures++; f.pictures > maxPDFPictures {
		f.cut = true
		return
	}
	if w > 1<<15 || h > 1<<15 || w*h > maxPicturePixels {
		f.c.warn("a picture of %.0f x %.0f points: too large to be read", w, h)
		return
	}
	b, how, ok := f.decodeUntil(s)
	switch {
	case !ok:
		return
	case how == "DCTDecode" || how == "DCT":
		f.c.readImage(b, role, via)
	case how != "":
		f.c.warn("a picture in a PDF of kind %s: not read", shorten(string(how), 40))
	default:
		if g := f.raster(b, s.dict, int(w), int(h)); g != nil {
			f.c.readQR(g, role, via)
		}
	}
}

// raster makes grey tones of the samples of a picture.
func (f *pdfFile) raster(b []byte, d pdfDict, w, h int) *image.Gray {
	bits, mask := int(f.number(d["BitsPerComponent"], 8)), f.get(d["ImageMask"]) == true
	n, palette := 1, []uint8(nil)
	if mask {
		bits = 1
	} else if n, palette = f.colours(d["ColorSpace"], 0); n == 0 {
		return nil
	}
	if bits != 1 && bits != 2 && bits != 4 && bits != 8 && bits != 16 || f.c.seen.pixels+w*h > maxAllPixels {
		return nil
	}
	f.c.seen.pixels += w * h
	row := (w*n*bits + 7) / 8
	invert := false
	if dec := f.array(d["Decode"]); len(dec) >= 2 {
		invert = f.number(dec[0], 0) > f.number(dec[1], 1)
	}
	g := image.NewGray(image.Rect(0, 0, w, h))
	for i := range g.Pix {
		g.Pix[i] = 255
	}
	most := 1<<min(bits, 8) - 1
	for y := range h {
		if (y+1)*row > len(b) {
			break
		}
		line := b[y*row : (y+1)*row]
		for x := range w {
			var v [4]uint8
			for k := range min(n, 4) {
				i := x*n + k
				var s int
				switch bits {
				case 8:
					s = int(line[i])
				case 16:
					s = int(line[2*i])
				default:
					s = int(line[i*bits/8]) >> (8 - bits - i*bits%8) & most
				}
				if palette == nil {
					s = s * 255 / most
				}
				v[k] = uint8(s)
			}
			var t uint8
			switch {
			case palette != nil:
				if int(v[0]) < len(palette) {
					t = palette[v[0]]
				}
			case n == 3:
				t = color.GrayModel.Convert(color.RGBA{v[0], v[1], v[2], 255}).(color.Gray).Y
			case n >= 4:
				t = color.GrayModel.Convert(color.CMYK{v[0], v[1], v[2], v[3]}).(color.Gray).Y
			default:
				t = v[0]
			}
			if invert {
				t = 255 - t
			}
			g.Pix[y*g.Stride+x] = t
		}
	}
	return g
}

// colours is the number of components of a colour space, 0 for one that is not
// read, and the grey tones of its palette.
func (f *pdfFile) colours(v any, depth int) (n int, palette []uint8) {
	if depth > 4 {
		return 0, nil
	}
	switch v := f.get(v).(type) {
	case nil:
		return 1, nil
	case pdfName:
		switch v {
		case "DeviceGray", "G", "CalGray":
			return 1, nil
		case "DeviceRGB", "RGB", "CalRGB":
			return 3, nil
		case "DeviceCMYK", "CMYK":
			return 4, nil
		}
	case pdfArray:
		if len(v) == 0 {
			return 0, nil
		}
		name, _ := f.get(v[0]).(pdfName)
		switch {
		case name == "ICCBased" && len(v) > 1:
			return int(max(0, min(4, f.number(f.dict(v[1])["N"], 0)))), nil
		case name == "CalRGB" || name == "Lab" || name == "DeviceRGB":
			return 3, nil
		case name == "CalGray" || name == "Separation" || name == "DeviceGray":
			return 1, nil
		case name == "DeviceCMYK":
			return 4, nil
		case (name == "Indexed" || name == "I") && len(v) > 3:
			n, _ := f.colours(v[1], depth+1)
			var table []byte
			switch t := f.get(v[3]).(type) {
			case pdfString:
				table = []byte(t)
			case pdfStream:
				table, _ = f.decode(t)
			}
			if n == 0 {
				return 0, nil
			}
			for i := 0; i+n <= len(table) && len(palette) < 256; i += n {
				switch n {
				case 3:
					palette = append(palette, color.GrayModel.Convert(color.RGBA{table[i], table[i+1], table[i+2], 255}).(color.Gray).Y)
				case 4:
					palette = append(palette, color.GrayModel.Convert(color.CMYK{table[i], table[i+1], table[i+2], table[i+3]}).(color.Gray).Y)
				default:
					palette = append(palette, table[i])
				}
			}
			if palette == nil {
				return 0, nil
			}
			return 1, palette
		}
	}
	return 0, nil
}
