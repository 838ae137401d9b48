package bus

import (
	"context"
	"sync"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"
)

// Shared is a bus that several drivers use at once. Single transactions take
// turns in the bus below it; what Shared adds is Hold, and classes for errors.
type Shared struct {
	bus i2c.Bus

	mu    sync.Mutex
	chips map[uint16]chan struct{}
}

var _ i2c.Bus = (*Shared)(nil)

// Share makes b fit for several drivers. All of them must go through the same
// Shared.
func Share(b i2c.Bus) *Shared {
	return &Shared{bus: b, chips: make(map[uint16]chan struct{})}
}

// String returns the name of the bus, for example "i2c-1".
func (s *Shared) String() string { return s.bus.String() }

// SetSpeed changes the clock of the whole bus, where the bus below can.
func (s *Shared) SetSpeed(f physic.Frequency) error { return s.bus.SetSpeed(f) }

// Tx does one transaction. It waits while another driver holds the chip.
func (s *Shared) Tx(addr uint16, w, r []byte) error {
	turn := s.turn(addr)
	turn <- struct{}{}
	defer func() { <-turn }()
	return Classify(s.bus.Tx(addr, w, r))
}

// turn returns the lock of one chip: a channel, because a driver sleeps while it
// holds the chip, and waiting for a mutex can neither be cancelled nor be seen
// by a test's clock.
func (s *Shared) turn(addr uint16) chan struct{} {
	s.mu.Lock()
	defer s.mu.Unlock()
	turn, ok := s.chips[addr]
	if !ok {
		turn = make(chan struct{}, 1)
		s.chips[addr] = turn
	}
	return turn
}

// Hold calls use while no other driver can talk to the chip at addr: for a chip
// that is written to, waited for and read, an answer would otherwise go to the
// wrong one. Other chips on the bus stay reachable. The bus it hands to use
// is valid during the call.
//
// On a bus that is not Shared, Hold only gives errors their class. It returns
// the error of use, or of ctx when that ends before the chip is free.
func Hold(ctx context.Context, b i2c.Bus, addr uint16, use func(i2c.Bus) error) error {
	s, ok := b.(*Shared)
	if !ok {
		return use(classifying{b})
	}
	turn := s.turn(addr)
	select {
	case turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	defer func() { <-turn }()
	return use(classifying{s.bus})
}

// classifying is a bus whose errors have a class.
type classifying struct{ i2c.Bus }

func (c classifying) Tx(addr uint16, w, r []byte) error {
	return Classify(c.Bus.Tx(addr, w, r))
}

// Sleep waits for d, or returns the error of ctx when that ends first.
func Sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
