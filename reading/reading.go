// Package reading is the vocabulary of plantgate: what a device said at one
// instant, in which unit, how far it can be trusted, and how that is written as
// one flat JSON record.
//
// It guarantees that a record is valid UTF-8 JSON without nesting or null, that
// every measured value is finite and carries a decimal point, and that a metric
// has exactly one unit. It does not know where readings come from, how they are
// stored, or who consumes them; it imports nothing but the standard library.
package reading

import (
	"errors"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// A Reading is what one device, or one channel of it, said at one instant. A
// message with power, energy and voltage is one reading, because it is one
// event; a strip with two sockets gives two.
type Reading struct {
	Device  string // as the device names itself; the key of the Kafka record
	Channel string // "" for a device with one channel
	Source  string // the dialect or driver that read it, for example "tasmota"

	// Time is the instant that the device itself stated beyond doubt (UTC, or
	// with an offset). Zero means that it stated none: the arrival counts.
	Time time.Time

	Values      []Value
	Calibration string // id of the calibration behind a derived value, or ""
	Dup         bool   // the MQTT message was marked as sent before
}

// A Value is one measured number. A value that could not be measured is absent;
// there is no way to write "unknown".
type Value struct {
	Metric  Metric
	Number  float64
	Suspect bool // plausible in form, doubtful in fact: 85.0 of a DS18B20
}

// Quality says how far a record can be trusted.
type Quality uint8

// The qualities, from best to worst.
const (
	Good      Quality = iota
	Uncertain         // the clock was not known, or a value is suspect
	Bad               // kept for the record, not fit for use
)

// String returns the word of the record's quality field.
func (q Quality) String() string {
	switch q {
	case Good:
		return "good"
	case Uncertain:
		return "uncertain"
	default:
		return "bad"
	}
}

// Level returns the number of the record's quality_level field: some databases
// drop strings, and a number can be averaged.
func (q Quality) Level() float64 { return float64(min(q, Bad)) }

// Quality is Uncertain when any value is suspect, else Good.
func (r Reading) Quality() Quality {
	for _, v := range r.Values {
		if v.Suspect {
			return Uncertain
		}
	}
	return Good
}

// MaxNameBytes bounds device, channel and source: a name travels as Kafka key,
// tag and URL, and a hostile topic may be 64 KiB long.
const MaxNameBytes = 256

// Errors of Validate that a caller may want to tell apart.
var (
	ErrNoDevice = errors.New("reading has no device name")
	ErrNoValue  = errors.New("reading has no value")
)

// Validate reports the first reason why r cannot become a record.
func (r Reading) Validate() error {
	if r.Device == "" {
		return ErrNoDevice
	}
	for _, name := range [...]struct{ field, text string }{
		{"device", r.Device}, {"channel", r.Channel}, {"source", r.Source}, {"calibration", r.Calibration},
	} {
		if err := validateName(name.field, name.text); err != nil {
			return err
		}
	}
	if r.Source == "" {
		return errors.New("reading has no source")
	}
	if len(r.Values) == 0 {
		return ErrNoValue
	}
	for i, v := range r.Values {
		if err := v.validate(); err != nil {
			return err
		}
		// A message carries a dozen values at most, so looking back is
		// cheaper than a set.
		for _, earlier := range r.Values[:i] {
			if earlier.Metric == v.Metric {
				return fmt.Errorf("metric %s is given twice", v.Metric)
			}
		}
	}
	return nil
}

func (v Value) validate() error {
	if math.IsNaN(v.Number) || math.IsInf(v.Number, 0) {
		return fmt.Errorf("metric %s is not finite", v.Metric)
	}
	return v.Metric.validate()
}

func validateName(field, text string) error {
	if len(text) > MaxNameBytes {
		return fmt.Errorf("%s is longer than %d bytes", field, MaxNameBytes)
	}
	if !utf8.ValidString(text) {
		return fmt.Errorf("%s is not valid UTF-8", field)
	}
	if strings.IndexByte(text, 0) >= 0 {
		return fmt.Errorf("%s holds a NUL byte", field)
	}
	return nil
}
