package config

import (
	"cmp"
	"fmt"
	"hash/crc32"
	"maps"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// A placed sensor is one with the part of the file that names it.
type placed struct {
	Sensor
	o *object
}

// mostSensors bounds the work of checks that compare each with each.
const mostSensors = 500

func (d *decoder) sensors(root *object, opts Options) []Sensor {
	var all []placed
	objects := root.sections("sensors")
	if len(objects) > mostSensors {
		d.complain(root.place("sensors"), fmt.Sprintf("`sensors` has more than %d elements", mostSensors), "use a second gateway")
		return nil
	}
	for _, o := range objects {
		all = append(all, placed{d.sensor(o, opts), o})
	}
	d.distinct(all)
	var sensors []Sensor
	for _, p := range all {
		sensors = append(sensors, p.Sensor)
	}
	return sensors
}

// sensor reads one sensor. What its chip allows is checked while the values are
// read, so that each message stands at its value.
func (d *decoder) sensor(o *object, opts Options) Sensor {
	s := Sensor{Channel: NoChannel, Every: time.Minute}
	read(o, "name", &s.Name, label)
	read(o, "chip", &s.Chip, chipName(opts.Chips))
	chip, known := opts.Chips[s.Chip]
	if !known {
		chip = anyChip
	}
	read(o, "bus", &s.Bus, busName(chip.Bus))
	read(o, "address", &s.Address, chipAddress(s.Chip, chip))
	read(o, "channel", &s.Channel, channelOf(s.Chip, chip))
	read(o, "probe", &s.Probe, probeOf(s.Chip, chip, known))
	read(o, "gain", &s.Gain, gainOf(s.Chip, chip, known))
	read(o, "rate", &s.Rate, rateOf(s.Chip, chip, known))
	d.calibration(o.section("calibration"), &s.Calibration, s.Gain)
	read(o, "every", &s.Every, duration(time.Second, day))
	d.emulation(o, &s, opts)
	o.end()
	d.complete(o, &s, chip, opts, known)
	return s
}

// anyChip stands in for one that is not known, so that only what no chip could
// have is reported.
var anyChip = Chip{Lowest: lowestAddress, Highest: highestAddress, Channels: 256}

// I2C reserves the addresses outside these (NXP UM10204, table 4; the kernel's
// i2c-tools draw the same line).
const lowestAddress, highestAddress = 0x03, 0x77

// complete reports what is missing, and fills in what the chip decides.
func (d *decoder) complete(o *object, s *Sensor, chip Chip, opts Options, known bool) {
	o.require("name", "add `name: basil`: it is the device's name in every record")
	o.require("chip", "add `chip:` with one of "+list(slices.Sorted(maps.Keys(opts.Chips))...))
	o.require("bus", "add `bus: "+exampleBus(chip.Bus)+"`; `ls /dev/i2c-* /dev/spidev*` shows the buses that exist")
	if known && chip.Usual == 0 && chip.Highest != 0 {
		o.require("address", "add `address:`; `i2cdetect -y 1` (package i2c-tools) shows what answers on i2c-1")
	}
	if !o.has("address") {
		s.Address = chip.Usual
	}
	if known && chip.Channels > 0 && !opts.Emulate {
		o.require("channel", fmt.Sprintf("add `channel: 0`; %s has the channels 0 to %d", s.Chip, chip.Channels-1))
	}
	if !o.has("probe") && o.has("calibration") && !isNull(o.place("calibration")) {
		d.complain(o.keys["calibration"].key, "`"+o.name("calibration")+"` has no effect without a probe", "add `probe:`"+optionally(chip.Probes))
	}
}

func optionally(words []string) string {
	if len(words) == 0 {
		return ""
	}
	return " with " + list(words...)
}

func chipName(chips map[string]Chip) parser[string] {
	return parsed(func(text string) (string, *flaw) {
		if _, ok := chips[text]; ok || chips == nil && text != "" {
			return text, nil
		}
		known := slices.Sorted(maps.Keys(chips))
		hint := cmp.Or(didYouMean(text, known), "known are "+list(known...))
		return "", &flaw{quoted(text) + " is no chip that plantgate can read", hint}
	})
}

// busPattern: i2c-1, spi0.0, and what later drivers bring (w1, gpiochip0).
var busPattern = regexp.MustCompile(`^(i2c-\d{1,4}|spi\d{1,3}\.\d{1,3}|w1|gpiochip\d{1,3})$`)

func exampleBus(kind string) string {
	if kind == "spi" {
		return "spi0.0"
	}
	return "i2c-1"
}

func busName(kind string) parser[string] {
	return parsed(func(text string) (string, *flaw) {
		name := strings.TrimPrefix(text, "/dev/")
		hint := "write for example `" + exampleBus(kind) + "`; `ls /dev/i2c-* /dev/spidev*` shows the buses that exist"
		if n, err := strconv.ParseUint(text, 10, 8); err == nil {
			return "", &flaw{quoted(text) + " is only the number of a bus", fmt.Sprintf("did you mean `i2c-%d`?", n)}
		}
		if !busPattern.MatchString(name) {
			return "", &flaw{quoted(text) + " is no name of a bus", hint}
		}
		if !strings.HasPrefix(name, kind) {
			return "", &flaw{quoted(text) + " is not a bus that the chip can be on", hint}
		}
		return name, nil
	})
}

func chipAddress(name string, chip Chip) parser[uint16] {
	return parsed(func(text string) (uint16, *flaw) {
		n, err := strconv.ParseUint(text, 0, 16)
		address := uint16(n)
		switch {
		case err != nil:
			return 0, &flaw{quoted(text) + " is no I2C address", "write it as `0x48`"}
		case chip.Highest == 0:
			return 0, &flaw{name + " has no address", "remove the key"}
		case address < lowestAddress || address > highestAddress:
			return 0, &flaw{fmt.Sprintf("0x%02x is outside 0x%02x to 0x%02x: no I2C chip can be there", address, lowestAddress, highestAddress), inHex(text, chip)}
		case address < chip.Lowest || address > chip.Highest:
			return 0, &flaw{fmt.Sprintf("0x%02x is outside 0x%02x to 0x%02x: %s cannot be there", address, chip.Lowest, chip.Highest, name), inHex(text, chip)}
		}
		return address, nil
	})
}

// inHex guesses that "48" was meant as 0x48.
func inHex(text string, chip Chip) string {
	if n, err := strconv.ParseUint(text, 16, 16); err == nil && n >= uint64(chip.Lowest) && n <= uint64(chip.Highest) {
		return fmt.Sprintf("did you mean `0x%02x`?", n)
	}
	return "`i2cdetect -y 1` (package i2c-tools) shows what answers on i2c-1"
}

func channelOf(name string, chip Chip) parser[int] {
	return parsed(func(text string) (int, *flaw) {
		n, wrong := parseInt(text)
		switch {
		case wrong != nil:
			return NoChannel, wrong
		case chip.Channels == 0:
			return NoChannel, &flaw{name + " has no channels to choose from", "remove the key"}
		case n < 0 || n >= chip.Channels:
			return NoChannel, &flaw{fmt.Sprintf("%d is outside 0 to %d", n, chip.Channels-1), ""}
		}
		return n, nil
	})
}

func probeOf(name string, chip Chip, known bool) parser[string] {
	return func(d *decoder, key string, n *yaml.Node) (string, bool) {
		if !known {
			return word(d, key, n)
		}
		if len(chip.Probes) == 0 {
			d.complain(n, "`"+key+"`: "+name+" is no converter that a probe is wired to", "remove the key")
			return "", false
		}
		return oneOf(chip.Probes...)(d, key, n)
	}
}

func gainOf(name string, chip Chip, known bool) parser[float64] {
	return parsed(func(text string) (float64, *flaw) {
		v, wrong := parseVolts(text)
		switch {
		case wrong != nil:
			return 0, wrong
		case v <= 0 || v > 100:
			return 0, &flaw{quoted(text) + " is no full scale of a converter", ""}
		case known && len(chip.Gains) == 0:
			return 0, &flaw{"the gain of " + name + " cannot be set", "remove the key"}
		case known && !slices.Contains(chip.Gains, v):
			return 0, &flaw{quoted(text) + " is no full scale of " + name, "it has " + list(each(chip.Gains, func(v float64) string { return formatNumber(v) + " V" })...)}
		}
		return v, nil
	})
}

func rateOf(name string, chip Chip, known bool) parser[int] {
	return parsed(func(text string) (int, *flaw) {
		n, err := strconv.Atoi(strings.TrimSuffix(text, "/s"))
		switch {
		case err != nil || n < 1:
			return 0, &flaw{quoted(text) + " is no number of samples per second", "write for example `128`"}
		case known && len(chip.Rates) == 0:
			return 0, &flaw{"the rate of " + name + " cannot be set", "remove the key"}
		case known && !slices.Contains(chip.Rates, n):
			return 0, &flaw{fmt.Sprintf("%s does not sample %d times a second", name, n), "it does " + list(each(chip.Rates, strconv.Itoa)...)}
		}
		return n, nil
	})
}

func each[T any](values []T, format func(T) string) []string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = format(v)
	}
	return texts
}

