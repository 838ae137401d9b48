package lorawan

import (
	"errors"
	"strconv"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// thingsStackTopic takes v3/APP@TENANT/devices/ID/EVENT apart. The tenant is
// left out where there is but one.
func thingsStackTopic(topic string) (device, event string, ok bool) {
	rest, ok := below(topic, "v3", "/devices/")
	if !ok {
		return "", "", false
	}
	device, event, _ = strings.Cut(rest, "/")
	kind, _, _ := strings.Cut(event, "/")
	switch kind {
	case "up", "join", "down", "service", "location":
		return device, event, true
	}
	return "", "", false
}

// thingsStack reads an uplink. The event up/normalized says the same once more.
func thingsStack(device, event string, payload []byte) dialect.Result {
	if event != "up" {
		return dialect.Result{}
	}
	root, err := dialect.Object(payload)
	if err != nil {
		return dialect.Result{Err: err}
	}
	var uplink, simulated, received gjson.Result
	root.ForEach(func(key, value gjson.Result) bool { // once: these messages are long
		switch key.Str {
		case "uplink_message":
			uplink = value
		case "simulated":
			simulated = value
		case "received_at":
			received = value
		}
		return true
	})
	switch {
	case !uplink.IsObject():
		return dialect.Result{Err: errNoUplink}
	case simulated.Type == gjson.True: // typed in on the console: no device said it
		return dialect.Result{}
	}
	m := newMessage(device)
	if m.time = instant(received); m.time.IsZero() {
		m.time = instant(uplink.Get("received_at"))
	}
	m.codec(uplink.Get("decoded_payload"))
	if len(m.out) == 0 && m.dropped == 0 {
		m.normalized(uplink.Get("normalized_payload"))
	}
	return finish(m)
}

var errNoUplink = errors.New("no uplink_message in it")

// normalized reads The Things Stack's own form, whose units are fixed. Several
// measurements in one uplink are channels by number.
func (m *message) normalized(payload gjson.Result) {
	if !payload.IsArray() {
		return
	}
	all := payload.Array()
	for i, measured := range all[:min(len(all), maxChannels)] {
		channel := ""
		if len(all) > 1 {
			channel = strconv.Itoa(i + 1)
		}
		if t := instant(measured.Get("time")); !t.IsZero() {
			m.reading(channel).Time = t // logged, and sent later
		}
		for _, n := range normalizedMembers {
			if number, ok := m.number(measured.Get(n.path)); ok {
				m.put(place{metric: n.metric, channel: channel}, dialect.Conversion{Factor: n.factor}.Apply(number))
			}
		}
	}
}

// normalizedMembers are the paths of the schema that have a metric. Conductivity
// comes in dS/m.
var normalizedMembers = []struct {
	path   string
	metric reading.Metric
	factor float64
}{
	{"soil.moisture", reading.SoilMoisture, 1},
	{"soil.temperature", reading.SoilTemperature, 1},
	{"soil.ec", reading.Conductivity, 1000},
	{"soil.pH", reading.PH, 1},
	{"air.temperature", reading.Temperature, 1},
	{"air.relativeHumidity", reading.Humidity, 1},
	{"air.pressure", reading.Pressure, 1},
	{"air.co2", reading.CO2, 1},
	{"air.lightIntensity", reading.Illuminance, 1},
	{"wind.speed", reading.WindSpeed, 1},
	{"battery", reading.BatteryVoltage, 1},
}
