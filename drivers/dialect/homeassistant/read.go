package homeassistant

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
	"github.com/tidwall/gjson"
)

// read takes from a message what its topic's entities look for.
func read(entities []*entity, payload []byte) dialect.Result {
	trimmed := dialect.Trim(payload)
	if isNothing(trimmed) {
		return dialect.Result{Dropped: min(len(trimmed), 1)}
	}
	c := collector{
		readings: make([]reading.Reading, 0, len(entities)),
		values:   make([]reading.Value, 0, len(entities)),
	}
	var root gjson.Result
	var err error
	if slices.ContainsFunc(entities, func(e *entity) bool { return e.value.isJSON }) {
		root, err = document(trimmed)
	} else {
		root.Raw = string(trimmed)
		_, err = dialect.Number(root.Raw)
	}
	if err != nil {
		return dialect.Result{Err: err}
	}
	for _, e := range entities {
		c.take(e, root)
	}
	if len(c.readings) == 0 {
		c.readings = nil
	}
	return dialect.Result{Readings: c.readings, Dropped: c.dropped}
}

// isNothing recognises the words for "no value" in templates and firmware.
func isNothing(text []byte) bool {
	if len(text) > len("unavailable") {
		return false
	}
	switch strings.ToLower(string(text)) {
	case "", "nan", "-nan", "inf", "-inf", "none", "null", "unknown", "unavailable":
		return true
	}
	return false
}

// document reads a payload that is JSON: an object, as a rule, but a template
// may take an element of an array or the whole of a number.
func document(payload []byte) (gjson.Result, error) {
	text := dialect.Trim(payload)
	if len(text) == 0 || text[0] == '{' {
		return dialect.Object(text)
	}
	switch {
	case !utf8.Valid(text):
		return gjson.Result{}, errors.New("not UTF-8")
	case bytes.Count(text, []byte{'['})+bytes.Count(text, []byte{'{'}) > dialect.MaxDepth:
		return gjson.Result{}, fmt.Errorf("an array of more than %d arrays or objects", dialect.MaxDepth-1)
	case !gjson.ValidBytes(text):
		return gjson.Result{}, errors.New("not JSON")
	}
	return gjson.ParseBytes(text), nil
}

// A collector gathers the readings of one message, in memory that is asked for
// once.
type collector struct {
	readings []reading.Reading
	values   []reading.Value
	dropped  int
}

func (c *collector) take(e *entity, root gjson.Result) {
	if e.twin {
		return
	}
	number, ok := e.value.number(root)
	if !ok {
		return
	}
	number, finite := dialect.Finite(e.conversion.Apply(number))
	if !finite || limits.Judge(e.metric, number) == dialect.Drop {
		c.dropped++
		return
	}
	channel := e.called()
	for i := range c.readings {
		if r := &c.readings[i]; r.Channel == channel && r.Device == e.device {
			return
		}
	}
	at := len(c.values)
	c.values = append(c.values, reading.Value{Metric: e.metric, Number: number})
	c.readings = append(c.readings, reading.Reading{
		Device: e.device, Channel: channel, Source: source, Values: c.values[at : at+1 : at+1],
	})
}
