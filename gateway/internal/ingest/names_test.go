package ingest_test

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
	"github.com/plantgate/plantgate/reading"
)

// Two sources with one name would become one device downstream. The first keeps
// it, over restarts, and each is told about once.
func TestANameBelongsToItsFirstSource(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "devices.json")
		r := newRig(t, ingest.Options{DevicesPath: file})
		r.publish(1, "tele/lamp/SENSOR", plug)
		for range 3 {
			r.publish(1, "other/lamp", "5")
		}
		polled := []reading.Reading{power("lamp", "ads1115", 7)}
		if err := r.Put(polled...); err != nil || polled[0].Device != "lamp" {
			t.Fatalf("the poller's reading became that of %s, %v", polled[0].Device, err)
		}
		synctest.Wait()
		records := r.stored()
		var keys []string
		for _, s := range readings(records) {
			keys = append(keys, s.Key)
		}
		if diff := cmp.Diff([]string{"lamp", "other:lamp", "other:lamp", "other:lamp", "ads1115:lamp"}, keys); diff != "" {
			t.Errorf("devices differ (-want +got):\n%s", diff)
		}
		want := []string{"other:lamp source=other owner=tasmota renamed=other:lamp", "ads1115:lamp source=ads1115 owner=tasmota renamed=ads1115:lamp"}
		if diff := cmp.Diff(want, events(records, reading.DeviceNameTaken)); diff != "" {
			t.Errorf("events differ (-want +got):\n%s", diff)
		}
		want = []string{"lamp source=tasmota", "other:lamp source=other", "ads1115:lamp source=ads1115"}
		if diff := cmp.Diff(want, events(records, reading.DeviceSeen)); diff != "" {
			t.Errorf("events differ (-want +got):\n%s", diff)
		}
		r.stop()

		r = newRig(t, ingest.Options{DevicesPath: file})
		r.publish(1, "other/lamp", "5") // first this time
		r.publish(1, "tele/lamp/SENSOR", plug)
		records = r.stored()
		if got := readings(records); got[0].Key != "other:lamp" || got[1].Key != "lamp" {
			t.Errorf("after a restart: got %s and %s", got[0].Key, got[1].Key)
		}
		if got := events(records, reading.DeviceSeen); len(got) > 0 {
			t.Errorf("known devices are seen as new: %v", got)
		}
	})
}

// The card is spared: names are written when a device is new and not more often
// than every ten seconds.
func TestNamesAreWrittenSeldom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "devices.json")
		r := newRig(t, ingest.Options{DevicesPath: file})
		r.publish(1, "tele/a/SENSOR", plug)
		time.Sleep(12 * time.Second)
		text, err := os.ReadFile(file)
		if err := os.Remove(file); err != nil {
			t.Fatal(err)
		}
		r.publish(1, "tele/a/SENSOR", plug)
		time.Sleep(time.Minute)
		r.stop()
		if _, err := os.Stat(file); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("the file is written although nothing changed: %v", err)
		}
		if want := "{\n\t\"v\": 1,\n\t\"owners\": {\n\t\t\"a\": \"tasmota\"\n\t}\n}\n"; err != nil || string(text) != want {
			t.Errorf("got %s, %v, want %s", text, err, want)
		}
	})
}

// A damaged file costs the names, not the start.
func TestADamagedFileOfNamesIsSetAside(t *testing.T) {
	for _, content := range []string{"", "{", `{"v":2}`, "\x00\x00"} {
		file := filepath.Join(t.TempDir(), "devices.json")
		if err := os.WriteFile(file, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		r := newIngest(t, ingest.Options{DevicesPath: file})
		if got, err := os.ReadFile(file + ".damaged"); err != nil || string(got) != content {
			t.Errorf("%q: set aside is %q, %v", content, got, err)
		}
		r.stop()
		if n := strings.Count(r.log.String(), "level=WARN"); n != 1 {
			t.Errorf("%q: %d warnings, want 1: %s", content, n, r.log)
		}
	}
}

// A card that cannot be written is said once, not every ten seconds.
func TestUnwritableNamesAreSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newIngest(t, ingest.Options{DevicesPath: filepath.Join(t.TempDir(), "gone", "devices.json")})
		r.publish(0, "tele/a/SENSOR", plug)
		time.Sleep(time.Minute)
		r.stop()
		if n := strings.Count(r.log.String(), "device names are not kept"); n != 1 {
			t.Errorf("said %d times, want once: %s", n, r.log)
		}
	})
}

// A socket's death is told once, whatever the broker repeats, and by the name
// under which its readings stand.
func TestComingAndGoingIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t, ingest.Options{})
		r.publish(1, "other/lamp", "5")
		for _, word := range []string{"Online", "Online", "Offline", "Offline", "Online"} {
			r.publish(1, "tele/lamp/LWT", word)
		}
		synctest.Wait()
		records := r.stored()
		said := fmt.Sprint(events(records, reading.DeviceOnline), events(records, reading.DeviceOffline))
		want := "[tasmota:lamp source=tasmota topic=tele/lamp/LWT tasmota:lamp source=tasmota topic=tele/lamp/LWT] [tasmota:lamp source=tasmota topic=tele/lamp/LWT]"
		if said != want {
			t.Errorf("got %s, want %s", said, want)
		}
		r.publish(1, "tele/lamp/LWT", "Offline")
		for _, d := range r.Devices() {
			if d.Offline != (d.Name == "tasmota:lamp") || (d.Name == "lamp") != (d.Readings == 1 && d.Source == "other" && !d.Last.IsZero()) {
				t.Errorf("got %+v", d)
			}
		}
	})
}

// A flood of names ends at a bound; devices beyond it are read all the same.
func TestNamesAreBounded(t *testing.T) {
	r := newIngest(t, ingest.Options{})
	r.stop()
	for n := range 10_100 {
		r.publish(0, fmt.Sprintf("other/d%d", n), "1")
		r.publish(0, fmt.Sprintf("tele/e%d/LWT", n), "Online")
	}
	got := r.Stats()
	if got.Devices != 10_000 || got.Nameless == 0 {
		t.Errorf("got %d devices, %d without a name", got.Devices, got.Nameless)
	}
	r.attach(t.TempDir(), buffer.Options{})
	r.publish(1, "other/d10099", "1")
	if got := readings(r.stored()); len(got) != 1 || got[0].Key != "d10099" {
		t.Errorf("a device beyond the bound is not read: %+v", got)
	}
}

// A name as long as a record can hold does not break when it is kept apart.
func TestLongNamesAreCutWhenKeptApart(t *testing.T) {
	r := newRig(t, ingest.Options{})
	long := strings.Repeat("é", 128)
	r.publish(1, "tele/"+long+"/SENSOR", plug)
	r.publish(1, "other/"+long, "5")
	got := readings(r.stored())
	if len(got) != 2 || got[1].Key != "other:"+strings.Repeat("é", 125) {
		t.Errorf("got %d readings, the second of %q", len(got), got[len(got)-1].Key)
	}
}
