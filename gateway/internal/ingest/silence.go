package ingest

import (
	"sync/atomic"
	"time"

	"github.com/plantgate/plantgate/reading"
)

const (
	// A device is silent after three times its longest interval and a minute.
	// Firmware that also sends when a value changes keeps a short and a long
	// interval; only the long one says something.
	patientTimes = 3
	patientMore  = time.Minute

	// What a device does in its first half hour is not yet its rhythm. An
	// interval is forgotten when it did not come again within a half to a whole
	// day.
	acquainted  = 30 * time.Minute
	fewReadings = 5
	halfWindow  = 12 * time.Hour

	// sweepEvery is how often devices are looked through.
	sweepEvery = 10 * time.Second
)

// A rhythm is how often a device was heard. Times are milliseconds, instants
// those of CLOCK_BOOTTIME: the wall clock may jump.
type rhythm struct {
	first   atomic.Int64 // reading since the start; 0: none
	heard   atomic.Int64 // last reading; 0: none
	longest atomic.Int64 // interval of this half of the window
	earlier atomic.Int64 // of the half before, or of an earlier run
	saved   atomic.Int64 // interval in the file
	silent  atomic.Bool
}

// beat notes a reading. Two messages of one device at once may lose an interval,
// which costs nothing.
func (r *rhythm) beat(now int64) {
	before := r.heard.Swap(now)
	if before == 0 {
		r.first.Store(now)
		return
	}
	if now <= before {
		return
	}
	gap := now - before
	if r.silent.Load() {
		gap = min(gap, 2*r.expected()) // an outage is no interval, but a device may have been set to a longer one
	}
	if gap > r.longest.Load() {
		r.longest.Store(gap)
	}
}

// expected is the longest interval of the last day; 0: not known.
func (r *rhythm) expected() int64 { return max(r.longest.Load(), r.earlier.Load()) }

// overdue reports whether the device should have been heard long ago.
func (r *rhythm) overdue(now int64) bool {
	heard, expected := r.heard.Load(), r.expected()
	return heard > 0 && expected > 0 && now-heard > patientTimes*expected+patientMore.Milliseconds()
}

// turn begins the next half of the window.
func (r *rhythm) turn() { r.earlier.Store(r.longest.Swap(0)) }

// sweep finds the devices that fell silent and those that came back. Only what
// comes over MQTT is looked at: a local sensor has a state of its own.
func (i *Ingest) sweep(k *keeper) {
	turn := k.sinceTurn >= halfWindow
	if turn {
		k.sinceTurn = 0
		i.names.keepIntervals()
	}
	now := i.o.Now()
	silent := 0
	for _, d := range i.names.all() {
		if _, remote := i.sources.dialects[d.owner]; !remote {
			continue
		}
		if turn && !d.silent.Load() { // a silent one would be forgotten, and so pass for back
			d.turn()
		}
		i.judge(d, now.Boottime)
		if d.silent.Load() {
			silent++
		}
	}
	i.counts.silent.Store(int64(silent))
}

// keepIntervals has the file written when an interval is another than there.
func (n *names) keepIntervals() {
	for _, d := range n.all() {
		if d.known.Load() && d.expected() != d.saved.Load() {
			n.changed.Store(true)
			return
		}
	}
}

// judge says once that a device fell silent, and once that it is back.
func (i *Ingest) judge(d *device, now int64) {
	known := d.earlier.Load() > 0 || d.readings.Load() >= fewReadings && now-d.first.Load() > acquainted.Milliseconds()
	overdue := known && d.overdue(now)
	if overdue == d.silent.Load() {
		return
	}
	d.silent.Store(overdue)
	if overdue {
		d.since.Store(d.heard.Load())
		expected := time.Duration(d.expected()) * time.Millisecond
		i.o.Log.Warn("device is silent: check its power and its network", "event", "device_silent", "device", d.name, "source", d.owner, "expected_every", expected.Round(time.Second).String())
		i.Event(reading.Event{Type: reading.DeviceSilent, Device: d.name, Fields: []reading.Field{
			{Name: "source", Value: d.owner}, {Name: "expected_s", Value: expected.Seconds()}, {Name: "silent_s", Value: float64(now-d.heard.Load()) / 1000},
		}})
		return
	}
	away := time.Duration(d.heard.Load()-d.since.Load()) * time.Millisecond
	i.o.Log.Info("device is back", "event", "device_back", "device", d.name, "source", d.owner, "after", away.Round(time.Second).String())
	i.Event(reading.Event{Type: reading.DeviceBack, Device: d.name, Fields: []reading.Field{
		{Name: "source", Value: d.owner}, {Name: "silent_s", Value: away.Seconds()},
	}})
}
