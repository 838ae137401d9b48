package poll

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/plantgate/plantgate/reading"
)

// The states that polling itself gives; the others come from the drivers.
const (
	stateOK        = "ok"
	stateStarting  = "warming_up" // nothing is known yet
	stateStale     = "stale"      // the last reading is older than three intervals
	stateBusStuck  = "bus_stuck"
	stateBusError  = "bus_error"
	stateNotReady  = "not_ready"
	stateUnknown   = "fault"
	staleIntervals = 3
)

// How often a state must repeat before it is believed. One lost acknowledge in
// a thousand transfers is normal on a long cable.
const (
	badBeforeFault = 3
	goodBeforeOK   = 2
)

// An outcome is what one attempt to read a sensor came to.
type outcome struct {
	readings []reading.Reading
	err      error
	opened   bool // the sensor was opened in this attempt
	hung     bool // it came back long after its deadline
}

// state names the outcome.
func (o outcome) state() string {
	if o.hung {
		return stateBusStuck
	}
	if o.err == nil {
		return stateOK
	}
	if s, ok := errors.AsType[stated](o.err); ok && s.State() != "" {
		return s.State()
	}
	if errors.Is(o.err, context.DeadlineExceeded) {
		return stateNotReady
	}
	return stateUnknown
}

// stated is an error that knows the health state it stands for.
type stated interface {
	error
	State() string
}

// lost tells a sensor that gives nothing from one whose values are doubtful.
func (o outcome) lost() bool { return o.err != nil && len(o.readings) == 0 }

// health holds the state of a sensor that was told, and what speaks for another
// one.
type health struct {
	state string // told; "" before the first
	since time.Time
	cause string

	seen     string // last outcome
	same     int    // how often in a row
	bad      int    // outcomes in a row that were not ok
	firstBad time.Time
}

// observe takes one more outcome in and reports whether the state changes.
func (h *health) observe(o outcome, now time.Time) (changed bool) {
	seen := o.state()
	if seen != h.seen {
		h.seen, h.same = seen, 0
	}
	h.same++
	if seen == stateOK {
		h.bad = 0
		// Finding the chip and reading it are two good signs.
		return h.state != stateOK && (h.same >= goodBeforeOK || o.opened)
	}
	if h.bad == 0 && !h.inFault() {
		h.firstBad = now
	}
	h.bad++
	if h.inFault() {
		return seen != h.state && h.same >= badBeforeFault
	}
	return h.bad >= badBeforeFault
}

func (h *health) inFault() bool { return h.state != "" && h.state != stateOK }

// enter changes the state to that of the outcome.
func (h *health) enter(o outcome, now time.Time) {
	h.state, h.since, h.cause = o.state(), now, text(o.err)
}

// maxText bounds an error in events and in states: a panic comes with a stack.
const maxText = 1000

func text(err error) string {
	if err == nil {
		return ""
	}
	s := err.Error()
	if len(s) > maxText {
		s = s[:maxText]
	}
	return strings.ToValidUTF8(s, "")
}
