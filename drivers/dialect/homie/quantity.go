package homie

import (
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// byUnit lists metrics whose unit is nobody else's.
var byUnit = [...]reading.Metric{
	reading.Power, reading.Voltage, reading.Current, reading.Frequency, reading.ApparentPower, reading.ReactivePower,
	reading.Pressure, reading.Illuminance, reading.Conductivity, reading.Irradiance,
}

// quantity says what a property measures. Some units leave a choice, which the
// names of property and node make; where they do not, nothing is read.
func quantity(s said) (reading.Metric, dialect.Conversion) {
	n := namesOf(s)
	if s.unit == "m\u00b3" {
		s.unit = "m3"
	}
	m := choice(s.unit, n)
	if m == "" {
		for _, candidate := range byUnit {
			if _, ok := dialect.ToCanonical(candidate, s.unit); ok {
				m = candidate
				break
			}
		}
	}
	if m == reading.Voltage && n.has("batt") {
		m = reading.BatteryVoltage
	}
	conversion, ok := dialect.ToCanonical(m, s.unit)
	if m == "" || s.unit == "" || !ok {
		return "", dialect.Conversion{Factor: 1}
	}
	return m, conversion
}

// names are the words that a device has for a property, in lower case.
type names struct{ property, all string }

func namesOf(s said) names {
	_, id := cutLast(s.channel)
	return names{strings.ToLower(id), strings.ToLower(s.channel + " " + s.name)}
}

func (n names) has(parts ...string) bool { return contains(n.all, parts...) }

func contains(text string, parts ...string) bool {
	for _, part := range parts {
		if strings.Contains(text, part) {
			return true
		}
	}
	return false
}

// choice decides where the unit alone does not.
func choice(unit string, n names) reading.Metric {
	switch strings.TrimSpace(unit) {
	case "\u00b0C", "\u00b0F", "C", "F":
		return degrees(n)
	case "K": // of a lamp's colour, or of a difference, elsewhere
		if n.has("temp") && !n.has("col", "diff", "delta") {
			return degrees(n)
		}
	case "%":
		return percentage(n)
	case "kWh", "Wh", "MWh", "mWh", "J", "kJ", "MJ", "Ws":
		return energy(n)
	case "ppm":
		return carbonDioxide(n)
	case "m3":
		return volume(n)
	case "m/s":
		if n.has("wind") {
			return reading.WindSpeed
		}
	case "mm":
		if n.has("rain") {
			return reading.Rain
		}
	}
	return ""
}

func degrees(n names) reading.Metric {
	if n.has("dew") {
		return reading.DewPoint
	}
	return reading.Temperature
}

// percentage: a node that is called soil may have a battery, and one that is
// called battery a level.
func percentage(n names) reading.Metric {
	switch {
	case contains(n.property, "batt"):
		return reading.Battery
	case n.has("moist"), contains(n.property, "soil"), n.has("soil") && n.has("hum"):
		return reading.SoilMoisture
	case n.has("hum"):
		return reading.Humidity
	case n.has("batt") && !n.has("health"):
		return reading.Battery
	}
	return ""
}

// energy tells apart what counts a lifetime and what counts a day; counters of
// other spans have no metric.
func energy(n names) reading.Metric {
	switch {
	case n.has("month", "year", "week", "hour"):
		return ""
	case n.has("yesterday"):
		return reading.EnergyYesterday
	case n.has("today", "daily", "day"):
		return reading.EnergyToday
	case n.has("return", "export", "feed", "sold", "reverse"):
		return reading.EnergyReturned
	}
	return reading.Energy
}

func carbonDioxide(n names) reading.Metric {
	switch {
	case n.has("eco2"):
		return reading.ECO2
	case n.has("co2", "carbon-dioxide", "carbondioxide", "carbon dioxide"):
		return reading.CO2
	}
	return ""
}

func volume(n names) reading.Metric {
	switch {
	case n.has("gas"):
		return reading.Gas
	case n.has("water"):
		return reading.Water
	}
	return ""
}