// leastVolts is where a probe counts as shorted or unpowered.
const leastVolts = 0.05

// leastSpan is what a working probe shows between air and water at the very
// least; two points closer together turn noise into percent.
const leastSpan = 0.1 // volts

func (d *decoder) calibration(o *object, c *Calibration, gain float64) {
	scale := cmp.Or(gain, 6.144) // the widest range of any converter in use
	dry := read(o, "dry", &c.Dry, volts(leastVolts, scale))
	wet := read(o, "wet", &c.Wet, volts(leastVolts, scale))
	for _, p := range o.sections("points") {
		c.Points = append(c.Points, d.point(p, scale))
	}
	read(o, "id", &c.ID, label)
	o.end()
	switch {
	case o.has("points") && (o.has("dry") || o.has("wet")):
		d.complain(o.keys["points"].key, "`"+o.name("points")+"` and `dry`/`wet` are both set", "keep one of the two")
	case o.has("points"):
		d.curve(o, c)
	case !o.absent && (o.has("dry") != o.has("wet") || o.has("id") && !o.has("dry")):
		d.complain(o.where, "`"+o.path+"` needs both `dry` and `wet`", "measure the probe in air-dry and in thoroughly watered soil")
	case dry && wet && c.Dry == c.Wet:
		d.complain(o.place("wet"), "`"+o.path+"`: dry and wet are the same voltage", "measure both; a probe that shows no difference is broken or not powered")
	case dry && wet && !apart(c.Dry, c.Wet):
		d.complain(o.place("wet"), "`"+o.path+"`: dry and wet are less than "+formatNumber(leastSpan)+" V apart", "measure both again; a probe with so little span is broken or not powered")
	}
	if c.ID == "" {
		c.ID = c.identity()
	}
}

