package shelly

import (
	"fmt"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

const (
	sourceGen1 = "shelly-gen1"

	// gen1Root is fixed in the firmware; what follows may be renamed and hold
	// slashes, so topics are read from the right.
	gen1Root = "shellies/"

	// Relays, lights and rollers count watt minutes and forget them at every
	// start; energy meters count watt hours and keep them.
	wattMinute = 1.0 / 60000 // kWh
	wattHour   = 1.0 / 1000  // kWh
)

// A Gen1 reads the first generation: one plain number per topic. It keeps
// nothing between messages.
type Gen1 struct{}

// NewGen1 returns a decoder for the first generation.
func NewGen1() *Gen1 { return new(Gen1) }

// Name returns "shelly-gen1".
func (*Gen1) Name() string { return sourceGen1 }

// Decode reads one message. It reports false for topics that the firmware does
// not have, also under shellies/, where scripts and Gen2 devices publish, too.
func (*Gen1) Decode(m dialect.Message) (dialect.Result, bool) {
	path, ok := strings.CutPrefix(m.Topic, gen1Root)
	if !ok {
		return dialect.Result{}, false
	}
	at := findLeaf(path)
	switch {
	case at.role == silent:
		return dialect.Result{}, true
	case at.role == foreign || at.device == "" || at.fromScript(m.Payload):
		return dialect.Result{}, false
	}
	if err := checkDevice(at.device); err != nil {
		return dialect.Result{Err: err}, true
	}
	switch at.role {
	case will:
		return online(sourceGen1, at.device, m), true
	case motion:
		return motionStatus(at.device, m.Payload), true
	default:
		return at.number(m.Payload), true
	}
}

// A role is what a topic says about its message.
type role uint8

const (
	foreign role = iota
	silent       // Shelly's, measures nothing
	measured
	will
	motion // the JSON object of a motion sensor
)

// A leaf is where a number comes from, and what it is.
type leaf struct {
	role                role
	device, kind, index string
	metric              reading.Metric
	factor              float64 // to the metric's unit
	rules               dialect.Rules
}

// findLeaf reads a topic behind shellies/ from the right.
func findLeaf(path string) leaf {
	head, word := cutLast(path)
	if isIndex(word) {
		device, kind := cutLast(head)
		return inputLeaf(kind).of(device, kind, word)
	}
	before, index := cutLast(head)
	if index == "sensor" {
		return sensorLeaf(word).of(before, index, "")
	}
	if isIndex(index) {
		device, kind := cutLast(before)
		if at := channelLeaf(kind, word); at.role != foreign {
			return at.of(device, kind, index)
		}
	}
	return deviceLeaf(word).of(head, "", "")
}

func (at leaf) of(device, kind, index string) leaf {
	at.device, at.kind, at.index = device, kind, index
	return at
}

// inputLeaf knows the topics that end in a number.
func inputLeaf(kind string) leaf {
	switch kind {
	case "adc": // Uni
		return leaf{role: measured, metric: reading.Voltage, factor: 1}
	case "ext_temperature":
		return leaf{role: measured, metric: reading.Temperature, factor: 1, rules: addOn}
	case "ext_humidity":
		return leaf{role: measured, metric: reading.Humidity, factor: 1, rules: addOn}
	case "relay", "light", "color", "white", "roller", "input", "input_event", "longpush", "ext_switch", "ext_temperature_f", "valve":
		return leaf{role: silent}
	}
	return leaf{}
}

// sensorLeaf knows what battery-powered sensors say.
func sensorLeaf(word string) leaf {
	at := leaf{role: measured, factor: 1, rules: batteryPowered}
	switch word {
	case "temperature":
		at.metric = reading.Temperature
	case "humidity":
		at.metric = reading.Humidity
	case "battery":
		at.metric = reading.Battery
	case "lux":
		at.metric = reading.Illuminance
	default:
		return leaf{role: silent}
	}
	return at
}

// channelLeaf knows what one relay, lamp, roller or meter says.
func channelLeaf(kind, word string) leaf {
	switch kind {
	case "relay", "light", "color", "white", "roller":
		switch word {
		case "power":
			return leaf{role: measured, metric: reading.Power, factor: 1}
		case "energy":
			return leaf{role: measured, metric: reading.Energy, factor: wattMinute}
		}
		return leaf{role: silent}
	case "emeter":
		return meterLeaf(word)
	case "thermostat", "valve", "input", "ext_switch":
		return leaf{role: silent}
	}
	return leaf{}
}

// meterLeaf knows what an energy meter says. Its energy and returned_energy are
// watt minutes of a short span, no counters: they fall between messages
// (enesbcs/Shelly_MQTT#79).
func meterLeaf(word string) leaf {
	at := leaf{role: measured, factor: 1}
	switch word {
	case "power":
		at.metric = reading.Power
	case "reactive_power":
		at.metric = reading.ReactivePower
	case "voltage":
		at.metric = reading.Voltage
	case "current":
		at.metric = reading.Current
	case "pf":
		at.metric = reading.PowerFactor
	case "total":
		at.metric, at.factor = reading.Energy, wattHour
	case "total_returned":
		at.metric, at.factor = reading.EnergyReturned, wattHour
	default:
		return leaf{role: silent}
	}
	return at
}

// deviceLeaf knows what a device says of itself.
func deviceLeaf(word string) leaf {
	switch word {
	case "temperature": // of its inside
		return leaf{role: measured, metric: reading.DeviceTemperature, factor: 1, rules: ambient}
	case "voltage":
		return leaf{role: measured, metric: reading.Voltage, factor: 1}
	case "online":
		return leaf{role: will}
	case "status":
		return leaf{role: motion}
	case "announce", "info", "command", "settings", "mode", "longpush",
		"temperature_f", "temperature_status", "overtemperature", "overpower", "overload", "loaderror",
		"ext_temperatures", "ext_humidities", "ext_switches":
		return leaf{role: silent}
	}
	return leaf{}
}

// fromScript recognises what is not the firmware's: a script for Bluetooth
// sensors publishes objects under shellies/blegateway/MAC/temperature, and any
// text may stand under a status that is not a motion sensor's.
func (at leaf) fromScript(payload []byte) bool {
	text := dialect.Trim(payload)
	object := len(text) > 0 && text[0] == '{'
	switch at.role {
	case measured:
		return object && at.kind == ""
	case motion:
		return !object && len(text) > 0
	}
	return false
}

// number reads a payload that is a plain number. An empty one clears a retained
// message, null stands for a sensor that is not there.
func (at leaf) number(payload []byte) dialect.Result {
	text := dialect.Trim(payload)
	switch string(text) {
	case "":
		return dialect.Result{}
	case "null":
		return dialect.Result{Dropped: 1}
	}
	number, err := dialect.Number(string(text))
	if err != nil {
		return dialect.Result{Err: fmt.Errorf("%q: %w", text[:min(len(text), 32)], err)}
	}
	number = dialect.Conversion{Factor: at.factor}.Apply(number)
	verdict := at.rules.Judge(at.metric, number)
	if verdict == dialect.Drop {
		return dialect.Result{Dropped: 1}
	}
	room := new(struct {
		reading [1]reading.Reading
		value   [1]reading.Value
	})
	room.value[0] = reading.Value{Metric: at.metric, Number: number, Suspect: verdict == dialect.Suspect}
	room.reading[0] = reading.Reading{Device: at.device, Channel: at.channel(), Source: sourceGen1, Values: room.value[:]}
	return dialect.Result{Readings: room.reading[:]}
}

// channel is relay:0, emeter:1, adc:0, sensor, ...; add-on sensors of one number
// share ext:0.
func (at leaf) channel() string {
	switch {
	case at.index == "":
		return at.kind
	case strings.HasPrefix(at.kind, "ext_"):
		return "ext:" + at.index
	default:
		return at.kind + ":" + at.index
	}
}

// motionStatus reads the object of a motion sensor or a radiator's valve. Its
// timestamp is that of the last motion.
func motionStatus(device string, payload []byte) dialect.Result {
	if len(dialect.Trim(payload)) == 0 {
		return dialect.Result{}
	}
	root, err := dialect.Object(payload)
	if err != nil {
		return dialect.Result{Err: err}
	}
	m := newMessage(sourceGen1, device)
	m.put("sensor", batteryPowered, reading.Illuminance, 1, root.Get("lux"))
	m.put("sensor", batteryPowered, reading.Battery, 1, root.Get("bat"))
	m.thermometer(root.Get("tmp"))
	return m.result()
}

// thermometer reads the only temperature of the first generation that says its
// unit.
func (m *message) thermometer(tmp gjson.Result) {
	unit, ok := dialect.ToCanonical(reading.Temperature, tmp.Get("units").Str)
	if !ok || tmp.Get("is_valid").Type == gjson.False {
		return
	}
	value := tmp.Get("value")
	value.Num = unit.Apply(value.Num)
	m.put("sensor", batteryPowered, reading.Temperature, 1, value)
}
