// Package dialect is the vocabulary that the MQTT payload dialects share: what
// goes into a decoder, what comes out, and the strict steps that each of them
// takes before it believes a number.
//
// The contract of a dialect, held by each package below this one:
//
//   - New returns a decoder that knows nothing yet; Name is the source of its
//     readings and never changes.
//   - Decode is pure: bytes in, readings out. It reads no clock, writes no log,
//     starts no goroutine and keeps nothing but what discovery and status messages
//     say, and what it needs to read a value once that comes over two ways, in
//     tables of bounded size. It may be called from many goroutines at once.
//   - Decode reports whether the message is its own. The first dialect that
//     says so is the only one that reads a message.
//   - A message of its own that cannot be read gives Err and no reading: half of
//     a broken message is worse than none, 1.2 may be the head of 1.25.
//   - Every reading passes reading.Reading.Validate. What the device did not
//     measure is absent; a value that may be wrong is marked, never repaired.
//
// The package knows no dialect, no broker and no gateway.
package dialect

import "github.com/plantgate/plantgate/reading"

// A Message is one MQTT publish, as far as a dialect may see it.
type Message struct {
	Topic   string
	Payload []byte // the caller's: neither kept nor changed
	// Retained is the publisher's wish that the broker keep the message. In a
	// broker of its own that is no sign of age: Tasmota sets it on live values
	// when SensorRetain is on.
	Retained bool
}

// A Result is what a dialect made of one message. The zero Result stands for a
// message that carries nothing to measure, for example a switch's state.
type Result struct {
	Readings []reading.Reading
	Events   []reading.Event
	Dropped  int   // values left out because they are a device's word for "none"
	Err      error // why the message is malformed; there are no readings then
	Cached   bool  // the sender repeats what it had stored; not known to be fresh
}
