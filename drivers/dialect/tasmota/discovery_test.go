package tasmota_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/tasmota"
	"github.com/plantgate/plantgate/reading"
)

func announce(t *testing.T, d *tasmota.Decoder, mac, config string) {
	t.Helper()
	if got := decode(t, d, "tasmota/discovery/"+mac+"/config", config); got.Err != nil {
		t.Fatal(got.Err)
	}
}

const climate = `{"DHT11":{"Temperature":20}}`

// FullTopic is free text; only the announcement tells the device from the path.
func TestAnnouncedTopicsNameTheDevice(t *testing.T) {
	for _, c := range []struct{ name, config, topic, want string }{
		{"the default", `{"t":"lamp","ft":"%prefix%/%topic%/","tp":["cmnd","stat","tele"]}`, "tele/lamp/SENSOR", "lamp"},
		{"the prefix last", `{"t":"lamp","ft":"home/cellar/%topic%/%prefix%/"}`, "home/cellar/lamp/tele/SENSOR", "lamp"},
		{"no slash at the end", `{"t":"lamp","ft":"tasmota/%topic%/%prefix%"}`, "tasmota/lamp/tele/SENSOR", "lamp"},
		{"other prefixes", `{"t":"lamp","ft":"%prefix%/%topic%/","tp":["befehl","zustand","werte"]}`, "werte/lamp/SENSOR", "lamp"},
		{"no prefix", `{"t":"lamp","ft":"%topic%/"}`, "lamp/SENSOR", "lamp"},
		{"a topic with a slash", `{"t":"attic/lamp","ft":"%prefix%/%topic%/"}`, "tele/attic/lamp/SENSOR", "attic/lamp"},
		{"the host's name", `{"t":"lamp","hn":"tasmota-17E7AE-1966","ft":"%prefix%/%hostname%/"}`, "tele/tasmota-17E7AE-1966/SENSOR", "lamp"},
		{"the address", `{"t":"lamp","ft":"x/%id%/%prefix%/"}`, "x/DF0553/tele/SENSOR", "lamp"},
		{"slashes in a row", `{"t":"lamp","ft":"x//%prefix%/#/%topic%/"}`, "x/tele/lamp/SENSOR", "lamp"},
		{"no announcement", `{"t":"other","ft":"%prefix%/%topic%/"}`, "home/cellar/lamp/tele/SENSOR", "home/cellar/lamp"},
	} {
		t.Run(c.name, func(t *testing.T) {
			d := tasmota.New()
			announce(t, d, "1171AEDF0553", c.config)
			if got, want := render(decode(t, d, c.topic, climate).Readings), c.want+"/DHT11 temperature_c=20"; got != want {
				t.Errorf("got %q, want %q", got, want)
			}
		})
	}
}

// Whatever a known device says on its own topics is not for other dialects, and
// its commands are never measurements, whatever its owner calls them.
func TestAnnouncedDevicesKeepTheirTopics(t *testing.T) {
	d := tasmota.New()
	announce(t, d, "A", `{"t":"lamp","ft":"%prefix%/%topic%/","tp":["befehl","zustand","werte"]}`)
	announce(t, d, "B", `{"t":"bare","ft":"%topic%/"}`)
	for topic, mine := range map[string]bool{
		"befehl/lamp/SENSOR": true, "werte/lamp/anything": true, "bare/cmnd/SENSOR": true, "befehl/other/POWER": false, "lamp/SENSOR": false,
	} {
		got, ok := d.Decode(dialect.Message{Topic: topic, Payload: []byte(climate)})
		if ok != mine || len(got.Readings) > 0 {
			t.Errorf("%s: got mine %v, %s, want mine %v and no reading", topic, ok, render(got.Readings), mine)
		}
	}
}

// Two lamps called "light" in two rooms are two devices, in whichever order
// they announce themselves; a new plug in the place of a broken one is the same.
func TestNamesStayApart(t *testing.T) {
	kitchen := `{"t":"light","ft":"kitchen/%topic%/%prefix%/"}`
	cellar := `{"t":"light","ft":"cellar/%topic%/%prefix%/"}`
	for _, order := range [][]string{{kitchen, cellar}, {cellar, kitchen}} {
		d := tasmota.New()
		announce(t, d, "A", order[0])
		announce(t, d, "B", order[1])
		for _, room := range []string{"kitchen", "cellar"} {
			got := decode(t, d, room+"/light/tele/SENSOR", climate).Readings
			if len(got) != 1 || got[0].Device != room+"/light" {
				t.Errorf("%s: got %q", room, render(got))
			}
		}
		announce(t, d, "B", "") // moved out
		announce(t, d, "C", order[0])
		room, _, _ := strings.Cut(strings.TrimPrefix(order[0], `{"t":"light","ft":"`), "/")
		if got := decode(t, d, room+"/light/tele/SENSOR", climate).Readings; len(got) != 1 || got[0].Device != "light" {
			t.Errorf("a replaced device: got %q, want light", render(got))
		}
	}
}

