package main

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/drivers/dialect/ahoydtu"
	"github.com/plantgate/plantgate/drivers/dialect/esphome"
	"github.com/plantgate/plantgate/drivers/dialect/homeassistant"
	"github.com/plantgate/plantgate/drivers/dialect/homie"
	"github.com/plantgate/plantgate/drivers/dialect/lorawan"
	"github.com/plantgate/plantgate/drivers/dialect/mapping"
	"github.com/plantgate/plantgate/drivers/dialect/miflora"
	"github.com/plantgate/plantgate/drivers/dialect/openbeken"
	"github.com/plantgate/plantgate/drivers/dialect/opendtu"
	"github.com/plantgate/plantgate/drivers/dialect/shelly"
	"github.com/plantgate/plantgate/drivers/dialect/tasmota"
	"github.com/plantgate/plantgate/drivers/dialect/theengs"
	"github.com/plantgate/plantgate/drivers/dialect/victron"
	"github.com/plantgate/plantgate/drivers/dialect/zigbee2mqtt"
	"github.com/plantgate/plantgate/gateway/internal/ingest"
)

// natives are the dialects of devices, in the order in which they are asked; the
// first that knows a topic reads it. A new dialect is one line here.
func natives() []mapping.Native {
	return []mapping.Native{
		zigbee2mqtt.New(),
		openbeken.New(), // before Tasmota, whose messages it can imitate, in other units
		tasmota.New(),
		shelly.NewGen2(), // before the first generation: it may live under shellies/ too
		shelly.NewGen1(),
		shelly.NewBTHome(),
		opendtu.New(),
		ahoydtu.New(),
		victron.New(),
		homie.New(),
		theengs.New(),
		lorawan.New(),
		esphome.New(), // it learns from announcements, and leaves them to discovery
		miflora.New(), // it knows its messages by their content: after all that know their topics
	}
}

// dialects are all that read messages: what the user wrote, what devices speak,
// what the program brings along, and last what devices announce to Home
// Assistant. since is the time that mappings measure repetitions by; nil: they
// leave out none.
func dialects(user *mapping.Decoder, since func() time.Duration) []ingest.Dialect {
	var list []ingest.Dialect
	if len(user.Names()) > 0 { // else each message would ask the clock for nothing
		list = append(list, timed{user, since})
	}
	extended := user.Extends()
	for _, n := range natives() {
		if slices.Contains(extended, n.Name()) {
			n = user.Extending(n)
		}
		list = append(list, n)
	}
	return append(list, timed{mapping.Presets().Without(user.Names()...), since}, homeassistant.New())
}

// timed tells mappings the time.
type timed struct {
	*mapping.Decoder
	since func() time.Duration
}

// Decode implements ingest.Dialect.
func (t timed) Decode(m dialect.Message) (dialect.Result, bool) {
	if t.since == nil {
		return t.Decoder.Decode(m)
	}
	return t.DecodeAt(m, t.since())
}

// mappings reads the user's own mappings, which lie beside the configuration. A
// file that is wrong is an error of the list; the others are used.
func (c *commands) mappings() (*mapping.Decoder, []error) {
	user, errs := mapping.Load(c.mappingsDir())
	var known []string
	for _, n := range natives() {
		known = append(known, n.Name())
	}
	for _, name := range user.Extends() {
		if !slices.Contains(known, name) {
			errs = append(errs, fmt.Errorf("%s: a mapping extends %q, which is no dialect; known are %s", c.mappingsDir(), name, strings.Join(known, ", ")))
		}
	}
	return user, errs
}

func (c *commands) mappingsDir() string { return filepath.Join(filepath.Dir(c.Config), "mappings.d") }
