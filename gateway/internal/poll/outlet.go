package poll

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/plantgate/plantgate/reading"
)

// outlet is where readings, events and messages go.
type outlet struct {
	put      func(...reading.Reading) error
	event    func(reading.Event)
	log      *slog.Logger
	refusing atomic.Bool
}

func (o *outlet) deliver(readings []reading.Reading) {
	if len(readings) == 0 {
		return
	}
	err := o.put(readings...)
	if o.refusing.Swap(err != nil) == (err != nil) {
		return
	}
	if err != nil {
		o.log.Warn("readings of sensors are refused", "error", err)
		return
	}
	o.log.Info("readings of sensors are taken again")
}

// notice is one change of state, for the journal and for Kafka.
type notice struct {
	kind   reading.EventType
	device string // "" for a whole bus
	name   string
	state  string
	cause  string
	away   time.Duration // for what is found; 0 when it was never lost
}

func (o *outlet) tell(n notice) {
	fields := []reading.Field{{Name: "sensor", Value: n.name}, {Name: "state", Value: n.state}}
	subject := "sensor"
	if n.device == "" {
		subject = "bus"
	}
	log := o.log.With("event", string(n.kind), subject, n.name)
	if n.kind == reading.SensorFound {
		if n.away > 0 {
			fields = append(fields, reading.Field{Name: "lost_s", Value: n.away.Round(time.Second).Seconds()})
			log = log.With("after", n.away.Round(time.Second))
		}
		log.Info(subject + " found")
	} else {
		fields = append(fields, reading.Field{Name: "error", Value: n.cause})
		what := " lost"
		if n.kind == reading.SensorSuspect {
			what = " suspect"
		}
		log.Warn(subject+what, "state", n.state, "error", n.cause)
	}
	o.event(reading.Event{Type: n.kind, Device: n.device, Fields: fields})
}
