package chip_test

import (
	"context"
	"slices"

	"github.com/plantgate/plantgate/drivers/chip/aht20"
	"github.com/plantgate/plantgate/drivers/chip/bh1750"
	"github.com/plantgate/plantgate/drivers/chip/bme280"
	"github.com/plantgate/plantgate/drivers/chip/ltr559"
	"github.com/plantgate/plantgate/drivers/chip/sht3x"
	"github.com/plantgate/plantgate/drivers/chip/sht4x"
	"github.com/plantgate/plantgate/drivers/chip/veml7700"
	"github.com/plantgate/plantgate/drivers/emulator"
	"github.com/plantgate/plantgate/reading"
	"periph.io/x/conn/v3/i2c"
)

// climates are all chips that these tests hold to the same rules. A new one is
// one entry below.
func climates() []climate {
	return slices.Concat(sensirion(), aosong(), bosch(), lights())
}

// sensirion are the chips with a checksum behind each word.
func sensirion() []climate {
	return []climate{
		{
			name: "sht4x", addr: 0x44,
			emulated: func(truth truth, oscillator float64) emulator.Chip {
				c := emulator.NewSHT4x(truth(25), truth(50))
				c.Oscillator = oscillator
				return c
			},
			open: func(ctx context.Context, b i2c.Bus, addr uint16) (sensor, error) {
				return sht4x.New(ctx, b, addr, sht4x.Options{Device: "balcony"})
			},
			want: map[reading.Metric]span{reading.Temperature: around(25, 0.01), reading.Humidity: around(50, 0.01)},
		},
		{
			name: "sht3x", addr: 0x44,
			emulated: func(truth truth, oscillator float64) emulator.Chip {
				c := emulator.NewSHT3x(truth(25), truth(50))
				c.Oscillator = oscillator
				return c
			},
			open: func(ctx context.Context, b i2c.Bus, addr uint16) (sensor, error) {
				return sht3x.New(ctx, b, addr, sht3x.Options{Device: "balcony"})
			},
			want: map[reading.Metric]span{reading.Temperature: around(25, 0.01), reading.Humidity: around(50, 0.01)},
		},
	}
}

// aosong are the chips with one checksum, or none.
func aosong() []climate {
	return []climate{
		{
			name: "aht20", addr: 0x38,
			emulated: func(truth truth, oscillator float64) emulator.Chip {
				c := emulator.NewAHT20(truth(25), truth(50))
				c.Oscillator = oscillator
				return c
			},
			open: func(ctx context.Context, b i2c.Bus, addr uint16) (sensor, error) {
				return aht20.New(ctx, b, addr, aht20.Options{Device: "balcony"})
			},
			want: map[reading.Metric]span{reading.Temperature: around(25, 0.01), reading.Humidity: around(50, 0.01)},
		},
		{
			name: "aht10", addr: 0x38,
			emulated: func(truth truth, oscillator float64) emulator.Chip {
				c := emulator.NewAHT10(truth(25), truth(50))
				c.Oscillator = oscillator
				return c
			},
			open: func(ctx context.Context, b i2c.Bus, addr uint16) (sensor, error) {
				return aht20.New(ctx, b, addr, aht20.Options{Model: aht20.AHT10, Device: "balcony"})
			},
			want: map[reading.Metric]span{reading.Temperature: around(25, 0.01), reading.Humidity: around(50, 0.01)},
		},
	}
}

// bosch are the chips with a calibration of their own.
func bosch() []climate {
	return []climate{
		{
			name: "bme280", addr: 0x76,
			emulated: func(truth truth, oscillator float64) emulator.Chip {
				c := emulator.NewBME280(truth(25), truth(50), truth(1013.25))
				c.Oscillator = oscillator
				return c
			},
			open: func(ctx context.Context, b i2c.Bus, addr uint16) (sensor, error) {
				return bme280.New(ctx, b, addr, bme280.Options{Device: "balcony"})
			},
			want: map[reading.Metric]span{
				reading.Temperature: around(25, 0.02), reading.Humidity: around(50, 0.1), reading.Pressure: around(1013.25, 0.1),
			},
		},
		{
			name: "bmp280", addr: 0x77,
			emulated: func(truth truth, oscillator float64) emulator.Chip {
				c := emulator.NewBMP280(truth(25), truth(1013.25))
				c.Oscillator = oscillator
				return c
			},
			open: func(ctx context.Context, b i2c.Bus, addr uint16) (sensor, error) {
				return bme280.New(ctx, b, addr, bme280.Options{Model: bme280.BMP280, Device: "balcony"})
			},
			want: map[reading.Metric]span{reading.Temperature: around(25, 0.02), reading.Pressure: around(1013.25, 0.1)},
		},
	}
}

// lights are the sensors of light.
func lights() []climate {
	return []climate{
		{
			name: "bh1750", addr: 0x23, nameless: true,
			emulated: func(truth truth, oscillator float64) emulator.Chip {
				c := emulator.NewBH1750(truth(500))
				c.Oscillator = oscillator
				return c
			},
			open: func(ctx context.Context, b i2c.Bus, addr uint16) (sensor, error) {
				return bh1750.New(ctx, b, addr, bh1750.Options{Device: "balcony"})
			},
			want: map[reading.Metric]span{reading.Illuminance: around(500, 1)},
		},
		{
			name: "veml7700", addr: 0x10,
			emulated: func(truth truth, oscillator float64) emulator.Chip {
				c := emulator.NewVEML7700(truth(500))
				c.Oscillator = oscillator
				return c
			},
			open: func(ctx context.Context, b i2c.Bus, addr uint16) (sensor, error) {
				return veml7700.New(ctx, b, addr, veml7700.Options{Device: "balcony"})
			},
			want: map[reading.Metric]span{reading.Illuminance: around(500, 0.5)},
		},
		{
			name: "ltr559", addr: 0x23,
			emulated: func(truth truth, oscillator float64) emulator.Chip {
				c := emulator.NewLTR559(truth(500))
				c.Oscillator = oscillator
				return c
			},
			open: func(ctx context.Context, b i2c.Bus, addr uint16) (sensor, error) {
				return ltr559.New(ctx, b, addr, ltr559.Options{Device: "balcony"})
			},
			want: map[reading.Metric]span{reading.Illuminance: around(500, 0.5)},
		},
	}
}
