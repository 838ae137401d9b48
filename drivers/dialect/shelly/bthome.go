package shelly

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"sync"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

const (
	sourceBTHome = "shelly-bthome"

	// bthomeRoot is the script's default topic, bthomeTail that of ioBroker's
	// variant, which publishes under the prefix of the listening device.
	bthomeRoot = "shelly-blu/events/"
	bthomeTail = "/events/ble"
)

// A BTHome reads what scripts on Gen2 devices publish for Bluetooth sensors. A
// sensor is called by its address, capitals without colons. Values that are an
// array, for sensors with several of a kind, are channels from "1" on. What the
// script passes on undecoded (text, encrypted) is not read.
//
// Several listening devices publish the same packet, and it is read once: the
// decoder remembers the last packets of each sensor by number and content. The
// script publishes with QoS 0, so nobody sends again what was refused here.
type BTHome struct {
	heard packets
}

// NewBTHome returns a decoder that has heard no packet.
func NewBTHome() *BTHome { return new(BTHome) }

// Name returns "shelly-bthome".
func (d *BTHome) Name() string { return sourceBTHome }

// Decode reads one message. It reports false for any other topic.
func (d *BTHome) Decode(m dialect.Message) (dialect.Result, bool) {
	name, direct := strings.CutPrefix(m.Topic, bthomeRoot)
	if !direct && !strings.HasSuffix(m.Topic, bthomeTail) {
		return dialect.Result{}, false
	}
	text := dialect.Trim(m.Payload)
	if len(text) == 0 {
		return dialect.Result{}, true // it clears a retained message
	}
	root, err := dialect.Object(text)
	if err != nil {
		return dialect.Result{Err: err}, true
	}
	if !direct {
		name = root.Get("srcBle.mac").Str
		root = root.Get("payload")
	}
	p := packet{number: -1}
	if root.ForEach(p.header); p.encrypted || !root.IsObject() {
		return dialect.Result{}, true
	}
	device, err := deviceOf(name, p.address)
	if err != nil {
		return dialect.Result{Err: err}, true
	}
	got := readPacket(device, root)
	if d.heard.repeated(device, p.number, got.Readings) {
		return dialect.Result{}, true
	}
	return got, true
}

// A packet is what stands beside the values.
type packet struct {
	number    int // -1: none
	address   string
	encrypted bool
}

func (p *packet) header(key, value gjson.Result) bool {
	var room [maxKey]byte
	switch string(fold(room[:0], key.Str)) {
	case "pid", "packet_id":
		if value.Type == gjson.Number && value.Num >= 0 && value.Num <= math.MaxUint8 {
			p.number = int(value.Num)
		}
	case "address", "addr", "mac":
		p.address = value.Str
	case "encryption", "encrypted":
		p.encrypted = value.Type == gjson.True
	}
	return true
}

// deviceOf prefers the address in the topic, then the one in the body, then
// whatever name the topic has.
func deviceOf(name, address string) (string, error) {
	if mac, ok := normalMAC(name); ok {
		return mac, nil
	}
	if mac, ok := normalMAC(address); ok {
		return mac, nil
	}
	if name == "" {
		return "", errors.New("no address of a sensor in topic or body")
	}
	return name, checkDevice(name)
}

// normalMAC writes an address in capitals without colons.
func normalMAC(text string) (string, bool) {
	if len(text) > len("00:00:00:00:00:00") {
		return "", false
	}
	var room [17]byte
	mac := room[:0]
	for i := range len(text) {
		switch c := text[i]; {
		case c == ':' || c == '-':
		case '0' <= c && c <= '9' || 'A' <= c && c <= 'F':
			mac = append(mac, c)
		case 'a' <= c && c <= 'f':
			mac = append(mac, c-'a'+'A')
		default:
			return "", false
		}
	}
	return string(mac), len(mac) == 12
}

