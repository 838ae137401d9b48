package dialect

import "github.com/plantgate/plantgate/reading"

// A Verdict says what becomes of a value.
type Verdict uint8

// The verdicts, from best to worst.
const (
	Keep    Verdict = iota
	Suspect         // plausible in form, doubtful in fact: keep and mark
	Drop            // a device's word for "no value": leave out and count
)

// A Rule gives a verdict to the values of one metric from Low through High. It
// is bound to a metric, and its table to a kind of sensor, because the same
// number means something else elsewhere: 999 is a fault on a thermometer and a
// kettle's power.
type Rule struct {
	Metric    reading.Metric
	Low, High float64
	Verdict   Verdict
}

// Rules is what a dialect knows of one kind of sensor.
type Rules []Rule

// Judge returns the worst verdict that any rule gives.
func (rs Rules) Judge(m reading.Metric, number float64) Verdict {
	worst := Keep
	for i := range rs {
		r := &rs[i]
		if r.Verdict > worst && r.Low <= number && number <= r.High && r.Metric == m {
			worst = r.Verdict
		}
	}
	return worst
}
