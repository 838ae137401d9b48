package esphome

import (
	"math"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// ofClass are the device classes of sensors that measure what has a metric.
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

// ofUnit: these units belong to one quantity, whatever the class. K does not, it
// may be the colour of a lamp.
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

// metricOf finds what a sensor measures, and how its numbers become values.
func metricOf(class, unit, object string, diagnostic bool) (reading.Metric, dialect.Conversion, bool) {
	unit = spelling(unit)
	m := ofClass[class]
	switch {
	case class == "" && unit == "%":
		m = ofPercent(strings.ToLower(object))
	case class == "":
		m = ofUnit[unit]
	}
	if m == reading.Temperature && diagnostic { // of the board
		m = reading.DeviceTemperature
	}
	return converted(m, unit)
}

func converted(m reading.Metric, unit string) (reading.Metric, dialect.Conversion, bool) {
	if m == "" {
		return "", dialect.Conversion{}, false
	}
	c, ok := dialect.ToCanonical(m, unit)
	if !ok {
		return "", c, false
	}
	return m, c, true
}

// spelling writes a unit as the table of units does: the micro sign has two code
// points, and owners put a blank behind the ring of degrees.
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

// ofPercent tells percentages apart by name, soil first: soil_humidity is that
// of the soil.
func ofPercent(object string) reading.Metric {
	switch {
	case strings.Contains(object, "soil"), strings.Contains(object, "moist"):
		return reading.SoilMoisture
	case strings.Contains(object, "hum"):
		return reading.Humidity
	case strings.Contains(object, "batt"):
		return reading.Battery
	}
	return ""
}

// A suffix is a unit at the end of an object's id, with the word that must stand
// before it. Single letters that may as well count phases or rooms (a, c, f) are
// not among them.
type suffix struct {
	unit, word string
	metric     reading.Metric
	canonical  string // spelling of the unit
}

var suffixes = []suffix{
	{"kwh", "energy", reading.Energy, "kWh"},
	{"wh", "energy", reading.Energy, "Wh"},
	{"kw", "power", reading.Power, "kW"},
	{"w", "power", reading.Power, "W"},
	{"watt", "power", reading.Power, "W"},
	{"watts", "power", reading.Power, "W"},
	{"v", "voltage", reading.Voltage, "V"},
	{"mv", "voltage", reading.Voltage, "mV"},
	{"volt", "voltage", reading.Voltage, "V"},
	{"volts", "voltage", reading.Voltage, "V"},
	{"ma", "current", reading.Current, "mA"},
	{"amps", "current", reading.Current, "A"},
	{"ampere", "current", reading.Current, "A"},
	{"hz", "frequency", reading.Frequency, "Hz"},
	{"celsius", "temperature", reading.Temperature, "\u00b0C"},
	{"fahrenheit", "temperature", reading.Temperature, "\u00b0F"},
	{"hpa", "pressure", reading.Pressure, "hPa"},
	{"lux", "illuminance", reading.Illuminance, "lx"},
	{"percent", "soil_moisture", reading.SoilMoisture, "%"},
	{"percent", "soil_humidity", reading.SoilMoisture, "%"},
	{"percent", "humidity", reading.Humidity, "%"},
	{"percent", "battery", reading.Battery, "%"},
}

// qualifiers make another quantity, a price or a setting out of the words beside
// them.
var qualifiers = map[string]bool{
	"apparent": true, "reactive": true, "factor": true, "price": true, "cost": true, "tariff": true, "per": true,
	"limit": true, "max": true, "min": true, "target": true, "setpoint": true, "threshold": true, "color": true, "colour": true,
}

// metricOfName reads an object's id such as washer_energy_kwh. Quantity and unit
// must stand side by side, at the end.
func metricOfName(object string) (reading.Metric, dialect.Conversion, bool) {
	head, unit := object, ""
	if i := strings.LastIndexByte(object, '_'); i >= 0 {
		head, unit = object[:i], object[i+1:]
	}
	for i := range suffixes {
		s := &suffixes[i]
		rest, ok := strings.CutSuffix(head, s.word)
		if s.unit != unit || !ok || rest != "" && !strings.HasSuffix(rest, "_") {
			continue
		}
		for word := range strings.SplitSeq(rest, "_") {
			if qualifiers[word] {
				return "", dialect.Conversion{}, false
			}
		}
		return converted(s.metric, s.canonical)
	}
	return "", dialect.Conversion{}, false
}

const (
	// slack is how far rounding and calibration may carry a percentage.
	slack = 1

	absoluteZero = -273.15
)

var (
	inf = math.Inf(1)

	// limits leave out what no such sensor measures. -127 is the word of the
	// Dallas library for a probe that is gone.
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
