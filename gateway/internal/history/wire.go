package history

import (
	"bufio"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/plantgate/plantgate/gateway/internal/envelope"
)

// An answer on its way is lines of JSON. The last one says that it is the last:
// a connection that broke must not look like the end of the records.

// Append writes l as one line behind dst. The value is written as it is.
func (l Line) Append(dst []byte) []byte {
	switch {
	case l.Span != nil:
		return fmt.Appendf(dst, "{\"span\":{\"first\":%d,\"last\":%d}}\n", l.Span.First, l.Span.Last)
	case l.Gap != nil:
		dst = fmt.Appendf(dst, `{"gap":{"first":%d,"last":%d,"reason":`, l.Gap.First, l.Gap.Last)
		dst = appendText(dst, l.Gap.Reason)
		dst = append(dst, `,"detail":`...)
		dst = appendText(dst, l.Gap.Detail)
		return append(dst, "}}\n"...)
	}
	dst = append(dst, `{"number":`...)
	dst = strconv.AppendUint(dst, l.Number, 10)
	dst = append(dst, `,"kind":"`...)
	dst = append(dst, l.Kind...)
	dst = append(dst, `","confirmed":`...)
	dst = strconv.AppendBool(dst, l.Confirmed)
	dst = append(dst, `,"settled":`...)
	dst = strconv.AppendBool(dst, l.Settled)
	dst = append(dst, `,"value":`...)
	dst = append(dst, l.Value...)
	return append(dst, "}\n"...)
}

// AppendEnd writes the last line of an answer; err is why it ends early.
func AppendEnd(dst []byte, err error) []byte {
	if err == nil {
		return append(dst, "{\"end\":\"\"}\n"...)
	}
	dst = append(dst, `{"end":`...)
	dst = appendText(dst, err.Error())
	return append(dst, "}\n"...)
}

func appendText(dst []byte, text string) []byte {
	quoted, err := json.Marshal(text)
	if err != nil {
		return append(dst, `""`...) // a string always marshals
	}
	return append(dst, quoted...)
}

// maxLine is more than the largest record takes in base64.
const maxLine = 4 << 20

// ErrBrokenOff means that an answer did not come to its end.
var ErrBrokenOff = errors.New("the gateway broke off its answer: it has stopped, or what it sent was not read for too long")

// Read reads an answer and gives its lines to visit.
func Read(r io.Reader, visit func(Line) error) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 64<<10), maxLine)
	for lines.Scan() {
		answer := gjson.ParseBytes(lines.Bytes())
		if end := answer.Get("end"); end.Exists() {
			if end.Str != "" {
				return errors.New(end.Str)
			}
			return nil
		}
		if err := visit(parseLine(answer)); err != nil {
			return err
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%w (%w)", ErrBrokenOff, err)
	}
	return ErrBrokenOff
}

func parseLine(answer gjson.Result) Line {
	if s := answer.Get("span"); s.Exists() {
		return Line{Span: &Span{First: s.Get("first").Uint(), Last: s.Get("last").Uint()}}
	}
	if g := answer.Get("gap"); g.Exists() {
		return Line{Gap: &Gap{First: g.Get("first").Uint(), Last: g.Get("last").Uint(), Reason: g.Get("reason").Str, Detail: g.Get("detail").Str}}
	}
	return Line{
		Number: answer.Get("number").Uint(), Kind: answer.Get("kind").Str,
		Confirmed: answer.Get("confirmed").Bool(), Settled: answer.Get("settled").Bool(),
		Value: []byte(answer.Get("value").Raw),
	}
}

// appendLetter completes a value with what of a dead letter are headers and
// bytes in Kafka.
func appendLetter(dst []byte, l envelope.Letter) []byte {
	for _, f := range [][2]string{{"topic", l.Topic}, {"client", l.Client}, {"error", l.Error}} {
		dst = append(dst, '"')
		dst = append(dst, f[0]...)
		dst = append(dst, `":`...)
		dst = appendText(dst, f[1])
		dst = append(dst, ',')
	}
	dst = append(dst, `"payload_b64":"`...)
	dst = base64.StdEncoding.AppendEncode(dst, l.Payload)
	return append(dst, "\"}"...)
}
