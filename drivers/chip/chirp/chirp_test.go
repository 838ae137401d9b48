package chirp_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/chirp"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/reading"
)

const addr = 0x20

// The truth of the vendor's vectors.
const (
	counts  = 455
	celsius = 24.4
)

func chip() *emulator.Chirp {
	return emulator.NewChirp(emulator.Steady(counts), emulator.Steady(celsius))
}

// line is a straight curve from 250 counts, dry, to 750, wet.
type line struct{}

func (line) ID() string                { return "line" }
func (line) Percent(c float64) float64 { return min(max((c-250)/5, 0), 100) }

var basil = chirp.Options{Device: "basil", Curve: line{}}

func open(t *testing.T, b *emulator.Bus, o chirp.Options) *chirp.Dev {
	t.Helper()
	d, err := chirp.New(t.Context(), b, addr, o)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func value(rs []reading.Reading, m reading.Metric) (v reading.Value, ok bool) {
	for _, r := range rs {
		for _, v := range r.Values {
			if v.Metric == m {
				return v, true
			}
		}
	}
	return v, false
}

// right is the reading of the vectors, good in every value.
func right(rs []reading.Reading) bool {
	if len(rs) != 1 || len(rs[0].Values) != 3 || rs[0].Quality() != reading.Good || rs[0].Validate() != nil {
		return false
	}
	raw, _ := value(rs, reading.SoilMoistureRaw)
	percent, _ := value(rs, reading.SoilMoisture)
	temperature, _ := value(rs, reading.Temperature)
	return raw.Number == counts && percent.Number == 41 && temperature.Number == celsius
}

// 455 counts and 24.4 degrees, as the vendor's library reads them.
func TestVendorsVectors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := &emulator.Bus{Name: "i2c-1"}
		b.Attach(addr, chip())
		d := open(t, b, basil)
		if want := "chirp@i2c-1:0x20"; d.String() != want {
			t.Errorf("got name %q, want %q", d, want)
		}
		rs, err := d.Read(t.Context())
		if err != nil || !right(rs) || rs[0].Device != "basil" || rs[0].Source != "chirp" || rs[0].Calibration != "line" {
			t.Errorf("got %+v, %v", rs, err)
		}
	})
}

// A sensor whose soil is watered between two readings: the old measurement, which
// it tells first, is not the value (Mycodo returns it, one interval late).
func TestOldMeasurementIsNotTheValue(t *testing.T) {
	for _, oscillator := range []float64{0.9, 1, 1.1} {
		for _, measuring := range []time.Duration{0, 5, 30} {
			synctest.Test(t, func(t *testing.T) {
				c := chip()
				c.Oscillator, c.Measuring = oscillator, measuring*time.Millisecond
				var b emulator.Bus
				b.Attach(addr, c)
				o := basil
				o.Samples = 1
				d := open(t, &b, o)
				c.Capacitance, c.Temperature = emulator.Steady(700), emulator.Steady(10)
				rs, err := d.Read(t.Context())
				raw, _ := value(rs, reading.SoilMoistureRaw)
				temperature, _ := value(rs, reading.Temperature)
				if err != nil || raw.Number != 700 || temperature.Number != 10 {
					t.Errorf("measuring %v ms: got %+v, %v", measuring, rs, err)
				}
			})
		}
	}
}

// A loop that is slow to answer is waited for, and its late replies never become
// the answer to another question.
func TestLateRepliesDoNotShift(t *testing.T) {
	for latency := time.Duration(0); latency < 150*time.Millisecond; latency += 7 * time.Millisecond {
		synctest.Test(t, func(t *testing.T) {
			c := chip()
			var b emulator.Bus
			b.Attach(addr, c)
			d := open(t, &b, basil)
			c.Latency = latency
			if rs, err := d.Read(t.Context()); err == nil && !right(rs) || err != nil && latency < 70*time.Millisecond {
				t.Errorf("latency %v: got %+v, %v", latency, rs, err)
			}
			c.Latency = 0
			if rs, err := d.Read(t.Context()); err != nil || !right(rs) {
				t.Errorf("after latency %v: got %+v, %v", latency, rs, err)
			}
		})
	}
}

// Another program asks too, and its replies are in the ring.
func TestRepliesToAnotherProgramAreThrownAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, chip())
		d := open(t, &b, basil)
		for range 20 {
			if err := b.Tx(addr, []byte{0x09}, nil); err != nil {
				t.Fatal(err)
			}
		}
		if rs, err := d.Read(t.Context()); err != nil || !right(rs) {
			t.Errorf("got %+v, %v", rs, err)
		}
	})
}

