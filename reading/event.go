package reading

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An Event is something that a person or a program downstream must know about
// the readings: a hole, a lost sensor, a corrected clock.
type Event struct {
	Type   EventType
	Device string // the record's key; "" for an event of the gateway itself
	Fields []Field
}

// An EventType names an event; the table below says which fields it carries.
type EventType string

// The event types.
const (
	Gap             EventType = "gap"
	Refused         EventType = "refused"
	UncleanStart    EventType = "unclean_start"
	StreamStarted   EventType = "stream_started"
	SensorLost      EventType = "sensor_lost"
	SensorFound     EventType = "sensor_found"
	SensorSuspect   EventType = "sensor_suspect"
	DeviceSeen      EventType = "device_seen"
	DeviceNameTaken EventType = "device_name_taken"
	DeviceOnline    EventType = "device_online"
	DeviceOffline   EventType = "device_offline"
	DeviceSilent    EventType = "device_silent"
	DeviceBack      EventType = "device_back"
	ClockCorrected  EventType = "clock_corrected"
	ClockUnknown    EventType = "clock_unknown"
	BufferFilling   EventType = "buffer_filling"
	BufferFull      EventType = "buffer_full"
	BufferFree      EventType = "buffer_free"
	FileSetAside    EventType = "file_set_aside"
	KafkaRewound    EventType = "kafka_rewound"
	PositionsLost   EventType = "positions_lost"
	Replayed        EventType = "replayed"
	DeadLettersCut  EventType = "dead_letters_cut"
)

// A Field is one fact of an event: a string, int64, uint64, float64, bool or
// time.Time.
type Field struct {
	Name  string
	Value any
}

// An EventDefinition says what an event means and which fields it may carry.
type EventDefinition struct {
	Type    EventType
	Meaning string
	Fields  []FieldDefinition
}

// A FieldDefinition names one field of an event.
type FieldDefinition struct{ Name, Meaning string }

// EventDefinitions returns the table of event types.
func EventDefinitions() []EventDefinition { return slices.Clone(eventDefinitions) }

var eventDefinitions = []EventDefinition{
	{Gap, "numbers that will never be seen, and why", []FieldDefinition{
		{"from", "first missing number"}, {"to", "last missing number"}, {"count", "how many"},
		{"reason", "damaged, dropped, lost_tail, expired (no longer on the card) or kafka_refused"}, {"since", "when the loss was noticed"}, {"detail", "the cause in words"}}},
	{Refused, "readings turned away before they got a number", []FieldDefinition{
		{"from_total", "counter before"}, {"to_total", "counter after"}, {"count", "how many"}, {"reason", "full, overload or no_store"},
		{"devices", "names, comma separated, at most 20"}, {"since", "first one"}, {"until", "last one"}}},
	{UncleanStart, "the gateway was not stopped in order; unacknowledged readings of the last commit_every may be lost, uncounted", []FieldDefinition{
		{"last_seq", "last number found on the card"}, {"commit_every_s", "the span that may be missing"}, {"detail", "what is known"}}},
	{StreamStarted, "numbers go on under a new stream", []FieldDefinition{
		{"first", "first number of the stream"}, {"previous", "the stream before"}, {"reason", "why"}}},
	{SensorLost, "a local sensor gives no readings", []FieldDefinition{
		{"sensor", "name in the configuration"}, {"state", "health state"}, {"error", "the cause in words"}}},
	{SensorFound, "a local sensor gives readings again", []FieldDefinition{
		{"sensor", "name in the configuration"}, {"state", "health state"}, {"lost_s", "how long it was away"}}},
	{SensorSuspect, "a local sensor gives values that are doubtful", []FieldDefinition{
		{"sensor", "name in the configuration"}, {"state", "health state"}, {"error", "the cause in words"}}},
	{DeviceSeen, "a device sent its first reading", []FieldDefinition{{"source", "its dialect or driver"}}},
	{DeviceNameTaken, "a second source uses a device's name; it is kept apart under another one", []FieldDefinition{
		{"source", "the second source"}, {"owner", "the source that has the name"}, {"renamed", "the name it is kept under"}}},
	{DeviceOnline, "the device announced itself", []FieldDefinition{{"source", "its dialect"}, {"topic", "where it was said"}}},
	{DeviceOffline, "the device's last will, or its own goodbye", []FieldDefinition{{"source", "its dialect"}, {"topic", "where it was said"}}},
	{DeviceSilent, "the device was not heard for three times its longest usual interval and a minute", []FieldDefinition{
		{"source", "its dialect"}, {"expected_s", "longest interval of the last day"}, {"silent_s", "since its last reading"}}},
	{DeviceBack, "a silent device gives readings again", []FieldDefinition{{"source", "its dialect"}, {"silent_s", "how long it was silent"}}},
	{ClockCorrected, "readings taken before the clock was set get their true time", []FieldDefinition{
		{"boot", "number of the boot"}, {"offset_ms", "what is added to their time"}}},
	{ClockUnknown, "readings leave without a known clock, marked uncertain", []FieldDefinition{
		{"boot", "number of the boot"}, {"waited_s", "how long they were held"}}},
	{BufferFilling, "the buffer passed a mark on its way to full", []FieldDefinition{
		{"percent", "of the limit"}, {"bytes", "bytes on the card"}, {"limit", "bytes allowed"}, {"days_left", "at the present rate"}}},
	{BufferFull, "the buffer is full", []FieldDefinition{
		{"bytes", "bytes on the card"}, {"limit", "bytes allowed"}, {"policy", "drop_oldest or refuse"}, {"detail", "the cause in words"}}},
	{BufferFree, "the buffer has room again", []FieldDefinition{
		{"percent", "of the limit"}, {"bytes", "bytes on the card"}, {"limit", "bytes allowed"}}},
	{FileSetAside, "a damaged file was set aside", []FieldDefinition{
		{"file", "its new name"}, {"error", "what is wrong with it"}, {"salvaged", "records saved from it"}}},
	{KafkaRewound, "Kafka lost records that it had confirmed; they are sent again, marked replayed", []FieldDefinition{
		{"topic", "topic"}, {"partition", "partition"}, {"confirmed_offset", "last offset that was confirmed"}, {"end_offset", "end of the log now"},
		{"from", "first number sent again"}, {"to", "last number sent again"}}},
	{PositionsLost, "the positions file was unreadable; all that is on the card is sent again, marked replayed", []FieldDefinition{
		{"from", "first number sent again"}, {"to", "last number sent again"}, {"error", "what is wrong with it"}}},
	{Replayed, "somebody asked for readings to be sent again, marked replayed; one event when it begins, one when it ends", []FieldDefinition{
		{"state", "begun, done, cancelled, stopped (with the gateway), or the cause in words"},
		{"from", "first number sent again"}, {"to", "last number sent again"}, {"count", "records sent again; not when it begins"}, {"reason", "who asked, or why"}}},
	{DeadLettersCut, "a device sends more unreadable messages than are kept", []FieldDefinition{
		{"count", "messages not kept"}, {"topic", "topic of the last one"}, {"error", "what is wrong with them"}}},
}

