package zigbee2mqtt

import (
	"math"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

const (
	// slack is how far rounding and calibration may carry a percentage.
	slack = 1

	absoluteZero = -273.15

	// batteries: a voltage from leastMillivolts is in millivolts, for no mains
	// has as much (#1505: 3015); mostBattery is more than any battery in a
	// Zigbee device has.
	leastMillivolts = 1000
	mostBattery     = 15

	// mostRatio: a power factor above is in percent, for it is one at most.
	mostRatio = 1.5
)

var (
	inf = math.Inf(1)

	// rules are the numbers that stand for "none" in the Zigbee cluster library
	// (0xffff, 0x8000, in whatever scale) or come of a sign that was lost
	// (#31813: 6553 degC for a frost).
	rules = dialect.Rules{
		{Metric: reading.SoilMoisture, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.SoilMoisture, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: -inf, High: absoluteZero, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: 3000, High: inf, Verdict: dialect.Drop},
		{Metric: reading.SoilTemperature, Low: -inf, High: -100, Verdict: dialect.Drop},
		{Metric: reading.SoilTemperature, Low: 150, High: inf, Verdict: dialect.Drop},
		{Metric: reading.DeviceTemperature, Low: -inf, High: absoluteZero, Verdict: dialect.Drop},
		{Metric: reading.DeviceTemperature, Low: 3000, High: inf, Verdict: dialect.Drop},
		{Metric: reading.DewPoint, Low: -inf, High: absoluteZero, Verdict: dialect.Drop},
		{Metric: reading.Voltage, Low: 600, High: inf, Verdict: dialect.Suspect},
		{Metric: reading.Voltage, Low: 655.35, High: 655.35, Verdict: dialect.Drop},
		{Metric: reading.Voltage, Low: 6553.5, High: 6553.5, Verdict: dialect.Drop},
		{Metric: reading.Voltage, Low: 65535, High: 65535, Verdict: dialect.Drop},
		{Metric: reading.BatteryVoltage, Low: mostBattery, High: inf, Verdict: dialect.Drop},
		{Metric: reading.BatteryVoltage, Low: -inf, High: -0.001, Verdict: dialect.Drop},
		{Metric: reading.Power, Low: -3276.8, High: -3276.8, Verdict: dialect.Drop},
		{Metric: reading.Power, Low: -32768, High: -32768, Verdict: dialect.Drop},
		{Metric: reading.Current, Low: 65.535, High: 65.535, Verdict: dialect.Drop},
		{Metric: reading.Current, Low: 65535, High: 65535, Verdict: dialect.Drop},
		{Metric: reading.Energy, Low: 42949672, High: inf, Verdict: dialect.Suspect},
		{Metric: reading.EnergyReturned, Low: 42949672, High: inf, Verdict: dialect.Suspect},
	}
)

// convert brings a number into its metric's unit, and decides which metric it
// is: the voltage of a device with a battery is the battery's. It clears the
// metric of a number that can be neither.
func (m *message) convert(p *property, number *float64) {
	if p.unit != "" {
		*number = p.convert.Apply(*number)
		if p.metric == reading.Voltage && *number < mostBattery && (p.unit == "mV" || m.device.battery) {
			p.metric = reading.BatteryVoltage
		}
		return
	}
	switch size := math.Abs(*number); {
	case size >= leastMillivolts && p.metric == reading.Voltage && !isNone(*number),
		size >= leastMillivolts/10 && p.metric == reading.BatteryVoltage:
		*number = dialect.Conversion{Factor: 0.001}.Apply(*number)
		if p.metric = reading.BatteryVoltage; *number >= mostBattery {
			p.metric = ""
		}
	case p.metric == reading.PowerFactor && size > mostRatio:
		*number = dialect.Conversion{Factor: 0.01}.Apply(*number)
	}
}

// isNone: 0xffff in tenths of a volt must not become a battery.
func isNone(volts float64) bool { return volts == 6553.5 || volts == 65535 }

// judge leaves out values that stand for none and marks the doubtful. It works
// in place.
func (m *message) judge(values []reading.Value) []reading.Value {
	m.settle(values)
	kept := values[:0]
	for _, v := range values {
		switch rules.Judge(v.Metric, v.Number) {
		case dialect.Drop:
			m.dropped++
			continue
		case dialect.Suspect:
			v.Suspect = true
		}
		kept = append(kept, v)
	}
	return kept
}

// settle decides what depends on several values.
func (m *message) settle(values []reading.Value) {
	moisture, air := find(values, reading.SoilMoisture), find(values, reading.Humidity)
	if moisture == nil && air != nil && m.soil && (m.device == nil || !m.device.moisture) {
		air.Metric, moisture = reading.SoilMoisture, air // the converters of 2022 (#15191)
	}
	m.power(values)
	temperature := find(values, reading.Temperature)
	if temperature == nil {
		return
	}
	soil := moisture != nil || m.soil
	if soil {
		stuck(temperature, moisture)
	}
	if m.fahrenheit {
		m.scale(temperature, soil)
	}
}

// scale decides what temperature_unit means. Soil sensors send in the scale they
// are set to (#31965); for thermometers with a display it is mostly the display's
// alone, and a dictionary that says degrees Celsius contradicts it.
func (m *message) scale(temperature *reading.Value, soil bool) {
	listed := m.device.property("temperature")
	c, _ := dialect.ToCanonical(reading.Temperature, "fahrenheit")
	switch {
	case listed.convert == c: // applied already
	case listed.unit == "" && soil:
		temperature.Number = c.Apply(temperature.Number)
	default:
		temperature.Suspect = true
	}
}

// power tells mains from batteries where no dictionary does. Few volts beside a
// charge are the battery's; thousands of something beside a power are neither.
func (m *message) power(values []reading.Value) {
	volts, cell := find(values, reading.Voltage), find(values, reading.BatteryVoltage)
	charge, mains := find(values, reading.Battery), find(values, reading.Power)
	switch {
	case cell == nil && volts != nil && volts.Number < mostBattery && charge != nil && mains == nil:
		volts.Metric = reading.BatteryVoltage
	case cell != nil && charge == nil && mains != nil && m.device == nil:
		cell.Suspect = true
	}
}

// stuck recognises soil sensors that were never heard or have lost their probe:
// a temperature of 0 while the rest lives (#17997, #21785), zeros after pairing
// (#31965), or 100 for both (#27792). Frost and water do exist, so the values are
// kept.
func stuck(temperature, moisture *reading.Value) {
	drowned := temperature.Number == 100 && moisture != nil && moisture.Number == 100
	if temperature.Number != 0 && !drowned {
		return
	}
	temperature.Suspect = true
	if moisture != nil && moisture.Number == temperature.Number {
		moisture.Suspect = true
	}
}

func find(values []reading.Value, metric reading.Metric) *reading.Value {
	for i := range values {
		if values[i].Metric == metric {
			return &values[i]
		}
	}
	return nil
}
