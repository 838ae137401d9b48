package dialect

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"strconv"
	"unicode/utf8"

	"github.com/tidwall/gjson"
)

// MaxDepth bounds how deep a payload may be nested. No device nests deeper than
// five, and validation recurses once per level.
const MaxDepth = 32

// Errors that a caller may want to tell apart.
var (
	ErrEmpty     = errors.New("payload is empty")
	ErrNotNumber = errors.New("not a decimal number")
)

const (
	byteOrderMark = "\ufeff"
	blanks        = " \t\r\n"
)

// Trim takes blanks and a byte order mark off the ends. Firmware ends payloads
// with a newline, Windows tools start them with a mark; strconv and JSON refuse
// both.
func Trim(payload []byte) []byte {
	payload = bytes.Trim(payload, blanks)
	if rest, ok := bytes.CutPrefix(payload, []byte(byteOrderMark)); ok {
		return bytes.Trim(rest, blanks)
	}
	return payload
}

// Object reads a payload that must be one JSON object in UTF-8 and nothing
// else. The result owns its memory. The error names the first thing that is
// wrong, with its place in the trimmed payload.
//
// gjson alone would give numbers, and even NaN, out of text that is not JSON
// (arendst/Tasmota#4147), and JSON validators do not look at the encoding.
func Object(payload []byte) (gjson.Result, error) {
	text := Trim(payload)
	switch {
	case len(text) == 0:
		return gjson.Result{}, ErrEmpty
	case !utf8.Valid(text):
		return gjson.Result{}, fmt.Errorf("not UTF-8 at byte %d", invalidUTF8(text))
	case tooDeep(text):
		return gjson.Result{}, fmt.Errorf("nested deeper than %d", MaxDepth)
	case !gjson.ValidBytes(text):
		return gjson.Result{}, notJSON(text)
	}
	value := gjson.ParseBytes(text)
	if !value.IsObject() {
		return gjson.Result{}, fmt.Errorf("an object is wanted, not %s", kindOf(value))
	}
	return value, nil
}

func invalidUTF8(text []byte) int {
	at := 0
	for at < len(text) {
		r, size := utf8.DecodeRune(text[at:])
		if r == utf8.RuneError && size <= 1 {
			break
		}
		at += size
	}
	return at
}

// tooDeep counts first, because counting is several times faster than looking:
// a payload with few brackets cannot be deep.
func tooDeep(text []byte) bool {
	if bytes.Count(text, []byte{'{'})+bytes.Count(text, []byte{'['}) <= MaxDepth {
		return false
	}
	depth, inString := 0, false
	for i := 0; i < len(text); i++ {
		switch c := text[i]; {
		case inString && c == '\\':
			i++
		case c == '"':
			inString = !inString
		case inString:
		case c == '{' || c == '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case c == '}' || c == ']':
			depth--
		}
	}
	return false
}

// notJSON parses once more, with the parser that says where it stopped. Broken
// payloads are rare and few of them are kept.
func notJSON(text []byte) error {
	var value json.RawMessage
	err := json.Unmarshal(text, &value)
	var syntax *json.SyntaxError
	if errors.As(err, &syntax) {
		return fmt.Errorf("not JSON at byte %d: %w", syntax.Offset, err)
	}
	return errors.New("not JSON")
}

func kindOf(value gjson.Result) string {
	switch {
	case value.IsArray():
		return "an array"
	case value.Type == gjson.Null:
		return "null"
	case value.IsBool():
		return "a boolean"
	case value.Type == gjson.Number:
		return "a number"
	default:
		return "a string"
	}
}

// Number reads a plain decimal number: an optional sign, digits, an optional
// fraction, an optional exponent, with nothing around it. It takes leading
// zeros, as meters write them, and refuses what strconv.ParseFloat takes
// besides: inf, nan, 0x1p-2, 1_000, ".5" and "5.".
func Number(text string) (float64, error) {
	if !isDecimal(text) {
		return 0, ErrNotNumber
	}
	number, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return 0, fmt.Errorf("number is out of range: %w", err)
	}
	number, _ = Finite(number) // what ParseFloat gives without error is finite
	return number, nil
}

// isDecimal matches ^[+-]?[0-9]+(\.[0-9]+)?([eE][+-]?[0-9]+)?$.
func isDecimal(text string) bool {
	rest, ok := cutDigits(cutSign(text))
	if ok && rest != "" && rest[0] == '.' {
		rest, ok = cutDigits(rest[1:])
	}
	if ok && rest != "" && (rest[0] == 'e' || rest[0] == 'E') {
		rest, ok = cutDigits(cutSign(rest[1:]))
	}
	return ok && rest == ""
}

func cutSign(text string) string {
	if text != "" && (text[0] == '+' || text[0] == '-') {
		return text[1:]
	}
	return text
}

func cutDigits(text string) (rest string, ok bool) {
	n := 0
	for n < len(text) && '0' <= text[n] && text[n] <= '9' {
		n++
	}
	return text[n:], n > 0
}

// Finite turns -0 into 0, for printf rounds small negative values to it, and
// reports false for what no record may hold: 1e400 is valid JSON and infinite.
func Finite(number float64) (float64, bool) {
	if math.IsNaN(number) || math.IsInf(number, 0) {
		return 0, false
	}
	if number == 0 {
		return 0, true
	}
	return number, true
}
