package main

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/forward"
)

// A status is what the running gateway says of itself, as `plantgate status
// --json` prints it.
type status struct {
	Version  string         `json:"version"`
	Gateway  string         `json:"gateway"`
	Site     string         `json:"site"`
	Started  time.Time      `json:"started"`
	Problems []problem      `json:"problems"` // empty: all is well
	Buffer   *bufferStatus  `json:"buffer,omitempty"`
	Kafka    *kafkaStatus   `json:"kafka,omitempty"`
	Clock    clockStatus    `json:"clock"`
	MQTT     mqttStatus     `json:"mqtt"`
	Sensors  []sensorStatus `json:"sensors"`
	Devices  []deviceStatus `json:"devices"`
	Sources  []sourceStatus `json:"sources"`
}

// A problem is a state that a person should know of, and what to do about it.
type problem struct {
	What   string     `json:"what"`
	Since  *time.Time `json:"since,omitempty"`
	Remedy string     `json:"remedy"`
	// Blocks means that readings are turned away, not only delayed.
	Blocks bool `json:"blocks"`
}

type bufferStatus struct {
	Stream      string  `json:"stream"`
	Oldest      uint64  `json:"oldest"`
	Next        uint64  `json:"next"`
	Durable     uint64  `json:"durable"`
	Confirmed   uint64  `json:"confirmed"`
	Unsent      uint64  `json:"unsent"`
	Bytes       int64   `json:"bytes"`
	UnsentBytes int64   `json:"unsent_bytes"`
	Limit       int64   `json:"limit"`
	DaysLeft    float64 `json:"days_left,omitempty"`
	Segments    int     `json:"segments"`
	Commits     uint64  `json:"commits"`
	Written     uint64  `json:"bytes_written"`
	Dropped     uint64  `json:"dropped"`
	Damaged     int     `json:"damaged_files"`
	Full        bool    `json:"full"`
}

type kafkaStatus struct {
	State        string            `json:"state"`
	Since        time.Time         `json:"since"`
	Forwarded    map[string]uint64 `json:"forwarded"`
	DeadLettered uint64            `json:"dead_lettered"`
	Replayed     uint64            `json:"replayed"`
	Retries      uint64            `json:"retries"`
	Rewound      uint64            `json:"rewound"`
	InFlight     int               `json:"in_flight"`
	OldestUnsent float64           `json:"oldest_unsent_s"`
	LastError    string            `json:"last_error,omitempty"`
	Advice       string            `json:"advice,omitempty"`
}

type clockStatus struct {
	Synchronised bool    `json:"synchronised"`
	Trusted      bool    `json:"trusted"`
	Boot         uint32  `json:"boot"`
	Holding      bool    `json:"holding"`
	HoldLeft     float64 `json:"hold_left_s,omitempty"`
}

type mqttStatus struct {
	Addresses []string          `json:"addresses"`
	Clients   int               `json:"clients"`
	Received  uint64            `json:"received"`
	Retained  int               `json:"retained"`
	Refused   map[string]uint64 `json:"refused"`
}

type sensorStatus struct {
	Name  string     `json:"name"`
	State string     `json:"state"`
	Since time.Time  `json:"since"`
	Last  *time.Time `json:"last,omitempty"`
	Error string     `json:"error,omitempty"`
}

type deviceStatus struct {
	Name     string     `json:"name"`
	Source   string     `json:"source"`
	Last     *time.Time `json:"last,omitempty"`
	Readings uint64     `json:"readings"`
	Offline  bool       `json:"offline"`
	Silent   bool       `json:"silent"`
	Every    float64    `json:"every_s,omitempty"` // longest usual interval
}

type sourceStatus struct {
	Source       string `json:"source"`
	Received     uint64 `json:"received"`
	Readings     uint64 `json:"readings"`
	Ignored      uint64 `json:"ignored"`
	DeadLettered uint64 `json:"dead_lettered"`
	Refused      uint64 `json:"refused"`
}

func (g *gateway) status() status {
	parts := g.store.now()
	s := status{
		Version: version(), Gateway: g.cfg.Gateway, Site: g.cfg.Site, Started: g.started,
		Clock: g.clockStatus(), MQTT: g.mqttStatus(), Sensors: g.sensorStatus(),
	}
	if parts.buffer != nil {
		s.Buffer = describeBuffer(parts.buffer.Stats())
		s.Kafka = g.describeKafka(parts.forwarder.Stats())
	}
	s.Devices, s.Sources = g.deviceStatus(), g.sourceStatus()
	s.Problems = g.problems(parts, s)
	return s
}

func describeBuffer(b buffer.Stats) *bufferStatus {
	return &bufferStatus{
		Stream: b.Stream, Oldest: b.Oldest, Next: b.Next, Durable: b.Durable, Confirmed: b.Confirmed,
		Unsent: b.Unsent, Bytes: b.Bytes, UnsentBytes: b.UnsentBytes, Limit: b.Limit, DaysLeft: b.DaysLeft,
		Segments: b.Segments, Commits: b.Commits, Written: b.BytesWritten, Dropped: b.Dropped, Damaged: b.Damaged, Full: b.Full,
	}
}

