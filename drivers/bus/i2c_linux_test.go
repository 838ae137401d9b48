package bus_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/plantgate/plantgate/drivers/bus"
	"golang.org/x/sync/errgroup"
)

// kernel plays the kernel's part of I2C_RDWR. It reads the caller's memory by the
// C layout of struct i2c_rdwr_ioctl_data and struct i2c_msg, from an address that
// it has as a number only, after its own stack has grown.
type kernel struct {
	got    []message
	answer []byte
	err    error
}

type message struct {
	addr, flags uint16
	data        []byte
}

const wordSize = unsafe.Sizeof(uintptr(0))

func (k *kernel) ioctl(request uintptr, arg unsafe.Pointer) error {
	if request != 0x0707 {
		return syscall.ENOTTY
	}
	address := uintptr(arg)
	growStack(200)
	scribble()
	data := at(address)
	messages := uintptr(*(*uintptr)(data))
	count := *(*uint32)(unsafe.Add(data, wordSize))
	for i := range uintptr(count) {
		k.message(at(messages + i*(8+wordSize)))
	}
	return k.err
}

func (k *kernel) message(m unsafe.Pointer) {
	length := *(*uint16)(unsafe.Add(m, 4))
	buffer := *(*uintptr)(unsafe.Add(m, 8))
	got := message{addr: *(*uint16)(m), flags: *(*uint16)(unsafe.Add(m, 2))}
	if length > 0 {
		data := unsafe.Slice((*byte)(at(buffer)), length)
		if got.flags&1 != 0 {
			copy(data, k.answer)
		}
		got.data = bytes.Clone(data)
	}
	k.got = append(k.got, got)
}

// at is the memory at an address that is known as a number, as the kernel knows
// it.
func at(address uintptr) unsafe.Pointer { return *(*unsafe.Pointer)(unsafe.Pointer(&address)) }

// growStack makes the runtime move the stack of this goroutine.
func growStack(n int) byte {
	page := [1024]uint32{}
	for i := range page {
		page[i] = 0xdeadbeef
	}
	if n > 0 {
		page[n] = uint32(growStack(n - 1))
	}
	return byte(page[n])
}

// scribble lets other goroutines have the stacks that were left behind.
func scribble() {
	var g errgroup.Group
	for range 64 {
		for _, depth := range []int{0, 1, 3, 7, 15} {
			g.Go(func() error {
				growStack(depth)
				return nil
			})
		}
	}
	_ = g.Wait() // none of them fails
}

func onKernel(t *testing.T, k *kernel) *bus.I2C {
	t.Helper()
	file, err := os.Open(os.DevNull)
	if err != nil {
		t.Fatal(err)
	}
	b := bus.OnKernel(file, k.ioctl)
	t.Cleanup(func() { _ = b.Close() })
	return b
}

// TestKernelSeesTheBuffersAfterTheStackMoved stands for a flaw of
// periph.io/x/host v3.8.5: it keeps the address of a struct on the stack as a
// number across calls, and the kernel reads whatever is there later.
func TestKernelSeesTheBuffersAfterTheStackMoved(t *testing.T) {
	for _, test := range []struct {
		name string
		w    []byte
		r    int
		want []message
	}{
		{"write", []byte{1, 0xc3, 0x83}, 0, []message{{0x48, 0, []byte{1, 0xc3, 0x83}}}},
		{"read", nil, 2, []message{{0x48, 1, []byte{0x32, 0x00}}}},
		{"write and read", []byte{0}, 2, []message{{0x48, 0, []byte{0}}, {0x48, 1, []byte{0x32, 0x00}}}},
		{"address alone", nil, 0, []message{{0x48, 0, nil}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			k := &kernel{answer: []byte{0x32, 0x00}}
			b := onKernel(t, k)
			done := make(chan []byte)
			go func() { // a fresh goroutine has a small stack
				r := make([]byte, test.r)
				if err := b.Tx(0x48, test.w, r); err != nil {
					t.Error(err)
				}
				done <- r
			}()
			r := <-done
			if len(k.got) != len(test.want) {
				t.Fatalf("kernel got %d messages, want %d", len(k.got), len(test.want))
			}
			for i, want := range test.want {
				got := k.got[i]
				if got.addr != want.addr || got.flags != want.flags || !bytes.Equal(got.data, want.data) {
					t.Errorf("message %d: kernel got %+v, want %+v", i, got, want)
				}
			}
			if test.r > 0 && !bytes.Equal(r, k.answer) {
				t.Errorf("read % x, want % x", r, k.answer)
			}
		})
	}
}

// periph's bus loses the error number, so that an unplugged chip and a shorted
// wire look alike.
func TestErrorOfTheKernelKeepsItsNumber(t *testing.T) {
	k := &kernel{err: syscall.EREMOTEIO}
	err := onKernel(t, k).Tx(0x48, []byte{1}, make([]byte, 2))
	if !errors.Is(err, syscall.EREMOTEIO) || !errors.Is(err, bus.ErrNACK) {
		t.Errorf("got %v, want EREMOTEIO and %v", err, bus.ErrNACK)
	}
	const want = "i2c-1: 0x48: write 1, read 2: remote I/O error"
	if !strings.HasPrefix(err.Error(), want) {
		t.Errorf("got %q, want it to start with %q", err, want)
	}
}

// A length is 16 bits on its way to the kernel: a longer one must not be cut.
func TestTransferThatDoesNotFitIsRefused(t *testing.T) {
	k := &kernel{}
	b := onKernel(t, k)
	for name, err := range map[string]error{
		"write":   b.Tx(0x48, make([]byte, 65537), nil),
		"read":    b.Tx(0x48, nil, make([]byte, 8193)),
		"address": b.Tx(0x80, []byte{0}, nil),
	} {
		if err == nil || len(k.got) > 0 {
			t.Errorf("%s: got %v and %d messages, want an error and none", name, err, len(k.got))
		}
	}
}

// What a person meets first: a wrong path, a file that is no bus.
func TestBusThatCannotBeOpenedSaysWhatToDo(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "i2c-1")
	for path, want := range map[string]string{
		missing:    "dtparam=i2c_arm=on",
		os.DevNull: "as of an I2C bus: inappropriate ioctl for device",
	} {
		b, err := bus.Open(path)
		if err == nil {
			_ = b.Close()
			t.Fatalf("%s was opened", path)
		}
		if !errors.Is(err, bus.ErrNoBus) || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), path) {
			t.Errorf("got %q, want %v with %q and the path", err, bus.ErrNoBus, want)
		}
	}
}

func TestTransferOnAClosedBusIsAnError(t *testing.T) {
	k := &kernel{}
	b := onKernel(t, k)
	if err := b.Close(); err != nil {
		t.Fatal(err)
	}
	if err := b.Tx(0x48, []byte{1}, nil); err == nil || len(k.got) > 0 {
		t.Errorf("got %v and %d messages, want an error and none", err, len(k.got))
	}
}
