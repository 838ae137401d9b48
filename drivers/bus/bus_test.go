package bus_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/emulator"
	"golang.org/x/sync/errgroup"
	"periph.io/x/conn/v3/i2c"
)

const addr = 0x48

// The number of the kernel decides, wherever it is in the chain.
func TestErrorsAreToldApartByTheirNumber(t *testing.T) {
	for _, test := range []struct {
		number syscall.Errno
		want   bus.Class
		state  string
	}{
		{syscall.ENXIO, bus.ErrNACK, "not_present"},
		{syscall.ETIMEDOUT, bus.ErrTimeout, "bus_stuck"},
		{syscall.EIO, bus.ErrBus, "bus_error"},
		{syscall.EAGAIN, bus.ErrBus, "bus_error"},
	} {
		err := bus.Classify(fmt.Errorf("i2c-1: 0x48: read 2: %w", test.number))
		if !errors.Is(err, test.want) || !errors.Is(err, test.number) {
			t.Errorf("%v: got %v, want %v and the number", test.number, err, test.want)
		}
		if class, ok := errors.AsType[bus.Class](err); !ok || class.State() != test.state {
			t.Errorf("%v: got state %q, want %q", test.number, class.State(), test.state)
		}
		if again := bus.Classify(err); again != err {
			t.Errorf("%v: a classified error became %v", test.number, again)
		}
	}
}

// An error that nobody foresaw must not be given a meaning.
func TestUnknownErrorStaysAsItIs(t *testing.T) {
	for _, err := range []error{nil, io(), fmt.Errorf("odd: %w", syscall.EPERM)} {
		if got := bus.Classify(err); got != err {
			t.Errorf("got %v, want %v", got, err)
		}
	}
}

func io() error { return errors.New("wire eaten by a hamster") }

// Every class has a text for people and a state for programs.
func TestEveryClassHasAState(t *testing.T) {
	seen := map[string]bool{}
	for _, c := range []bus.Class{
		bus.ErrNACK, bus.ErrTimeout, bus.ErrBus, bus.ErrCRC, bus.ErrNotReady, bus.ErrImplausible,
		bus.ErrWrongChip, bus.ErrReset, bus.ErrNoBus,
	} {
		if c.State() == "" || c.Error() == "" || seen[c.Error()] {
			t.Errorf("class %q has state %q", c, c.State())
		}
		seen[c.Error()] = true
	}
}

// The emulator speaks as the kernel does: its errors fall into the same classes
// as those of hardware.
func TestEmulatedFailuresHaveTheirClass(t *testing.T) {
	for _, test := range []struct {
		name string
		fail func(*emulator.Bus)
		want error
	}{
		{"absent", func(*emulator.Bus) {}, bus.ErrNACK},
		{"stuck", func(b *emulator.Bus) { b.SetStuck(true) }, bus.ErrTimeout},
		{"broken off", func(b *emulator.Bus) {
			b.Attach(addr, emulator.NewADS1115())
			b.Inject(addr, emulator.Faults{EIO: 1})
		}, bus.ErrBus},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := &emulator.Bus{}
				test.fail(b)
				shared := bus.Share(b)
				if err := shared.Tx(addr, []byte{1}, nil); !errors.Is(err, test.want) {
					t.Errorf("shared: got %v, want %v", err, test.want)
				}
				for _, on := range []i2c.Bus{shared, b} {
					err := bus.Hold(t.Context(), on, addr, func(held i2c.Bus) error { return held.Tx(addr, []byte{1}, nil) })
					if !errors.Is(err, test.want) {
						t.Errorf("held on %T: got %v, want %v", on, err, test.want)
					}
				}
			})
		})
	}
}

// A chip that is written to, waited for and read answers the one who wrote.
func TestHeldChipIsNotInterrupted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &emulator.Bus{}
		b.Attach(addr, emulator.NewADS1115())
		shared := bus.Share(b)
		var g errgroup.Group
		for i := range byte(4) {
			g.Go(func() error {
				for range 10 {
					if err := writeWaitRead(t.Context(), shared, i); err != nil {
						return err
					}
				}
				return nil
			})
		}
		for range 10 { // one who does not hold waits as well
			if err := shared.Tx(addr, []byte{2, 0xff, 0xff}, nil); err != nil {
				t.Error(err)
			}
			time.Sleep(time.Millisecond)
		}
		if err := g.Wait(); err != nil {
			t.Error(err)
		}
	})
}

