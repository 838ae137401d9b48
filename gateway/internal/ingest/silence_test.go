package ingest_test

import (
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/plantgate/plantgate/gateway/internal/ingest"
	"github.com/plantgate/plantgate/reading"
)

// every publishes at an interval for a while.
func (r *rig) every(interval, span time.Duration, topic string) {
	for end := time.Now().Add(span); time.Now().Before(end); time.Sleep(interval) {
		r.publish(1, topic, "1")
	}
}

// A socket that was pulled out, or a station whose battery is empty, says
// nothing: somebody must. It is told once, and once that it is back.
func TestSilentDeviceIsToldOf(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ingest.Options{})
		time.Sleep(time.Second)
		for range 10 { // a socket that also sends when its power changes
			r.every(10*time.Second, time.Minute, "other/washer")
			time.Sleep(5 * time.Minute)
		}
		if got := events(r.stored(), reading.DeviceSilent); got != nil {
			t.Fatalf("told silent within its usual interval: %v", got)
		}
		time.Sleep(10 * time.Minute)
		if got := r.Devices()[0]; got.Silent || got.Every != 5*time.Minute+10*time.Second {
			t.Errorf("after 15 minutes: %+v", got)
		}
		time.Sleep(3 * time.Minute)
		want := []string{"washer source=other"}
		if diff := cmp.Diff(want, events(r.stored(), reading.DeviceSilent)); diff != "" {
			t.Errorf("events differ (-want +got):\n%s", diff)
		}
		time.Sleep(5 * 24 * time.Hour) // longer than an interval is remembered
		records := r.stored()
		if got := r.Stats().Silent; got != 1 || len(events(records, reading.DeviceSilent))+len(events(records, reading.DeviceBack)) > 0 {
			t.Errorf("%d devices are silent, and something is told of one that stayed silent", got)
		}
		r.publish(1, "other/washer", "1")
		time.Sleep(time.Minute)
		if diff := cmp.Diff(want, events(r.stored(), reading.DeviceBack)); diff != "" {
			t.Errorf("events differ (-want +got):\n%s", diff)
		}
		if got := r.Devices()[0]; got.Silent || got.Every > 11*time.Minute {
			t.Errorf("after an outage of hours: %+v, want an interval that it did not teach", got)
		}
	})
}

// A device that was set to a longer interval is taken for silent a few times,
// not for ever.
func TestLongerIntervalIsLearned(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ingest.Options{})
		time.Sleep(time.Second)
		r.every(10*time.Second, 10*time.Minute, "other/soil")
		r.every(time.Hour, 24*time.Hour, "other/soil")
		r.stored()
		r.every(time.Hour, 48*time.Hour, "other/soil")
		if got := events(r.stored(), reading.DeviceSilent); got != nil {
			t.Errorf("still taken for silent after a day: %v", got)
		}
	})
}

// What fell silent while the gateway was off never comes back by itself.
func TestSilenceIsNoticedAfterARestart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "devices.json")
		r := newRig(t, ingest.Options{DevicesPath: file})
		time.Sleep(time.Second)
		r.every(time.Minute, time.Hour, "other/pump")
		r.stop()

		r = newRig(t, ingest.Options{DevicesPath: file, Now: systemClock()})
		time.Sleep(time.Minute)
		r.publish(1, "other/lamp", "1") // heard too seldom to be missed
		time.Sleep(time.Hour)
		if diff := cmp.Diff([]string{"pump source=other"}, events(r.stored(), reading.DeviceSilent)); diff != "" {
			t.Errorf("events differ (-want +got):\n%s", diff)
		}
	})
}
