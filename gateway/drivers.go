package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"periph.io/x/conn/v3/i2c"
	"periph.io/x/conn/v3/physic"

	"github.com/plantgate/plantgate/drivers/bus"
	"github.com/plantgate/plantgate/drivers/chip/ads1x15"
	"github.com/plantgate/plantgate/drivers/chip/ads7830"
	"github.com/plantgate/plantgate/drivers/chip/aht20"
	"github.com/plantgate/plantgate/drivers/chip/bh1750"
	"github.com/plantgate/plantgate/drivers/chip/bme280"
	"github.com/plantgate/plantgate/drivers/chip/chirp"
	"github.com/plantgate/plantgate/drivers/chip/grovehat"
	"github.com/plantgate/plantgate/drivers/chip/ltr559"
	"github.com/plantgate/plantgate/drivers/chip/mcp342x"
	"github.com/plantgate/plantgate/drivers/chip/pcf8591"
	"github.com/plantgate/plantgate/drivers/chip/seesaw"
	"github.com/plantgate/plantgate/drivers/chip/sht3x"
	"github.com/plantgate/plantgate/drivers/chip/sht4x"
	"github.com/plantgate/plantgate/drivers/chip/veml7700"
	"github.com/plantgate/plantgate/drivers/probe"
	"github.com/plantgate/plantgate/gateway/internal/config"
	"github.com/plantgate/plantgate/gateway/internal/journal"
	"github.com/plantgate/plantgate/gateway/internal/poll"
)

// A driver is what the program knows of one chip.
type driver struct {
	limits config.Chip
	open   func(ctx context.Context, b i2c.Bus, s config.Sensor) (poll.Sensor, error)
}

// drivers says which name in the configuration is which driver. A new chip is
// one line here.
func drivers() map[string]driver {
	return map[string]driver{
		"ads1115": {ads1x15Limits(8, 16, 32, 64, 128, 250, 475, 860), openADS1x15(ads1x15.ADS1115)},
		"ads1015": {ads1x15Limits(128, 250, 490, 920, 1600, 2400, 3300), openADS1x15(ads1x15.ADS1015)},

		"ads7830":  converter(0x48, 0x4b, 0x48, 8, []float64{2.5, 3.3, 5}, openADS7830),
		"pcf8591":  converter(0x48, 0x4f, 0x48, 4, []float64{3.3, 5}, openPCF8591),
		"grovehat": converter(0x03, 0x77, 0x04, 8, nil, openGroveHat),
		"mcp3421":  mcp342xOf(mcp342x.MCP3421),
		"mcp3422":  mcp342xOf(mcp342x.MCP3422),
		"mcp3423":  mcp342xOf(mcp342x.MCP3423),
		"mcp3424":  mcp342xOf(mcp342x.MCP3424),
		"mcp3425":  mcp342xOf(mcp342x.MCP3425),
		"mcp3426":  mcp342xOf(mcp342x.MCP3426),
		"mcp3427":  mcp342xOf(mcp342x.MCP3427),
		"mcp3428":  mcp342xOf(mcp342x.MCP3428),

		"sht3x": chip(0x44, 0x45, 0x44, func(ctx context.Context, b i2c.Bus, s config.Sensor) (*sht3x.Dev, error) {
			return sht3x.New(ctx, b, s.Address, sht3x.Options{Device: s.Name})
		}),
		"sht4x": chip(0x44, 0x46, 0x44, func(ctx context.Context, b i2c.Bus, s config.Sensor) (*sht4x.Dev, error) {
			return sht4x.New(ctx, b, s.Address, sht4x.Options{Device: s.Name})
		}),
		"aht10":  chip(0x38, 0x39, 0x38, openAHT(aht20.AHT10)),
		"aht20":  chip(0x38, 0x38, 0x38, openAHT(aht20.AHT20)),
		"bme280": chip(0x76, 0x77, 0x76, openBME(bme280.BME280)),
		"bmp280": chip(0x76, 0x77, 0x76, openBME(bme280.BMP280)),
		"bh1750": chip(0x23, 0x5c, 0x23, func(ctx context.Context, b i2c.Bus, s config.Sensor) (*bh1750.Dev, error) {
			return bh1750.New(ctx, b, s.Address, bh1750.Options{Device: s.Name})
		}),
		"veml7700": chip(0x10, 0x10, 0x10, func(ctx context.Context, b i2c.Bus, s config.Sensor) (*veml7700.Dev, error) {
			return veml7700.New(ctx, b, s.Address, veml7700.Options{Device: s.Name})
		}),
		"ltr559": chip(0x23, 0x23, 0x23, func(ctx context.Context, b i2c.Bus, s config.Sensor) (*ltr559.Dev, error) {
			return ltr559.New(ctx, b, s.Address, ltr559.Options{Device: s.Name})
		}),
		"seesaw": chip(0x36, 0x39, 0x36, func(ctx context.Context, b i2c.Bus, s config.Sensor) (*seesaw.Dev, error) {
			return seesaw.New(ctx, b, s.Address, seesaw.Options{Device: s.Name})
		}),
		"chirp": chip(0x03, 0x77, 0x20, func(ctx context.Context, b i2c.Bus, s config.Sensor) (*chirp.Dev, error) {
			return chirp.New(ctx, b, s.Address, chirp.Options{Device: s.Name})
		}),
	}
}

