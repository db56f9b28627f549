package capture

import "image"

// Hash is the 64-bit difference hash of a picture: it is made 9 by 8 grey
// fields, and each bit says whether a field is darker than the one to its right.
// Pictures that look the same differ in few bits.
func Hash(img image.Image) (h uint64) {
	const w, ht = 9, 8
	b := img.Bounds()
	var grey [ht][w]uint64
	for y := range ht {
		for x := range w {
			x0, x1 := b.Min.X+x*b.Dx()/w, b.Min.X+max((x+1)*b.Dx()/w, x*b.Dx()/w+1)
			y0, y1 := b.Min.Y+y*b.Dy()/ht, b.Min.Y+max((y+1)*b.Dy()/ht, y*b.Dy()/ht+1)
			var sum, n uint64
			for py := y0; py < min(y1, b.Max.Y); py++ {
				for px := x0; px < min(x1, b.Max.X); px++ {
					r, g, bl, _ := img.At(px, py).RGBA()
					sum += uint64(299*r+587*g+114*bl) / 1000
					n++
				}
			}
			grey[y][x] = sum / max(n, 1)
		}
	}
	for y := range ht {
		for x := range w - 1 {
			h <<= 1
			if grey[y][x] < grey[y][x+1] {
				h |= 1
			}
		}
	}
	return h
}
