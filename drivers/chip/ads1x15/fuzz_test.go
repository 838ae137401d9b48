package ads1x15_test

import (
	"context"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"github.com/plantgate/plantgate/drivers/chip/ads1x15"
)

// A noisyBus answers with whatever it is given: a chip that loses its supply, a
// wire that is loose, another chip at the same address.
type noisyBus struct {
	answers []byte
	writes  int
}

func (b *noisyBus) String() string                  { return "noise" }
func (b *noisyBus) SetSpeed(physic.Frequency) error { return nil }

func (b *noisyBus) Tx(_ uint16, w, r []byte) error {
	if b.writes++; b.writes%7 == 0 && len(b.answers) > 0 && b.answers[0] == 0xee {
		b.answers = b.answers[1:]
		return errors.New("remote I/O error")
	}
	n := copy(r, b.answers)
	b.answers = b.answers[n:]
	clear(r[n:])
	return nil
}

var _ i2c.Bus = (*noisyBus)(nil)

// FuzzBus: whatever the wires carry, a read ends, gives volts that can be, and
// never more samples than it took.
func FuzzBus(f *testing.F) {
	f.Add([]byte{0x85, 0x83, 0x85, 0x83, 0x40, 0x00}, byte(0), true)
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0x7f, 0xff, 0x80, 0x00}, byte(3), false)
	f.Add([]byte{0xee, 0xee, 0xee, 0xee, 0xee}, byte(1), true)
	f.Add([]byte{}, byte(9), true)
	f.Fuzz(func(t *testing.T, answers []byte, channel byte, small bool) {
		synctest.Test(t, func(t *testing.T) {
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			o := ads1x15.Options{}
			if small {
				o.Model = ads1x15.ADS1015
			}
			dev, err := ads1x15.New(ctx, &noisyBus{answers: answers}, 0x48, o)
			if err != nil {
				return
			}
			s, err := dev.ReadChannel(ctx, int(channel))
			if ctx.Err() != nil {
				t.Fatal("it does not end")
			}
			if err != nil {
				return
			}
			if math.IsNaN(s.Volts) || s.Volts < 0 || s.Volts > 6.2 || s.Spread < 0 || s.Taken < 1 || s.Rejected < 0 || s.Rejected >= s.Taken {
				t.Errorf("%+v", s)
			}
		})
	})
}
