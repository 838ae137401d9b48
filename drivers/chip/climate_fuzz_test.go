package chip_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/reading"
)

// A noisyBus answers with whatever it is given: a chip that loses its supply, a
// wire that is loose, another chip at the same address.
type noisyBus struct {
	emulator.Bus
	answers []byte
	count   int
}

func (b *noisyBus) Tx(_ uint16, _, r []byte) error {
	if b.count++; b.count%7 == 0 && len(b.answers) > 0 && b.answers[0] == 0xee {
		b.answers = b.answers[1:]
		return errors.New("remote I/O error")
	}
	n := copy(r, b.answers)
	b.answers = b.answers[n:]
	clear(r[n:])
	return nil
}

// FuzzBus: whatever the wires carry, a read ends and gives numbers that can be.
func FuzzBus(f *testing.F) {
	for which := range climates() {
		f.Add(byte(which), []byte{0x0f, 0xba, 0x7c, 0x7c, 0x12, 0x2f, 0x66, 0x66, 0x93, 0x72, 0xb0, 0xdc})
		f.Add(byte(which), []byte{0xee, 0xee, 0xee, 0xee, 0x60, 0x60, 0x58, 0x58, 0x92, 0x05, 0x18, 0x18})
		f.Add(byte(which), []byte{})
	}
	f.Fuzz(func(t *testing.T, which byte, answers []byte) {
		synctest.Test(t, func(t *testing.T) {
			all := climates()
			c := all[int(which)%len(all)]
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s, err := c.open(ctx, &noisyBus{answers: answers}, c.addr)
			if err != nil {
				return
			}
			readings, _ := s.Read(ctx)
			if ctx.Err() != nil {
				t.Fatal("it does not end")
			}
			for _, r := range readings {
				if err := r.Validate(); err != nil {
					t.Error(err)
				}
				for _, v := range r.Values {
					if math.Abs(v.Number) > 200000 || v.Metric == reading.Humidity && (v.Number < 0 || v.Number > 100) {
						t.Errorf("%s is %v", v.Metric, v.Number)
					}
				}
			}
		})
	})
}
