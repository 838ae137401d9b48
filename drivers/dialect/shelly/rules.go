package shelly

import (
	"math"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

const (
	// slack is how far rounding and calibration may carry a percentage.
	slack = 1

	absoluteZero = -273.15

	// fault is what Gen1 firmware says for a thermometer or hygrometer that
	// does not answer (home-assistant/core#49415).
	fault = 999
)

var (
	inf = math.Inf(1)

	// ambient: a thermometer and a hygrometer in a room.
	ambient = dialect.Rules{
		{Metric: reading.Temperature, Low: -inf, High: absoluteZero, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: fault, High: inf, Verdict: dialect.Drop},
		{Metric: reading.DeviceTemperature, Low: -inf, High: absoluteZero, Verdict: dialect.Drop},
		{Metric: reading.DeviceTemperature, Low: fault, High: inf, Verdict: dialect.Drop},
		{Metric: reading.DewPoint, Low: -inf, High: absoluteZero, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.SoilMoisture, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.SoilMoisture, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Illuminance, Low: -inf, High: -slack, Verdict: dialect.Drop},
	}

	// addOn: the thermometer is a DS18B20, which measures -55 to 125 degC,
	// holds 85 until its first conversion, and is -127 when it is gone; or a
	// DHT22 within the same range.
	addOn = append(dialect.Rules{
		{Metric: reading.Temperature, Low: -inf, High: -55.1, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: 84.9999, High: 85.0001, Verdict: dialect.Suspect},
		{Metric: reading.Temperature, Low: 125.1, High: inf, Verdict: dialect.Drop},
	}, ambient...)

	// batteryPowered: Gen1 sensors stand up to 60 degC (H&T, data sheet) and
	// may be set to Fahrenheit, which no message says.
	batteryPowered = append(dialect.Rules{
		{Metric: reading.Temperature, Low: 60.1, High: inf, Verdict: dialect.Suspect},
	}, ambient...)
)
