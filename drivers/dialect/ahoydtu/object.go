package ahoydtu

import (
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// A channelObject is a JSON object on its way to readings.
type channelObject struct {
	at      place
	out     []reading.Reading
	time    time.Time
	dropped int  // sentinels and what no record may hold
	sure    bool // a key that no other device has

	// Room for a single-phase inverter, so that it costs one allocation.
	oneReading [1]reading.Reading
	someValues [12]reading.Value
}

// object reads a channel in JSON mode. Under an unknown base topic it is
// AhoyDTU's by its keys alone.
func (d *Decoder) object(at place, payload []byte, known bool) (dialect.Result, bool) {
	if known && len(dialect.Trim(payload)) == 0 {
		return dialect.Result{}, true
	}
	root, err := dialect.Object(payload)
	if err == nil {
		err = validName(at.device)
	}
	if err != nil {
		if !known {
			return dialect.Result{}, false
		}
		return dialect.Result{Err: err}, true
	}
	o := &channelObject{at: at}
	o.out = o.oneReading[:0]
	root.ForEach(o.member)
	if !known && !o.sure {
		return dialect.Result{}, false
	}
	if !known {
		d.known.learn(at.base)
	}
	result := o.result()
	result.Cached = len(result.Readings) > 0 && d.known.isAway(at.path)
	return result, true
}

// member reads one key. What is no number is not there: the firmware quotes
// none.
func (o *channelObject) member(key, number gjson.Result) bool {
	if number.Type != gjson.Number {
		return true
	}
	if key.Str == "ts" { // when the inverter was heard
		o.time = instant(number.Num)
		return true
	}
	f := fieldOf(o.at.channel, key.Str)
	if f.metric == "" {
		return true
	}
	o.sure = o.sure || isDistinct(key.Str)
	finite, ok := dialect.Finite(number.Num)
	v, verdict := f.judge(finite)
	if !ok || verdict == dialect.Drop {
		o.dropped++
		return true
	}
	o.put(f.line, v)
	return true
}

// put adds a value to the reading of its line. Of two numbers for the same thing
// the first counts.
func (o *channelObject) put(line string, v reading.Value) {
	r := o.reading(line)
	for _, earlier := range r.Values {
		if earlier.Metric == v.Metric {
			return
		}
	}
	r.Values = append(r.Values, v)
}

// reading finds the reading of a line; there are seven at most.
func (o *channelObject) reading(line string) *reading.Reading {
	channel := field{line: line}.channelOf(o.at.channel)
	for i := range o.out {
		if o.out[i].Channel == channel {
			return &o.out[i]
		}
	}
	r := reading.Reading{Device: o.at.device, Channel: channel, Source: source}
	if len(o.out) == 0 {
		r.Values = o.someValues[:0]
	}
	o.out = append(o.out, r)
	return &o.out[len(o.out)-1]
}

func (o *channelObject) result() dialect.Result {
	for i := range o.out {
		o.out[i].Time = o.time
	}
	if len(o.out) == 0 {
		return dialect.Result{Dropped: o.dropped}
	}
	return dialect.Result{Readings: o.out, Dropped: o.dropped}
}

// Instants outside of these years come from clocks that were never set.
const firstYear, lastYear = 2016, 2099

// instant reads seconds since 1970, or nothing.
func instant(seconds float64) time.Time {
	if !(seconds > 0 && seconds < 1e11) {
		return time.Time{}
	}
	t := time.Unix(int64(seconds), 0).UTC()
	if t.Year() < firstYear || t.Year() > lastYear {
		return time.Time{}
	}
	return t
}
