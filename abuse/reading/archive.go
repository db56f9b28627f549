package reading

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"path"
	"strings"
)

// zip reads the files of an archive. One within another is opened once.
func (r *reader) zip(raw []byte, depth int) (found Format) {
	if depth >= 3 {
		r.refuse(BadArchive, 0, "an archive within archives: not opened")
		return Unreadable
	}
	z, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		r.refuse(BadArchive, 0, "an archive that cannot be opened: %v", err)
		return Unreadable
	}
	for n, f := range z.File {
		switch {
		case n == maxFiles:
			r.warn("an archive of %d files: %d are read", len(z.File), maxFiles)
			return found
		case strings.HasSuffix(f.Name, "/"):
			continue
		case f.Flags&1 != 0:
			r.refuse(BadArchive, 0, "a locked archive: passwords are never tried")
			continue
		}
		in, err := f.Open()
		if err != nil {
			r.refuse(BadArchive, 0, "a file of an archive: %v", err)
			continue
		}
		b, ok := r.unpack(in, len(raw))
		in.Close()
		if !ok {
			return Unreadable
		}
		name := path.Base(strings.ReplaceAll(f.Name, `\`, "/"))
		if got := r.file(name, b, depth+1); found == "" {
			found = got
		}
	}
	if found == "" && r.whole == 0 {
		r.refuse(UnknownFormat, 0, "an archive without a report that is known")
	}
	if found == "" {
		found = Unreadable
	}
	return found
}

func (r *reader) gzip(name string, raw []byte, depth int) Format {
	in, err := gzip.NewReader(bytes.NewReader(raw))
	if err != nil || depth >= 3 {
		r.refuse(BadArchive, 0, "a gzip file that cannot be opened")
		return Unreadable
	}
	b, ok := r.unpack(in, len(raw))
	if !ok {
		return Unreadable
	}
	if f := r.file(strings.TrimSuffix(name, ".gz"), b, depth+1); f != "" {
		return f
	}
	r.refuse(UnknownFormat, 0, "a gzip file without a report that is known")
	return Unreadable
}

// unpack reads within the bounds: what an archive says of its size is not
// believed.
func (r *reader) unpack(in io.Reader, packed int) ([]byte, bool) {
	limit := min(MaxUnpacked-r.unpacked, max(packed, 4<<10)*maxRatio)
	b, err := io.ReadAll(io.LimitReader(in, int64(limit)+1))
	r.unpacked += len(b)
	switch {
	case len(b) > limit:
		r.refuse(BadArchive, 0, "an archive that grows beyond %d bytes", limit)
		return nil, false
	case err != nil:
		r.refuse(BadArchive, 0, "a broken archive: %v", err)
		return nil, false
	}
	return b, true
}
