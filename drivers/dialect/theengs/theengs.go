// Package theengs reads what OpenMQTTGateway and Theengs Gateway publish of the
// Bluetooth sensors around them: one JSON object per advertisement on
// BASE/GATEWAY/BTtoMQTT/MAC, with one or two values in it or a whole set. The
// device is the sensor, named by its MAC without colons, whichever gateway
// heard it. Also read is the oldest layout, one topic per value
// (home/BTtoMQTT/MAC/moi).
//
// It guarantees what package dialect asks of every dialect, and beyond that: an
// advertisement that several gateways hear is read once, see heard.go; numbers
// in quotes, as old releases wrote them, are read only when they are plain
// decimals; the temperature of the gateway's own chip (SYStoMQTT) never passes
// for one of the room; devices that change their MAC (type RMAC: phones, tags)
// never become devices of ours. A gateway's last will gives an event once the
// gateway is known by a message of its own.
//
// It does not know how old an advertisement is, for neither gateway says so. It
// does not read what is wired to a gateway or comes by another radio
// (CLIMAtoMQTT, RTL_433toMQTT, 433toMQTT), nor keys without a metric or a fixed
// unit: weight, acceleration, gravity, particles, darkness, and the estimated
// distance to the gateway.
//
// Sources: theengs/decoder (the properties of src/devices, the types of
// decoder.cpp, tests/BLE/test_ble.cpp) and docs/use/ble.md of
// 1technophile/OpenMQTTGateway.
package theengs

import (
	"fmt"
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// source is the name of the dialect in every reading.
const source = "theengs"

// A Decoder reads messages of both gateways. It remembers which gateway said
// what last of each sensor, and nothing else.
type Decoder struct {
	heard heard
}

// New returns a decoder that has heard nothing.
func New() *Decoder { return new(Decoder) }

// Name returns "theengs".
func (d *Decoder) Name() string { return source }

// Decode reads one message. It reports false for a message of others. What
// another gateway has already said gives an empty result, and so do the
// gateway's own state and commands to it.
func (d *Decoder) Decode(m dialect.Message) (dialect.Result, bool) {
	gateway, rest, ok := strings.Cut(m.Topic, "/BTtoMQTT")
	if !ok {
		return d.aboutGateway(m)
	}
	if gateway == "" || rest != "" && rest[0] != '/' {
		return dialect.Result{}, false
	}
	mac, key, single := strings.Cut(strings.TrimPrefix(rest, "/"), "/")
	if single {
		return d.once(gateway, singleValue(mac, key, m.Payload)), true
	}
	return d.once(gateway, advertisement(mac, m.Payload)), true
}

// once leaves out what another gateway has said.
func (d *Decoder) once(gateway string, r dialect.Result) dialect.Result {
	for _, said := range r.Readings {
		if err := said.Validate(); err != nil {
			return dialect.Result{Err: fmt.Errorf("sensor in topic: %w", err)}
		}
	}
	if len(r.Readings) > 0 && d.heard.before(gateway, r.Readings) {
		r.Readings = nil
	}
	return r
}

// aboutGateway reads the topics beside BTtoMQTT. Only a gateway's own messages
// show that an LWT topic is a gateway's: many programs call theirs so.
func (d *Decoder) aboutGateway(m dialect.Message) (dialect.Result, bool) {
	if gateway, ok := strings.CutSuffix(m.Topic, "/SYStoMQTT"); ok {
		d.heard.meet(gateway)
		return dialect.Result{}, true
	}
	gateway, ok := strings.CutSuffix(m.Topic, "/LWT")
	if !ok || !d.heard.knows(gateway) {
		return dialect.Result{}, strings.Contains(m.Topic, "/commands/MQTTto")
	}
	return lastWill(gateway, m), true
}

// lastWill tells a gateway's death from its birth.
func lastWill(gateway string, m dialect.Message) dialect.Result {
	var kind reading.EventType
	switch string(dialect.Trim(m.Payload)) {
	case "online":
		kind = reading.DeviceOnline
	case "offline":
		kind = reading.DeviceOffline
	default:
		return dialect.Result{}
	}
	event := reading.Event{
		Type:   kind,
		Device: gateway[strings.LastIndexByte(gateway, '/')+1:],
		Fields: []reading.Field{{Name: "source", Value: source}, {Name: "topic", Value: m.Topic}},
	}
	if err := event.Validate(); err != nil {
		return dialect.Result{Err: fmt.Errorf("gateway in topic: %w", err)}
	}
	return dialect.Result{Events: []reading.Event{event}}
}