// A firmware that hangs is reset once, when it is found and later.
func TestHangingFirmwareIsReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := chip()
		c.Latency = time.Hour
		reset := &resetting{Chirp: c}
		var b emulator.Bus
		b.Attach(addr, reset)
		d := open(t, &b, basil)
		if rs, err := d.Read(t.Context()); err != nil || !right(rs) || reset.resets != 1 {
			t.Errorf("got %+v, %v after %d resets", rs, err, reset.resets)
		}
		c.Latency = time.Hour
		if rs, err := d.Read(t.Context()); err != nil || !right(rs) || reset.resets != 2 {
			t.Errorf("got %+v, %v after %d resets", rs, err, reset.resets)
		}
		c.Version = 0x23
		if rs, err := d.Read(t.Context()); !errors.Is(err, bus.ErrWrongChip) {
			t.Errorf("another sensor: got %+v, %v", rs, err)
		}
	})
}

// resetting works again after a reset, which it takes at once.
type resetting struct {
	*emulator.Chirp
	resets int
}

func (r *resetting) Transfer(at time.Time, w, buf []byte) bool {
	if len(w) == 1 && w[0] == 0x06 {
		r.resets++
		r.Latency = 0
		r.PowerOn(at)
		return true
	}
	return r.Chirp.Transfer(at, w, buf)
}

// Frost, the ends of the thermistor's table, and counts that cannot be.
func TestWhatCannotBeIsLeftOut(t *testing.T) {
	for _, test := range []struct {
		counts, celsius float64
		err             error
		state           string
		raw, percent    bool
		temperature     bool
	}{
		{455, -5, nil, "", true, true, true},
		{455, -19.9, nil, "", true, true, true},
		{455, 84.9, nil, "", true, true, true},
		{455, -30, bus.ErrImplausible, "implausible", true, true, false},
		{455, 90, bus.ErrImplausible, "implausible", true, true, false},
		{99, 20, bus.ErrImplausible, "implausible", false, false, false},
		{250, 20, chirp.InAir, "out_of_calibration", true, true, true},
		{790, 20, nil, "", true, true, true},
		{455, -0.1, bus.ErrNotReady, "not_ready", true, true, false},
	} {
		t.Run(fmt.Sprint(test.counts, test.celsius), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var b emulator.Bus
				b.Attach(addr, emulator.NewChirp(emulator.Steady(test.counts), emulator.Steady(test.celsius)))
				rs, err := open(t, &b, basil).Read(t.Context())
				var stated interface{ State() string }
				if !errors.Is(err, test.err) || err != nil && (!errors.As(err, &stated) || stated.State() != test.state) {
					t.Fatalf("got %v, want %v", err, test.err)
				}
				raw, hasRaw := value(rs, reading.SoilMoistureRaw)
				percent, hasPercent := value(rs, reading.SoilMoisture)
				temperature, hasTemperature := value(rs, reading.Temperature)
				if hasRaw != test.raw || hasPercent != test.percent || hasTemperature != test.temperature ||
					hasRaw && raw.Number != test.counts || hasTemperature && temperature.Number != test.celsius ||
					percent.Suspect != (test.err == chirp.InAir) {
					t.Errorf("got %+v", rs)
				}
			})
		})
	}
}

// Without a curve there is no percentage, rather than one somebody invented.
func TestNoCurveNoPercentage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, chip())
		rs, err := open(t, &b, chirp.Options{Device: "basil"}).Read(t.Context())
		if _, has := value(rs, reading.SoilMoisture); err != nil || has || len(rs) != 1 || rs[0].Calibration != "" {
			t.Errorf("got %+v, %v", rs, err)
		}
	})
}

func TestReadEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b emulator.Bus
		b.Attach(addr, chip())
		d := open(t, &b, basil)
		ctx, cancel := context.WithTimeout(t.Context(), 30*time.Millisecond)
		defer cancel()
		start := time.Now()
		if _, err := d.Read(ctx); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 33*time.Millisecond {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
	})
}

func TestOptionsThatCannotBeAreErrors(t *testing.T) {
	var b emulator.Bus
	for _, o := range []chirp.Options{
		{}, {Device: "x", Samples: 2}, {Device: "x", Samples: -1},
	} {
		if _, err := chirp.New(t.Context(), &b, addr, o); err == nil || errors.Is(err, bus.ErrNACK) {
			t.Errorf("%+v: got %v, want an error about the option", o, err)
		}
	}
	if _, err := chirp.New(t.Context(), &b, 0x78, basil); err == nil || errors.Is(err, bus.ErrNACK) {
		t.Errorf("address 0x78: got %v, want an error about the address", err)
	}
}
