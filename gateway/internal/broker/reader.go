package broker

import (
	"errors"

	mqtt "github.com/mochi-mqtt/server/v2"
)

// maxConnect bounds a CONNECT packet: a will of 64 KiB and the names.
const maxConnect = 80 << 10

var errNotConnect = errors.New("first packet is no CONNECT, or too long")

// A reader is what one connection's reading goroutine remembers.
type reader struct {
	header int // bytes seen of the first packet's header; -1: all of it
	length int // its length so far

	key      string         // what the client's delay is known by
	delayed  bool           // a message of it was turned away before
	strikes  bucket         // messages and subscriptions turned down
	resent   bool           // the last PUBLISH was a QoS 2 message sent again
	topic    string         // of it, and whose right to it was judged how
	judged   *account       //
	may      bool           //
	denied   bool           // it is answered, but goes nowhere
	ended    bool           // mochi ended the session in order
	will     mqtt.Will      //
	willOwed bool           // mochi will not publish it, though the client did not say goodbye
	asked    []subscription // by the SUBSCRIBE being processed
}

// check looks at the header of the first packet, because mochi would allocate
// whatever length stands there before the client has shown a password.
func (r *reader) check(p []byte) error {
	for _, b := range p {
		switch {
		case r.header < 0:
			return nil
		case r.header == 0 && b != 0x10: // CONNECT, MQTT 5.0 section 3.1.1
			return errNotConnect
		case r.header > 4:
			return errNotConnect
		case r.header > 0:
			r.length |= int(b&0x7f) << (7 * (r.header - 1))
		}
		r.header++
		if r.header > 1 && b < 0x80 {
			r.header = -1
		}
		if r.length > maxConnect {
			return errNotConnect
		}
	}
	return nil
}
