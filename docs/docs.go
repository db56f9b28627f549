// Package docs is the documents themselves, for the console that serves them.
package docs

import "embed"

// Files are the documents, README.md the first.
//
//go:embed *.md do/*.md learn/*.md lookup/*.md understand/*.md
var Files embed.FS
