package ingest

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// MaxLine bounds a line that DecodeLines reads, in bytes.
const MaxLine = 1 << 20

// A line is one message of DecodeLines, with those that came before it.
type line struct {
	Topic   *string `json:"topic"`
	Payload string  `json:"payload"`
	Bytes   []byte  `json:"payload_b64"` // in place of payload, where that is not text
	Retain  bool    `json:"retain"`
	Setup   []line  `json:"setup"`
}

// A decoded is the answer to a line.
type decoded struct {
	Readings []decodedReading `json:"readings"`
	Ignored  bool             `json:"ignored"`
	Error    string           `json:"error"`
}

type decodedReading struct {
	Device  string         `json:"device"`
	Channel string         `json:"channel"`
	Source  string         `json:"source"`
	Values  []decodedValue `json:"values"`
}

type decodedValue struct {
	Quantity string  `json:"quantity"`
	Unit     string  `json:"unit"`
	Value    float64 `json:"value"`
	Suspect  bool    `json:"suspect"`
}

// DecodeLines reads messages from r, one JSON object per line,
//
//	{"topic":..,"payload":..|"payload_b64":..,"retain":bool,"setup":[{"topic":..,"payload":..},...]}
//
// and writes what would be read from each, one line per line:
//
//	{"readings":[{"device":..,"channel":..,"source":..,"values":[{"quantity":..,"unit":..,"value":..,"suspect":bool}]}],"ignored":bool,"error":".."}
//
// Each line meets fresh dialects, which get the messages of setup first. ignored
// says that the message gives no reading and should not; error why it should
// have and did not, or why the line is none. Such a line ends nothing. The error
// returned is one of r or w.
func DecodeLines(r io.Reader, w io.Writer, newDialects func() []Dialect) error {
	in := bufio.NewReaderSize(r, 64<<10)
	out := bufio.NewWriter(w)
	answers := json.NewEncoder(out)
	answers.SetEscapeHTML(false)
	for {
		text, err := readLine(in)
		if errors.Is(err, io.EOF) && len(text) == 0 {
			return out.Flush()
		}
		if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, errLongLine) {
			return errors.Join(fmt.Errorf("read messages: %w", err), out.Flush())
		}
		if err := answers.Encode(answer(text, err, newDialects)); err != nil {
			return fmt.Errorf("write readings: %w", err)
		}
		if in.Buffered() > 0 {
			continue
		}
		if err := out.Flush(); err != nil { // somebody may wait for this answer
			return fmt.Errorf("write readings: %w", err)
		}
	}
}

var errLongLine = fmt.Errorf("line is longer than %d bytes", MaxLine)

// readLine reads up to the next newline. A line that is too long is read to its
// end, and is the error.
func readLine(in *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := in.ReadSlice('\n')
		if len(text) <= MaxLine {
			text = append(text, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case err == nil && len(text) > MaxLine+1, err != nil && len(text) > MaxLine:
			return nil, errLongLine
		}
		return text, err
	}
}

// answer decodes one line.
func answer(text []byte, readErr error, newDialects func() []Dialect) decoded {
	none := decoded{Readings: []decodedReading{}}
	if errors.Is(readErr, errLongLine) {
		none.Error = readErr.Error()
		return none
	}
	var l line
	if err := json.Unmarshal(text, &l); err != nil {
		none.Error = fmt.Sprintf("line is no message: %v", err)
		return none
	}
	if l.Topic == nil {
		none.Error = "line is no message: it has no topic"
		return none
	}
	dialects := newDialects()
	for _, before := range l.Setup {
		read(dialects, nil, before.message())
	}
	m := l.message()
	v := read(dialects, nil, m)
	switch {
	case v.Err != nil:
		none.Error = v.Err.Error()
		return none
	case len(m.Payload) > MaxPayload && !v.ignored:
		none.Error = errTooLong.Error()
		return none
	}
	return show(v.Readings)
}

func (l line) message() dialect.Message {
	m := dialect.Message{Payload: []byte(l.Payload), Retained: l.Retain}
	if l.Topic != nil {
		m.Topic = *l.Topic
	}
	if l.Bytes != nil {
		m.Payload = l.Bytes
	}
	return m
}

func show(readings []reading.Reading) decoded {
	d := decoded{Readings: []decodedReading{}, Ignored: len(readings) == 0}
	for _, r := range readings {
		shown := decodedReading{Device: r.Device, Channel: r.Channel, Source: r.Source}
		for _, v := range r.Values {
			shown.Values = append(shown.Values, decodedValue{v.Metric.Quantity(), v.Metric.Unit(), v.Number, v.Suspect})
		}
		d.Readings = append(d.Readings, shown)
	}
	return d
}
