package tasmota

import (
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// isZigbeeDevice recognises what the Zigbee bridge says of one device where
// settings took the wrapper away: it ends with the quality of the radio link.
func isZigbeeDevice(object gjson.Result) bool {
	return strings.Contains(object.Raw, `"LinkQuality"`) && object.Get("LinkQuality").Exists()
}

// zigbee reads ZbReceived: one member per device, or the device itself where
// SetOption119 took its address away.
func (m *message) zigbee(object gjson.Result) {
	if isZigbeeDevice(object) {
		m.zigbeeDevice("", object)
		return
	}
	object.ForEach(func(key, value gjson.Result) bool {
		if value.IsObject() {
			m.zigbeeDevice(key.Str, value)
		}
		return m.more()
	})
}

// zigbeeDevice reads a device behind the bridge; it is a device of its own. Its
// name is the friendly one, else the key, which is that name or an address,
// else the last word of the topic's path.
func (m *message) zigbeeDevice(key string, object gjson.Result) {
	name := key
	if given := object.Get("Name"); given.Type == gjson.String && given.Str != "" {
		name = given.Str
	}
	if name == "" {
		name = text(object.Get("Device"), "")
	}
	if name == "" {
		_, name = cutLast(m.at.device)
	}
	if name == "" || validName(name) != nil {
		m.dropped++
		return
	}
	pressure, known := dialect.ToCanonical(reading.Pressure, text(object.Get("PressureUnit"), "hPa"))
	object.ForEach(func(key, value gjson.Result) bool {
		metric, endpoint := zigbeeMetric(key.Str)
		if metric == reading.Pressure {
			value.Num = pressure.Apply(value.Num)
		}
		if metric != "" && (metric != reading.Pressure || known) {
			m.putFor(name, endpoint, zigbeeDevice, metric, value)
		}
		return m.more()
	})
}

// zigbeeMetric splits a key into metric and endpoint: SetOption101 appends the
// endpoint's number. Not read: Power, which is on or off; EnergyTotal, a hex
// text of unknown divisor; RMSCurrent and Illuminance, raw numbers whose scale
// differs from device to device.
func zigbeeMetric(key string) (m reading.Metric, endpoint string) {
	var room [maxKey]byte
	folded := string(fold(room[:0], key))
	name := strings.TrimRight(folded, "0123456789")
	switch name {
	case "temperature":
		m = reading.Temperature
	case "humidity":
		m = reading.Humidity
	case "pressure":
		m = reading.Pressure
	case "activepower":
		m = reading.Power
	case "rmsvoltage":
		m = reading.Voltage
	case "voltage", "batteryvoltage": // Voltage is the battery's, too
		m = reading.BatteryVoltage
	case "battery", "batterypercentage":
		m = reading.Battery
	case "soilmoisture":
		m = reading.SoilMoisture
	default:
		return "", ""
	}
	return m, key[len(name):]
}
