package emulator_test

import (
	"bytes"
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
)

// hookup is a chip at any address, on a clock of its own.
type hookup struct {
	*emulator.Bus
	clock *emulator.SteppedClock
	addr  uint16
}

func hookUp(chipAddr uint16, chip emulator.Chip) hookup {
	clock := emulator.NewSteppedClock(time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC))
	h := hookup{Bus: &emulator.Bus{Name: "i2c-1", Clock: clock}, clock: clock, addr: chipAddr}
	h.Attach(chipAddr, chip)
	return h
}

// do writes and reads hexadecimal bytes in one transaction; want "" reads
// nothing.
func (h hookup) do(t *testing.T, write, want string) {
	t.Helper()
	r := make([]byte, len(unhex(t, want)))
	if err := h.Tx(h.addr, unhex(t, write), r); err != nil {
		t.Fatalf("W [%s]: %v", write, err)
	}
	if !bytes.Equal(r, unhex(t, want)) {
		t.Errorf("W [%s] R [% X], want [%s]", write, r, want)
	}
}

// busy wants the address not to be acknowledged.
func (h hookup) busy(t *testing.T, write string, read int) {
	t.Helper()
	if err := h.Tx(h.addr, unhex(t, write), make([]byte, read)); err == nil || !isNACK(err) {
		t.Errorf("W [%s] R %d: got %v, want no acknowledge", write, read, err)
	}
}

// pause lets milliseconds pass.
func (h hookup) pause(ms float64) { h.clock.Sleep(time.Duration(ms * float64(time.Millisecond))) }