// The words of the last will can be changed, and only they tell a death from a
// birth.
func TestLastWillsBecomeEvents(t *testing.T) {
	d := tasmota.New()
	announce(t, d, "A", `{"t":"lamp","ft":"%prefix%/%topic%/","onln":"da","ofln":"weg"}`)
	for _, c := range []struct {
		topic, payload string
		want           reading.EventType
		device         string
	}{
		{"tele/lamp/LWT", "da", reading.DeviceOnline, "lamp"},
		{"tele/lamp/LWT", "weg\n", reading.DeviceOffline, "lamp"},
		{"tele/lamp/LWT", "Online", "", ""},
		{"tele/lamp/LWT", "", "", ""},
		{"tele/plug/LWT", "Online", reading.DeviceOnline, "plug"},
		{"home/plug/tele/LWT", "Offline", reading.DeviceOffline, "home/plug"},
		{"tele/plug/LWT", "online", "", ""},
	} {
		got := decode(t, d, c.topic, c.payload)
		switch {
		case got.Err != nil || len(got.Readings) > 0 || len(got.Events) > 1:
			t.Errorf("%s %q: got %+v", c.topic, c.payload, got)
		case len(got.Events) == 0 && c.want != "" || len(got.Events) == 1 && (got.Events[0].Type != c.want || got.Events[0].Device != c.device):
			t.Errorf("%s %q: got %+v, want %s of %s", c.topic, c.payload, got.Events, c.want, c.device)
		}
		for _, e := range got.Events {
			if err := e.Validate(); err != nil {
				t.Error(err)
			}
		}
	}
}

// A device that announces nonsense is reported and changes nothing.
func TestUnusableAnnouncementsAreErrors(t *testing.T) {
	for _, config := range []string{
		`{"t":"","ft":"%prefix%/%topic%/"}`, `{"t":"lamp"}`, `{"t":5,"ft":"x"}`, `{`, `[]`, "\xff",
		`{"t":"` + strings.Repeat("x", 300) + `","ft":"%topic%"}`, `{"t":"x","ft":"` + strings.Repeat("x", 600) + `"}`,
		`{"t":"a\u0000b","ft":"%topic%"}`,
	} {
		if got := decode(t, tasmota.New(), "tasmota/discovery/A/config", config); got.Err == nil {
			t.Errorf("%.40q is taken for an announcement", config)
		}
	}
}

// A flood of announcements fills a table of fixed size and pushes nobody out.
func TestAFloodOfAnnouncementsIsBounded(t *testing.T) {
	d := tasmota.New()
	announce(t, d, "first", `{"t":"first","ft":"a/%topic%/%prefix%/"}`)
	for n := range 1100 {
		announce(t, d, fmt.Sprint(n), fmt.Sprintf(`{"t":"d%d","ft":"a/%%topic%%/%%prefix%%/"}`, n))
	}
	for device, want := range map[string]string{"first": "first", "d1000": "d1000", "d1099": "a/d1099"} {
		got := decode(t, d, "a/"+device+"/tele/SENSOR", climate).Readings
		if len(got) != 1 || got[0].Device != want {
			t.Errorf("got %q, want device %s", render(got), want)
		}
	}
}

// Clients are read at the same time as devices announce themselves.
func TestDecodersAreSharedByClients(t *testing.T) {
	d := tasmota.New()
	var clients sync.WaitGroup
	for n := range 8 {
		clients.Go(func() {
			for i := range 50 {
				name := fmt.Sprintf("lamp%d", n)
				d.Decode(dialect.Message{
					Topic:   fmt.Sprintf("tasmota/discovery/%d/config", n),
					Payload: fmt.Appendf(nil, `{"t":%q,"ft":"%d/%%topic%%/%%prefix%%/"}`, name, i),
				})
				got, _ := d.Decode(dialect.Message{Topic: fmt.Sprintf("%d/%s/tele/SENSOR", i, name), Payload: []byte(climate)})
				if len(got.Readings) != 1 || got.Readings[0].Device != name {
					t.Errorf("got %q, want device %s", render(got.Readings), name)
				}
			}
		})
	}
	clients.Wait()
}
