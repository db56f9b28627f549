package demo

import (
	"fmt"
	"os"
	"path/filepath"
)

// ListFile is where a list of the world stands in the demo's folder.
func (l List) ListFile(dir string) string { return filepath.Join(dir, "lists", l.Name+".txt") }

// OrderFile is where the authority's orders stand in the demo's folder. Whoever
// takes a line out lifts that order.
func (a Authority) OrderFile(dir string) string {
	return filepath.Join(dir, "orders", a.Name+".txt")
}

// WriteFiles puts the lists, the orders and the tutorial's mail into dir. Files
// that are there already are written anew, except the orders: a newcomer may
// have edited them.
func (w World) WriteFiles(dir string) error {
	files := map[string][]byte{filepath.Join(dir, PhishFile): w.Phish()}
	for _, l := range w.Lists {
		files[l.ListFile(dir)] = []byte(l.Text)
	}
	if orders := w.Authority.OrderFile(dir); !exists(orders) {
		files[orders] = []byte(w.Authority.Text)
	}
	for path, body := range files {
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return fmt.Errorf("demo files: %w", err)
		}
		if err := os.WriteFile(path, body, 0o644); err != nil {
			return fmt.Errorf("demo files: %w", err)
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
