// Package lorawan reads what the two common LoRaWAN network servers publish of
// the devices behind them: The Things Stack (The Things Network) v3 on
// v3/APP@TENANT/devices/ID/up, and ChirpStack v4 on
// application/ID/device/EUI/event/up and .../event/status, as JSON. A prefix in
// front, as a bridge adds it, does no harm. The device is the ID or the EUI of
// the topic; the time is when the server received the uplink, or when a normalized
// payload says that it was measured.
//
// Both pass on what a codec, a script of the device's maker or owner, made of
// the payload; its members mean what its author liked. Read are those whose
// meaning and unit are beyond doubt: the codecs of Dragino's soil and climate
// nodes (numbers, decimals in quotes, and the oldest ones with the unit behind
// the number), Cayenne LPP as each server writes it, The Things Stack's
// normalized payload where the codec's own members say nothing, and a few words
// that all codecs use alike. An external probe is the channel DS18B20; the
// sensors of Cayenne LPP, and several measurements in one normalized payload,
// are channels by number.
//
// It guarantees what package dialect asks of every dialect, and beyond that: a
// codec's word for "no probe" (327.6 and 327.67 degrees, zeros of a node that
// found no sensor) is never a value; a simulated uplink is none. Joins,
// downlinks, logs and locations give nothing.
//
// It does not know codecs of other makers: battery, which is volts in one and
// percent in the next, soil_ec and the like need a mapping. It does not decode
// frm_payload or data: without a codec on the server an uplink gives nothing.
// Nor does it read ChirpStack's protobuf form (set json=true). It keeps no
// deduplicationId: the servers themselves merge what several radio gateways heard.
//
// Sources: The Things Stack documentation (MQTT server, data formats, payload
// formatters), ChirpStack v4 documentation (MQTT integration, event types), and
// of TheThingsNetwork/lorawan-devices the codecs lse01.js, lse01-121.js and
// lht65.js and the schema lib/payload.json.
package lorawan

import (
	"fmt"
	"strings"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/tidwall/gjson"
)

// source is the name of the dialect in every reading.
const source = "lorawan"

// A Decoder reads the messages of both servers. It keeps nothing.
type Decoder struct{}

// New returns a decoder.
func New() *Decoder { return new(Decoder) }

// Name returns "lorawan".
func (*Decoder) Name() string { return source }

// Decode reads one message. It reports false for a message of others. Whatever
// else a server says of a device, and its talk with its radio gateways, gives an
// empty result.
func (*Decoder) Decode(m dialect.Message) (dialect.Result, bool) {
	if device, event, ok := thingsStackTopic(m.Topic); ok {
		return thingsStack(device, event, m.Payload), true
	}
	if device, event, ok := chirpStackTopic(m.Topic); ok {
		return chirpStack(device, event, m.Payload), true
	}
	return dialect.Result{}, isRadioGateway(m.Topic)
}

// below takes the part of a topic behind a root such as v3/APP apart from the
// root. It reports false where the root is another.
func below(topic, root, separator string) (rest string, ok bool) {
	path, rest, ok := strings.Cut(topic, separator)
	slash := strings.LastIndexByte(path, '/')
	if !ok || slash < 0 || slash == len(path)-1 {
		return "", false
	}
	before, ok := strings.CutSuffix(path[:slash], root)
	return rest, ok && (before == "" || before[len(before)-1] == '/')
}

// finish turns readings that no record may hold into an error.
func finish(m *message) dialect.Result {
	r := m.result()
	for _, said := range r.Readings {
		if err := said.Validate(); err != nil {
			return dialect.Result{Err: fmt.Errorf("device in topic: %w", err)}
		}
	}
	return r
}

// Instants outside of these years come from clocks that were never set.
const firstYear, lastYear = 2016, 2099

// instant reads a time with an offset from UTC, as both servers write it.
func instant(value gjson.Result) time.Time {
	t, err := time.Parse(time.RFC3339Nano, value.Str)
	if err != nil {
		return time.Time{} // the arrival counts
	}
	t = t.UTC()
	if t.Year() < firstYear || t.Year() > lastYear {
		return time.Time{}
	}
	return t
}