func readPacket(device string, root gjson.Result) dialect.Result {
	m := newMessage(sourceBTHome, device)
	root.ForEach(func(key, value gjson.Result) bool {
		metric, factor := bthomeMetric(key.Str)
		switch {
		case metric == "":
		case value.IsArray():
			n := 0
			value.ForEach(func(_, element gjson.Result) bool {
				n++
				m.putBTHome(strconv.Itoa(n), metric, factor, element)
				return m.more()
			})
		default:
			m.putBTHome("", metric, factor, value)
		}
		return m.more()
	})
	return m.result()
}

// putBTHome leaves out moisture 0 and 1: scripts give the same name to a
// percentage and to a yes or no (BTHome objects 0x2F and 0x20).
func (m *message) putBTHome(channel string, metric reading.Metric, factor float64, value gjson.Result) {
	if metric == reading.SoilMoisture && value.Type == gjson.Number && (value.Num == 0 || value.Num == 1) {
		m.dropped++
		return
	}
	m.put(channel, ambient, metric, factor, value)
}

// bthomeMetric names the metric of a key. Each script spells in its own way; the
// units are BTHome's.
func bthomeMetric(key string) (reading.Metric, float64) {
	var room [maxKey]byte
	switch string(fold(room[:0], key)) {
	case "temperature":
		return reading.Temperature, 1
	case "humidity":
		return reading.Humidity, 1
	case "dewpoint", "dew_point":
		return reading.DewPoint, 1
	case "pressure":
		return reading.Pressure, 1
	case "illuminance":
		return reading.Illuminance, 1
	case "battery":
		return reading.Battery, 1
	case "moisture":
		return reading.SoilMoisture, 1
	case "conductivity":
		return reading.Conductivity, 1
	case "co2":
		return reading.CO2, 1
	case "power":
		return reading.Power, 1
	case "energy":
		return reading.Energy, 1
	case "voltage":
		return reading.Voltage, 1
	case "current":
		return reading.Current, 1
	case "distance_mm":
		return reading.Distance, 0.1
	case "precipitation":
		return reading.Rain, 1
	}
	return "", 0
}

// maxKey is longer than any key that is read.
const maxKey = 16

// fold writes a key in lower case; one too long to be known is empty.
func fold(dst []byte, key string) []byte {
	if len(key) > maxKey {
		return dst
	}
	for i := range len(key) {
		c := key[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		dst = append(dst, c)
	}
	return dst
}

const (
	maxSensors = 1024

	// window is how many packets a second listener may be behind. The counter
	// of a sensor has 256 values, so none of these can be a new one.
	window = 8
)

// packets are the last ones of each sensor. Sensors beyond the bound are read
// as often as they are heard.
type packets struct {
	mu   sync.Mutex
	last map[string]*[window]heardPacket
}

// A heardPacket is known by its counter and content, for a sensor with a new
// battery starts to count again.
type heardPacket struct {
	number int // plus one: zero is no packet
	sum    uint64
}

// repeated says whether a packet was read before, and remembers it if not.
func (p *packets) repeated(device string, number int, readings []reading.Reading) bool {
	if number < 0 || len(readings) == 0 {
		return false
	}
	this := heardPacket{number + 1, sumOf(readings)}
	p.mu.Lock()
	defer p.mu.Unlock()
	seen, known := p.last[device]
	if !known {
		if len(p.last) >= maxSensors {
			return false
		}
		if p.last == nil {
			p.last = map[string]*[window]heardPacket{}
		}
		seen = new([window]heardPacket)
		p.last[strings.Clone(device)] = seen
	}
	for _, before := range seen {
		if before == this {
			return true
		}
	}
	copy(seen[1:], seen[:window-1])
	seen[0] = this
	return false
}

// sumOf is FNV-1a over what a packet measured.
func sumOf(readings []reading.Reading) uint64 {
	sum := uint64(14695981039346656037)
	mix := func(b byte) { sum = (sum ^ uint64(b)) * 1099511628211 }
	for _, r := range readings {
		for _, v := range r.Values {
			for i := range len(v.Metric) {
				mix(v.Metric[i])
			}
			for bits := math.Float64bits(v.Number); bits != 0; bits >>= 8 {
				mix(byte(bits))
			}
		}
		mix(0)
	}
	return sum
}
