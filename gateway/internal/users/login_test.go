package users_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/users"
)

const device = users.Device

var denied = users.ErrDenied

// Fifty sockets come back at once after a power cut of the house. Their
// passwords were checked before, so each costs microseconds, not the hash.
func TestKnownPasswordIsCheap(t *testing.T) {
	f, _ := fresh(t)
	must(t, f.Add("a", "x", users.Device))
	start := time.Now()
	check(t, f, "a", "x", nil)
	once := time.Since(start)
	start = time.Now()
	for range 100 {
		check(t, f, "a", "x", nil)
	}
	if often := time.Since(start); often > 50*once {
		t.Errorf("a hundred further logins took %v, the first %v", often, once)
	}
	check(t, f, "a", "y", users.ErrDenied)
}

// Guessing is slowed for each address; a household behind the same one goes on
// with passwords that were right before.
func TestGuessingIsLimited(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := fresh(t)
		must(t, f.Add("a", "x", users.Device))
		must(t, f.Add("b", "y", users.Device))
		check(t, f, "a", "x", nil)
		for range 10 {
			check(t, f, "a", "guess", users.ErrDenied)
		}
		check(t, f, "a", "guess", users.ErrTooMany)
		check(t, f, "b", "y", users.ErrTooMany) // not seen before
		check(t, f, "a", "x", nil)
		if _, err := f.Check(t.Context(), netip.MustParseAddr("192.168.1.21"), "b", []byte("y")); err != nil {
			t.Errorf("from another address: %v", err)
		}
		time.Sleep(time.Second)
		check(t, f, "a", "guess", users.ErrDenied)
		check(t, f, "a", "guess", users.ErrTooMany)
		time.Sleep(time.Minute)
		for range 10 {
			check(t, f, "nobody", "guess", users.ErrDenied)
		}
		check(t, f, "nobody", "guess", users.ErrTooMany)
	})
}

// A guesser at home can take every address of the network, and of IPv6 as many
// as it likes.
func TestGuessingFromManyAddressesIsLimited(t *testing.T) {
	tests := map[string]struct {
		from  func(i int) netip.Addr
		least int // guesses before the limit
		most  int
	}{
		"IPv4":         {func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}) }, 100, 100},
		"one IPv6 /64": {func(i int) netip.Addr { return netip.AddrFrom16([16]byte{0xfd, 15: byte(i)}) }, 10, 10},
		"mapped":       {func(int) netip.Addr { return netip.MustParseAddr("::ffff:10.0.0.1") }, 10, 10},
		"none":         {func(int) netip.Addr { return netip.Addr{} }, 10, 10},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, _ := fresh(t)
				n := 0
				for ; n < 200; n++ {
					_, err := f.Check(t.Context(), test.from(n), fmt.Sprint("name", n), []byte("guess"))
					if errors.Is(err, users.ErrTooMany) {
						break
					}
				}
				if n < test.least || n > test.most {
					t.Errorf("%d guesses at once, want %d", n, test.least)
				}
			})
		})
	}
}

// Whoever waits for the one hash at a time that is computed gives up with its
// context.
func TestCheckEndsWithItsContext(t *testing.T) {
	_, path := fresh(t)
	slow := strings.Replace(strings.SplitAfter(mosquittoFile, "\n")[1], "$101$", "$200000$", 1)
	must(t, os.WriteFile(path, []byte(slow), 0o600))
	f := open(t, path)
	var others sync.WaitGroup
	for i := range 3 { // a password known to be wrong would cost no hash
		others.Go(func() { f.Check(t.Context(), here, "alice", fmt.Append(nil, "guess", i)) })
	}
	defer others.Wait()
	for range 3 { // the first may come before the others
		ctx, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
		defer cancel()
		if _, err := f.Check(ctx, here, "alice", []byte("x")); errors.Is(err, context.DeadlineExceeded) {
			return
		}
	}
	t.Error("it waits longer than its context")
}

// A name that does not exist takes as long as one that does.
func TestUnknownNameCostsTheSame(t *testing.T) {
	f, _ := fresh(t)
	must(t, f.Add("a", "x", users.Device))
	took := func(name string) time.Duration {
		best := time.Hour
		for i := range 4 {
			start := time.Now()
			check(t, f, name, fmt.Sprint("guess", i), users.ErrDenied)
			best = min(best, time.Since(start))
		}
		return best
	}
	known, unknown := took("a"), took("b")
	if known > 10*unknown || unknown > 10*known {
		t.Errorf("a known name takes %v, an unknown one %v", known, unknown)
	}
}

