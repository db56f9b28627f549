package reading

import (
	"archive/zip"
	"bytes"
	"compress/gzip"
	"io"
	"path"
	"slices"
	"strings"
)

// Bounds on archives.
const (
	maxArchiveDepth = 2        // archives in archives
	maxArchiveFiles = 200      // looked at, of one archive
	maxArchiveFile  = 16 << 20 // of one file
	maxRatio        = 200      // unpacked to packed; text reaches about 20, a made bomb 1,000
)

// openZIP gives the files of an archive as parts, and what an Office document
// in one says.
func openZIP(l *leaf, e todo, room int, c *collector) []todo {
	if e.packed >= maxArchiveDepth {
		c.warn("an archive in an archive in an archive: not opened")
		return nil
	}
	z, err := zip.NewReader(bytes.NewReader(l.body), int64(len(l.body)))
	if err != nil {
		c.warn("an archive cannot be read: %v", err)
		return nil
	}
	office := officeKind(z)
	via := append(slices.Clone(l.via), firstOf(office, "zip"))
	var parts []todo
	locked := 0
	for n, f := range z.File {
		if n == maxArchiveFiles || len(parts) >= room {
			c.warn("an archive of %d files: %d are looked at", len(z.File), n)
			break
		}
		name := path.Base(strings.ReplaceAll(f.Name, `\`, "/"))
		switch {
		case strings.HasSuffix(f.Name, "/"):
			continue
		case f.Flags&1 != 0:
			locked++
			continue
		case office != "" && !officePart(f.Name):
			continue
		}
		b := inflate(f, c)
		if len(b) == 0 {
			continue
		}
		part := &leaf{mail: l.mail, kind: kindOf(name), name: name, attached: true, body: b, via: via}
		if office != "" && !strings.Contains(f.Name, "media/") {
			part.kind = officeXML
		}
		parts = append(parts, todo{part: part, mail: l.mail, depth: e.depth + 1, packed: e.packed + 1, via: via})
	}
	if locked > 0 {
		// The password stands in the mail's text. It is never tried: whoever locks
		// an archive wants it opened by a person who was told so.
		c.warn("an archive with %d locked files: not opened; the mail may give the password", locked)
	}
	return parts
}

// inflate unpacks one file within the bounds; what it says of its size is not
// believed.
func inflate(f *zip.File, c *collector) []byte {
	r, err := f.Open()
	if err != nil {
		c.warn("a file of an archive cannot be read: %v", err)
		return nil
	}
	defer r.Close()
	return unpack(r, int(min(f.CompressedSize64, MaxBytes)), c)
}

func unpack(r io.Reader, packed int, c *collector) []byte {
	limit := c.room(min(maxArchiveFile, max(packed, 64)*maxRatio))
	var b bytes.Buffer
	_, err := io.CopyN(&b, r, int64(limit)+1)
	c.unpacked += b.Len()
	switch {
	case b.Len() > limit:
		c.warn("a file of an archive is unpacked to %d bytes only: it grows beyond what is read", limit)
		return b.Bytes()[:limit]
	case err != nil && err != io.EOF:
		c.warn("a file of an archive is broken: its beginning is read")
	}
	return b.Bytes()
}

func openGZIP(l *leaf, e todo, c *collector) []todo {
	if e.packed >= maxArchiveDepth {
		c.warn("an archive in an archive in an archive: not opened")
		return nil
	}
	r, err := gzip.NewReader(bytes.NewReader(l.body))
	if err != nil {
		c.warn("an archive cannot be read: %v", err)
		return nil
	}
	b := unpack(r, len(l.body), c)
	name := firstOf(path.Base("/"+r.Name), strings.TrimSuffix(l.name, ".gz"))
	if name == "/" {
		name = strings.TrimSuffix(l.name, ".gz")
	}
	via := append(slices.Clone(l.via), "gzip")
	part := &leaf{mail: l.mail, kind: kindOf(name), name: name, attached: true, body: b, via: via}
	return []todo{{part: part, mail: l.mail, depth: e.depth + 1, packed: e.packed + 1, via: via}}
}

// kindOf is the media type of a file by its name, of those that are read.
func kindOf(name string) string {
	switch strings.ToLower(path.Ext(name)) {
	case ".txt", ".csv", ".log":
		return "text/plain"
	case ".html", ".htm", ".xhtml", ".shtml":
		return "text/html"
	case ".svg":
		return "image/svg+xml"
	case ".png":
		return "image/png"
	case ".jpg", ".jpeg":
		return "image/jpeg"
	case ".gif":
		return "image/gif"
	case ".pdf":
		return "application/pdf"
	case ".ics":
		return "text/calendar"
	}
	return "application/octet-stream"
}
