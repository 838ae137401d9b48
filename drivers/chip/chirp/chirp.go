// Package chirp reads the Catnip I2C soil moisture sensor, also sold as "Chirp":
// counts that rise with moisture, and the temperature of its thermistor. The
// commands are those of its firmware 2.2 to 2.6 (Miceuz/i2c-moisture-sensor);
// facts and traps are in docs/wiring/chirp.md.
//
// The sensor answers with its previous measurement and measures only then. This
// package guarantees that a value was measured during the reading that returns
// it, and that an answer belongs to its question: one that came late would shift
// all that follow. It does not read light, never changes the address and never
// sends the sensor to sleep, from which it wakes by holding the bus. The
// original Chirp! (PlantWateringAlarm) is another device, which it refuses. It
// does not know the soil: without a curve there is no percentage.
package chirp

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/reading"
	"periph.io/x/conn/v3/i2c"
)

// A Fault is why a count is doubtful. It is an error; errors.Is finds it in what
// Read returns.
type Fault string

// InAir is the fault of a sensor that hangs in the air.
const InAir Fault = "count is that of a sensor in air (is it in the soil?)"

// Error returns what is wrong and what to look at.
func (f Fault) Error() string { return string(f) }

// State returns the health state of a sensor with this fault.
func (f Fault) State() string { return "out_of_calibration" }

// A Curve turns counts into percent. Records carry its ID.
type Curve interface {
	ID() string
	Percent(counts float64) float64
}

// Options says whose sensor it is and what is normal for it.
type Options struct {
	Device  string // the plant: name of the device in its records
	Channel string // "" for a device with one sensor
	Curve   Curve  // nil: no percentage
	// Air is the count up to which the sensor is taken to hang in the air; 0 is
	// 256, that of one on 3.3 V; on 5 V it is 310. Below 0 is never.
	Air int
	// Samples is how many measurements are taken for one value, their median;
	// odd; 0 is 5.
	Samples int
}

// Dev is one sensor. It is not for several goroutines.
type Dev struct {
	bus     i2c.Bus
	addr    uint16
	o       Options
	version byte // of the firmware, as first seen
}

// New finds the sensor at addr (0x20 when nobody changed it) on b. It resets a
// sensor that acknowledges and has nothing to say, which takes a second. Its
// errors are those of package bus: ErrNACK when nothing answers, ErrWrongChip
// when what answers is no such sensor.
func New(ctx context.Context, b i2c.Bus, addr uint16, o Options) (*Dev, error) {
	d := &Dev{bus: b, addr: addr, o: o}
	if addr < 0x03 || addr > 0x77 {
		return nil, fmt.Errorf("%s: address is outside 0x03..0x77", d)
	}
	if err := d.configure(); err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	err := bus.Hold(ctx, b, addr, func(b i2c.Bus) error { return d.identify(ctx, b) })
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	return d, nil
}

// String returns the model and where it is, for example "chirp@i2c-1:0x20".
func (d *Dev) String() string { return fmt.Sprintf("chirp@%s:0x%02x", d.bus, d.addr) }

func (d *Dev) configure() error {
	if d.o.Device == "" {
		return errors.New("sensor has no device")
	}
	if d.o.Air == 0 {
		d.o.Air = 256
	}
	if d.o.Samples == 0 {
		d.o.Samples = 5
	}
	if d.o.Samples < 0 || d.o.Samples%2 == 0 {
		return fmt.Errorf("number of samples %d is not odd", d.o.Samples)
	}
	return nil
}

// Read returns one reading: the count, the percentage where there is a curve,
// and the temperature. It takes about 0.9 s. What could not be measured is
// absent, and the error says why; a Fault comes together with the reading, whose
// percentage is marked suspect.
func (d *Dev) Read(ctx context.Context) ([]reading.Reading, error) {
	var count, celsius float64
	var noCelsius error
	err := bus.Hold(ctx, d.bus, d.addr, func(b i2c.Bus) error {
		if err := d.inStep(ctx, b); err != nil {
			return err
		}
		var err error
		if count, err = d.median(ctx, b, d.count); err != nil {
			return fmt.Errorf("read moisture: %w", err)
		}
		celsius, noCelsius = d.median(ctx, b, d.celsius)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", d, err)
	}
	r := d.moisture(count)
	if noCelsius != nil {
		return []reading.Reading{r}, fmt.Errorf("%s: read temperature: %w", d, noCelsius)
	}
	r.Values = append(r.Values, reading.Value{Metric: reading.Temperature, Number: celsius})
	if d.inAir(count) {
		return []reading.Reading{r}, fmt.Errorf("%s: %.0f counts: %w", d, count, InAir)
	}
	return []reading.Reading{r}, nil
}

func (d *Dev) inAir(count float64) bool { return count <= float64(d.o.Air) }

func (d *Dev) moisture(count float64) reading.Reading {
	r := reading.Reading{Device: d.o.Device, Channel: d.o.Channel, Source: "chirp"}
	r.Values = []reading.Value{{Metric: reading.SoilMoistureRaw, Number: count}}
	if d.o.Curve == nil {
		return r
	}
	r.Calibration = d.o.Curve.ID()
	// Whole percents: the sensor earns no more, and a decimal would claim it.
	percent := math.Round(d.o.Curve.Percent(count))
	r.Values = append(r.Values, reading.Value{Metric: reading.SoilMoisture, Number: percent, Suspect: d.inAir(count)})
	return r
}

// median asks once for nothing, as that answer is as old as the last question,
// and then several times, as an answer carries no checksum. An error of the bus
// ends it; values that cannot be are left out, unless they are half of them.
func (d *Dev) median(ctx context.Context, b i2c.Bus, ask func(context.Context, i2c.Bus) (float64, error)) (float64, error) {
	if _, err := ask(ctx, b); err != nil && !errors.Is(err, bus.ErrImplausible) {
		return 0, err
	}
	values := make([]float64, 0, d.o.Samples)
	var rejected error
	for range d.o.Samples {
		value, err := ask(ctx, b)
		switch {
		case errors.Is(err, bus.ErrImplausible):
			rejected = err
		case err != nil:
			return 0, err
		default:
			values = append(values, value)
		}
	}
	if len(values) <= d.o.Samples/2 {
		return 0, fmt.Errorf("%d of %d answers are unusable: %w", d.o.Samples-len(values), d.o.Samples, rejected)
	}
	slices.Sort(values)
	return values[(len(values)-1)/2], nil
}
