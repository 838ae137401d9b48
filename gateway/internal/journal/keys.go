package journal

import "log/slog"

// The keys of attributes. In the journal "device" is the field
// PLANTGATE_DEVICE; people search by these names, so none is ever renamed.
const (
	KeyEvent     = "event"     // name of a message in the table; gives the entry its MESSAGE_ID
	KeyTask      = "task"      // which part of the gateway speaks
	KeyDevice    = "device"    // name of the device in the records
	KeyChannel   = "channel"   // of the device
	KeySource    = "source"    // dialect or driver
	KeySensor    = "sensor"    // name in the configuration
	KeyChip      = "chip"      // for example "ads1115@0x48"
	KeyBus       = "bus"       // for example "i2c-1"
	KeyState     = "state"     // state that was entered
	KeyClient    = "client"    // MQTT client id
	KeyUser      = "user"      // MQTT user
	KeyAddress   = "address"   // network address of the other side, or to listen on
	KeyTopic     = "topic"     // MQTT or Kafka
	KeyPartition = "partition" // of a Kafka topic
	KeyOffset    = "offset"    // in a Kafka partition
	KeyBroker    = "broker"    // Kafka broker
	KeyStream    = "stream"    // of numbers
	KeyFrom      = "from"      // first number concerned
	KeyTo        = "to"        // last number concerned
	KeyRecords   = "records"   // how many
	KeyBytes     = "bytes"     // how many
	KeyLimit     = "limit"     // bytes allowed
	KeyPercent   = "percent"   // of the limit
	KeyFile      = "file"      // path
	KeyReason    = "reason"    // why, in one word
	KeyError     = "error"     // why, in words
	KeyAfter     = "after"     // how long the state before lasted
	KeyRepeated  = "repeated"  // how often the message was left out since it was last written
	KeyStack     = "stack"     // of a goroutine; the only value that keeps its line breaks
	KeyVersion   = "version"   // of the program
)

// keyMessageID becomes MESSAGE_ID in the journal.
const keyMessageID = "message_id"

// Error returns err as an attribute.
func Error(err error) slog.Attr { return slog.Any(KeyError, err) }
