// Package emulator imitates chips and the buses they hang on, from their
// datasheets, with time and with faults.
//
// It guarantees that a chip takes as long as its datasheet says, on a clock that
// may be virtual; that a fault comes back as the kernel would report it, as a
// syscall.Errno wrapped as the Linux bus wraps it; and that the same seed gives
// the same faults. It knows no driver and shares no constant with one, so that a
// wrong register cannot pass its own test. It does not model voltages on the
// wires, nor bits.
package emulator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"syscall"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// A Chip is what answers at an address.
type Chip interface {
	// Transfer is one transaction that ends at a STOP: w was written, and after
	// a repeated start r is to be filled. Either may be empty; with both empty
	// the chip was only addressed. It reports whether the chip acknowledged.
	// at is the instant at which the last byte of w arrived.
	Transfer(at time.Time, w, r []byte) (acknowledged bool)
	// PowerOn puts the chip into the state it has after its supply came up.
	PowerOn(at time.Time)
}

// Bus is an emulated I2C bus. Its zero value is an empty bus of 100 kHz on the
// clock of the process. The exported fields may be set before its first use. It
// is safe for several goroutines.
type Bus struct {
	Name  string           // in errors; "" is "emulated"
	Clock Clock            // nil is time.Now and time.Sleep
	Speed physic.Frequency // 0 is 100 kHz
	Seed  uint64           // of the faults

	prepare sync.Once
	// turn is taken for one transaction at a time. A channel: a mutex that is
	// held over a sleep would stop the clock of a synctest bubble.
	turn chan struct{}

	mu      sync.Mutex
	random  *rand.Rand
	sockets map[uint16]*socket
	stuck   bool
	planned []plan
}

var _ i2c.BusCloser = (*Bus)(nil)

// socket is an address with or without a chip; faults stay when the chip goes.
type socket struct {
	chip   Chip
	faults Faults
	failed bool // the last transaction failed
}

type plan struct {
	at time.Time
	do func(*Bus)
}

// kernelTimeout is how long a transfer takes to fail while a wire is held low:
// what the Linux bus asks of the kernel.
const kernelTimeout = 100 * time.Millisecond

func (b *Bus) init() {
	b.prepare.Do(func() {
		b.turn = make(chan struct{}, 1)
		b.random = rand.New(rand.NewPCG(b.Seed, 0))
		b.sockets = make(map[uint16]*socket)
	})
}

// String returns the name of the bus.
func (b *Bus) String() string {
	if b.Name == "" {
		return "emulated"
	}
	return b.Name
}

// Close does nothing: the chips keep their state, as on a real bus.
func (b *Bus) Close() error { return nil }

// SetSpeed returns an error, as on a Raspberry Pi, where the speed is set at
// boot.
func (b *Bus) SetSpeed(physic.Frequency) error {
	return fmt.Errorf("%s: set speed: %w", b, errors.ErrUnsupported)
}

// Attach plugs a chip in and powers it. A chip that was at this address is gone.
func (b *Bus) Attach(addr uint16, c Chip) {
	b.init()
	c.PowerOn(b.now())
	b.mu.Lock()
	defer b.mu.Unlock()
	b.socket(addr).chip = c
}

// Detach unplugs the chip at addr.
func (b *Bus) Detach(addr uint16) {
	b.init()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.socket(addr).chip = nil
}

// BrownOut takes the power of the chip at addr away for a moment.
func (b *Bus) BrownOut(addr uint16) {
	b.init()
	b.mu.Lock()
	defer b.mu.Unlock()
	if c := b.socket(addr).chip; c != nil {
		c.PowerOn(b.now())
	}
}

// Inject makes the transactions with addr fail as f says, until it is called
// again.
func (b *Bus) Inject(addr uint16, f Faults) {
	b.init()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.socket(addr).faults = f
}

// SetStuck holds a wire of the bus low, or lets it go: while it is held, every
// transaction times out, whatever its address.
func (b *Bus) SetStuck(stuck bool) {
	b.init()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stuck = stuck
}

// After plans do for the first transaction that starts d from now or later:
// "unplug at ten seconds" needs no goroutine.
func (b *Bus) After(d time.Duration, do func(*Bus)) {
	b.init()
	b.mu.Lock()
	defer b.mu.Unlock()
	b.planned = append(b.planned, plan{b.now().Add(d), do})
}

// socket needs mu.
func (b *Bus) socket(addr uint16) *socket {
	s, ok := b.sockets[addr]
	if !ok {
		s = &socket{}
		b.sockets[addr] = s
	}
	return s
}

// Tx does one transaction and takes the time that it takes on the wires.
func (b *Bus) Tx(addr uint16, w, r []byte) error {
	b.init()
	b.turn <- struct{}{}
	defer func() { <-b.turn }()
	b.carryOutPlans()
	if number := b.transact(addr, w, r); number != 0 {
		return fmt.Errorf("%s: 0x%02x: write %d, read %d: %w", b, addr, len(w), len(r), number)
	}
	return nil
}

func (b *Bus) carryOutPlans() {
	now := b.now()
	b.mu.Lock()
	var due []plan
	b.planned = slices.DeleteFunc(b.planned, func(p plan) bool {
		if p.at.After(now) {
			return false
		}
		due = append(due, p)
		return true
	})
	b.mu.Unlock()
	for _, p := range due {
		p.do(b)
	}
}

func (b *Bus) transact(addr uint16, w, r []byte) syscall.Errno {
	if addr > 0x7f {
		return syscall.EINVAL
	}
	f := b.draw(addr, len(w), len(r))
	number := b.carry(addr, f, w, r)
	b.mu.Lock()
	defer b.mu.Unlock()
	b.socket(addr).failed = number != 0 && !f.lingering
	return number
}

// carry lets one transaction meet its fate.
func (b *Bus) carry(addr uint16, f fate, w, r []byte) syscall.Errno {
	if f.stuck {
		b.sleep(kernelTimeout)
		return syscall.ETIMEDOUT
	}
	b.sleep(b.wireTime(len(w)))
	if f.reach == reachesNobody || !b.transfer(addr, f, w, r) {
		return errnoNACK
	}
	if f.number != 0 {
		return f.number
	}
	if len(r) > 0 {
		b.sleep(b.wireTime(len(r)))
		f.spoil(r)
	}
	return 0
}

// transfer hands to the chip what arrives there.
func (b *Bus) transfer(addr uint16, f fate, w, r []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	chip := b.socket(addr).chip
	if chip == nil {
		return false
	}
	if f.reach == reachesPartly {
		r = nil
	}
	return chip.Transfer(b.now(), f.written(w), r)
}

// wireTime is an address and n bytes of nine bits each, with a start and a stop.
func (b *Bus) wireTime(n int) time.Duration {
	speed := b.Speed
	if speed == 0 {
		speed = 100 * physic.KiloHertz
	}
	return time.Duration(9*(n+1)+2) * speed.Period()
}

func (b *Bus) now() time.Time {
	if b.Clock == nil {
		return time.Now()
	}
	return b.Clock.Now()
}

func (b *Bus) sleep(d time.Duration) {
	if b.Clock == nil {
		time.Sleep(d)
		return
	}
	b.Clock.Sleep(d)
}
