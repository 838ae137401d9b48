package tasmota

import (
	"strconv"
	"strings"

	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// A kind is a group of sensors whose keys mean the same.
type kind uint8

const (
	plain       kind = iota
	meter            // ENERGY and the current transformer on an ADC
	thermometer      // DS18B20 and its relatives
	analog           // the ADC of the ESP
	chirp            // capacitive probe with raw counts
	ms01             // Sonoff soil probe, driven as if it were a hygrometer
	flora            // Mi Flora
	chip             // the temperature of a chip inside the device
	dcMeter          // INA219 and relatives
	centimetres      // ranging sensors
	millimetres      // time-of-flight sensors
	unread           // a known key in a unit of its own
	zigbeeDevice
)

// kindOf tells kinds apart by the name that the firmware's driver gives; a
// number or an address follows it.
func kindOf(name string) kind {
	switch {
	case hasPrefixFold(name, "ds18"):
		return thermometer
	case hasPrefixFold(name, "chirp"):
		return chirp
	case hasPrefixFold(name, "ms01"):
		return ms01
	case hasPrefixFold(name, "flora"), hasPrefixFold(name, "miflora"):
		return flora
	case hasPrefixFold(name, "esp32"), hasPrefixFold(name, "bl09"), hasPrefixFold(name, "axp"):
		return chip
	case hasPrefixFold(name, "ina2"), hasPrefixFold(name, "ina3"):
		return dcMeter
	case hasPrefixFold(name, "sr04"), hasPrefixFold(name, "ld2410"):
		return centimetres
	case hasPrefixFold(name, "vl53"):
		return millimetres
	case hasPrefixFold(name, "ezoprs"): // pressure in whatever the module is set to
		return unread
	}
	return plain
}

// sensor reads the object of one sensor; its name is the channel.
func (m *message) sensor(name string, k kind, object gjson.Result) {
	if k == unread {
		return
	}
	object.ForEach(func(key, value gjson.Result) bool {
		if k == plain && key.Str == "Id" && value.Type == gjson.String {
			// DS18Alias may call a probe Outdoor, and its 85 stays doubtful.
			// No other driver writes Id with this spelling.
			k = thermometer
		}
		m.environment(name, k, key.Str, value)
		return m.more()
	})
}

// environment reads one member of a sensor.
func (m *message) environment(channel string, k kind, key string, value gjson.Result) {
	var room [maxKey]byte
	switch string(fold(room[:0], key)) {
	case "temperature":
		m.temperature(channel, k, onceQuoted(k, value))
	case "humidity":
		m.put(channel, k, humidityOf(k), onceQuoted(k, value))
	case "pressure":
		m.put(channel, k, reading.Pressure, onceQuoted(k, value))
	case "dewpoint":
		if k != ms01 { // computed from a temperature that is not there
			m.put(channel, k, reading.DewPoint, value)
		}
	case "illuminance":
		m.put(channel, k, lightOf(k), value)
	case "carbondioxide":
		m.put(channel, k, reading.CO2, value)
	case "eco2":
		m.put(channel, k, reading.ECO2, value)
	case "battery":
		m.put(channel, k, reading.Battery, value)
	case "moisture":
		m.put(channel, k, moistureOf(k), value)
	case "fertility":
		m.put(channel, k, reading.Conductivity, value)
	case "ph":
		m.put(channel, k, reading.PH, value)
	default:
		m.special(channel, k, key, value)
	}
}

// onceQuoted: firmware 3 wrote "Temperature":"31.7" (#52, #471). It knew neither
// the soil probes nor Bluetooth.
func onceQuoted(k kind, value gjson.Result) gjson.Result {
	if k == plain || k == thermometer {
		return unquote(value)
	}
	return value
}

// special reads members that mean something on one kind of sensor only.
func (m *message) special(channel string, k kind, key string, value gjson.Result) {
	var room [maxKey]byte
	folded := fold(room[:0], key)
	switch k {
	case plain:
		m.smartMeter(channel, string(folded), value)
	case chirp:
		if string(folded) == "darkness" {
			m.put(channel, k, reading.DarknessRaw, value)
		}
	case ms01:
		if string(folded) == "raw" {
			m.put(channel, k, reading.SoilMoistureRaw, value)
		}
	case dcMeter:
		switch metric := energyMetric(key); metric {
		case reading.Voltage, reading.Current, reading.Power:
			m.spread(channel, k, metric, value)
		}
	case centimetres, millimetres:
		// The distance of AS3935, in kilometres to the lightning, is not
		// among them, nor is the Energy of LD2410, which is a radar echo.
		if string(folded) == "distance" {
			m.spread(channel, k, reading.Distance, value)
		}
	}
}

// spread reads a scalar, or an array whose elements are channels of the sensor.
func (m *message) spread(channel string, k kind, metric reading.Metric, value gjson.Result) {
	if value.IsArray() {
		n := 0
		value.ForEach(func(_, element gjson.Result) bool {
			n++
			if !element.IsArray() {
				m.spread(channel+"."+strconv.Itoa(n), k, metric, element)
			}
			return m.more()
		})
		return
	}
	if k == millimetres {
		value.Num /= 10
	}
	m.put(channel, k, metric, value)
}

// temperature of a chip is never that of the room. MS01 has no thermometer: its
// driver says 0.
func (m *message) temperature(channel string, k kind, value gjson.Result) {
	switch k {
	case ms01:
	case chip:
		m.put(channel, k, reading.DeviceTemperature, value)
	default:
		m.put(channel, k, reading.Temperature, value)
	}
}

// humidityOf: the drivers for Mi Flora (HM-10) and MS01 publish the moisture of
// the soil as humidity.
func humidityOf(k kind) reading.Metric {
	if k == flora || k == ms01 {
		return reading.SoilMoisture
	}
	return reading.Humidity
}

// moistureOf: Mi Flora and seesaw give percent, CHIRP counts of capacitance.
func moistureOf(k kind) reading.Metric {
	if k == chirp {
		return reading.SoilMoistureRaw
	}
	return reading.SoilMoisture
}

// lightOf: CHIRP counts the inverse of light; its first driver called it
// illuminance.
func lightOf(k kind) reading.Metric {
	if k == chirp {
		return reading.DarknessRaw
	}
	return reading.Illuminance
}

// smartMeter reads the names that are the custom among the scripts of smart
// meter readers. All others are the user's own and need a mapping; a meter's
// identity is text, even where it has digits only.
func (m *message) smartMeter(channel, key string, value gjson.Result) {
	switch key {
	case "total_in", "e_in":
		m.put(channel, meter, reading.Energy, value)
	case "total_out", "e_out":
		m.put(channel, meter, reading.EnergyReturned, value)
	case "power_curr", "power_cur":
		m.put(channel, meter, reading.Power, value)
	}
}

// analog reads one member of the ANALOG object. On ESP32 the number of the
// input follows the key, and the channel is ANALOG with that number.
func (m *message) analog(key, value gjson.Result) bool {
	var room [maxKey]byte
	folded := string(fold(room[:0], key.Str))
	name := strings.TrimRight(folded, "0123456789")
	channel := analogChannel(folded[len(name):])
	switch name {
	case "a":
		m.put(channel, analog, reading.ADCRaw, value)
	case "temperature":
		m.put(channel, analog, reading.Temperature, value)
	case "illuminance":
		m.put(channel, analog, reading.Illuminance, value)
	case "range":
		// Scaled by AdcParam 6 to a unit that only the owner knows.
		m.put(channel, analog, reading.UserScaled, value)
	case "moisture": // firmware 8, percent by AdcParam (#7309)
		m.put(channel, analog, reading.SoilMoisture, value)
	case "ph":
		m.put(channel, analog, reading.PH, value)
	case "ctenergy":
		value.ForEach(func(key, value gjson.Result) bool {
			m.transformer(channel, key.Str, value)
			return m.more()
		})
	}
	return m.more()
}

// transformer reads the current transformer on an ADC, the one place besides
// ENERGY where the key Energy means kilowatt hours.
func (m *message) transformer(channel, key string, value gjson.Result) {
	if strings.EqualFold(key, "energy") {
		m.put(channel, meter, reading.Energy, value)
		return
	}
	switch metric := energyMetric(key); metric {
	case reading.Power, reading.Voltage, reading.Current:
		m.put(channel, meter, metric, value)
	}
}

func analogChannel(number string) string {
	if number == "" || number == "0" {
		return "ANALOG"
	}
	return "ANALOG" + number
}
