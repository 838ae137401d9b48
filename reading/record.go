package reading

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Version is the record's v field. It changes only when a field changes its
// meaning; fields are otherwise only ever added.
const Version = 1

// A Place says which gateway, in which home, a record comes from.
type Place struct {
	Gateway string
	Site    string
}

// A Head is what a record gets on its way out: everything that depends on when
// and as what number it was stored. The body behind it was encoded once, when
// the reading arrived.
type Head struct {
	Gateway  string
	Stream   string // eight hexadecimal digits
	Seq      uint64
	Time     time.Time
	Quality  Quality
	Replayed bool // sent again after it had been confirmed
}

// ID returns the record's identity, the same over every retry, restart and
// replay: consumers drop duplicates by it.
func (h Head) ID() string { return string(h.appendID(make([]byte, 0, 48))) }

func (h Head) appendID(dst []byte) []byte {
	dst = append(dst, h.Gateway...)
	dst = append(dst, '-')
	dst = append(dst, h.Stream...)
	dst = append(dst, '-')
	return strconv.AppendUint(dst, h.Seq, 10)
}

// Append writes the opening of a record: all up to the body that AppendBody or
// AppendEventBody wrote. Gateway and Stream must be plain names, as the
// configuration allows them: they are written as they are.
func (h Head) Append(dst []byte) []byte {
	dst = h.appendStart(dst, h.appendID)
	dst = append(dst, `,"seq":`...)
	dst = strconv.AppendUint(dst, h.Seq, 10)
	return h.appendTime(dst)
}

// AppendGap writes the opening of a gap event: it stands for the numbers from
// Seq to the last one, so it has an identity of its own and no number.
func (h Head) AppendGap(dst []byte, last uint64) []byte {
	dst = h.appendStart(dst, func(dst []byte) []byte { return append(dst, h.GapID(last)...) })
	return h.appendTime(dst)
}

// GapID returns the identity of the event that explains the numbers from Seq
// through last.
func (h Head) GapID(last uint64) string {
	return fmt.Sprintf("%s-%s-gap-%d-%d", h.Gateway, h.Stream, h.Seq, last)
}

func (h Head) appendStart(dst []byte, id func([]byte) []byte) []byte {
	dst = append(dst, `{"v":`...)
	dst = strconv.AppendInt(dst, Version, 10)
	dst = append(dst, `,"id":"`...)
	dst = id(dst)
	return append(dst, '"')
}

func (h Head) appendTime(dst []byte) []byte {
	dst = append(dst, `,"ts":"`...)
	dst = AppendTime(dst, h.Time)
	dst = append(dst, `","ts_ms":`...)
	dst = strconv.AppendInt(dst, h.Time.UnixMilli(), 10)
	dst = append(dst, `,"quality":"`...)
	dst = append(dst, h.Quality.String()...)
	dst = append(dst, `","quality_level":`...)
	dst = appendNumber(dst, h.Quality.Level())
	if h.Replayed {
		dst = append(dst, `,"replayed":true`...)
	}
	return append(dst, ',')
}

// AppendTime writes t as RFC 3339 in UTC with exactly three decimals.
func AppendTime(dst []byte, t time.Time) []byte {
	return t.UTC().AppendFormat(dst, "2006-01-02T15:04:05.000Z")
}

// AppendBody writes what follows the head, closing brace included. A reading
// that Validate turns down is returned as its error, with dst unchanged.
func AppendBody(dst []byte, at Place, r Reading) ([]byte, error) {
	if err := r.Validate(); err != nil {
		return dst, err
	}
	dst = appendPlace(dst, at)
	dst = appendField(dst, "device", r.Device)
	dst = appendField(dst, "channel", r.Channel)
	dst = appendField(dst, "source", r.Source)
	suspect := false
	for _, v := range r.Values {
		dst = append(dst, ',', '"')
		dst = append(dst, v.Metric...)
		dst = append(dst, '"', ':')
		dst = appendNumber(dst, v.Number)
		suspect = suspect || v.Suspect
	}
	if suspect {
		dst = appendField(dst, "suspect", suspectFields(r.Values))
	}
	if r.Calibration != "" {
		dst = appendField(dst, "calibration", r.Calibration)
	}
	if r.Dup {
		dst = append(dst, `,"dup":true`...)
	}
	return append(dst, '}'), nil
}

func suspectFields(values []Value) string {
	var fields []string
	for _, v := range values {
		if v.Suspect {
			fields = append(fields, string(v.Metric))
		}
	}
	return strings.Join(fields, ",")
}

func appendPlace(dst []byte, at Place) []byte {
	dst = append(dst, `"gateway":`...)
	dst = appendString(dst, at.Gateway)
	return appendField(dst, "site", at.Site)
}

func appendField(dst []byte, name, text string) []byte {
	dst = append(dst, ',', '"')
	dst = append(dst, name...)
	dst = append(dst, '"', ':')
	return appendString(dst, text)
}