// chip is a driver whose chip says by itself what it measures.
func chip[D poll.Sensor](lowest, highest, usual uint16, open func(context.Context, i2c.Bus, config.Sensor) (D, error)) driver {
	limits := config.Chip{Bus: "i2c", Lowest: lowest, Highest: highest, Usual: usual}
	return driver{limits, func(ctx context.Context, b i2c.Bus, s config.Sensor) (poll.Sensor, error) {
		d, err := open(ctx, b, s)
		if err != nil {
			return nil, err
		}
		return d, nil
	}}
}

func openAHT(model aht20.Model) func(context.Context, i2c.Bus, config.Sensor) (*aht20.Dev, error) {
	return func(ctx context.Context, b i2c.Bus, s config.Sensor) (*aht20.Dev, error) {
		return aht20.New(ctx, b, s.Address, aht20.Options{Model: model, Device: s.Name})
	}
}

func openBME(model bme280.Model) func(context.Context, i2c.Bus, config.Sensor) (*bme280.Dev, error) {
	return func(ctx context.Context, b i2c.Bus, s config.Sensor) (*bme280.Dev, error) {
		return bme280.New(ctx, b, s.Address, bme280.Options{Model: model, Device: s.Name})
	}
}

// An input is one input of a converter, whose volts a probe makes sense of.
type input struct {
	name   string
	sample func(context.Context) (probe.Sample, error)
}

func inputOf(chip fmt.Stringer, err error, channel int, sample func(context.Context) (probe.Sample, error)) (input, error) {
	if err != nil {
		return input{}, err
	}
	return input{fmt.Sprintf("%s A%d", chip, channel), sample}, nil
}

func openADS7830(ctx context.Context, b i2c.Bus, s config.Sensor) (input, error) {
	var o ads7830.Options
	if s.Gain != 2.5 { // else the reference inside, which is the default
		o.Reference = volts(s.Gain)
	}
	d, err := ads7830.New(ctx, b, s.Address, o)
	return inputOf(d, err, s.Channel, func(ctx context.Context) (probe.Sample, error) {
		v, err := d.ReadChannel(ctx, s.Channel)
		return probe.Sample(v), err
	})
}

func openPCF8591(ctx context.Context, b i2c.Bus, s config.Sensor) (input, error) {
	d, err := pcf8591.New(ctx, b, s.Address, pcf8591.Options{Reference: volts(s.Gain)})
	return inputOf(d, err, s.Channel, func(ctx context.Context) (probe.Sample, error) {
		v, err := d.ReadChannel(ctx, s.Channel)
		return probe.Sample(v), err
	})
}

func openGroveHat(ctx context.Context, b i2c.Bus, s config.Sensor) (input, error) {
	d, err := grovehat.New(ctx, b, s.Address, grovehat.Options{})
	return inputOf(d, err, s.Channel, func(ctx context.Context) (probe.Sample, error) {
		v, err := d.ReadChannel(ctx, s.Channel)
		return probe.Sample(v), err
	})
}

func mcp342xOf(model mcp342x.Model) driver {
	ranges := []float64{2.048, 1.024, 0.512, 0.256}
	return converter(0x68, 0x6f, 0x68, model.Channels(), ranges, func(ctx context.Context, b i2c.Bus, s config.Sensor) (input, error) {
		d, err := mcp342x.New(ctx, b, s.Address, mcp342x.Options{Model: model, Range: volts(s.Gain)})
		return inputOf(d, err, s.Channel, func(ctx context.Context) (probe.Sample, error) {
			v, err := d.ReadChannel(ctx, s.Channel)
			return probe.Sample(v), err
		})
	})
}

// volts is 0, the driver's own, where the configuration gives none.
func volts(v float64) physic.ElectricPotential {
	return physic.ElectricPotential(v * float64(physic.Volt))
}

// converter is a driver of a chip that gives volts.
func converter(lowest, highest, usual uint16, channels int, gains []float64, open func(context.Context, i2c.Bus, config.Sensor) (input, error)) driver {
	limits := config.Chip{Bus: "i2c", Lowest: lowest, Highest: highest, Usual: usual, Channels: channels, Probes: probeNames(), Gains: gains}
	return driver{limits, func(ctx context.Context, b i2c.Bus, s config.Sensor) (poll.Sensor, error) {
		in, err := open(ctx, b, s)
		if err != nil {
			return nil, err
		}
		return openProbe(s, s.Chip, in.name, in.sample)
	}}
}

