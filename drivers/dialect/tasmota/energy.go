package tasmota

import (
	"strconv"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// energyMetric names the metric of a key of the ENERGY object, "" for those
// that are not read: Period is the difference to the message before, the
// TotalTariff and ExportTariff arrays have one element per tariff and not per
// channel, and the reactive counters are in kvarh.
func energyMetric(key string) reading.Metric {
	var room [maxKey]byte
	switch string(fold(room[:0], key)) {
	case "total":
		return reading.Energy
	case "today":
		return reading.EnergyToday
	case "yesterday":
		return reading.EnergyYesterday
	case "exportactive":
		return reading.EnergyReturned
	case "power":
		return reading.Power
	case "apparentpower":
		return reading.ApparentPower
	case "reactivepower":
		return reading.ReactivePower
	case "factor":
		return reading.PowerFactor
	case "voltage":
		return reading.Voltage
	case "current":
		return reading.Current
	case "frequency":
		return reading.Frequency
	case "phaseangle":
		return reading.PhaseAngle
	}
	return ""
}

// energy reads one member of the ENERGY object. A scalar is the device's, an
// array has one element per channel, numbered from 1 as the relays are. A device
// may send both in one message, and change from one to the other with a setting
// (SetOption129, SetOption150).
func (m *message) energy(key, value gjson.Result) bool {
	metric := energyMetric(key.Str)
	switch {
	case metric == "":
	case value.IsArray():
		n := 0
		value.ForEach(func(_, element gjson.Result) bool {
			n++
			m.put(strconv.Itoa(n), meter, metric, element)
			return m.more()
		})
	default:
		m.put("", meter, metric, value)
	}
	return m.more()
}

// quotedEnergy reads a member of the old energy objects, where some numbers
// stand in quotes and Time stands among them.
func (m *message) quotedEnergy(key, value gjson.Result) bool {
	if !m.header(key, value) {
		return true
	}
	return m.energy(key, unquote(value))
}

// unquote makes a number of a quoted one, for the few places where the firmware
// quoted. Everything else stays what it is.
func unquote(value gjson.Result) gjson.Result {
	if value.Type != gjson.String {
		return value
	}
	number, err := dialect.Number(value.Str)
	if err != nil {
		return value
	}
	return gjson.Result{Type: gjson.Number, Num: number}
}