// appendNumber writes a finite number with a decimal point, whatever its value:
// a consumer without a schema takes the type from the first record it sees, and
// encoding/json would write 42.0 as 42 (arendst/Tasmota#24377).
func appendNumber(dst []byte, f float64) []byte {
	if f == 0 {
		return append(dst, "0.0"...) // -0 as well
	}
	format := byte('f')
	if abs := math.Abs(f); abs < 1e-6 || abs >= 1e21 {
		format = 'e'
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, format, -1, 64)
	if bytes.IndexByte(dst[start:], '.') >= 0 {
		return dst
	}
	if i := bytes.IndexByte(dst[start:], 'e'); i >= 0 {
		return slices.Insert(dst, start+i, '.', '0')
	}
	return append(dst, '.', '0')
}

const hexDigits = "0123456789abcdef"

// appendString writes valid UTF-8 as a JSON string. It escapes what RFC 8259
// section 7 demands and nothing else.
func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	plain := 0
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c >= 0x20 && c != '"' && c != '\\' {
			continue
		}
		dst = append(dst, s[plain:i]...)
		plain = i + 1
		if c >= 0x20 {
			dst = append(dst, '\\', c)
			continue
		}
		dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
	}
	dst = append(dst, s[plain:]...)
	return append(dst, '"')
}

// A Record is a record read back: what a consumer sees.
type Record struct {
	ID      string
	Head    Head
	Place   Place
	Reading Reading
}

type recordJSON struct {
	V            int     `json:"v"`
	ID           string  `json:"id"`
	Seq          uint64  `json:"seq"`
	TS           string  `json:"ts"`
	TSMillis     int64   `json:"ts_ms"`
	Quality      string  `json:"quality"`
	QualityLevel float64 `json:"quality_level"`
	Replayed     bool    `json:"replayed"`
	Gateway      string  `json:"gateway"`
	Site         string  `json:"site"`
	Device       string  `json:"device"`
	Channel      string  `json:"channel"`
	Source       string  `json:"source"`
	Suspect      string  `json:"suspect"`
	Calibration  string  `json:"calibration"`
	Dup          bool    `json:"dup"`
}

// Parse reads a record of the readings topic back, as a check of the format
// and for commands that show records. The main path never decodes a body.
func Parse(record []byte) (Record, error) {
	var j recordJSON
	if err := json.Unmarshal(record, &j); err != nil {
		return Record{}, fmt.Errorf("parse record: %w", err)
	}
	if j.V != Version {
		return Record{}, fmt.Errorf("parse record: version %d is not known", j.V)
	}
	stream, _, err := SplitID(j.ID)
	if err != nil {
		return Record{}, fmt.Errorf("parse record: %w", err)
	}
	r := Record{
		ID:    j.ID,
		Head:  Head{Gateway: j.Gateway, Stream: stream, Seq: j.Seq, Time: time.UnixMilli(j.TSMillis).UTC(), Quality: Quality(j.QualityLevel), Replayed: j.Replayed},
		Place: Place{Gateway: j.Gateway, Site: j.Site},
		Reading: Reading{
			Device: j.Device, Channel: j.Channel, Source: j.Source,
			Calibration: j.Calibration, Dup: j.Dup,
		},
	}
	r.Reading.Values, err = parseValues(record, j.Suspect)
	if err != nil {
		return Record{}, fmt.Errorf("parse record %s: %w", j.ID, err)
	}
	return r, nil
}

// parseValues walks the record in its own order, so that what is read back
// compares equal to what was written.
func parseValues(record []byte, suspect string) ([]Value, error) {
	doubtful := strings.Split(suspect, ",")
	var values []Value
	d := json.NewDecoder(bytes.NewReader(record))
	if _, err := d.Token(); err != nil {
		return nil, err
	}
	for d.More() {
		key, err := d.Token()
		if err != nil {
			return nil, err
		}
		var val any // whole: what a later version or a stranger nests is skipped
		if err := d.Decode(&val); err != nil {
			return nil, err
		}
		metric := Metric(key.(string)) // a key of an object is a string
		n, isNumber := val.(float64)
		if !isNumber || metric.validate() != nil {
			continue
		}
		values = append(values, Value{Metric: metric, Number: n, Suspect: slices.Contains(doubtful, string(metric))})
	}
	return values, nil
}

// SplitID takes a record's identity apart into stream and number.
func SplitID(id string) (stream string, seq uint64, err error) {
	rest, number, ok := cutLast(id)
	if ok {
		_, stream, ok = cutLast(rest)
	}
	if ok {
		seq, err = strconv.ParseUint(number, 10, 64)
	}
	if !ok || err != nil || stream == "" {
		return "", 0, fmt.Errorf("id %q is not GATEWAY-STREAM-NUMBER", id)
	}
	return stream, seq, nil
}

func cutLast(s string) (before, after string, ok bool) {
	i := strings.LastIndexByte(s, '-')
	if i < 0 {
		return s, "", false
	}
	return s[:i], s[i+1:], true
}
