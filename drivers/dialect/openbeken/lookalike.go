package openbeken

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// lookalike reads the messages that imitate Tasmota's. They are OpenBeken's if
// the device is, or if they hold keys that Tasmota does not have.
func (d *Decoder) lookalike(path string, payload []byte) (dialect.Result, bool) {
	device, ok := withoutPrefix(path)
	if !ok {
		return dialect.Result{}, false
	}
	f := d.devices.get(device)
	if !f.known && !hasOwnKeys(payload) {
		return dialect.Result{}, false
	}
	root, err := dialect.Object(payload)
	if err == nil {
		err = validName(device)
	}
	if err != nil {
		return dialect.Result{Err: fmt.Errorf("sensor message: %w", err)}, true
	}
	if !f.known {
		d.devices.change(device, func(f *facts) { f.known = true })
	}
	m := newMessage(device, f.plain)
	root.ForEach(m.member)
	return m.result(), true
}

// member reads one member of a sensor message, or of the answer that wraps it.
func (m *message) member(name, value gjson.Result) bool {
	switch {
	case !value.IsObject():
	case name.Str == "StatusSNS":
		value.ForEach(m.member)
	case name.Str != "ENERGY":
		m.sensor(name.Str, value)
	case !m.doubled:
		m.energy(value)
	}
	return m.more()
}

const batteryKey = `"Batterypercentage"`

// hasOwnKeys looks for what Tasmota's ENERGY does not have.
func hasOwnKeys(payload []byte) bool {
	return bytes.Contains(payload, []byte(`"ConsumptionTotal"`)) || bytes.Contains(payload, []byte(batteryKey))
}

func withoutPrefix(path string) (device string, ok bool) {
	for _, prefix := range [...]string{"tele/", "stat/"} {
		if device, ok = strings.CutPrefix(path, prefix); ok {
			return device, device != ""
		}
	}
	return "", false
}

// energy reads the ENERGY object. Its counters are in Wh whatever flag 40 says.
// What the driver has not measured is printed as 0; for a frequency, and for a
// battery's voltage, that cannot be true.
func (m *message) energy(object gjson.Result) {
	battery := strings.Contains(object.Raw, batteryKey)
	object.ForEach(func(name, value gjson.Result) bool {
		k := energyKey(name.Str)
		if k.metric == reading.Voltage && battery {
			k.metric = reading.BatteryVoltage
		}
		switch {
		case k.metric == "" || value.Type != gjson.Number:
		case value.Num == 0 && (k.metric == reading.Frequency || k.metric == reading.BatteryVoltage):
			m.dropped++
		default:
			m.put(k, value.Num)
		}
		return m.more()
	})
}

func energyKey(name string) key {
	switch name {
	case "Power":
		return key{metric: reading.Power}
	case "ApparentPower":
		return key{metric: reading.ApparentPower}
	case "ReactivePower":
		return key{metric: reading.ReactivePower}
	case "Factor":
		return key{metric: reading.PowerFactor}
	case "Voltage":
		return key{metric: reading.Voltage}
	case "Current":
		return key{metric: reading.Current}
	case "Frequency":
		return key{metric: reading.Frequency}
	case "ConsumptionTotal":
		return key{reading.Energy, "", "Wh"}
	case "Today":
		return key{reading.EnergyToday, "", "Wh"}
	case "Yesterday":
		return key{reading.EnergyYesterday, "", "Wh"}
	case "Batterypercentage":
		return key{metric: reading.Battery}
	}
	return key{}
}

// sensor reads another object; its name is the channel. The one called ESP32 is
// the temperature of the chip inside, whatever chip that is.
func (m *message) sensor(name string, object gjson.Result) {
	m.probe = strings.HasPrefix(name, "DS18")
	temperature := reading.Temperature
	if name == "ESP32" {
		temperature = reading.DeviceTemperature
	}
	object.ForEach(func(word, value gjson.Result) bool {
		k := key{channel: name}
		switch word.Str {
		case "Temperature":
			k.metric = temperature
		case "Humidity":
			k.metric = reading.Humidity
		case "CO2": // what an SGP computes from other gases
			k.metric = reading.ECO2
		}
		if k.metric != "" && value.Type == gjson.Number {
			m.put(k, value.Num)
		}
		return m.more()
	})
	m.probe = false
}
