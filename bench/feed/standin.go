package main

import (
	"fmt"
	"os"
	"testing"
)

// standIn stands in for a test: the helpers that start the resolvers belong to
// tests. What ends a test here ends what try runs, with an error.
type standIn struct {
	testing.TB // for the method that only the package testing can have
	clean      []func()
	failed     bool
}

type ended struct{ why string }

func (s *standIn) Helper()                      {}
func (s *standIn) Failed() bool                 { return s.failed }
func (s *standIn) Logf(format string, a ...any) { fmt.Fprintf(os.Stderr, format+"\n", a...) }
func (s *standIn) Fatal(a ...any)               { s.failed = true; panic(ended{fmt.Sprint(a...)}) }
func (s *standIn) Fatalf(format string, a ...any) {
	s.failed = true
	panic(ended{fmt.Sprintf(format, a...)})
}
func (s *standIn) Skipf(format string, a ...any) { panic(ended{fmt.Sprintf(format, a...)}) }
func (s *standIn) Cleanup(f func())              { s.clean = append(s.clean, f) }

func (s *standIn) TempDir() string {
	dir, err := os.MkdirTemp("", "bolwerk-feed-")
	if err != nil {
		s.Fatal(err)
	}
	s.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// try runs f until its end or the end of the test in it.
func (s *standIn) try(f func()) (err error) {
	defer func() {
		switch p := recover().(type) {
		case nil:
		case ended:
			err = fmt.Errorf("%s", p.why)
		default:
			panic(p)
		}
	}()
	f()
	return nil
}

// end cleans up, the last first.
func (s *standIn) end() {
	for i := len(s.clean) - 1; i >= 0; i-- {
		s.clean[i]()
	}
	s.clean = nil
}
