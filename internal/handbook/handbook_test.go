package handbook

import (
	"io/fs"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"bolwerk/docs"
)

func TestADocumentIsAPageWithoutStrangersMarkup(t *testing.T) {
	files := fstest.MapFS{"README.md": {}, "do/a.md": {Data: []byte(`# A *title*
<script>alert(1)</script>

[other](../README.md#here) [self](#x) [out](../../CHANGELOG.md) [web](https://example.org) [bad](javascript:alert(1))

| a | b |
|---|---|
| 1 | <b onclick=x>2</b> |
`)}}
	d, err := render(files, "do/a.md", files["do/a.md"].Data)
	if err != nil {
		t.Fatal(err)
	}
	got := string(d.Body)
	for _, want := range []string{`<a href="/docs#here">other</a>`, `<a href="#x">self</a>`, ` out `, `<a href="https://example.org">web</a>`, "<table>", "<td>1</td>"} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in\n%s", want, got)
		}
	}
	for _, bad := range []string{"<script", "javascript:", "onclick", "CHANGELOG"} {
		if strings.Contains(got, bad) {
			t.Errorf("%s in\n%s", bad, got)
		}
	}
	if d.Title != "A title" {
		t.Errorf("title %q", d.Title)
	}
}

var link = regexp.MustCompile(`href="/docs/?([^"#]*)`)

// Every link between the documents leads to a page here too.
func TestTheDocumentsLeadToEachOther(t *testing.T) {
	n := 0
	err := fs.WalkDir(docs.Files, ".", func(name string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		source, err := fs.ReadFile(docs.Files, name)
		if err != nil {
			return err
		}
		d, err := render(docs.Files, name, source)
		if err != nil {
			return err
		}
		if d.Title == name {
			t.Errorf("%s has no title", name)
		}
		for _, m := range link.FindAllStringSubmatch(string(d.Body), -1) {
			if _, err := fs.Stat(docs.Files, m[1]+".md"); m[1] != "" && err != nil {
				t.Errorf("%s leads to %s: %v", name, m[1], err)
			}
			n++
		}
		return nil
	})
	if err != nil || n < 50 {
		t.Errorf("%d links, %v", n, err)
	}
}
