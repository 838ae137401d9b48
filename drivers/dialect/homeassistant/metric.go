package homeassistant

import (
	"math"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// ofClass: a device class of Home Assistant is a quantity; which units it may
// have is for dialect.ToCanonical.
var ofClass = map[string]reading.Metric{
	"power":                reading.Power,
	"apparent_power":       reading.ApparentPower,
	"reactive_power":       reading.ReactivePower,
	"power_factor":         reading.PowerFactor,
	"energy":               reading.Energy,
	"voltage":              reading.Voltage,
	"current":              reading.Current,
	"frequency":            reading.Frequency,
	"temperature":          reading.Temperature,
	"humidity":             reading.Humidity,
	"moisture":             reading.SoilMoisture,
	"conductivity":         reading.Conductivity,
	"battery":              reading.Battery,
	"illuminance":          reading.Illuminance,
	"irradiance":           reading.Irradiance,
	"pressure":             reading.Pressure,
	"atmospheric_pressure": reading.Pressure,
	"carbon_dioxide":       reading.CO2,
	"ph":                   reading.PH,
	"distance":             reading.Distance,
	"gas":                  reading.Gas,
	"water":                reading.Water,
	"precipitation":        reading.Rain,
	"wind_speed":           reading.WindSpeed,
}

// ofUnit: these units belong to one quantity. Not among them: K, which may be
// the colour of a lamp, and C and F without a ring, which may be anything.
var ofUnit = map[string]reading.Metric{
	"W": reading.Power, "kW": reading.Power, "mW": reading.Power, "MW": reading.Power,
	"kWh": reading.Energy, "Wh": reading.Energy, "MWh": reading.Energy,
	"V": reading.Voltage, "mV": reading.Voltage,
	"A": reading.Current, "mA": reading.Current,
	"VA": reading.ApparentPower, "kVA": reading.ApparentPower,
	"var": reading.ReactivePower, "VAr": reading.ReactivePower, "VAR": reading.ReactivePower, "kvar": reading.ReactivePower,
	"Hz": reading.Frequency,
	"lx": reading.Illuminance, "lux": reading.Illuminance,
	"\u00b0C": reading.Temperature, "\u00b0F": reading.Temperature,
	"\u00b5S/cm": reading.Conductivity, "uS/cm": reading.Conductivity, "mS/cm": reading.Conductivity,
}

// metricOf finds what an entity measures, and how its numbers become values.
// names is what it is called, in lower case.
func metricOf(class, unit, names string, diagnostic bool) (reading.Metric, dialect.Conversion, bool) {
	unit = spelling(unit)
	m := ofClass[class]
	switch {
	case class == "" && unit == "%":
		m = ofName(names)
	case class == "":
		m = ofUnit[unit]
	}
	if m == reading.Temperature && diagnostic {
		// Home Assistant calls diagnostic what is about the device itself.
		m = reading.DeviceTemperature
	}
	if m == "" {
		return "", dialect.Conversion{}, false
	}
	c, ok := dialect.ToCanonical(m, unit)
	return m, c, ok
}

// spelling writes a unit as the table of units does. Devices put a blank behind
// the ring of degrees and take either code point of the micro sign
// (home-assistant/core#93086 has the variants of var).
func spelling(unit string) string {
	unit = strings.ReplaceAll(strings.TrimSpace(unit), "\u03bc", "\u00b5")
	if rest, ok := strings.CutPrefix(unit, "\u00b0 "); ok {
		unit = "\u00b0" + strings.TrimSpace(rest)
	}
	if unit == "m\u00b3" {
		unit = "m3"
	}
	return unit
}

// ofName tells percentages apart, soil first: "soil humidity" is that of the
// soil.
func ofName(names string) reading.Metric {
	switch {
	case strings.Contains(names, "soil"), strings.Contains(names, "moist"):
		return reading.SoilMoisture
	case strings.Contains(names, "hum"):
		return reading.Humidity
	case strings.Contains(names, "batt"):
		return reading.Battery
	}
	return ""
}

const (
	// slack is how far rounding and calibration may carry a percentage.
	slack = 1

	absoluteZero = -273.15
)

var (
	inf = math.Inf(1)

	// limits leave out what no such sensor measures. -127 is the word of the
	// Dallas library, which half of the home-made stations use, for a probe
	// that is gone; air and soil do not get as cold.
	limits = dialect.Rules{
		{Metric: reading.SoilMoisture, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.SoilMoisture, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Humidity, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: -inf, High: -slack, Verdict: dialect.Drop},
		{Metric: reading.Battery, Low: 100 + slack, High: inf, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: -inf, High: absoluteZero, Verdict: dialect.Drop},
		{Metric: reading.Temperature, Low: -127.001, High: -126.999, Verdict: dialect.Drop},
		{Metric: reading.DeviceTemperature, Low: -inf, High: absoluteZero, Verdict: dialect.Drop},
	}
)