// apart reports whether two voltages differ by at least leastSpan, with room
// for the rounding of their decimal notation.
func apart(a, b float64) bool { return math.Abs(a-b) >= leastSpan-1e-9 }

func (d *decoder) point(o *object, scale float64) Point {
	var p Point
	read(o, "at", &p.At, volts(leastVolts, scale))
	read(o, "moisture", &p.Moisture, parsed(parsePercent))
	o.end()
	o.require("at", "add the voltage: `at: 2.80 V`")
	o.require("moisture", "add the moisture: `moisture: 40 %`")
	return p
}

const leastPoints, mostPoints = 2, 8

// curve sorts the points and checks that each voltage stands for one moisture.
func (d *decoder) curve(o *object, c *Calibration) {
	n := len(c.Points)
	if n < leastPoints || n > mostPoints {
		d.complain(o.keys["points"].key, fmt.Sprintf("`%s` has %d points", o.name("points"), n), fmt.Sprintf("give %d to %d", leastPoints, mostPoints))
		return
	}
	slices.SortStableFunc(c.Points, func(a, b Point) int { return cmp.Compare(a.Moisture, b.Moisture) })
	rising := c.Points[0].At < c.Points[n-1].At
	for i := 1; i < n; i++ {
		a, b := c.Points[i-1], c.Points[i]
		if a.Moisture == b.Moisture || a.At == b.At || (a.At < b.At) != rising {
			d.complain(o.keys["points"].key, fmt.Sprintf("`%s` turn back between %s %% and %s %%", o.name("points"), formatNumber(a.Moisture), formatNumber(b.Moisture)),
				"with rising moisture the voltage must only fall, or only rise")
			return
		}
	}
	if !apart(c.Points[0].At, c.Points[n-1].At) {
		d.complain(o.keys["points"].key, "`"+o.name("points")+"` lie within "+formatNumber(leastSpan)+" V", "measure again; a probe with so little span is broken or not powered")
	}
}

