// Command lookup writes the lists of this folder that are made from the code:
//
//	go run ./docs/lookup
//
// and, into a folder, the manual pages of the package:
//
//	go run ./docs/lookup -man DIR
//
// A test of the same name fails where a list is out of date.
package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

//go:generate go run .

// pages are the lists, by file.
var pages = map[string]func(root string) (string, error){
	"configuration.md": configuration,
	"commands.md":      commands,
	"metrics.md":       metrics,
	"facts.md":         facts,
	"retention.md":     retention,
	"ports.md":         ports,
}

// made opens each list.
const made = "<!-- Made from the code by \"make docs\"; do not edit. -->\n"

func main() {
	dir := flag.String("man", "", "write the manual pages into this folder, and no list")
	version := flag.String("version", "", "version that the manual pages name")
	date := flag.String("date", "", "date that the manual pages name")
	flag.Parse()
	root, err := findRoot()
	switch {
	case err != nil:
	case *dir != "":
		err = man(root, *dir, *version, *date)
	default:
		err = write(root)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "docs/lookup:", err)
		os.Exit(1)
	}
}

func write(root string) error {
	for name, page := range pages {
		text, err := page(root)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if err := os.WriteFile(filepath.Join(root, "docs", "lookup", name), []byte(made+text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// findRoot is the folder of go.mod, at or above the current one.
func findRoot() (string, error) {
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil {
			return dir, nil
		}
		if dir == filepath.Dir(dir) {
			return "", fmt.Errorf("no go.mod here or above")
		}
		dir = filepath.Dir(dir)
	}
	return "", err
}
