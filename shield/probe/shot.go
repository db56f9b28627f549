package probe

import (
	"bytes"
	"fmt"
	"image/png"

	"bolwerk/shield/capture"
)

// lookOf is the perceptual hash of a picture that our own browser made.
func lookOf(shot []byte) string {
	img, err := png.Decode(bytes.NewReader(shot))
	if err != nil {
		return ""
	}
	return fmt.Sprintf("%016x", capture.Hash(img))
}
