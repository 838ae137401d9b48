package emulator_test

import (
	"errors"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
	"periph.io/x/conn/v3/physic"
)

// nack is what the kernel says when nobody acknowledges.
func isNACK(err error) bool {
	if runtime.GOOS == "linux" {
		return strings.Contains(err.Error(), "remote I/O error")
	}
	return errors.Is(err, syscall.ENXIO)
}

// On the zero bus nothing answers, as on a real one without chips.
func TestEmptyBusDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		if err := b.Tx(addr, []byte{1}, make([]byte, 2)); err == nil || !isNACK(err) {
			t.Errorf("got %v, want a missing acknowledge", err)
		}
		if err := b.Tx(0x148, nil, nil); !errors.Is(err, syscall.EINVAL) {
			t.Errorf("got %v, want EINVAL", err)
		}
	})
}

// A transaction of three bytes at 100 kHz takes its time; a driver that counts
// on none reads too early only on hardware.
func TestTransactionTakesItsTimeOnTheWires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, test := range []struct {
			speed physic.Frequency
			want  time.Duration
		}{{0, 380 * time.Microsecond}, {10 * physic.KiloHertz, 3800 * time.Microsecond}} {
			b := emulator.Bus{Speed: test.speed}
			b.Attach(addr, emulator.NewADS1115())
			start := time.Now()
			if err := b.Tx(addr, []byte{1, 0x85, 0x83}, nil); err != nil {
				t.Fatal(err)
			}
			if got := time.Since(start); got != test.want {
				t.Errorf("%v: got %v, want %v", test.speed, got, test.want)
			}
		}
	})
}

// A held wire costs every driver the kernel's timeout, whatever the address.
func TestStuckBusTimesOutForEveryAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewADS1115())
		b.SetStuck(true)
		for _, a := range []uint16{addr, addr + 1} {
			start := time.Now()
			err := b.Tx(a, nil, make([]byte, 1))
			if !errors.Is(err, syscall.ETIMEDOUT) || time.Since(start) != 100*time.Millisecond {
				t.Errorf("0x%02x: got %v after %v, want ETIMEDOUT after 100ms", a, err, time.Since(start))
			}
		}
		b.SetStuck(false)
		if err := b.Tx(addr, nil, make([]byte, 1)); err != nil {
			t.Errorf("after release: %v", err)
		}
	})
}

// Unplugging and plugging in as a person does it, at times known before.
func TestPlansAreCarriedOutInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		chip := emulator.NewADS1115()
		b.Attach(addr, chip)
		b.After(10*time.Second, func(b *emulator.Bus) { b.Detach(addr) })
		b.After(20*time.Second, func(b *emulator.Bus) { b.Attach(addr, chip) })
		for _, test := range []struct {
			wait    time.Duration
			present bool
		}{{9 * time.Second, true}, {2 * time.Second, false}, {10 * time.Second, true}} {
			time.Sleep(test.wait)
			if err := b.Tx(addr, []byte{1}, nil); (err == nil) != test.present {
				t.Errorf("after another %v: got %v, want present %v", test.wait, err, test.present)
			}
		}
	})
}

// Each fault alone, always: what comes back is what the kernel reports.
func TestFaultsComeAsTheKernelReportsThem(t *testing.T) {
	for _, test := range []struct {
		name   string
		faults emulator.Faults
		ok     func(err error, r []byte) bool
	}{
		{"none", emulator.Faults{}, func(err error, r []byte) bool { return err == nil && r[0] == 0x05 && r[1] == 0x83 }},
		{"NACK", emulator.Faults{NACK: 1}, func(err error, _ []byte) bool { return err != nil && isNACK(err) }},
		{"EIO", emulator.Faults{EIO: 1}, func(err error, _ []byte) bool { return errors.Is(err, syscall.EIO) }},
		{"timeout", emulator.Faults{Timeout: 1}, func(err error, _ []byte) bool { return errors.Is(err, syscall.ETIMEDOUT) }},
		{"smear", emulator.Faults{Smear: 1}, func(err error, r []byte) bool { return err == nil && r[0]&0x80 != 0 && r[1] == 0x83 }},
		{"drop", emulator.Faults{Drop: 1}, func(err error, r []byte) bool { return err == nil && r[1] == 0xff }},
		{"duplicate", emulator.Faults{Duplicate: 1}, func(err error, r []byte) bool {
			return err == nil && r[0] == 0x05 && (r[1] == 0x05 || r[1] == 0x83)
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b emulator.Bus
				b.Attach(addr, emulator.NewADS1115())
				if err := b.Tx(addr, []byte{1, 0x04, 0x83}, nil); err != nil { // continuous: OS reads 0
					t.Fatal(err)
				}
				if err := b.Tx(addr, []byte{1, 0x05, 0x83}, nil); err != nil {
					t.Fatal(err)
				}
				b.Inject(addr, test.faults)
				r := make([]byte, 2)
				if err := b.Tx(addr, []byte{1}, r); !test.ok(err, r) {
					t.Errorf("got %v and % x", err, r)
				}
			})
		})
	}
}

// i2c-bcm2835 can leave a missing acknowledge queued: one error makes the next
// transaction fail too, and only that.
func TestErrorLingersOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, emulator.NewADS1115())
		b.Inject(addr, emulator.Faults{AfterError: 1})
		b.Detach(addr)
		tx := func() bool { return b.Tx(addr, nil, make([]byte, 2)) == nil }
		if tx() {
			t.Error("absent chip answers")
		}
		b.Attach(addr, emulator.NewADS1115())
		if got := [2]bool{tx(), tx()}; got != [2]bool{false, true} {
			t.Errorf("after the error got %v, want one more failure", got)
		}
	})
}

// A failing test must fail again when somebody looks at it.
func TestSameSeedSameFaults(t *testing.T) {
	run := func(seed uint64) (failures []int) {
		synctest.Test(t, func(t *testing.T) {
			b := emulator.Bus{Seed: seed}
			b.Attach(addr, emulator.NewADS1115())
			b.Inject(addr, emulator.Faults{NACK: 0.1, Smear: 0.1})
			for i := range 200 {
				r := make([]byte, 2)
				if err := b.Tx(addr, []byte{1}, r); err != nil || r[0] != 0x85 {
					failures = append(failures, i)
				}
			}
		})
		return failures
	}
	first, again, other := run(1), run(1), run(2)
	if len(first) < 10 || len(first) > 70 {
		t.Errorf("%d of 200 transactions were hit, want about 35", len(first))
	}
	if !equal(first, again) {
		t.Errorf("seed 1 gave %v and then %v", first, again)
	}
	if equal(first, other) {
		t.Error("seeds 1 and 2 gave the same faults")
	}
}

func equal(a, b []int) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i] != b[i] {
			return false
		}
	}
	return true
}

// Another chip at the address acknowledges as well.
func TestStrangerAnswersEverythingAlike(t *testing.T) {
	w := newWorld(emulator.Stranger(0x55))
	w.do(t, "01", "55 55")
	w.do(t, "01 C3 83", "")
	w.do(t, "00", "55 55")
}
