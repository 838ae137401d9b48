package emulator

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"syscall"
	"time"

	"periph.io/x/conn/v3"
	"periph.io/x/conn/v3/physic"
	"periph.io/x/conn/v3/spi"
)

// An SPIChip is what hangs behind a chip select.
type SPIChip interface {
	// Select begins a transfer: chip select went low.
	Select(at time.Time)
	// Clock is one clock of a transfer: in is on MOSI, and out is on MISO when
	// the chip drives it.
	Clock(at time.Time, in bool) (out, driven bool)
	// PowerOn puts the chip into the state it has after its supply came up.
	PowerOn(at time.Time)
}

// SPIFaults says how often a transfer goes wrong, each as a probability from 0 to
// 1.
type SPIFaults struct {
	EIO  float64 // broken off by the adapter
	Flip float64 // one bit of what is read is wrong, without any error
	Lost float64 // one clock does not reach the chip, without any error
}

// SPI is an emulated SPI port with one chip select. Its zero value is an empty
// port on the clock of the process. The exported fields may be set before its
// first use. It is safe for several goroutines.
type SPI struct {
	Name  string           // in errors; "" is "emulated"
	Clock Clock            // nil is time.Now and time.Sleep
	Speed physic.Frequency // the most it can; 0 is 1 MHz
	Seed  uint64           // of the faults
	// IdleHigh is the level of MISO while nobody drives it. A Raspberry Pi pulls
	// it low.
	IdleHigh bool

	prepare sync.Once
	turn    chan struct{} // not a mutex, as in Bus

	mu        sync.Mutex
	random    *rand.Rand
	chip      SPIChip
	faults    SPIFaults
	connected bool
	selected  bool // stays so after a packet with KeepCS
}

var _ spi.PortCloser = (*SPI)(nil)

func (s *SPI) init() {
	s.prepare.Do(func() {
		s.turn = make(chan struct{}, 1)
		s.random = rand.New(rand.NewPCG(s.Seed, 0))
	})
}

// String returns the name of the port.
func (s *SPI) String() string {
	if s.Name == "" {
		return "emulated"
	}
	return s.Name
}

// Close does nothing: the chip keeps its state.
func (s *SPI) Close() error { return nil }

// LimitSpeed sets the most the port can.
func (s *SPI) LimitSpeed(f physic.Frequency) error {
	if f <= 0 {
		return fmt.Errorf("%s: speed %v is not possible", s, f)
	}
	s.Speed = f
	return nil
}

// Attach connects a chip and powers it. A chip that was there is gone.
func (s *SPI) Attach(c SPIChip) {
	s.init()
	c.PowerOn(s.now())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chip = c
}

// Detach takes the chip away. Nothing tells the master: it reads an idle wire.
func (s *SPI) Detach() {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.chip = nil
}

// BrownOut takes the power of the chip away for a moment.
func (s *SPI) BrownOut() {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.chip != nil {
		s.chip.PowerOn(s.now())
	}
}

// Inject makes transfers fail as f says, until it is called again.
func (s *SPI) Inject(f SPIFaults) {
	s.init()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = f
}

// Connect sets speed and mode, once, as on Linux.
func (s *SPI) Connect(f physic.Frequency, mode spi.Mode, bits int) (spi.Conn, error) {
	s.init()
	if bits != 8 && bits != 0 {
		return nil, fmt.Errorf("%s: words of %d bits: %w", s, bits, errors.ErrUnsupported)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.connected {
		return nil, fmt.Errorf("%s: is connected already", s)
	}
	s.connected = true
	speed := s.Speed
	if speed == 0 {
		speed = physic.MegaHertz
	}
	if f > 0 {
		speed = min(speed, f)
	}
	return &spiConn{port: s, mode: mode, speed: speed}, nil
}

// spiConn is a port with its settings.
type spiConn struct {
	port  *SPI
	mode  spi.Mode
	speed physic.Frequency
}

// String returns the name of the port.
func (c *spiConn) String() string { return c.port.String() }

// Duplex says that both directions are used at once.
func (c *spiConn) Duplex() conn.Duplex { return conn.Full }

// Tx writes w while it fills r; either may be empty.
func (c *spiConn) Tx(w, r []byte) error { return c.TxPackets([]spi.Packet{{W: w, R: r}}) }

// TxPackets does several transfers.
func (c *spiConn) TxPackets(packets []spi.Packet) error {
	c.port.turn <- struct{}{}
	defer func() { <-c.port.turn }()
	for _, p := range packets {
		if len(p.W) != len(p.R) && len(p.W) != 0 && len(p.R) != 0 {
			return fmt.Errorf("%s: write %d, read %d: lengths differ", c.port, len(p.W), len(p.R))
		}
		if number := c.transfer(p); number != 0 {
			return fmt.Errorf("%s: write %d, read %d: %w", c.port, len(p.W), len(p.R), number)
		}
	}
	return nil
}

// transfer clocks one packet through and takes the time of it.
func (c *spiConn) transfer(p spi.Packet) syscall.Errno {
	s := c.port
	clocks := 8 * max(len(p.W), len(p.R))
	number := c.clockAll(p, clocks)
	s.sleep(time.Duration(clocks) * c.speed.Period())
	return number
}

func (c *spiConn) clockAll(p spi.Packet, clocks int) syscall.Errno {
	s := c.port
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.happens(s.faults.EIO) {
		return syscall.EIO
	}
	now := s.now()
	if !s.selected && s.chip != nil {
		s.chip.Select(now)
	}
	s.selected = p.KeepCS
	lost, flip := s.pick(s.faults.Lost, clocks), s.pick(s.faults.Flip, clocks)
	for i := range clocks {
		out := s.IdleHigh
		if i != lost {
			out = c.clock(now.Add(time.Duration(i)*c.speed.Period()), bit(p.W, i))
		}
		if len(p.R) > 0 {
			setBit(p.R, i, out != (i == flip))
		}
	}
	return 0
}

// clock passes one bit each way. In the modes 1 and 2 master and chip look at
// different edges: the chip is taken to understand nothing.
func (c *spiConn) clock(at time.Time, in bool) bool {
	s := c.port
	if s.chip == nil || c.mode&3 == spi.Mode1 || c.mode&3 == spi.Mode2 {
		return s.IdleHigh
	}
	if out, driven := s.chip.Clock(at, in); driven {
		return out
	}
	return s.IdleHigh
}

// bit is the i-th from the left; a master that only reads sends zeros.
func bit(b []byte, i int) bool { return len(b) > 0 && b[i/8]&(0x80>>(i%8)) != 0 }

func setBit(b []byte, i int, on bool) {
	mask := byte(0x80) >> (i % 8)
	b[i/8] &^= mask
	if on {
		b[i/8] |= mask
	}
}

func (s *SPI) happens(probability float64) bool {
	return probability > 0 && s.random.Float64() < probability
}

func (s *SPI) pick(probability float64, n int) int {
	if n == 0 || !s.happens(probability) {
		return -1
	}
	return s.random.IntN(n)
}

func (s *SPI) now() time.Time {
	if s.Clock == nil {
		return time.Now()
	}
	return s.Clock.Now()
}

func (s *SPI) sleep(d time.Duration) {
	if s.Clock == nil {
		time.Sleep(d)
		return
	}
	s.Clock.Sleep(d)
}
