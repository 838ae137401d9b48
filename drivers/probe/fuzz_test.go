package probe_test

import (
	"context"
	"errors"
	"math"
	"testing"

	"github.com/plantgate/plantgate/drivers/probe"
)

// FuzzRead: whatever a converter says it measured, and however somebody has
// calibrated, the reading is one that a record can hold; a percentage is whole
// and within 0 to 100, and carries its calibration.
func FuzzRead(f *testing.F) {
	f.Add(1.4, 2.8, 2.1, 0.001, 100, byte(0))
	f.Add(2.8, 1.4, math.Copysign(0, -1), math.Inf(1), -1, byte(1))
	f.Add(0.0, 0.0, -0.002, 5.0, math.MinInt32, byte(2))
	f.Add(math.SmallestNonzeroFloat64, math.MaxFloat64, 1e300, 0.0, 0, byte(255))
	f.Fuzz(func(t *testing.T, dry, wet, volts, spread float64, raw int, profile byte) {
		if math.Abs(volts) > 1000 || math.IsNaN(volts) || math.IsNaN(spread) { // no converter says so
			return
		}
		calibration, err := probe.NewCalibration("fuzz", probe.Point{Volts: dry, Percent: 0}, probe.Point{Volts: wet, Percent: 100})
		if err != nil {
			calibration = probe.Calibration{}
		}
		all := probe.Profiles()
		s, err := probe.New(probe.Config{
			Device: "basil", Source: "ads1115", Profile: all[int(profile)%len(all)], Calibration: calibration,
			Sample: func(context.Context) (probe.Sample, error) {
				return probe.Sample{Raw: raw, Volts: volts, Spread: spread, Taken: 5}, nil
			},
			Input: "ads1115@0x48 A0",
		})
		if err != nil {
			return
		}
		for range 3 { // it warms up
			readings, err := s.Read(t.Context())
			var fault probe.Fault
			if err != nil && !errors.As(err, &fault) && len(readings) > 0 {
				t.Errorf("%v, and still %+v", err, readings)
			}
			for _, r := range readings {
				if err := r.Validate(); err != nil {
					t.Errorf("%v: %+v", err, r)
				}
				for _, v := range r.Values {
					if v.Metric.Unit() == "%" && (v.Number < 0 || v.Number > 100 || v.Number != math.Trunc(v.Number) || r.Calibration == "") {
						t.Errorf("%v %% by calibration %q", v.Number, r.Calibration)
					}
				}
			}
		}
	})
}