// chips is what the configuration must know of the drivers to check a sensor.
func chips() map[string]config.Chip {
	known := make(map[string]config.Chip)
	for name, d := range drivers() {
		known[name] = d.limits
	}
	return known
}

func ads1x15Limits(rates ...int) config.Chip {
	return config.Chip{
		Bus: "i2c", Lowest: 0x48, Highest: 0x4b, Usual: 0x48,
		Channels: 4, Probes: probeNames(),
		Gains: []float64{6.144, 4.096, 2.048, 1.024, 0.512, 0.256}, Rates: rates,
	}
}

func probeNames() []string {
	var names []string
	for _, p := range probe.Profiles() {
		names = append(names, p.Name)
	}
	return names
}

func openADS1x15(model ads1x15.Model) func(context.Context, i2c.Bus, config.Sensor) (poll.Sensor, error) {
	return func(ctx context.Context, b i2c.Bus, s config.Sensor) (poll.Sensor, error) {
		dev, err := ads1x15.New(ctx, b, s.Address, ads1x15.Options{
			Model: model, Rate: s.Rate,
			Range: volts(s.Gain),
		})
		if err != nil {
			return nil, err
		}
		return openProbe(s, model.String(), fmt.Sprintf("%s A%d", dev, s.Channel), func(ctx context.Context) (probe.Sample, error) {
			sample, err := dev.ReadChannel(ctx, s.Channel)
			return probe.Sample(sample), err
		})
	}
}

func openProbe(s config.Sensor, source, input string, sample func(context.Context) (probe.Sample, error)) (poll.Sensor, error) {
	curve, err := calibrationOf(s.Calibration)
	if err != nil {
		return nil, fmt.Errorf("sensor %s: %w", s.Name, err)
	}
	profile, ok := probe.Named(s.Probe)
	if !ok {
		profile, _ = probe.Named("voltage") // always there
	}
	return probe.New(probe.Config{
		Device: s.Name, Source: source, Profile: profile,
		Calibration: curve, Sample: sample, Input: input,
	})
}

func calibrationOf(c config.Calibration) (probe.Calibration, error) {
	curve := c.Curve()
	if curve == nil {
		return probe.Calibration{}, nil
	}
	points := make([]probe.Point, len(curve))
	for i, p := range curve {
		points[i] = probe.Point{Volts: p.At, Percent: p.Moisture}
	}
	return probe.NewCalibration(c.ID, points...)
}

// openBus opens a bus by its name in the configuration.
type openBus func(name string) (i2c.BusCloser, error)

func linuxBus(name string) (i2c.BusCloser, error) { return bus.Open("/dev/" + name) }

// buses opens each bus once, when a sensor first needs it, and keeps it.
type buses struct {
	open openBus

	mu    sync.Mutex
	named map[string]openedBus
}

type openedBus struct {
	closer i2c.BusCloser
	shared *bus.Shared
}

func newBuses(open openBus) *buses {
	return &buses{open: open, named: make(map[string]openedBus)}
}

func (b *buses) get(name string) (i2c.Bus, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if opened, ok := b.named[name]; ok {
		return opened.shared, nil
	}
	closer, err := b.open(name)
	if err != nil {
		return nil, err
	}
	opened := openedBus{closer, bus.Share(closer)}
	b.named[name] = opened
	return opened.shared, nil
}

func (b *buses) close() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	var errs []error
	for _, opened := range b.named {
		errs = append(errs, opened.closer.Close())
	}
	return errors.Join(errs...)
}

// sensorTasks makes what poll needs of each configured sensor. Opening is left
// to poll, which repeats it until the chip is there.
func sensorTasks(sensors []config.Sensor, b *buses, log *slog.Logger) ([]poll.Task, error) {
	known := drivers()
	var tasks []poll.Task
	for _, s := range sensors {
		d, ok := known[s.Chip]
		if !ok {
			return nil, fmt.Errorf("sensor %s: chip %s is not known", s.Name, s.Chip)
		}
		if owner := bus.KernelDriver("/dev/"+s.Bus, s.Address); owner != "" {
			log.Warn("a kernel driver owns the chip too and may disturb it; remove its overlay", journal.KeySensor, s.Name, "driver", owner)
		}
		tasks = append(tasks, poll.Task{Name: s.Name, Bus: s.Bus, Every: s.Every, Open: func(ctx context.Context) (poll.Sensor, error) {
			shared, err := b.get(s.Bus)
			if err != nil {
				return nil, err
			}
			return d.open(ctx, shared, s)
		}})
	}
	return tasks, nil
}
