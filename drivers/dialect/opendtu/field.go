package opendtu

import (
	"math"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// A field is what one word of a topic measures.
type field struct {
	metric reading.Metric
	factor float64 // into the metric's unit; 0 is 1
	line   string  // of a three-phase inverter, for the channel
}

// fieldOf reads the last word of a topic. Words and units are those of the
// firmware's table of fields, in lower case. eventlogcount is a statistic.
func fieldOf(word string) field {
	switch word {
	case "power": // of the AC side, of an input, or of all on the channel "dc"
		return field{metric: reading.Power}
	case "powerdc": // the sum of the inputs, on the channel of the AC side
		return field{metric: reading.PowerDC}
	case "voltage":
		return field{metric: reading.Voltage}
	case "current":
		return field{metric: reading.Current}
	case "yieldday": // Wh, beside a yieldtotal in kWh
		return field{metric: reading.EnergyToday, factor: 0.001}
	case "yieldtotal":
		return field{metric: reading.Energy}
	case "frequency":
		return field{metric: reading.Frequency}
	case "temperature": // inside of the inverter, or the chip of the box
		return field{metric: reading.DeviceTemperature}
	case "powerfactor":
		return field{metric: reading.PowerFactor}
	case "reactivepower":
		return field{metric: reading.ReactivePower}
	case "efficiency":
		return field{metric: reading.Efficiency}
	case "irradiation":
		return field{metric: reading.Irradiation}
	}
	return lineOf(word)
}

// lineOf reads the fields of three-phase inverters. The blank is part of the
// topic.
func lineOf(word string) field {
	switch word {
	case "voltage ph1-n":
		return field{metric: reading.Voltage, line: "L1"}
	case "voltage ph2-n":
		return field{metric: reading.Voltage, line: "L2"}
	case "voltage ph3-n":
		return field{metric: reading.Voltage, line: "L3"}
	case "voltage ph1-ph2":
		return field{metric: reading.Voltage, line: "L1-L2"}
	case "voltage ph2-ph3":
		return field{metric: reading.Voltage, line: "L2-L3"}
	case "voltage ph3-ph1":
		return field{metric: reading.Voltage, line: "L3-L1"}
	case "current ph1":
		return field{metric: reading.Current, line: "L1"}
	case "current ph2":
		return field{metric: reading.Current, line: "L2"}
	case "current ph3":
		return field{metric: reading.Current, line: "L3"}
	}
	return field{}
}

// channel is the number of the channel, "ac" or "dc" for sums, "dtu" for the
// box; a line of a three-phase inverter follows behind a dot.
func (f field) channel(at place) string {
	if f.line == "" {
		return at.group
	}
	return at.group + "." + f.line
}

// percent is above every power factor that is a ratio: inverters say up to
// 1.001. The documentation gives percent, the firmware a ratio since it knows
// the field.
const percent = 2

var (
	inf = math.Inf(1)

	// rules: registers are 16 bit wide, the lifetime's 32 bit. All bits set, in
	// the units of the registers, are no measurement; no micro inverter comes
	// near them.
	rules = dialect.Rules{
		{Metric: reading.DeviceTemperature, Low: -inf, High: -273.15, Verdict: dialect.Drop},
		{Metric: reading.Energy, Low: 0, High: 0, Verdict: dialect.Suspect}, // #887, #913, #2730: zero at night
		{Metric: reading.Energy, Low: 4294967.295, High: inf, Verdict: dialect.Suspect},
		{Metric: reading.EnergyToday, Low: 65.535, High: 65.535, Verdict: dialect.Suspect},
		{Metric: reading.Voltage, Low: 6553.5, High: inf, Verdict: dialect.Suspect},
		{Metric: reading.Current, Low: 655.35, High: inf, Verdict: dialect.Suspect},
		{Metric: reading.Frequency, Low: 655.35, High: inf, Verdict: dialect.Suspect},
		{Metric: reading.PowerFactor, Low: 1.1, High: inf, Verdict: dialect.Suspect},
		{Metric: reading.PowerFactor, Low: -inf, High: -1.1, Verdict: dialect.Suspect},
	}
)

// judge brings a number into the unit of its metric and marks it when in doubt.
func (f field) judge(number float64) (reading.Value, dialect.Verdict) {
	conversion := dialect.Conversion{Factor: 1}
	if f.factor != 0 {
		conversion.Factor = f.factor
	}
	if f.metric == reading.PowerFactor && math.Abs(number) > percent {
		conversion.Factor = 0.01
	}
	number = conversion.Apply(number)
	verdict := rules.Judge(f.metric, number)
	return reading.Value{Metric: f.metric, Number: number, Suspect: verdict == dialect.Suspect}, verdict
}
