package emulator_test

import (
	"math"
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/emulator"
)

var noon = time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)

// Noise has to look like noise to whoever takes a median of it, and be the same
// in the next run.
func TestNoiseIsNormalAndRepeatable(t *testing.T) {
	v := emulator.Noise(emulator.Steady(2), 0.01, 7)
	const n = 2000
	var sum, squares float64
	for i := range n {
		at := noon.Add(time.Duration(i) * 13 * time.Millisecond)
		if v(at) != v(at) {
			t.Fatal("one instant has two values")
		}
		d := v(at) - 2
		sum, squares = sum+d, squares+d*d
	}
	if mean, deviation := sum/n, math.Sqrt(squares/n); math.Abs(mean) > 0.001 || math.Abs(deviation-0.01) > 0.001 {
		t.Errorf("got mean %.4f deviation %.4f, want 0 and 0.01", mean, deviation)
	}
}

func TestCurvesOfAProbe(t *testing.T) {
	drifting := emulator.Drift(emulator.Steady(2), 0.5, noon)
	frozen := emulator.FrozenFrom(drifting, noon.Add(24*time.Hour))
	pulled := emulator.Until(noon, emulator.WetSoil(), emulator.Air())
	hum := emulator.Hum(emulator.Steady(1), 0.1, 50)
	for _, test := range []struct {
		name  string
		volts emulator.Volts
		after time.Duration
		want  float64
	}{
		{"wet", emulator.WetSoil(), 0, 1.40},
		{"dry", emulator.DrySoil(), 0, 2.80},
		{"shorted", emulator.Shorted(), 0, 0.004},
		{"shorted to the supply", emulator.ShortedHigh(), 0, 3.295},
		{"drift", drifting, 48 * time.Hour, 3},
		{"frozen", frozen, 48 * time.Hour, 2.5},
		{"still in the soil", pulled, -time.Second, 1.40},
		{"pulled out", pulled, time.Second, 2.83},
		{"hum at a quarter of a period", hum, 5 * time.Millisecond, 1.1},
		{"hum at three quarters", hum, 15 * time.Millisecond, 0.9},
	} {
		if got := test.volts(noon.Add(test.after)); math.Abs(got-test.want) > 1e-6 {
			t.Errorf("%s: got %.4f V, want %.4f", test.name, got, test.want)
		}
	}
	for i := range 1000 {
		if v := emulator.Floating(3)(noon.Add(time.Duration(i) * time.Second)); v < 0.45 || v > 0.67 {
			t.Fatalf("floating: got %.3f V, want about 0.56", v)
		}
	}
}

// What a demonstration shows: volts rise while the soil dries, faster by day, and
// fall at each watering.
func TestPlantDriesAndIsWatered(t *testing.T) {
	var p emulator.Plant
	p.Start = noon
	at := func(days float64) float64 { return p.Moisture(noon.Add(time.Duration(days * 24 * float64(time.Hour)))) }
	if at(0) > 0.01 || at(0.5) < 0.85 {
		t.Errorf("first watering: got %.2f and then %.2f, want dry and then wet", at(0), at(0.5))
	}
	if day, night := at(1)-at(1.5), at(1.5)-at(2); day < 1.5*night || night <= 0 {
		t.Errorf("lost %.3f by day and %.3f by night, want more by day and some by night", day, night)
	}
	if before, after := at(4.999), at(5.5); before > 0.4 || after < 0.85 {
		t.Errorf("second watering: %.2f before and %.2f after", before, after)
	}
	if dry, wet := p.Volts(noon.Add(119*time.Hour)), p.Volts(noon.Add(132*time.Hour)); dry < wet+0.5 {
		t.Errorf("dry soil gives %.2f V and wet soil %.2f V, want less when wet", dry, wet)
	}
	for i := range 5000 {
		if m := at(float64(i) / 100); m < 0 || m > 1 {
			t.Fatalf("moisture is %.3f", m)
		}
	}
	long := emulator.Plant{Start: noon, Lasts: time.Hour, Watered: 5 * time.Hour}
	if m := long.Moisture(noon.Add(4 * time.Hour)); m != 0 {
		t.Errorf("dried out soil holds %.3f, want 0", m)
	}
}