// A guesser who goes on is slowed more and more, by address and by name, and
// who has stopped begins anew.
func TestGuessingIsSlowedMoreAndMore(t *testing.T) {
	tests := map[string]struct {
		from func(i int) netip.Addr
		name func(i int) string
		most int // guesses in ten minutes, by the burst and the doubling
	}{
		"one address": {func(int) netip.Addr { return here }, func(i int) string { return fmt.Sprint("name", i) }, 10 + 6 + 600/32},
		"one name":    {func(i int) netip.Addr { return netip.AddrFrom4([4]byte{10, 1, byte(i >> 8), byte(i)}) }, func(int) string { return "a" }, 20 + 6 + 600/32},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, _ := fresh(t)
				must(t, f.Add("a", "x", users.Device))
				read, tries := 0, 0
				for range 600 * 10 { // ten a second
					tries++
					if _, err := f.Check(t.Context(), test.from(tries), test.name(tries), []byte(fmt.Sprint("guess", tries))); errors.Is(err, users.ErrDenied) {
						read++
					}
					time.Sleep(100 * time.Millisecond)
				}
				if read < 20 || read > test.most {
					t.Errorf("%d of %d guesses were read, want at most %d", read, tries, test.most)
				}
				time.Sleep(10 * time.Minute)
				if _, err := f.Check(t.Context(), test.from(1), test.name(1), []byte("last")); !errors.Is(err, users.ErrDenied) {
					t.Errorf("after ten quiet minutes: %v", err)
				}
			})
		})
	}
}

// Fifty sockets come back behind the address of a guesser, after a restart of
// the gateway that forgot their passwords. Each repeats its own every ten
// seconds and is let in, however fast the guesses come.
func TestRightPasswordsGetInBesideAGuesser(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := fresh(t)
		const sockets, patience = 50, 30 * time.Second
		var names []string
		for i := range sockets {
			name := fmt.Sprint("socket", i)
			must(t, f.Add(name, "right"+name, device))
			names = append(names, name)
		}
		guesses, read := 0, 0
		guess := func() {
			guesses++
			if _, err := f.Check(t.Context(), here, names[guesses%sockets], []byte(fmt.Sprint(guesses))); errors.Is(err, denied) {
				read++
			}
		}
		for range 100 {
			guess()
		}
		begin, waiting := time.Now(), names
		for len(waiting) > 0 && time.Since(begin) < patience {
			var still []string
			for _, name := range waiting {
				if _, err := f.Check(t.Context(), here, name, []byte("right"+name)); err != nil {
					still = append(still, name)
				}
			}
			waiting = still
			for range 10 * 100 {
				guess()
				time.Sleep(10 * time.Millisecond)
			}
		}
		if len(waiting) > 0 {
			t.Errorf("%d of %d sockets were not let in within %s", len(waiting), sockets, patience)
		}
		if read > 40 {
			t.Errorf("%d of %d guesses cost a hash", read, guesses)
		}
	})
}

// Somebody who knows how it works sends each guess twice. That is slowed too,
// and costs no more than the two bursts and two hashes a second.
func TestGuessesSentTwiceAreLimitedToo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, _ := fresh(t)
		must(t, f.Add("a", "x", device))
		read := 0
		for i := range 60 {
			for range 2 {
				for n := range 20 {
					if _, err := f.Check(t.Context(), here, "a", []byte(fmt.Sprint(i, n))); errors.Is(err, denied) {
						read++
					}
				}
				time.Sleep(time.Second)
			}
		}
		if most := 10 + 10 + 4 + 120; read > most {
			t.Errorf("%d guesses were read in two minutes, want at most %d", read, most)
		}
	})
}

// A device with a password that has changed comes back with it for ever.
func TestWrongPasswordCostsOneHash(t *testing.T) {
	f, _ := fresh(t)
	must(t, f.Add("a", "x", device))
	took := func() time.Duration {
		start := time.Now()
		check(t, f, "a", "old", denied)
		return time.Since(start)
	}
	first, again := took(), time.Hour
	for range 5 {
		again = min(again, took())
	}
	if again > first/5 {
		t.Errorf("the first time it takes %s, again %s", first, again)
	}
	must(t, f.SetPassword("a", "old"))
	check(t, f, "a", "old", nil)
}
