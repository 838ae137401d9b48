package users_test

import (
	"context"
	"errors"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/users"
)

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
					_, err := f.Check(t.Context(), test.from(n), "a", []byte("guess"))
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
	for range 3 {
		others.Go(func() { f.Check(t.Context(), here, "alice", []byte("x")) })
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
		for range 4 {
			start := time.Now()
			check(t, f, name, "guess", users.ErrDenied)
			best = min(best, time.Since(start))
		}
		return best
	}
	known, unknown := took("a"), took("b")
	if known > 10*unknown || unknown > 10*known {
		t.Errorf("a known name takes %v, an unknown one %v", known, unknown)
	}
}
