// Package envelope is the stored form of one record: when it was taken and how
// sure that is, how good it is, for whom, and the bytes that Kafka will get.
//
// It guarantees that what Append wrote is what Parse gives back, and that a
// damaged envelope is an error, never a wrong record. It does not know how a
// body is made, nor where envelopes are kept.
package envelope

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/reading"
)

// Kind says what a body is and so to which topic it goes.
type Kind uint8

// The kinds of record. Their numbers are on the card: never change one.
const (
	Reading    Kind = 1
	Event      Kind = 2
	DeadLetter Kind = 3
)

// String names the kind in messages.
func (k Kind) String() string {
	switch k {
	case Reading:
		return "reading"
	case Event:
		return "event"
	case DeadLetter:
		return "dead letter"
	default:
		return fmt.Sprintf("kind %d", uint8(k))
	}
}

// An Envelope is one record as it lies on the card.
type Envelope struct {
	Kind    Kind
	Quality reading.Quality
	Taken   clock.Instant
	Key     string // the device
	// Body follows the head in the record of a reading or event; for a dead
	// letter it is what Letter.Append wrote.
	Body []byte
}

const (
	formatVersion = 1
	syncedFlag    = 1
)

var errShort = errors.New("envelope is cut short")

// Append writes e behind dst.
func (e Envelope) Append(dst []byte) []byte {
	var flags byte
	if e.Taken.Synced {
		flags |= syncedFlag
	}
	dst = append(dst, formatVersion, byte(e.Kind), byte(e.Quality), flags)
	dst = binary.AppendVarint(dst, e.Taken.Wall)
	dst = binary.AppendVarint(dst, e.Taken.Boottime)
	dst = binary.AppendUvarint(dst, uint64(e.Taken.Boot))
	dst = appendText(dst, e.Key)
	return append(dst, e.Body...)
}

// Parse reads what Append wrote. Body is a part of b.
func Parse(b []byte) (Envelope, error) {
	if len(b) < 4 {
		return Envelope{}, errShort
	}
	if b[0] != formatVersion {
		return Envelope{}, fmt.Errorf("envelope of format %d is not known", b[0])
	}
	e := Envelope{Kind: Kind(b[1]), Quality: reading.Quality(b[2])}
	if e.Kind < Reading || e.Kind > DeadLetter || e.Quality > reading.Bad {
		return Envelope{}, fmt.Errorf("envelope holds %s of quality %d", e.Kind, b[2])
	}
	e.Taken.Synced = b[3]&syncedFlag != 0
	s := scanner{rest: b[4:]}
	e.Taken.Wall = s.varint()
	e.Taken.Boottime = s.varint()
	boot := s.uvarint()
	e.Taken.Boot = uint32(boot)
	e.Key = string(s.text())
	e.Body = s.rest
	if s.failed || uint64(e.Taken.Boot) != boot {
		return Envelope{}, errShort
	}
	return e, nil
}

// A Letter is a message that nobody could read, with all that helps to find out
// why.
type Letter struct {
	Topic   string // where it was published
	Client  string // MQTT client id
	Error   string
	Payload []byte
}

// Append writes l behind dst as the body of an envelope.
func (l Letter) Append(dst []byte) []byte {
	dst = appendText(dst, l.Topic)
	dst = appendText(dst, l.Client)
	dst = appendText(dst, l.Error)
	return append(dst, l.Payload...)
}

// ParseLetter reads what Append wrote. Payload is a part of b.
func ParseLetter(b []byte) (Letter, error) {
	s := scanner{rest: b}
	l := Letter{Topic: string(s.text()), Client: string(s.text()), Error: string(s.text())}
	l.Payload = s.rest
	if s.failed {
		return Letter{}, errShort
	}
	return l, nil
}

func appendText(dst []byte, text string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(text)))
	return append(dst, text...)
}

// A scanner takes fields off the front of rest. After a failure it gives zero
// values, so that the caller checks once.
type scanner struct {
	rest   []byte
	failed bool
}

func (s *scanner) varint() int64 {
	v, n := binary.Varint(s.rest)
	s.skip(n)
	return v
}

func (s *scanner) uvarint() uint64 {
	v, n := binary.Uvarint(s.rest)
	s.skip(n)
	return v
}

func (s *scanner) skip(n int) {
	if n <= 0 {
		s.failed, s.rest = true, nil
		return
	}
	s.rest = s.rest[n:]
}

func (s *scanner) text() []byte {
	n := s.uvarint()
	if n > uint64(len(s.rest)) {
		s.failed, s.rest = true, nil
		return nil
	}
	text := s.rest[:n]
	s.rest = s.rest[n:]
	return text
}
