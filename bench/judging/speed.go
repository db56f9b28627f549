package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"bolwerk/shield/judge"
)

// speed is how many mails a second two cores read and judge. CPU time a mail is
// what counts where the machine has other work.
func (b *bench) speed() error {
	var mails [][]byte
	for _, kind := range []string{"phish", "ham", "spam"} {
		files, _ := filepath.Glob(filepath.Join(b.dir, "mail", kind, "*"))
		for _, f := range files {
			raw, err := os.ReadFile(f)
			if err != nil {
				return err
			}
			mails = append(mails, raw)
		}
	}
	if len(mails) == 0 {
		return errors.New("no mails")
	}
	const rounds, cores = 5, 2
	runtime.GOMAXPROCS(cores)
	var next atomic.Int64
	var work sync.WaitGroup
	before, begun := cpu(), time.Now()
	for range cores {
		work.Go(func() {
			for {
				i := int(next.Add(1)) - 1
				if i >= rounds*len(mails) {
					return
				}
				b.judgeMail(mails[i%len(mails)], func(judge.Place) bool { return false })
			}
		})
	}
	work.Wait()
	took, used, n := time.Since(begun), cpu()-before, float64(rounds*len(mails))
	fmt.Printf("%.0f mails on %d cores: %.0f a second by the clock, %.2f ms CPU a mail, which is %.0f a second on two free cores (aim 200)\n",
		n, cores, n/took.Seconds(), used.Seconds()*1e3/n, cores*n/used.Seconds())
	return nil
}

func cpu() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