func (g *gateway) describeKafka(f forward.Stats) *kafkaStatus {
	return &kafkaStatus{
		State: string(f.State), Since: f.Since, Forwarded: f.Forwarded, DeadLettered: f.DeadLettered,
		Replayed: f.Replayed, Retries: f.Retries, Rewound: f.Rewound, InFlight: f.InFlight,
		OldestUnsent: g.oldestUnsent(f).Seconds(), LastError: f.LastError, Advice: f.Advice,
	}
}

// oldestUnsent is an age, so it is counted by the time since the boot: the wall
// clock may have been set meanwhile. Of an earlier boot only the wall clock
// remains.
func (g *gateway) oldestUnsent(f forward.Stats) time.Duration {
	if !f.HasUnsent {
		return 0
	}
	now := g.clock.Now()
	if f.OldestUnsent.Boot == now.Boot {
		return time.Duration(now.Boottime-f.OldestUnsent.Boottime) * time.Millisecond
	}
	return max(0, time.Duration(now.Wall-f.OldestUnsent.Wall)*time.Millisecond)
}

func (g *gateway) clockStatus() clockStatus {
	c := g.clock.State()
	return clockStatus{Synchronised: c.Synchronised, Trusted: g.cfg.Clock.Trust, Boot: c.Boot, Holding: c.Holding, HoldLeft: c.HoldLeft.Seconds()}
}

func (g *gateway) mqttStatus() mqttStatus {
	b := g.broker.Stats()
	m := mqttStatus{Clients: b.Clients, Received: b.Received, Retained: b.Retained, Refused: b.Refused}
	for _, a := range g.broker.Addrs() {
		m.Addresses = append(m.Addresses, a.String())
	}
	return m
}

func (g *gateway) sensorStatus() []sensorStatus {
	list := []sensorStatus{}
	for _, p := range g.poller.States() {
		list = append(list, sensorStatus{Name: p.Name, State: p.State, Since: p.Since, Last: orNil(p.Last), Error: p.Error})
	}
	return list
}

func (g *gateway) deviceStatus() []deviceStatus {
	list := []deviceStatus{}
	for _, d := range g.ingest.Devices() {
		list = append(list, deviceStatus{Name: d.Name, Source: d.Source, Last: orNil(d.Last), Readings: d.Readings, Offline: d.Offline, Silent: d.Silent, Every: d.Every.Seconds()})
	}
	return list
}

func (g *gateway) sourceStatus() []sourceStatus {
	list := []sourceStatus{}
	for _, s := range g.ingest.Stats().Sources {
		list = append(list, sourceStatus{Source: s.Name, Received: s.Received, Readings: s.Readings, Ignored: s.Ignored, DeadLettered: s.DeadLettered, Refused: s.Refused})
	}
	return list
}

func orNil(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

// problems lists what is wrong, worst first.
func (g *gateway) problems(parts storeParts, s status) []problem {
	list := []problem{}
	add := func(blocks bool, since time.Time, what, remedy string) {
		p := problem{What: what, Remedy: remedy, Blocks: blocks}
		if !since.IsZero() {
			p.Since = &since
		}
		list = append(list, p)
	}
	switch {
	case parts.err != nil:
		add(true, parts.since, "the buffer is not usable: "+parts.err.Error(), "look at df -h, dmesg and the owner of data_dir; it is tried again every minute")
	case parts.buffer == nil:
		add(true, g.started, "the buffer is being opened", "wait; a large buffer on a slow card takes a while")
	case s.Buffer.Full:
		add(g.cfg.Buffer.WhenFull == "refuse", time.Time{}, "the buffer is full", "bring Kafka back, or raise buffer.limit")
	}
	if s.Buffer != nil && s.Buffer.Damaged > 0 {
		add(false, time.Time{}, fmt.Sprintf("%d damaged files of the buffer are set aside", s.Buffer.Damaged),
			"what could not be saved is named by gap events; look at the card (dmesg), then delete "+g.path(bufferDir)+"/*.damaged-*")
	}
	if s.Kafka != nil && s.Kafka.LastError != "" {
		add(false, s.Kafka.Since, "Kafka does not take records: "+s.Kafka.LastError, s.Kafka.Advice)
	}
	if c := g.clock.State(); c.Err != nil {
		add(false, time.Time{}, "the clock's state cannot be stored: "+c.Err.Error(), "look at df -h and the owner of data_dir")
	} else if c.Holding {
		add(false, time.Time{}, "the clock is not set; readings wait for it", "check the network and timedatectl, or set clock.trust where the clock is known to be right")
	}
	for _, sensor := range s.Sensors {
		if sensor.State != "ok" && sensor.State != "warming_up" {
			add(false, sensor.Since, "sensor "+sensor.Name+" is "+sensor.State+": "+sensor.Error, "see its page in docs/wiring")
		}
	}
	for _, a := range g.broker.Stats().Abuses {
		add(false, a.Since, abuseText(a), abuseRemedy(a))
	}
	if g.broker.Stats().RetainedFail {
		add(false, time.Time{}, "retained messages cannot be saved", "look at df -h and the owner of data_dir")
	}
	if err := g.users.Err(); err != nil {
		add(false, time.Time{}, "the file of MQTT users: "+err.Error(), "plantgate mqtt user list shows what is understood")
	}
	slices.SortStableFunc(list, func(a, b problem) int { return cmp.Compare(order(a), order(b)) })
	return list
}

func order(p problem) int {
	if p.Blocks {
		return 0
	}
	return 1
}
