//go:build linux

package proof_test

import (
	"strings"
	"testing"
	"time"
)

// A home automation that restarts with the gateway still learns what devices
// said long ago: they do not say it again.
func TestRetainedMessagesSurviveARestart(t *testing.T) {
	t.Parallel()
	s := newStation(t, fakeKafka(t), nil)
	p := s.start()
	lamp := connect(t, s.mqtt, greeting{id: "lamp", version: 4})
	lamp.publish("stat/lamp/POWER", "ON", true)
	lamp.publish("stat/lamp/RESULT", "gone", true)
	lamp.publish("stat/lamp/RESULT", "", true) // taken back
	p.stop()
	p = s.start()
	home := connect(t, s.mqtt, greeting{id: "home", version: 4})
	home.subscribe("stat/#")
	if topic, payload, retained := home.message(); topic != "stat/lamp/POWER" || payload != "ON" || !retained {
		t.Errorf("got %s %s, retained %v", topic, payload, retained)
	}
	lamp = connect(t, s.mqtt, greeting{id: "lamp", version: 4})
	lamp.publish("stat/lamp/next", "1", false)
	if topic, payload, retained := home.message(); topic != "stat/lamp/next" || retained {
		t.Errorf("got %s %s, retained %v: a message that was taken back is there again", topic, payload, retained)
	}

	// kill -9 some seconds after the last change loses none of them either.
	lamp.publish("stat/lamp/POWER", "OFF", true)
	select {
	case <-time.After(6 * time.Second): // they are saved within five
	case <-p.ended:
		t.Fatalf("the program ended: %v", p.err)
	}
	p.kill()
	p = s.start()
	t.Run("mosquitto_sub", func(t *testing.T) {
		needMosquitto(t)
		out, err := mosquittoOutput(t, s, "sub", "-t", "stat/lamp/POWER", "-C", "1", "-W", "30")
		if err != nil || strings.TrimSpace(out) != "OFF" {
			t.Errorf("got %q, %v", out, err)
		}
	})
	p.stop()
}

// The last will is how the death of a socket is known: it reaches the consumers
// of Kafka as an event, and those of MQTT as a retained message.
func TestWillOfADeviceBecomesAnEvent(t *testing.T) {
	t.Parallel()
	brokers := fakeKafka(t)
	s := newStation(t, brokers, sections{"buffer": "{commit_every: 500ms}"})
	p := s.start()
	lamp := connect(t, s.mqtt, greeting{id: "lamp", version: 4, willTopic: "tele/lamp/LWT", will: "Offline"})
	lamp.publish("tele/lamp/LWT", "Online", true)
	lamp.publish("tele/lamp/SENSOR", `{"ENERGY":{"Power":7.5}}`, false)
	lamp.Close() // no DISCONNECT: the plug was pulled
	eventually(t, time.Minute, "an event says that lamp is offline", func() bool {
		for _, e := range ofEvent(readBack(t, brokers, eventsTopic), "device_offline") {
			return e.key == "lamp" && e.device() == "lamp"
		}
		return false
	})
	home := connect(t, s.mqtt, greeting{id: "home", version: 5})
	home.send(frame(0x82, append(append([]byte{0, 9, 0}, text16("tele/lamp/LWT")...), 1)))
	if head, body := home.packet(); head != suback {
		t.Fatalf("answer to SUBSCRIBE: %x %x", head, body)
	}
	if head, body := home.packet(); head != 0x30|flagRetain || !strings.HasSuffix(string(body), "Offline") {
		t.Errorf("the will is not retained: %x %q", head, body)
	}
	s.awaitStatus(time.Minute, "lamp is offline", func(r report) bool {
		for _, d := range r.Devices {
			if d.Name == "lamp" {
				return d.Offline
			}
		}
		return false
	})
	p.stop()
}

// Where nobody vouches for the clock, readings leave as good once it is
// synchronised; else they wait, which status says, and leave as uncertain.
func TestClockDecidesAboutQuality(t *testing.T) {
	t.Parallel()
	brokers := fakeKafka(t)
	s := newStation(t, brokers, sections{"clock": "{trust: false, hold: 3s}"})
	p := s.start()
	c := connect(t, s.mqtt, greeting{id: "lamp", version: 4})
	c.publish("tele/lamp/SENSOR", `{"ENERGY":{"Power":7.5}}`, false)
	var lamp arrival
	eventually(t, 2*time.Minute, "the reading arrives", func() bool {
		for _, a := range readBack(t, brokers, readingsTopic) {
			if a.device() == "lamp" {
				lamp = a
				return true
			}
		}
		return false
	})
	now := s.awaitStatus(time.Minute, "an answer", func(report) bool { return true })
	want := "uncertain"
	if now.Clock.Synchronised {
		want = "good"
	}
	if got := lamp.value.Get("quality").Str; got != want || now.Clock.Trusted || now.Clock.Holding {
		t.Errorf("quality %s, want %s; clock %+v", got, want, now.Clock)
	}
	p.stop()
}