// identity names a calibration by what it says, so that a percent can be traced
// to it even when nobody gave it a name.
func (c Calibration) identity() string {
	switch {
	case len(c.Points) > 0:
		sum := crc32.ChecksumIEEE(fmt.Append(nil, c.Points))
		return fmt.Sprintf("points-%08x", sum)
	case c.Dry != c.Wet:
		return formatNumber(c.Dry) + "V-" + formatNumber(c.Wet) + "V"
	default:
		return ""
	}
}

func (d *decoder) emulation(o *object, s *Sensor, opts Options) {
	e := o.section("emulate")
	if !o.has("emulate") {
		return
	}
	if !opts.Emulate {
		d.complain(o.keys["emulate"].key, "`"+o.name("emulate")+"` invents what the chip says", "remove it: `run` reads real chips only")
		return
	}
	s.Emulate = &Emulation{Clock: 1}
	read(e, "volts", &s.Emulate.Volts, oneOrMany(number(-10, 10)))
	read(e, "clock", &s.Emulate.Clock, number(0.1, 10))
	e.end()
}

// distinct reports sensors that would be taken for one another.
func (d *decoder) distinct(all []placed) {
	for i, later := range all {
		for _, earlier := range all[:i] {
			if earlier.Name == later.Name && later.Name != "" {
				d.complain(later.o.place("name"), fmt.Sprintf("the name %s is taken by the sensor in line %d", quoted(later.Name), earlier.o.where.Line), "records of the two could not be told apart: give each a name of its own")
				break
			}
		}
		for _, earlier := range all[:i] {
			if d.samePlace(earlier, later) {
				break
			}
		}
	}
}

// samePlace reports two sensors that read the same thing, or contradict each
// other about one chip. It compares only what was read without a complaint: a wrong bus, chip
// or address is zero.
func (d *decoder) samePlace(a, b placed) bool {
	line := a.o.where.Line
	if a.Bus == "" || a.Bus != b.Bus || a.Address != b.Address || a.Chip == "" || b.Chip == "" || b.Address == 0 && strings.HasPrefix(b.Bus, "i2c") {
		return false
	}
	at := fmt.Sprintf("%s, address 0x%02x", b.Bus, b.Address)
	if b.Address == 0 {
		at = b.Bus
	}
	switch {
	case a.Chip != b.Chip:
		d.complain(b.o.place("chip"), fmt.Sprintf("at %s there is already the %s of the sensor in line %d", at, printable(a.Chip), line), "two chips cannot share an address")
		return true
	case a.Channel == b.Channel && (b.Channel == NoChannel || b.o.has("channel")):
		what := fmt.Sprintf("channel %d of the %s at %s", b.Channel, printable(b.Chip), at)
		if b.Channel == NoChannel {
			what = fmt.Sprintf("the %s at %s", printable(b.Chip), at)
		}
		d.complain(b.o.place("channel"), fmt.Sprintf("%s is already read by the sensor in line %d", what, line), "change the channel, the address or the bus of one of them")
		return true
	case a.Emulate != nil && b.Emulate != nil && !sameTruth(*a.Emulate, *b.Emulate):
		d.complain(b.o.keys["emulate"].key, fmt.Sprintf("the sensor in line %d says otherwise what its chip, the same one, measures", line), "`emulate` describes a whole chip: write it at one of its sensors")
		return true
	}
	return false
}

func sameTruth(a, b Emulation) bool { return a.Clock == b.Clock && slices.Equal(a.Volts, b.Volts) }