var fieldsOf = func() map[EventType][]FieldDefinition {
	m := make(map[EventType][]FieldDefinition, len(eventDefinitions))
	for _, d := range eventDefinitions {
		m[d.Type] = d.Fields
	}
	return m
}()

// Validate reports why e cannot become a record.
func (e Event) Validate() error {
	known, ok := fieldsOf[e.Type]
	if !ok {
		return fmt.Errorf("event type %q is not known", string(e.Type))
	}
	if err := validateName("device", e.Device); err != nil {
		return err
	}
	for _, f := range e.Fields {
		if !slices.ContainsFunc(known, func(d FieldDefinition) bool { return d.Name == f.Name }) {
			return fmt.Errorf("event %s has no field %q", e.Type, f.Name)
		}
	}
	return nil
}

// maxEventText bounds the words of an event. They often hold an error of the
// system or a name that a client chose, so longer ones are cut, not refused.
const maxEventText = 1024

var errFieldType = errors.New("value is none of string, int64, uint64, float64, bool, time")

// AppendEventBody writes what follows a head, closing brace included. An event
// that Validate turns down is returned as its error, with dst unchanged.
func AppendEventBody(dst []byte, at Place, e Event) ([]byte, error) {
	if err := e.Validate(); err != nil {
		return dst, err
	}
	out := appendPlace(dst, at)
	out = appendField(out, "event", string(e.Type))
	out = appendField(out, "device", e.Device)
	for _, f := range e.Fields {
		var err error
		if out, err = appendEventField(out, f); err != nil {
			return dst, fmt.Errorf("event %s: field %q: %w", e.Type, f.Name, err)
		}
	}
	return append(out, '}'), nil
}

func appendEventField(dst []byte, f Field) ([]byte, error) {
	dst = append(dst, ',', '"')
	dst = append(dst, f.Name...)
	dst = append(dst, '"', ':')
	switch v := f.Value.(type) {
	case string:
		return appendString(dst, eventText(v)), nil
	case int64:
		return strconv.AppendInt(dst, v, 10), nil
	case uint64:
		return strconv.AppendUint(dst, v, 10), nil
	case float64:
		if v-v != 0 { // NaN or infinite
			return dst, errors.New("value is not finite")
		}
		return appendNumber(dst, v), nil
	case bool:
		return strconv.AppendBool(dst, v), nil
	case time.Time:
		dst = append(dst, '"')
		dst = AppendTime(dst, v)
		return append(dst, '"'), nil
	default:
		return dst, errFieldType
	}
}

// eventText makes any text fit for a record: an event must never be lost for a
// stray byte in its explanation.
func eventText(s string) string {
	if len(s) > maxEventText {
		s = s[:maxEventText] + "..."
	}
	return strings.ToValidUTF8(s, "\uFFFD")
}
