package shelly

import (
	"slices"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// measures says whether component reads a kind.
func measures(kind string) bool {
	switch kind {
	case "switch", "pm1", "cover", "light", "rgb", "rgbw", "cct", "rgbcct", "em1", "em1data", "em", "emdata",
		"temperature", "humidity", "illuminance", "voltmeter", "devicepower":
		return true
	}
	return false
}

// component reads one component's object. The channel is the component's name.
// Components that measure nothing, or in a unit that only their owner knows, are
// left alone.
func (m *message) component(name string, object gjson.Result) {
	kind, index, _ := strings.Cut(name, ":")
	var errorsOf fieldOf
	switch kind {
	case "switch", "pm1", "cover", "light", "rgb", "rgbw", "cct", "rgbcct":
		m.load(name, object)
		errorsOf = loadMetric
	case "em1", "em1data":
		m.meter(name, object)
		errorsOf = meterMetric
	case "em", "emdata":
		m.phases(name, object)
		errorsOf = meterMetric
	case "temperature":
		m.put(name, thermometerRules(index), reading.Temperature, 1, object.Get("tC"))
	case "humidity":
		m.put(name, ambient, reading.Humidity, 1, object.Get("rh"))
	case "illuminance":
		m.put(name, ambient, reading.Illuminance, 1, object.Get("lux"))
	case "voltmeter":
		m.put(name, nil, reading.Voltage, 1, object.Get("voltage"))
	case "devicepower":
		m.put(name, nil, reading.BatteryVoltage, 1, object.Get("battery.V"))
		m.put(name, ambient, reading.Battery, 1, object.Get("battery.percent"))
	default:
		return
	}
	if strings.Contains(object.Raw, `errors"`) { // looking is cheaper than walking
		m.doubts(name, object, errorsOf)
	}
}

// thermometerRules: a thermometer on an add-on is a DS18B20 with its own words
// for "none".
func thermometerRules(index string) dialect.Rules {
	if isAddOn(index) {
		return addOn
	}
	return ambient
}

// load reads a component that switches or dims and measures what it feeds.
func (m *message) load(name string, object gjson.Result) {
	object.ForEach(func(key, value gjson.Result) bool {
		switch key.Str {
		case "aenergy":
			m.put(name, nil, reading.Energy, wattHour, value.Get("total"))
		case "ret_aenergy":
			m.put(name, nil, reading.EnergyReturned, wattHour, value.Get("total"))
		case "temperature":
			m.put(name, ambient, reading.DeviceTemperature, 1, value.Get("tC"))
		default:
			if metric := loadMetric(key.Str); metric != "" {
				m.put(name, nil, metric, 1, value)
			}
		}
		return m.more()
	})
}

// A fieldOf names the metric of a field, "" for one that is not read.
type fieldOf func(key string) reading.Metric

func loadMetric(key string) reading.Metric {
	switch key {
	case "apower":
		return reading.Power
	case "voltage":
		return reading.Voltage
	case "current":
		return reading.Current
	case "pf":
		return reading.PowerFactor
	case "freq":
		return reading.Frequency
	case "aprtpower":
		return reading.ApparentPower
	}
	return ""
}

// meter reads a meter of one phase: em1, and em1data with its counters.
func (m *message) meter(name string, object gjson.Result) {
	object.ForEach(func(key, value gjson.Result) bool {
		m.meterField(name, key.Str, value)
		return m.more()
	})
}

func (m *message) meterField(channel, key string, value gjson.Result) {
	switch key {
	case "total_act_energy":
		m.put(channel, nil, reading.Energy, wattHour, value)
	case "total_act_ret_energy":
		m.put(channel, nil, reading.EnergyReturned, wattHour, value)
	default:
		if metric := meterMetric(key); metric != "" {
			m.put(channel, nil, metric, 1, value)
		}
	}
}

// meterMetric names what a meter measures. The documentation's example of em
// has c_active_power once, which no device sends.
func meterMetric(key string) reading.Metric {
	switch key {
	case "act_power":
		return reading.Power
	case "aprt_power":
		return reading.ApparentPower
	case "voltage":
		return reading.Voltage
	case "current":
		return reading.Current
	case "pf":
		return reading.PowerFactor
	case "freq":
		return reading.Frequency
	}
	return ""
}

// phases reads a meter of three phases: em, and emdata with its counters. Each
// phase is a channel, em:0.a, and so is the neutral wire, em:0.n; the sums are
// em:0's own.
func (m *message) phases(name string, object gjson.Result) {
	var channels [len(phaseLetters)]string // built once, not per value
	m.out = slices.Grow(m.out, len(channels)+1)
	object.ForEach(func(key, value gjson.Result) bool {
		phase, field := cutPhase(key.Str)
		switch {
		case key.Str == "total_act":
			m.put(name, nil, reading.Energy, wattHour, value)
		case key.Str == "total_act_ret":
			m.put(name, nil, reading.EnergyReturned, wattHour, value)
		case phase >= 0:
			if channels[phase] == "" {
				channels[phase] = name + "." + phaseLetters[phase:phase+1]
			}
			m.meterField(channels[phase], field, value)
		default:
			if field, ok := strings.CutPrefix(key.Str, "total_"); ok {
				m.meterField(name, field, value)
			}
		}
		return m.more()
	})
}

const phaseLetters = "abcn"

// cutPhase splits a_voltage into 0 and voltage; phase is -1 for other keys.
func cutPhase(key string) (phase int, field string) {
	if len(key) < 3 || key[1] != '_' {
		return -1, key
	}
	return strings.IndexByte(phaseLetters, key[0]), key[2:]
}

// doubts marks what a component's own errors say of its values: errors is about
// the component, a_errors about a phase.
func (m *message) doubts(name string, object gjson.Result, metricOf fieldOf) {
	object.ForEach(func(key, value gjson.Result) bool {
		prefix := name
		if phase, field := cutPhase(key.Str); phase >= 0 && field == "errors" {
			prefix = name + "." + key.Str[:1]
		} else if key.Str != "errors" {
			return true
		}
		value.ForEach(func(_, e gjson.Result) bool {
			m.doubtFor(prefix, e.Str, metricOf)
			return true
		})
		return true
	})
}

// doubtFor knows the errors that are about measuring. The others are about the
// load (overpower, overtemp), the wiring (phase_sequence) or the history
// (database_error).
func (m *message) doubtFor(channel, text string, metricOf fieldOf) {
	word, field, named := strings.Cut(text, ":")
	switch {
	case word == "out_of_range" && named && metricOf != nil:
		metric := metricOf(strings.TrimPrefix(field, "total_"))
		m.doubt(channel, func(other reading.Metric) bool { return other == metric })
	case word == "out_of_range", word == "read", word == "power_meter_failure":
		m.doubt(channel, isNotInside)
	case word == "ct_type_not_set":
		m.doubt(channel, needsClamp)
	}
}

// isNotInside leaves out what does not come from the component's own sensor.
func isNotInside(metric reading.Metric) bool { return metric != reading.DeviceTemperature }

// needsClamp: all but voltage and frequency hang on the current transformer.
func needsClamp(metric reading.Metric) bool {
	return metric != reading.Voltage && metric != reading.Frequency
}
