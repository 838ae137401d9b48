package emulator

import (
	"slices"
	"syscall"
)

// Faults says how often transactions with one chip go wrong, each as a
// probability from 0 to 1. Several may be set at once.
type Faults struct {
	NACK    float64 // not acknowledged: at the address, or after some bytes that the chip did take
	EIO     float64 // broken off by the adapter, whether or not the chip took it
	Timeout float64 // the wires are held until the kernel gives up

	// Smear is what bad clock stretching does on a Raspberry Pi 0 to 4: the first
	// byte that is read comes with leading ones, without any error
	// (chirp-rpi#4 saw 0xF80F, 0xF01F, 0xC07F).
	Smear float64

	Drop      float64 // one byte is lost, without any error; what is read moves up
	Duplicate float64 // one byte comes twice, without any error

	// AfterError fails the transaction that follows a failed one: i2c-bcm2835
	// can leave a missing acknowledge queued.
	AfterError float64
}

// reach is how far a transaction gets.
type reach int

const (
	reachesChip   reach = iota
	reachesPartly       // the chip takes some of what is written
	reachesNobody
)

// fate is what happens to one transaction.
type fate struct {
	stuck     bool
	lingering bool // fails because the transaction before it did
	reach     reach
	number    syscall.Errno
	kept      int // bytes that arrive, when it reaches partly
	smear     byte
	drop      int  // index of the byte that is lost, -1 for none
	duplicate int  // index of the byte that comes twice, -1 for none
	ofWrite   bool // drop and duplicate are about what is written
}

// smears are the masks seen in the field.
var smears = [...]byte{0x80, 0xc0, 0xe0, 0xf0, 0xf8, 0xfc, 0xff}

// draw decides what happens to a transaction with addr.
func (b *Bus) draw(addr uint16, written, read int) fate {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.socket(addr)
	f := fate{ofWrite: read == 0}
	switch {
	case b.stuck || b.happens(s.faults.Timeout):
		f.stuck = true
	case b.happens(s.faults.NACK):
		f.reach, f.kept = b.cut(written)
		f.number = errnoNACK
	case b.happens(s.faults.EIO):
		f.reach = reachesPartly
		f.kept, f.number = written, syscall.EIO
	case s.failed && b.happens(s.faults.AfterError):
		f.reach, f.lingering = reachesNobody, true
	}
	if b.happens(s.faults.Smear) {
		f.smear = smears[b.random.IntN(len(smears))]
	}
	n := read
	if f.ofWrite {
		n = written
	}
	f.drop, f.duplicate = b.pick(s.faults.Drop, n), b.pick(s.faults.Duplicate, n)
	return f
}

// cut leaves half of the missing acknowledges to the address; the others come
// after a byte that the chip took.
func (b *Bus) cut(written int) (reach, int) {
	if written == 0 || b.random.IntN(2) == 0 {
		return reachesNobody, 0
	}
	return reachesPartly, b.random.IntN(written)
}

// happens draws only where there is a chance, so that a fault that is off does
// not move the others.
func (b *Bus) happens(probability float64) bool {
	return probability > 0 && b.random.Float64() < probability
}

func (b *Bus) pick(probability float64, n int) int {
	if n == 0 || !b.happens(probability) {
		return -1
	}
	return b.random.IntN(n)
}

// written returns what the chip sees of w.
func (f fate) written(w []byte) []byte {
	w = slices.Clone(w)
	if f.reach == reachesPartly {
		w = w[:f.kept]
	}
	if f.ofWrite {
		w = f.shift(w)
	}
	return w
}

// spoil does to r what happens on the way to the master.
func (f fate) spoil(r []byte) {
	if !f.ofWrite {
		got := f.shift(slices.Clone(r))
		n := copy(r, got)
		for i := n; i < len(r); i++ {
			r[i] = 0xff // nobody drives the wire
		}
	}
	r[0] |= f.smear
}

func (f fate) shift(b []byte) []byte {
	if f.drop >= 0 && f.drop < len(b) {
		b = slices.Delete(b, f.drop, f.drop+1)
	}
	if f.duplicate >= 0 && f.duplicate < len(b) {
		b = slices.Insert(b, f.duplicate, b[f.duplicate])
	}
	return b
}
