package emulator

import "time"

// AHT20 is the humidity and temperature sensor AHT20 of Aosong, or its
// predecessor AHT10 without a checksum, from their datasheets (AHT20 A0, AHT10
// A3). A plain read gives the status and the values of the last measurement,
// whether or not another one is under way.
//
// Left out: the registers that the AHT20's initialisation of uncalibrated chips
// copies.
type AHT20 struct {
	// Temperature is that of the air, in degrees Celsius; nil is 25.
	Temperature func(at time.Time) float64
	// Humidity is that of the air, in percent; nil is 50.
	Humidity func(at time.Time) float64
	// Oscillator is its speed relative to the nominal one; 0 is 1.
	Oscillator float64
	// Uncalibrated is a chip that wants to be initialised after every start.
	Uncalibrated bool
	// Wrong is how many measurements give the humidity 0 that the chip gives at
	// times.
	Wrong int

	old     bool // AHT10
	awake   time.Time
	loaded  bool // the calibrated bit
	values  [5]byte
	until   time.Time // end of the measurement under way
	pending [5]byte
}

// NewAHT20 returns the chip in air of the given temperature and humidity.
func NewAHT20(temperature, humidity func(at time.Time) float64) *AHT20 {
	return &AHT20{Temperature: temperature, Humidity: humidity}
}

// NewAHT10 returns the predecessor.
func NewAHT10(temperature, humidity func(at time.Time) float64) *AHT20 {
	return &AHT20{Temperature: temperature, Humidity: humidity, old: true}
}

// Fields of the status byte.
const (
	ahtBusy       = 0x80
	ahtCalibrated = 0x08
	ahtReserved   = 0x10 // set by all chips seen
)

// PowerOn resets the chip, which answers after 20 ms.
func (c *AHT20) PowerOn(at time.Time) {
	c.awake = at.Add(slowed(18*time.Millisecond, c.Oscillator))
	c.loaded = !c.Uncalibrated && !c.old
	c.values, c.until = [5]byte{}, time.Time{}
}

// Transfer takes a command, or gives status and values.
func (c *AHT20) Transfer(at time.Time, w, r []byte) bool {
	if at.Before(c.awake) {
		return false
	}
	if !c.until.IsZero() && !at.Before(c.until) {
		c.values, c.until = c.pending, time.Time{}
	}
	if len(w) > 0 {
		c.command(at, w)
	}
	answer := append([]byte{c.status()}, c.values[:]...)
	if !c.old {
		answer = append(answer, crc8(answer))
	}
	n := copy(r, answer)
	for i := n; i < len(r); i++ {
		r[i] = 0xff
	}
	return true
}

func (c *AHT20) status() byte {
	status := byte(ahtReserved)
	if c.loaded {
		status |= ahtCalibrated
	}
	if !c.until.IsZero() {
		status |= ahtBusy
	}
	return status
}

// command follows section 5.3. 71 asks for the status, which is read anyway.
func (c *AHT20) command(at time.Time, w []byte) {
	switch w[0] {
	case 0xba:
		c.PowerOn(at)
	case 0xbe, 0xe1:
		// The AHT20 has left E1 behind, and takes it; the AHT10 knows only E1.
		if len(w) == 3 && w[1] == 0x08 && w[2] == 0 && (w[0] == 0xe1 || !c.old) {
			c.loaded = true
		}
	case 0xac:
		if len(w) == 3 && w[1] == 0x33 && w[2] == 0 && c.until.IsZero() {
			c.measure(at)
		}
	}
}

// measure takes 75 ms (AHT10), up to 80 ms (AHT20).
func (c *AHT20) measure(at time.Time) {
	c.until = at.Add(slowed(75*time.Millisecond, c.Oscillator))
	humidity := scale(truthAt(c.Humidity, at, 50), 0, 100, 1<<20)
	if c.Wrong > 0 {
		c.Wrong--
		humidity = 0
	}
	humidity = min(humidity, 1<<20-1)
	temperature := min(scale(truthAt(c.Temperature, at, 25), -50, 150, 1<<20), 1<<20-1)
	c.pending = [5]byte{
		byte(humidity >> 12), byte(humidity >> 4),
		byte(humidity<<4) | byte(temperature>>16),
		byte(temperature >> 8), byte(temperature),
	}
}
