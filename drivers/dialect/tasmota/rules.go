package tasmota

import (
	"math"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

const (
	// slack is how far rounding and calibration may carry a percentage.
	slack = 1

	absoluteZero = -273.15

	// counterWrap is where unsigned counters land that were decremented below
	// zero, in the firmware's units of 0.01 Wh and 1 Wh (#7674: 42949.672).
	counterWrap     = (1 << 32) / 100000.0
	counterWrapOfWh = (1 << 32) / 1000.0
)

var (
	inf = math.Inf(1)

	percentages = dialect.Rules{
		{Metric: reading.SoilMoisture, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.SoilMoisture, Low: 100 + slack, High: inf, Verdict: dialect.Drop}, // #9043: 1078689792
		{Metric: reading.Humidity, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: -inf, High: absoluteZero, Verdict: dialect.Drop},
		{Metric: reading.DeviceTemperature, Low: -inf, High: absoluteZero, Verdict: dialect.Drop},
		{Metric: reading.DewPoint, Low: -inf, High: absoluteZero, Verdict: dialect.Drop},
	}

	meters = dialect.Rules{
		{Metric: reading.Energy, Low: counterWrap - 1, High: counterWrap, Verdict: dialect.Suspect},
		{Metric: reading.EnergyToday, Low: counterWrap - 1, High: counterWrap, Verdict: dialect.Suspect},
		{Metric: reading.EnergyYesterday, Low: counterWrap - 1, High: counterWrap, Verdict: dialect.Suspect},
		{Metric: reading.EnergyReturned, Low: counterWrap - 1, High: counterWrap, Verdict: dialect.Suspect},
		{Metric: reading.Energy, Low: counterWrapOfWh - 1, High: counterWrapOfWh, Verdict: dialect.Suspect},
		{Metric: reading.EnergyToday, Low: counterWrapOfWh - 1, High: counterWrapOfWh, Verdict: dialect.Suspect},
		{Metric: reading.EnergyYesterday, Low: counterWrapOfWh - 1, High: counterWrapOfWh, Verdict: dialect.Suspect},
		{Metric: reading.EnergyReturned, Low: counterWrapOfWh - 1, High: counterWrapOfWh, Verdict: dialect.Suspect},
	}

	// thermometers: the DS18B20 measures -55 to 125 degC (datasheet, features).
	// It holds 85 until its first conversion, which a boiler may have in fact;
	// its library says -127 for a probe that is gone.
	thermometers = dialect.Rules{
		{Metric: reading.Temperature, Low: -inf, High: -55.1, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: 84.9999, High: 85.0001, Verdict: dialect.Suspect},
		{Metric: reading.Temperature, Low: 125.1, High: inf, Verdict: dialect.Drop},
	}

	// thermistors: an open one computes to about -54, a shorted one to
	// hundreds of degrees.
	thermistors = dialect.Rules{
		{Metric: reading.Temperature, Low: -inf, High: -50, Verdict: dialect.Suspect},
		{Metric: reading.Temperature, Low: 150, High: inf, Verdict: dialect.Suspect},
	}

	// chirps: the firmware of the probe computes 1023 less a difference; more
	// than that are bits of the I2C bus stuck at one.
	chirps = dialect.Rules{
		{Metric: reading.SoilMoistureRaw, Low: 1023.5, High: inf, Verdict: dialect.Drop},
	}

	// bridged: mains above 600 V and batteries above 15 V are numbers in
	// another unit, for Zigbee devices scale as they like.
	bridged = dialect.Rules{
		{Metric: reading.Voltage, Low: 600, High: inf, Verdict: dialect.Suspect},
		{Metric: reading.BatteryVoltage, Low: 15, High: inf, Verdict: dialect.Drop},
	}
)

func (k kind) rules() (special, common dialect.Rules) {
	switch k {
	case meter:
		return meters, nil
	case thermometer:
		return thermometers, percentages
	case analog:
		return thermistors, percentages
	case chirp:
		return chirps, percentages
	case zigbeeDevice:
		return bridged, percentages
	case plain:
		return meters, percentages // a smart-meter reader's sensors are plain
	default:
		return nil, percentages
	}
}

// judge brings a reading's values into canonical units, leaves out those that
// stand for none, and marks the doubtful. It works in place.
func (m *message) judge(k kind, values []reading.Value) []reading.Value {
	special, common := k.rules()
	kept := values[:0]
	for _, v := range values {
		m.convert(k, &v)
		switch max(special.Judge(v.Metric, v.Number), common.Judge(v.Metric, v.Number)) {
		case dialect.Drop:
			m.dropped++
			continue
		case dialect.Suspect:
			v.Suspect = true
		}
		kept = append(kept, v)
	}
	if k == chirp && allZero(kept) {
		for i := range kept {
			kept[i].Suspect = true
		}
	}
	return kept
}

// convert applies the message's units. They hold for all its sensors but those
// behind the Zigbee bridge, which carry their own. A value in a unit that the
// firmware does not have is kept as it is and marked.
func (m *message) convert(k kind, v *reading.Value) {
	var unit string
	switch v.Metric {
	case reading.Temperature, reading.DeviceTemperature, reading.DewPoint:
		unit = m.tempUnit
	case reading.Pressure:
		unit = m.pressureUnit
	}
	if unit == "" || k == zigbeeDevice {
		return
	}
	c, ok := dialect.ToCanonical(v.Metric, unit)
	if !ok {
		v.Suspect = true
		return
	}
	v.Number = c.Apply(v.Number)
}

// allZero recognises a CHIRP probe that holds the bus: no soil reads zero.
func allZero(values []reading.Value) bool {
	zero := len(values) > 1
	for _, v := range values {
		zero = zero && (v.Number == 0)
	}
	return zero
}
