package emulator

import (
	"encoding/binary"
	"math"
	"time"
)

// Seesaw is Adafruit's STEMMA soil sensor 4026, from its firmware (adafruit/seesaw:
// I2CSlave.cpp, Delegate.cpp, AOTouch.cpp). A command of two bytes is carried
// out after its STOP: for a moment nothing happens, then the chip does not
// acknowledge while it works, then its answer waits in a queue. A queue that is
// empty reads as FF. A repeated start does not end a command: the answer is then
// made after the reading.
//
// Left out: the other modules of the firmware, interrupts and the address
// jumpers.
type Seesaw struct {
	// Capacitance is what the touch channel counts; nil is 0.
	Capacitance func(at time.Time) float64
	// Temperature is that of the chip in degrees Celsius; nil is 0.
	Temperature func(at time.Time) float64
	// Oscillator is its speed relative to the nominal one; 0 is 1.
	Oscillator float64
	// Latency is the time from the STOP until the command is looked at; 0 is
	// 100 us. Newer firmware takes longer (adafruit/Adafruit_Seesaw#25).
	Latency time.Duration
	// Measuring is the time of one capacitance, at the nominal speed; 0 is 3 ms.
	Measuring time.Duration
	// Booting is how long the chip is away after a reset; 0 is 100 ms, 500 ms
	// is allowed for.
	Booting time.Duration
	// Version is the answer to 00 02; 0 is 0FBA1C8A, product 4026.
	Version uint32

	powered bool
	booted  time.Time
	queue   []byte

	command        [2]byte // under way, when pending
	pending        bool
	noticed, ready time.Time
}

// NewSeesaw returns the chip with the truth it measures: counts and degrees.
func NewSeesaw(counts, celsius func(at time.Time) float64) *Seesaw {
	return &Seesaw{Capacitance: counts, Temperature: celsius}
}

// Commands: module and function.
const (
	seesawStatus      = 0x00
	seesawHardware    = 0x01
	seesawVersion     = 0x02
	seesawOptions     = 0x03
	seesawTemperature = 0x04
	seesawReset       = 0x7f
	seesawTouch       = 0x0f
	seesawChannel     = 0x10 // of the touch module, the only one of this board
)

// PowerOn forgets everything. The first time lies in the past: a board and its
// chips are switched on together. After that the chip boots.
func (c *Seesaw) PowerOn(at time.Time) {
	if c.powered {
		c.reboot(at)
	}
	c.powered = true
}

func (c *Seesaw) reboot(at time.Time) {
	c.queue, c.pending = nil, false
	c.booted = at.Add(or(c.Booting, 100*time.Millisecond))
}

// Transfer takes a command, or gives what is in the queue.
func (c *Seesaw) Transfer(at time.Time, w, r []byte) bool {
	c.advance(at)
	busy := c.pending && !at.Before(c.noticed)
	if busy || at.Before(c.booted) {
		return false
	}
	for i := range r {
		r[i] = 0xff
		if len(c.queue) > 0 {
			r[i], c.queue = c.queue[0], c.queue[1:]
		}
	}
	switch {
	case len(w) > 2 && w[0] == seesawStatus && w[1] == seesawReset:
		c.reboot(at)
	case len(w) == 2 && (w[0] != 0 || w[1] != 0):
		c.start(at, [2]byte(w))
	}
	return true
}

func (c *Seesaw) start(at time.Time, command [2]byte) {
	c.command, c.pending = command, true
	c.noticed = at.Add(or(c.Latency, 100*time.Microsecond))
	takes := 100 * time.Microsecond
	switch {
	case command[0] == seesawTouch:
		takes = or(c.Measuring, 3*time.Millisecond)
	case c.answer(at) == nil:
		takes = 100 * time.Millisecond // until the firmware gives up
	}
	if c.Oscillator != 0 {
		takes = time.Duration(float64(takes) / c.Oscillator)
	}
	c.ready = c.noticed.Add(takes)
}

// advance carries out what was due by now.
func (c *Seesaw) advance(now time.Time) {
	if !c.pending || now.Before(c.noticed) {
		return
	}
	c.queue = nil
	if now.Before(c.ready) {
		return
	}
	c.queue, c.pending = c.answer(c.ready), false
}

func (c *Seesaw) answer(at time.Time) []byte {
	switch module, function := c.command[0], c.command[1]; {
	case module == seesawTouch && function == seesawChannel:
		return binary.BigEndian.AppendUint16(nil, uint16(min(max(truthAt(c.Capacitance, at, 0), 0), 1023)))
	case module == seesawTouch:
		return []byte{0, 0}
	case module != seesawStatus:
		return nil
	case function == seesawHardware:
		return []byte{0x55}
	case function == seesawVersion:
		return binary.BigEndian.AppendUint32(nil, c.version())
	case function == seesawOptions:
		return binary.BigEndian.AppendUint32(nil, 1<<seesawStatus|1<<seesawTouch)
	case function == seesawTemperature:
		return binary.BigEndian.AppendUint32(nil, uint32(int32(math.Round(truthAt(c.Temperature, at, 0)*65536))))
	default:
		return nil
	}
}

func (c *Seesaw) version() uint32 {
	if c.Version == 0 {
		return 0x0fba1c8a
	}
	return c.Version
}
