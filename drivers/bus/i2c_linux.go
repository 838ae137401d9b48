package bus

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"syscall"
	"unsafe"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// Requests and flags of include/uapi/linux/i2c-dev.h and i2c.h.
const (
	requestRetries = 0x0701 // I2C_RETRIES
	requestTimeout = 0x0702 // I2C_TIMEOUT, in units of 10 ms
	requestFuncs   = 0x0705 // I2C_FUNCS
	requestRDWR    = 0x0707 // I2C_RDWR

	functionI2C = 0x0001 // I2C_FUNC_I2C
	flagRead    = 0x0001 // I2C_M_RD
)

// timeout is how long the kernel waits for a transfer, in its unit of 10 ms. Its
// default of a second would let one shorted wire hold up every sensor of a bus.
const timeout = 10

// maxMessage is what i2c-dev accepts in one message.
const maxMessage = 8192

// message is struct i2c_msg. Its pointer falls on the same offset as in C on
// both 32 and 64 bit.
type message struct {
	addr   uint16
	flags  uint16
	length uint16
	buffer *byte
}

// transfer is struct i2c_rdwr_ioctl_data.
type transfer struct {
	messages *message
	count    uint32
}

// The layouts are checked when this is compiled.
var (
	_ [8 + unsafe.Sizeof(uintptr(0))]byte = [unsafe.Sizeof(message{})]byte{}
	_ [8]byte                             = [unsafe.Offsetof(message{}.buffer)]byte{}
	_ [unsafe.Sizeof(uintptr(0))]byte     = [unsafe.Offsetof(transfer{}.count)]byte{}
)

// I2C is one bus of the board, /dev/i2c-N. It is safe for several goroutines:
// the kernel lets transfers take turns.
//
// A transfer cannot be cancelled. The kernel ends it after 100 ms, unless its
// driver is broken.
type I2C struct {
	name  string
	file  *os.File
	ioctl func(fd, request uintptr, arg unsafe.Pointer) error
}

var _ i2c.BusCloser = (*I2C)(nil)

// Open opens the bus at path, for example /dev/i2c-1. There is no default: on a
// Raspberry Pi 4 whose I2C is off, the first bus by name belongs to HDMI. The
// error of a bus that cannot be opened is ErrNoBus and says what to do.
func Open(path string) (*I2C, error) {
	file, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: %w%s", err, ErrNoBus, advice(err, "/"))
	}
	b := &I2C{name: filepath.Base(path), file: file, ioctl: ioctl}
	if err := b.setUp(); err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w: %w", path, err, ErrNoBus), file.Close())
	}
	return b, nil
}

func (b *I2C) setUp() error {
	var functions uintptr // unsigned long
	if err := b.control(requestFuncs, unsafe.Pointer(&functions)); err != nil {
		return fmt.Errorf("ask for its functions, as of an I2C bus: %w", err)
	}
	if functions&functionI2C == 0 {
		return errors.New("adapter speaks SMBus only")
	}
	// Not every adapter takes these two, and none needs them to work.
	_ = b.setValue(requestTimeout, timeout)
	_ = b.setValue(requestRetries, 0)
	return nil
}

// String returns the name of the bus, for example "i2c-1".
func (b *I2C) String() string { return b.name }

// Close closes the bus. A transfer that is under way ends first.
func (b *I2C) Close() error { return b.file.Close() }

// SetSpeed returns an error: Linux sets the clock of a bus at boot.
func (b *I2C) SetSpeed(physic.Frequency) error {
	return fmt.Errorf("%s: speed is set at boot (dtparam=i2c_arm_baudrate=... in /boot/firmware/config.txt): %w", b, errors.ErrUnsupported)
}

// Tx writes w and then reads into r as one transaction, with a repeated start
// between them. With both empty it sends the address alone, which not every
// adapter can; the kernel says so. Errors carry the bus, the address, what was
// tried, the kernel's number and a Class.
func (b *I2C) Tx(addr uint16, w, r []byte) error {
	if err := b.transact(addr, w, r); err != nil {
		return Classify(fmt.Errorf("%s: 0x%02x: write %d, read %d: %w", b, addr, len(w), len(r), err))
	}
	return nil
}

func (b *I2C) transact(addr uint16, w, r []byte) error {
	if addr > 0x7f {
		return errors.New("address is outside 0x00..0x7f")
	}
	if len(w) > maxMessage || len(r) > maxMessage {
		return fmt.Errorf("message is longer than %d bytes", maxMessage)
	}
	var messages [2]message
	var pin runtime.Pinner // the kernel follows pointers that Go does not see it use
	defer pin.Unpin()
	t := &transfer{messages: &messages[0]}
	pin.Pin(t)
	pin.Pin(t.messages)
	if len(w) > 0 || len(r) == 0 {
		messages[t.count] = message{addr: addr, length: uint16(len(w)), buffer: pinned(&pin, w)}
		t.count++
	}
	if len(r) > 0 {
		messages[t.count] = message{addr: addr, flags: flagRead, length: uint16(len(r)), buffer: pinned(&pin, r)}
		t.count++
	}
	return b.control(requestRDWR, unsafe.Pointer(t))
}

func pinned(pin *runtime.Pinner, b []byte) *byte {
	if len(b) == 0 {
		return nil
	}
	pin.Pin(&b[0])
	return &b[0]
}

// control keeps the file open over one ioctl.
func (b *I2C) control(request uintptr, arg unsafe.Pointer) error {
	raw, err := b.file.SyscallConn()
	if err != nil {
		return err
	}
	var failed error
	if err := raw.Control(func(fd uintptr) { failed = b.ioctl(fd, request, arg) }); err != nil {
		return err
	}
	return failed
}

// ioctl turns arg into a number inside the call, the only place where Go
// promises not to move what it points to.
func ioctl(fd, request uintptr, arg unsafe.Pointer) error {
	if _, _, number := syscall.Syscall(syscall.SYS_IOCTL, fd, request, uintptr(arg)); number != 0 {
		return number
	}
	return nil
}

// setValue is an ioctl whose argument is a number, not an address.
func (b *I2C) setValue(request, value uintptr) error {
	raw, err := b.file.SyscallConn()
	if err != nil {
		return err
	}
	var number syscall.Errno
	if err := raw.Control(func(fd uintptr) {
		_, _, number = syscall.Syscall(syscall.SYS_IOCTL, fd, request, value)
	}); err != nil {
		return err
	}
	if number != 0 {
		return number
	}
	return nil
}