func writeWaitRead(ctx context.Context, b i2c.Bus, value byte) error {
	return bus.Hold(ctx, b, addr, func(held i2c.Bus) error {
		if err := held.Tx(addr, []byte{2, value, value}, nil); err != nil {
			return err
		}
		if err := bus.Sleep(ctx, 5*time.Millisecond); err != nil {
			return err
		}
		var r [2]byte
		if err := held.Tx(addr, []byte{2}, r[:]); err != nil {
			return err
		}
		if r != [2]byte{value, value} {
			return fmt.Errorf("wrote %d and read %v", value, r)
		}
		return nil
	})
}

// One slow chip must not keep the others of its bus waiting, nor a shutdown.
func TestHoldingOneChipLeavesTheOthersFree(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &emulator.Bus{}
		b.Attach(addr+1, emulator.NewADS1115())
		shared := bus.Share(b)
		err := bus.Hold(t.Context(), shared, addr, func(i2c.Bus) error {
			if err := shared.Tx(addr+1, []byte{1}, nil); err != nil {
				t.Errorf("other chip: %v", err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			err := bus.Hold(ctx, shared, addr, func(i2c.Bus) error {
				t.Error("held twice")
				return nil
			})
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v, want the context's error", err)
			}
			return nil
		})
		if err != nil {
			t.Error(err)
		}
	})
}

// Somebody else's failure must not leave the chip held.
func TestFailedUseLetsTheChipGo(t *testing.T) {
	shared := bus.Share(&emulator.Bus{})
	for range 2 {
		want := errors.New("broken")
		if err := bus.Hold(t.Context(), shared, addr, func(i2c.Bus) error { return want }); err != want {
			t.Errorf("got %v, want %v", err, want)
		}
	}
}

// What a person reads at the first start on a board whose I2C is off: on a Pi 4
// two buses are there all the same, and both belong to HDMI.
func TestMissingBusNamesTheOthers(t *testing.T) {
	root := t.TempDir()
	for name, adapter := range map[string]string{"i2c-21": "fef09500.i2c", "i2c-20": "fef04500.i2c", "i2c-3": ""} {
		write(t, filepath.Join(root, "dev", name), "")
		if adapter != "" {
			write(t, filepath.Join(root, "sys/class/i2c-dev", name, "name"), adapter+"\n")
		}
	}
	got := bus.Advice(fs.ErrNotExist, root)
	const want = "buses here: /dev/i2c-3, /dev/i2c-20 (fef04500.i2c), /dev/i2c-21 (fef09500.i2c)"
	if !strings.Contains(got, want) {
		t.Errorf("got %q, want it to contain %q", got, want)
	}
	for err, want := range map[error]string{
		fs.ErrNotExist: "buses here: none", fs.ErrPermission: "group i2c", syscall.EBUSY: "",
	} {
		if got := bus.Advice(err, t.TempDir()); !strings.Contains(got, want) || (want == "") != (got == "") {
			t.Errorf("%v: got %q, want %q", err, got, want)
		}
	}
}

// A device-tree overlay for the same chip makes the kernel write to it as well.
func TestChipOfAKernelDriverIsNamed(t *testing.T) {
	root := t.TempDir()
	driver := filepath.Join(root, "sys/bus/i2c/drivers/ads1015")
	chip := filepath.Join(root, "sys/bus/i2c/devices/1-0048")
	write(t, filepath.Join(driver, "bind"), "")
	write(t, filepath.Join(chip, "name"), "ads1115")
	if err := os.Symlink(driver, filepath.Join(chip, "driver")); err != nil {
		t.Skip("no symbolic links here:", err)
	}
	write(t, filepath.Join(root, "dev/i2c-1"), "")
	named := filepath.Join(root, "dev/plants")
	if err := os.Symlink(filepath.Join(root, "dev/i2c-1"), named); err != nil {
		t.Fatal(err)
	}
	for _, test := range []struct {
		path string
		addr uint16
		want string
	}{
		{"/dev/i2c-1", 0x48, "ads1015"}, {named, 0x48, "ads1015"},
		{"/dev/i2c-1", 0x49, ""}, {"/dev/i2c-2", 0x48, ""}, {"/dev/null", 0x48, ""},
	} {
		if got := bus.KernelDriverBelow(root, test.path, test.addr); got != test.want {
			t.Errorf("%s 0x%02x: got %q, want %q", test.path, test.addr, got, test.want)
		}
	}
}

func write(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
