package emulator

import (
	"encoding/binary"
	"math"
	"time"
)

// Chirp is the Catnip I2C soil moisture sensor, from its firmware 2.6
// (Miceuz/i2c-moisture-sensor, src/main.c and twi.c). A loop takes one command
// after the other, puts its reply into a ring of 16 bytes, and measures only
// then: a reply is the measurement before. Reading takes what is in the ring,
// and FF when it is empty; a reply that comes late stays there and shifts all
// that follow.
//
// Left out: clock stretching while it wakes up (it does not acknowledge then),
// and moving to a new address, which is the bus's to do: only 02 tells it.
type Chirp struct {
	// Capacitance is what it counts, 0 to 1023; nil is 0.
	Capacitance func(at time.Time) float64
	// Temperature is that of its thermistor in degrees Celsius; nil is 0.
	Temperature func(at time.Time) float64
	// Darkness is what 04 tells: 65535 in the dark; nil is 0.
	Darkness func(at time.Time) float64
	// Oscillator is its speed relative to the nominal one; 0 is 1.
	Oscillator float64
	// Latency is the time until the loop takes a command. At 0 the reply is
	// there for a repeated start.
	Latency time.Duration
	// Measuring is how long the loop is away for a measurement.
	Measuring time.Duration
	// Booting is how long it is away after a reset; 0 is 100 ms.
	Booting time.Duration
	// Version is its answer to 07; 0 is 0x26. An original Chirp! says 0xFF.
	Version byte
	// Address is its answer to 02; 0 is 0x20.
	Address byte

	powered, asleep bool
	booted          time.Time
	free            time.Time // of the loop
	commands        []chirpCommand
	ring            []byte
	announced       byte // address that was written once

	capacitance, temperature, darkness uint16
	lightUntil                         time.Time
}

type chirpCommand struct {
	at    time.Time
	bytes []byte
}

// The commands.
const (
	chirpCapacitance = iota
	chirpSetAddress
	chirpGetAddress
	chirpStartLight
	chirpLight
	chirpTemperature
	chirpReset
	chirpVersion
	chirpSleep
	chirpBusy
)

// NewChirp returns the chip with the truth it measures: counts and degrees.
func NewChirp(counts, celsius func(at time.Time) float64) *Chirp {
	return &Chirp{Capacitance: counts, Temperature: celsius}
}

// PowerOn forgets everything but the address. The first time lies in the past: a
// board and its chips are switched on together. After that the chip boots.
func (c *Chirp) PowerOn(at time.Time) {
	booting := or(c.Booting, 100*time.Millisecond)
	if !c.powered {
		booting = 0
	}
	c.powered = true
	c.asleep, c.ring, c.commands, c.announced = false, nil, nil, 0
	c.booted = at.Add(booting)
	c.free, c.lightUntil = c.booted, time.Time{}
	c.darkness = 0
	c.measureCapacitance(c.booted)
	c.measureTemperature(c.booted)
}

// Transfer takes a command, and gives what is in the ring.
func (c *Chirp) Transfer(at time.Time, w, r []byte) bool {
	if at.Before(c.booted) {
		return false
	}
	if c.asleep {
		c.asleep = false
		return false
	}
	if len(w) > 0 {
		c.commands = append(c.commands, chirpCommand{at, append([]byte(nil), w...)})
	}
	c.advance(at)
	for i := range r {
		r[i] = 0xff
		if len(c.ring) > 0 {
			r[i], c.ring = c.ring[0], c.ring[1:]
		}
	}
	return true
}

// advance lets the loop run until now.
func (c *Chirp) advance(now time.Time) {
	for len(c.commands) > 0 {
		next := c.commands[0]
		taken := next.at.Add(c.slowed(c.Latency))
		if taken.Before(c.free) {
			taken = c.free
		}
		if taken.After(now) {
			return
		}
		c.commands = c.commands[1:]
		c.free = taken
		c.carryOut(taken, next.bytes)
	}
}

func (c *Chirp) slowed(d time.Duration) time.Duration {
	if c.Oscillator == 0 {
		return d
	}
	return time.Duration(float64(d) / c.Oscillator)
}

func (c *Chirp) carryOut(at time.Time, command []byte) {
	switch command[0] {
	case chirpCapacitance:
		c.reply(binary.BigEndian.AppendUint16(nil, c.capacitance)...)
		c.measureCapacitance(at)
	case chirpTemperature:
		c.reply(binary.BigEndian.AppendUint16(nil, c.temperature)...)
		c.measureTemperature(at)
	case chirpLight:
		if !at.Before(c.lightUntil) && !c.lightUntil.IsZero() {
			c.darkness = uint16(min(max(truthAt(c.Darkness, c.lightUntil, 0), 0), 65535))
		}
		c.reply(binary.BigEndian.AppendUint16(nil, c.darkness)...)
	case chirpStartLight: // a LED loses its charge, the slower the darker: up to 3 s
		dark := min(max(truthAt(c.Darkness, at, 0), 0), 65535)
		c.lightUntil = at.Add(c.slowed(time.Duration(dark / 65535 * 3 * float64(time.Second))))
	case chirpGetAddress:
		c.reply(chirpOr(c.Address, 0x20))
	case chirpSetAddress:
		c.setAddress(command[1:])
	case chirpVersion:
		c.reply(chirpOr(c.Version, 0x26))
	case chirpBusy:
		busy := byte(0)
		if at.Before(c.lightUntil) {
			busy = 1
		}
		c.reply(busy)
	case chirpSleep:
		c.asleep = true
	case chirpReset:
		c.PowerOn(at)
	}
}

// setAddress takes an address that comes twice; it counts from the next reset
// on.
func (c *Chirp) setAddress(b []byte) {
	if len(b) == 0 {
		return
	}
	if c.announced == b[0] && b[0] >= 0x08 && b[0] <= 0x77 {
		c.Address = b[0]
	}
	c.announced = b[0]
}

const chirpRing = 16

// reply puts bytes into the ring; what does not fit is lost.
func (c *Chirp) reply(b ...byte) {
	c.ring = append(c.ring, b[:min(len(b), chirpRing-len(c.ring))]...)
}

func (c *Chirp) measureCapacitance(at time.Time) {
	c.free = at.Add(c.slowed(c.Measuring))
	c.capacitance = uint16(min(max(truthAt(c.Capacitance, c.free, 0), 0), 1023))
}

func (c *Chirp) measureTemperature(at time.Time) {
	c.free = at.Add(c.slowed(c.Measuring))
	tenths := math.Round(truthAt(c.Temperature, c.free, 0) * 10)
	// The table of the thermistor ends there; an open or shorted one gives its
	// ends.
	c.temperature = uint16(int16(min(max(tenths, -200), 850)))
}

func chirpOr(b, otherwise byte) byte {
	if b == 0 {
		return otherwise
	}
	return b
}
