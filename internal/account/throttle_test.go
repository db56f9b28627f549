package account

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"bolwerk"
	"bolwerk/internal/clock"
	"bolwerk/internal/web"
)

var (
	guesser  = netip.MustParseAddr("192.0.2.66")
	nextDoor = netip.MustParseAddr("192.0.2.1") // same /24
	other    = netip.MustParseAddr("198.51.100.1")
)

func waits(t *testing.T, err error) time.Duration {
	t.Helper()
	var w *web.Wait
	if err != nil && !errors.As(err, &w) {
		t.Fatal(err)
	}
	if w == nil {
		return 0
	}
	return w.After
}

func TestGuessingGetsSlower(t *testing.T) {
	c := clock.NewFake(start)
	th := newThrottle(c)
	b := buckets("anna", "", guesser)
	for i := range freeTries {
		if err := th.begin(b); err != nil {
			t.Fatalf("try %d: %v", i+1, err)
		}
	}
	want := time.Second
	for range 14 {
		if got := waits(t, th.begin(b)); got != want {
			t.Fatalf("wait: got %s, want %s", got, want)
		}
		c.Add(want)
		if err := th.begin(b); err != nil {
			t.Fatalf("after the wait: %v", err)
		}
		want = min(2*want, maxDelay)
	}
	if want != maxDelay {
		t.Errorf("the wait ends at %s, want %s", want, maxDelay)
	}
	c.Add(forget + time.Second)
	for range freeTries {
		if err := th.begin(b); err != nil {
			t.Errorf("a day later: %v", err)
		}
	}
}

func TestNobodyElseIsLockedOut(t *testing.T) {
	c := clock.NewFake(start)
	th := newThrottle(c)
	for range 20 {
		th.begin(buckets("anna", "", guesser))
	}
	if waits(t, th.begin(buckets("anna", "", nextDoor))) == 0 {
		t.Error("the same network is the same guesser")
	}
	if err := th.begin(buckets("anna", "", other)); err != nil {
		t.Errorf("anna from elsewhere: %v", err)
	}
	if err := th.begin(buckets("anna", "device1", nextDoor)); err != nil {
		t.Errorf("anna at her known browser next to the guesser: %v", err)
	}
	if err := th.begin(buckets("ben", "", nextDoor)); err != nil {
		t.Errorf("ben next to the guesser: %v", err)
	}
}

func TestOneNetworkCannotTryAllNames(t *testing.T) {
	th := newThrottle(clock.NewFake(start))
	for i := range freeNetworkTries {
		if err := th.begin(buckets(fmt.Sprint("name", i), "", guesser)); err != nil {
			t.Fatalf("try %d: %v", i, err)
		}
	}
	if waits(t, th.begin(buckets("one-more", "", guesser))) == 0 {
		t.Error("a network may try as many names as it likes")
	}
}

func TestSuccessForgetsMistakes(t *testing.T) {
	th := newThrottle(clock.NewFake(start))
	b := buckets("anna", "", guesser)
	for range 100 { // an office where everybody mistypes once and then gets it right
		if err := th.begin(b); err != nil {
			t.Fatal(err)
		}
		th.succeed(b)
	}
}

func TestAKnownBrowserIsSlowedDownToo(t *testing.T) {
	th := newThrottle(clock.NewFake(start))
	b := buckets("anna", "device1", guesser)
	for range freeTries {
		th.begin(b)
	}
	if waits(t, th.begin(b)) == 0 {
		t.Error("a stolen browser may guess as often as it likes")
	}
}

func TestThrottleIsBounded(t *testing.T) {
	c := clock.NewFake(start)
	th := newThrottle(c)
	held := buckets("anna", "", guesser)
	for range 20 {
		th.begin(held)
	}
	for i := range 2 * maxSeen {
		th.begin([]bucket{{fmt.Sprint(i), freeTries}})
	}
	if len(th.seen) > maxSeen+2 {
		t.Errorf("%d entries, want at most %d", len(th.seen), maxSeen)
	}
	if waits(t, th.begin(held)) == 0 {
		t.Error("a flood frees who is held back")
	}
}

func TestThrottleIsForbiddenAnd429(t *testing.T) {
	th := newThrottle(clock.NewFake(start))
	b := buckets("anna", "", guesser)
	var err error
	for range 10 {
		err = th.begin(b)
	}
	if p := web.Explain(err); p.Status != 429 || p.After < 1 || !errors.Is(err, bolwerk.ErrForbidden) {
		t.Errorf("got %+v %v", p, err)
	}
}

// TestGuessersLockNobodyOut is a flood of guesses from anna's own office: it
// slows down who comes from there with a browser that nobody knows, and nobody
// else. A passkey cannot be guessed, so it is not held back at all.
func TestGuessersLockNobodyOut(t *testing.T) {
	d, ctx := open(t), t.Context()
	anna, err := d.Seed(ctx, "anna", DutyOfficer, bolwerk.NewSecret(password), start.Add(-48*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	office := Entry{Source: nextDoor, Agent: "Firefox/140.0"}
	known, err := d.Login(ctx, "anna", bolwerk.NewSecret(password), office)
	if err != nil {
		t.Fatal(err)
	}
	phone := d.keyed(t, anna)
	for i := range 3 * freeNetworkTries {
		d.throttle.begin(buckets("anna", "", guesser))
		d.throttle.begin(buckets(fmt.Sprint("name", i), "", guesser))
	}
	if _, err := d.Login(ctx, "anna", bolwerk.NewSecret(password), office); waits(t, err) == 0 {
		t.Error("the guesser may go on")
	}
	if _, err := d.Recover(ctx, "anna", "aaaa bbbb cccc dddd", office); waits(t, err) == 0 {
		t.Error("the guesser may go on with recovery codes")
	}
	at := office
	at.Device = known.Device.Reveal()
	if _, err := d.Login(ctx, "anna", bolwerk.NewSecret(password), at); err != nil {
		t.Errorf("anna at her own browser, next to the guesser: %v", err)
	}
	if _, err := d.Login(ctx, "anna", bolwerk.NewSecret(password), Entry{Source: other}); err != nil {
		t.Errorf("anna from elsewhere: %v", err)
	}
	k := d.keys()
	q, err := k.askLogin()
	if err != nil {
		t.Fatal(err)
	}
	phone.count++
	if _, err := k.login(ctx, q.Asked, phone.get(q), office); err != nil {
		t.Errorf("anna by passkey, next to the guesser: %v", err)
	}
	// A known browser of anna's does not free the guesser at ben's account.
	if _, err := d.Login(ctx, "ben", bolwerk.NewSecret(password), at); waits(t, err) == 0 {
		t.Error("a known browser guesses at other accounts")
	}
	// Somebody who is logged in cannot be kept from approving.
	if err := d.Prove(ctx, d.me(t, known), bolwerk.NewSecret(password)); err != nil {
		t.Errorf("a proof next to the guesser: %v", err)
	}
}
