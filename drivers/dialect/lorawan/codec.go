package lorawan

import (
	"strconv"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// A place is what a member of a codec's object stands for. The unit is that of
// a bare number.
type place struct {
	metric  reading.Metric
	unit    string // "": the canonical one
	channel string
}

// external is the channel of a DS18B20 on a cable.
const external = "DS18B20"

// maxChannels bounds the numbered channels of Cayenne LPP and of normalized
// payloads, and so what one message may give. A radio's payload holds fewer.
const maxChannels = 64

// codec reads what a codec made of an uplink.
func (m *message) codec(object gjson.Result) {
	if !object.IsObject() {
		return
	}
	object.ForEach(func(key, value gjson.Result) bool {
		switch {
		case key.Str == "s_flag":
			m.noSensor = value.Type == gjson.Number && value.Num == 0
		case value.IsObject():
			m.cayenne(cayenneSensor(key.Str), value)
		default:
			m.member(key.Str, value)
		}
		return true
	})
}

func (m *message) member(key string, value gjson.Result) {
	what := meaning(key)
	if what.metric == "" {
		what = cayenneMember(key)
	}
	if what.metric == "" || value.Type != gjson.Number && value.Type != gjson.String {
		return
	}
	number, ok := m.inUnit(what, value)
	if ok {
		m.put(what, number)
	}
}

// inUnit reads a number, a decimal in quotes (toFixed of JavaScript makes one),
// or one with its unit behind it, as Dragino's first codecs wrote.
func (m *message) inUnit(what place, value gjson.Result) (float64, bool) {
	text, unit := "", what.unit
	if value.Type == gjson.String {
		text = strings.TrimSpace(value.Str)
		end := strings.LastIndexAny(text, "0123456789") + 1
		if behind := strings.TrimSpace(text[end:]); behind != "" {
			unit = strings.Replace(behind, "\u2103", "\u00b0C", 1) // one character for two
		}
		text = text[:end]
	}
	number, ok := m.decimal(text, value)
	if !ok || unit == "" {
		return number, ok
	}
	c, ok := dialect.ToCanonical(what.metric, unit)
	if !ok {
		m.dropped++
	}
	return c.Apply(number), ok
}

// decimal reads text if there is any, else the number. A text that is none is a
// codec's word for "no value".
func (m *message) decimal(text string, value gjson.Result) (float64, bool) {
	if value.Type != gjson.String {
		return m.number(value)
	}
	number, err := dialect.Number(text)
	if err != nil {
		m.dropped++
		return 0, false
	}
	return number, true
}

// meaning reads the members that stand for the same in every codec that has
// them. Dragino spells differently from version to version.
func meaning(key string) place {
	switch key {
	case "water_SOIL", "Water_SOIL", "soil_moisture", "soilMoisture":
		return place{metric: reading.SoilMoisture}
	case "temp_SOIL", "Temp_SOIL", "TEMP_SOIL":
		return place{metric: reading.Temperature}
	case "conduct_SOIL", "Conduct_SOIL":
		return place{metric: reading.Conductivity}
	case "PH1_SOIL":
		return place{metric: reading.PH}
	case "soil_temperature", "soilTemperature":
		return place{metric: reading.SoilTemperature}
	case "TempC_DS18B20", "temp_DS18B20", "Temp_DS18B20", "TempC_DS":
		return place{metric: reading.Temperature, channel: external}
	case "TempC_SHT", "TempC_SHT31", "temperature", "Temperature":
		return place{metric: reading.Temperature}
	case "Hum_SHT", "Hum_SHT31", "humidity", "Humidity", "relative_humidity":
		return place{metric: reading.Humidity}
	case "ILL_lx", "ILL_lux", "illuminance", "light_lux":
		return place{metric: reading.Illuminance}
	case "co2", "CO2", "co2_ppm":
		return place{metric: reading.CO2}
	case "barometric_pressure":
		return place{metric: reading.Pressure}
	case "Bat", "BAT", "BatV", "Bat_V", "bat_v", "battery_voltage", "batteryVoltage", "battery_v":
		return place{metric: reading.BatteryVoltage}
	case "battery_mV", "battery_mv", "bat_mv", "batteryMv":
		return place{metric: reading.BatteryVoltage, unit: "mV"}
	}
	return place{}
}

// cayenneMember reads a member of The Things Stack's Cayenne LPP formatter, for
// example temperature_3.
func cayenneMember(key string) place {
	at := strings.LastIndexByte(key, '_')
	if at < 0 {
		return place{}
	}
	what := place{channel: numberOf(key[at+1:])}
	if what.channel == "" {
		return place{}
	}
	switch key[:at] {
	case "temperature":
		what.metric = reading.Temperature
	case "relative_humidity":
		what.metric = reading.Humidity
	case "barometric_pressure":
		what.metric = reading.Pressure
	case "luminosity":
		what.metric = reading.Illuminance
	}
	return what
}

// cayenneSensor reads the name of a group in ChirpStack's Cayenne LPP codec.
func cayenneSensor(key string) reading.Metric {
	switch key {
	case "temperatureSensor":
		return reading.Temperature
	case "humiditySensor":
		return reading.Humidity
	case "barometer":
		return reading.Pressure
	case "illuminanceSensor":
		return reading.Illuminance
	}
	return ""
}

// cayenne reads a group, for example {"1":22.5,"2":21}.
func (m *message) cayenne(metric reading.Metric, group gjson.Result) {
	if metric == "" {
		return
	}
	group.ForEach(func(key, value gjson.Result) bool {
		channel := numberOf(key.Str)
		if number, ok := m.number(value); ok && channel != "" {
			m.put(place{metric: metric, channel: channel}, number)
		}
		return true
	})
}

// numberOf returns the channel for a number, "" for one that is too high. It is
// not a part of the message, which would be kept with it.
func numberOf(text string) string {
	n := 0
	for i := range len(text) {
		if text[i] < '0' || text[i] > '9' || n >= maxChannels {
			return ""
		}
		n = 10*n + int(text[i]-'0')
	}
	if text == "" || n >= maxChannels || len(text) > 1 && text[0] == '0' {
		return ""
	}
	return strconv.Itoa(n)
}
