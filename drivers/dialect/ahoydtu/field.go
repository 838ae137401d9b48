package ahoydtu

import (
	"math"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// A field is what one word of a topic, or one key of an object, measures.
type field struct {
	metric reading.Metric
	line   string // of a three-phase inverter, for the channel
}

// fieldOf reads a word. Words and units are those of the firmware's table of
// fields. MaxPower is the highest of the day, ALARM_MES_ID a statistic.
func fieldOf(channel, word string) field {
	switch word {
	case "P_AC":
		return field{metric: reading.Power}
	case "P_DC":
		if channel == "ch0" || channel == total { // the sum of the inputs
			return field{metric: reading.PowerDC}
		}
		return field{metric: reading.Power}
	case "U_AC", "U_DC":
		return field{metric: reading.Voltage}
	case "I_AC", "I_DC":
		return field{metric: reading.Current}
	case "F_AC":
		return field{metric: reading.Frequency}
	case "Q_AC":
		return field{metric: reading.ReactivePower}
	case "PF_AC":
		return field{metric: reading.PowerFactor}
	case "YieldDay": // Wh, beside a YieldTotal in kWh
		return field{metric: reading.EnergyToday}
	case "YieldTotal":
		return field{metric: reading.Energy}
	case "Temp": // inside of the inverter
		return field{metric: reading.DeviceTemperature}
	case "Efficiency":
		return field{metric: reading.Efficiency}
	case "Irradiation":
		return field{metric: reading.Irradiation}
	}
	return lineOf(word)
}

// lineOf reads the fields of three-phase inverters, in both of the spellings
// that the firmware has had.
func lineOf(word string) field {
	switch word {
	case "U_AC_1N", "UAC_1N":
		return field{reading.Voltage, "L1"}
	case "U_AC_2N", "UAC_2N":
		return field{reading.Voltage, "L2"}
	case "U_AC_3N", "UAC_3N":
		return field{reading.Voltage, "L3"}
	case "U_AC_12", "UAC_12":
		return field{reading.Voltage, "L1-L2"}
	case "U_AC_23", "UAC_23":
		return field{reading.Voltage, "L2-L3"}
	case "U_AC_31", "UAC_31":
		return field{reading.Voltage, "L3-L1"}
	case "I_AC_1", "IAC_1":
		return field{reading.Current, "L1"}
	case "I_AC_2", "IAC_2":
		return field{reading.Current, "L2"}
	case "I_AC_3", "IAC_3":
		return field{reading.Current, "L3"}
	}
	return field{}
}

// channelOf is the topic's channel; a line of a three-phase inverter follows
// behind a dot.
func (f field) channelOf(channel string) string {
	if f.line == "" {
		return channel
	}
	return channel + "." + f.line
}

// percent is above every power factor that is a ratio. The first firmwares gave
// percent (95.8, as the manual still has it), later ones a ratio.
const percent = 2

var (
	inf = math.Inf(1)

	// rules: registers are 16 bit wide, the lifetime's 32 bit. All bits set, in
	// the units of the registers, are no measurement; no micro inverter comes
	// near them.
	rules = dialect.Rules{
		{Metric: reading.DeviceTemperature, Low: -inf, High: -273.15, Verdict: dialect.Drop},
		{Metric: reading.Energy, Low: 0, High: 0, Verdict: dialect.Suspect}, // #1794: after midnight and reboots
		{Metric: reading.Energy, Low: 4294960, High: inf, Verdict: dialect.Suspect},
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
	switch {
	case f.metric == reading.EnergyToday:
		conversion.Factor = 0.001
	case f.metric == reading.PowerFactor && math.Abs(number) > percent:
		conversion.Factor = 0.01
	}
	number = conversion.Apply(number)
	verdict := rules.Judge(f.metric, number)
	return reading.Value{Metric: f.metric, Number: number, Suspect: verdict == dialect.Suspect}, verdict
}
