package victron

import (
	"math"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// measured says what the path of a service holds. Paths that it does not know
// hold settings, states, limits or histories, or what has no metric.
func measured(service, path string) (m reading.Metric, channel string) {
	root, rest, _ := strings.Cut(path, "/")
	switch root {
	case "Ac":
		return alternating(rest)
	case "Dc":
		return direct(rest)
	case "Pv":
		return panels(rest)
	case "Yield":
		return yield(rest)
	case "Energy":
		return flow(rest)
	}
	switch service {
	case "temperature":
		return climate(path), ""
	case "meteo":
		return weather(path)
	case "evcharger":
		if path == "Current" {
			return reading.Current, ""
		}
	}
	if path == "Soc" {
		return reading.Battery, ""
	}
	return "", ""
}

// alternating reads Ac/[side/][line/]measure. The channel is side and line, as
// in out.L1; it is empty where the device has one side and says a sum.
func alternating(path string) (reading.Metric, string) {
	name, rest := side(path)
	line := ""
	if len(rest) > 3 && rest[0] == 'L' && '1' <= rest[1] && rest[1] <= '3' && rest[2] == '/' {
		line, rest = rest[:2], rest[3:]
	}
	m := measure(rest)
	switch {
	case m == "":
		return "", ""
	case name != "" && line != "":
		return m, name + "." + line
	}
	return m, name + line
}

// side takes the part of the installation off a path: inputs and outputs of
// inverters, and what the service system sums up.
func side(path string) (name, rest string) {
	word, rest, _ := strings.Cut(path, "/")
	switch word {
	case "In":
		if number, rest, ok := strings.Cut(rest, "/"); ok && isNumber(number) {
			return "in" + number, rest
		}
		return "in", rest
	case "ActiveIn":
		return "in", rest
	case "Out":
		return "out", rest
	case "Consumption":
		return "consumption", rest
	case "ConsumptionOnInput":
		return "consumption_in", rest
	case "ConsumptionOnOutput":
		return "consumption_out", rest
	case "Grid":
		return "grid", rest
	case "Genset":
		return "genset", rest
	case "PvOnGrid":
		return "pv_grid", rest
	case "PvOnOutput":
		return "pv_out", rest
	case "PvOnGenset":
		return "pv_genset", rest
	}
	return "", path
}

// measure reads the end of a path. Meters spell words out, inverters do not.
func measure(path string) reading.Metric {
	switch path {
	case "Power", "P":
		return reading.Power
	case "Voltage", "V":
		return reading.Voltage
	case "Current", "I":
		return reading.Current
	case "Frequency", "F":
		return reading.Frequency
	case "S":
		return reading.ApparentPower
	case "PowerFactor":
		return reading.PowerFactor
	case "Energy/Forward":
		return reading.Energy
	case "Energy/Reverse":
		return reading.EnergyReturned
	}
	return ""
}

// direct reads Dc/0/measure of a device, and the sums of the service system.
func direct(path string) (reading.Metric, string) {
	of, word, _ := strings.Cut(path, "/")
	channel := ""
	switch of {
	case "Battery":
		channel = "battery"
	case "Pv":
		channel = "pv"
	case "System":
		channel = "dc_system"
	case "Charger":
		channel = "charger"
	case "Vebus":
		channel = "vebus"
	case "Alternator":
		channel = "alternator"
	default:
		if !isNumber(of) || len(of) > 2 {
			return "", ""
		}
		channel = "dc" + of
	}
	switch word {
	case "Voltage":
		return reading.Voltage, channel
	case "Current":
		return reading.Current, channel
	case "Power":
		return reading.Power, channel
	case "Temperature":
		return reading.DeviceTemperature, channel
	case "Soc":
		return reading.Battery, channel
	}
	return "", ""
}

// panels reads Pv/measure of a charger with one tracker, Pv/0/measure of each of
// several.
func panels(path string) (reading.Metric, string) {
	channel := "pv"
	if number, word, ok := strings.Cut(path, "/"); ok {
		if !isNumber(number) || len(number) > 2 {
			return "", ""
		}
		channel, path = "pv"+number, word
	}
	switch path {
	case "P":
		return reading.Power, channel
	case "V":
		return reading.Voltage, channel
	case "I":
		return reading.Current, channel
	}
	return "", ""
}

// yield reads what solar panels gave. Yield/User can be set back by the user,
// Yield/System cannot: on one channel the two would look like a counter that
// jumps.
func yield(path string) (reading.Metric, string) {
	switch path {
	case "Power":
		return reading.Power, ""
	case "User":
		return reading.Energy, ""
	case "System":
		return reading.Energy, "system"
	}
	return "", ""
}

// flow reads the counters of inverters from one side to another, as in
// AcIn1ToAcOut (#128).
func flow(path string) (reading.Metric, string) {
	from, to, ok := strings.Cut(path, "To")
	if !ok || !isSide(from) || !isSide(to) {
		return "", ""
	}
	return reading.Energy, path
}

func isSide(word string) bool {
	switch word {
	case "AcIn1", "AcIn2", "AcIn", "AcOut", "Inverter", "Out", "Solar", "Battery", "Grid", "Dc":
		return true
	}
	return false
}

// climate reads the sensors of the service temperature.
func climate(path string) reading.Metric {
	switch path {
	case "Temperature":
		return reading.Temperature
	case "Humidity":
		return reading.Humidity
	case "Pressure":
		return reading.Pressure
	case "BatteryVoltage":
		return reading.BatteryVoltage
	}
	return ""
}

// weather reads the sensors of the service meteo.
func weather(path string) (reading.Metric, string) {
	switch path {
	case "Irradiance":
		return reading.Irradiance, ""
	case "CellTemperature":
		return reading.Temperature, "cell"
	case "ExternalTemperature":
		return reading.Temperature, "external"
	case "WindSpeed":
		return reading.WindSpeed, ""
	}
	return "", ""
}

// slack is how far rounding may carry a percentage.
const slack = 1

var (
	inf = math.Inf(1)

	rules = dialect.Rules{
		{Metric: reading.Battery, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: -inf, High: -273.15, Verdict: dialect.Drop},
		{Metric: reading.DeviceTemperature, Low: -inf, High: -273.15, Verdict: dialect.Drop},
		{Metric: reading.PowerFactor, Low: 1.1, High: inf, Verdict: dialect.Suspect},
		{Metric: reading.PowerFactor, Low: -inf, High: -1.1, Verdict: dialect.Suspect},
	}
)
