package main

import (
	"context"
	"fmt"
	"math"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

// A demoSocket plays a Tasmota socket: it connects over real MQTT with a last
// will, announces itself and sends its energy like the device does.
type demoSocket struct {
	name string
	mac  string
	// watts is the power at a moment; negative means feeding in.
	watts func(at time.Time) float64
	mean  float64 // of watts over a day: lets the counter go on over restarts
}

const demoSocketEvery = 2 * time.Second

func demoSockets() []demoSocket {
	return []demoSocket{
		{"lamp", "DC4F22000001", lampWatts, 5},
		{"washer", "DC4F22000002", washerWatts, 180},
		{"solar", "DC4F22000003", solarWatts, 95},
	}
}

// lampWatts is on for two minutes of every three.
func lampWatts(at time.Time) float64 {
	if at.Unix()%180 >= 120 {
		return 0
	}
	return 7.4 + 0.1*math.Sin(float64(at.Unix())/7)
}

// washerWatts heats for a while, then turns its drum.
func washerWatts(at time.Time) float64 {
	switch phase := at.Unix() % 600; {
	case phase < 120:
		return 2040 + 15*math.Sin(float64(phase))
	case phase < 480:
		return 90 + 70*math.Abs(math.Sin(float64(phase)/11))
	default:
		return 1
	}
}

// solarWatts follows the sun of a local day.
func solarWatts(at time.Time) float64 {
	hour := float64(at.Hour()) + float64(at.Minute())/60 + float64(at.Second())/3600
	return math.Max(0, 310*math.Sin((hour-6)/12*math.Pi))
}

// run plays the socket until ctx ends. The client reconnects by itself, as the
// device does.
func (s demoSocket) run(ctx context.Context, broker string) error {
	c := mqtt.NewClient(s.options(broker))
	c.Connect()
	defer c.Disconnect(100)
	tick := time.NewTicker(demoSocketEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case now := <-tick.C:
			if c.IsConnectionOpen() {
				c.Publish("tele/"+s.name+"/SENSOR", 0, false, s.sensor(now))
			}
		}
	}
}

func (s demoSocket) options(broker string) *mqtt.ClientOptions {
	return mqtt.NewClientOptions().
		AddBroker("tcp://"+broker).
		SetClientID("DVES_"+s.mac[6:]).
		SetWill("tele/"+s.name+"/LWT", "Offline", 1, true).
		SetConnectRetry(true).
		SetConnectRetryInterval(time.Second).
		SetMaxReconnectInterval(5 * time.Second).
		SetOnConnectHandler(func(c mqtt.Client) {
			c.Publish("tele/"+s.name+"/LWT", 1, true, "Online")
			c.Publish("tasmota/discovery/"+s.mac+"/config", 0, true, s.discovery())
		})
}

func (s demoSocket) sensor(now time.Time) string {
	const volts = 231.0
	power := s.watts(now)
	apparent := power * 1.04
	year := time.Date(now.Year(), 1, 1, 0, 0, 0, 0, now.Location())
	day := time.Date(now.Year(), now.Month(), now.Day(), 0, 0, 0, 0, now.Location())
	return fmt.Sprintf(`{"Time":"%s","ENERGY":{"TotalStartTime":"%s","Total":%.3f,"Yesterday":%.3f,"Today":%.3f,"Period":%d,`+
		`"Power":%.1f,"ApparentPower":%.1f,"ReactivePower":%.1f,"Factor":%.2f,"Voltage":%.0f,"Current":%.3f}}`,
		now.Format("2006-01-02T15:04:05"), year.Format("2006-01-02T15:04:05"),
		s.kWh(now.Sub(year)), s.kWh(24*time.Hour), s.kWh(now.Sub(day)), int(power*demoSocketEvery.Hours()),
		power, apparent, math.Sqrt(apparent*apparent-power*power), 0.96, volts, apparent/volts)
}

func (s demoSocket) kWh(over time.Duration) float64 { return s.mean * over.Hours() / 1000 }

// discovery is what Tasmota retains so that others learn its topics
// (SetOption19 0); only what is read is played.
func (s demoSocket) discovery() string {
	return fmt.Sprintf(`{"ip":"127.0.0.1","dn":"%[1]s","fn":["%[1]s"],"hn":"%[1]s","mac":"%[2]s","md":"Demo socket",`+
		`"ofln":"Offline","onln":"Online","state":["OFF","ON","TOGGLE","HOLD"],"sw":"15.0.1","t":"%[1]s",`+
		`"ft":"%%prefix%%/%%topic%%/","tp":["cmnd","stat","tele"],"ver":1}`, s.name, s.mac)
}
