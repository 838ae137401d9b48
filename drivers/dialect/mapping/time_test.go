package mapping_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/mapping"
)

// Only a time that is beyond doubt stands in a reading.
func TestTimes(t *testing.T) {
	at := time.Date(2026, 7, 1, 10, 30, 0, 0, time.UTC)
	for _, c := range []struct {
		time, text string
		want       time.Time
	}{
		{"layout: unix, use: authoritative", "1782901800", at},
		{"layout: unix_ms, use: authoritative", "1782901800000", at},
		{"layout: unix, use: authoritative", "12", time.Time{}},
		{"layout: unix, use: authoritative", `"soon"`, time.Time{}},
		{"layout: unix, use: authoritative", "1e300", time.Time{}},
		{"layout: unix", "1782901800", time.Time{}}, // a hint is the default
		{"layout: rfc3339, use: authoritative", `"2026-07-01T12:30:00+02:00"`, at},
		{"layout: rfc3339, use: authoritative", `"2026-07-01T12:30:00"`, time.Time{}},
		{"layout: '2006-01-02 15:04:05', zone: UTC, use: authoritative", `"2026-07-01 10:30:00"`, at},
		{"layout: '2006-01-02 15:04:05', zone: Europe/Berlin, use: authoritative", `"2026-07-01 12:30:00"`, at},
		{"layout: '2006-01-02 15:04:05', zone: Europe/Berlin, use: authoritative", `"2026-10-25 02:30:00"`, time.Time{}}, // happens twice
	} {
		d := only(t, "name: a\nmatch: t/{device}\ndevice: \"{device}\"\ntime: {path: t, "+c.time+"}\nread: [{path: p, quantity: power}]\n")
		got, _ := d.Decode(dialect.Message{Topic: "t/d", Payload: []byte(`{"p":1,"t":` + c.text + `}`)})
		if len(got.Readings) != 1 || !got.Readings[0].Time.Equal(c.want) {
			t.Errorf("{%s} of %s: got %+v, want %v", c.time, c.text, got, c.want)
		}
	}
}

// The same value on two trees is one value, a changed one is another, and so is
// the same some time later.
func TestRepetitionsAreReadOnce(t *testing.T) {
	d := mapping.Presets()
	event := dialect.Message{Topic: "rtl_433/pi/events", Payload: []byte(`{"model":"M","id":1,"moisture":38,"ad_raw":207}`)}
	single := func(n string) dialect.Message {
		return dialect.Message{Topic: "rtl_433/pi/devices/M/1/moisture", Payload: []byte(n)}
	}
	for i, c := range []struct {
		m    dialect.Message
		at   time.Duration
		want string
	}{
		{event, time.Hour, "M/1/ soil_moisture_pct=38, M/1/ soil_moisture_raw=207"},
		{single("38"), time.Hour + time.Millisecond, ""},
		{single("39"), time.Hour + time.Second, "M/1/ soil_moisture_pct=39"},
		{event, time.Hour + 2*time.Second, "M/1/ soil_moisture_pct=38"},
		{event, time.Hour + 8*time.Second, "M/1/ soil_moisture_pct=38, M/1/ soil_moisture_raw=207"},
	} {
		if got := brief(d.DecodeAt(c.m, c.at)); got != c.want {
			t.Errorf("message %d: got %s, want %s", i, got, c.want)
		}
	}
	for i := range 10_000 { // forgets, and does not grow for ever
		m := dialect.Message{Topic: fmt.Sprintf("rtl_433/pi/devices/M/%d/moisture", i), Payload: []byte("1")}
		if got, _ := d.DecodeAt(m, 2*time.Hour); len(got.Readings) != 1 {
			t.Fatalf("message %d: got %+v", i, got)
		}
	}
}
