package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/plantgate/plantgate/drivers/dialect/mapping"
	"github.com/plantgate/plantgate/gateway/internal/config"
	"github.com/plantgate/plantgate/gateway/internal/control"
)

// A memoryListener hands out connections in memory.
type memoryListener struct {
	conns chan net.Conn
	done  chan struct{}
	once  sync.Once
}

func (l *memoryListener) Accept() (net.Conn, error) {
	select {
	case c := <-l.conns:
		return c, nil
	case <-l.done:
		return nil, net.ErrClosed
	}
}

func (l *memoryListener) Close() error {
	l.once.Do(func() { close(l.done) })
	return nil
}

func (l *memoryListener) Addr() net.Addr { return &net.UnixAddr{Net: "unix"} }

// fuzzedControl serves the control socket's requests for a gateway that does not
// run.
func fuzzedControl(f *testing.F) *memoryListener {
	f.Helper()
	c, err := config.Parse("p.yaml", []byte("gateway: pi1\nkafka: {brokers: [127.0.0.1:1]}\nmqtt: {listen: 127.0.0.1:0}\ndata_dir: "+f.TempDir()), config.Options{Chips: chips()})
	if err != nil {
		f.Fatal(err)
	}
	g, err := newGateway(c, slog.New(slog.DiscardHandler), linuxBus, new(mapping.Decoder))
	if err != nil {
		f.Fatal(err)
	}
	l := &memoryListener{conns: make(chan net.Conn), done: make(chan struct{})}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- control.Serve(ctx, l, g.controlHandler()) }()
	f.Cleanup(func() {
		cancel()
		if err := <-served; err != nil {
			f.Error(err)
		}
	})
	return l
}

// Every local user may write anything to the control socket. Each request is
// answered, whatever it asks for, and none of them is allowed to change a thing
// here, because the kernel does not know who asks.
func FuzzControl(f *testing.F) {
	for _, target := range []string{"/status", "/tail?device=washer&raw=true", "/tail?raw=%zz", "/", "*", "/replay?from=1&to=18446744073709551615", "/peek?from=-1", "//status/../tail"} {
		for _, method := range []string{"GET", "POST", "DELETE"} {
			f.Add(method, target, "X: y", "")
		}
	}
	f.Add("GET", "/status", "Content-Length: 9999999", "x")
	f.Add("GET", "/status", "Transfer-Encoding: chunked", "zz\r\n")
	l := fuzzedControl(f)
	f.Fuzz(func(t *testing.T, method, target, header, body string) {
		ours, theirs := net.Pipe()
		defer ours.Close()
		l.conns <- theirs
		patience := 10 * time.Second
		whole := complete(method, target, header)
		if !whole {
			patience = 20 * time.Millisecond // it rightly waits for the rest
		}
		if err := ours.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		go func() {
			// What fails here the server made fail, by answering and closing.
			_, _ = io.WriteString(ours, method+" "+target+" HTTP/1.1\r\nHost: plantgate\r\nConnection: close\r\n"+header+"\r\n\r\n"+body)
		}()
		resp, err := http.ReadResponse(bufio.NewReader(ours), &http.Request{Method: method})
		if err != nil {
			if whole {
				t.Fatalf("no answer: %v", err)
			}
			return
		}
		// The body is not closed: that would read a stream to its end.
		if method == http.MethodGet || resp.StatusCode >= 400 {
			checkAnswer(t, resp)
			return
		}
		t.Errorf("%s %s is answered with %s", method, target, resp.Status)
	})
}

// complete: such a request is whole, and no reason to wait for the rest of it.
func complete(parts ...string) bool {
	return !strings.ContainsAny(strings.Join(parts, ""), "\r\n") && !strings.Contains(strings.ToLower(parts[2]), "length") && !strings.Contains(strings.ToLower(parts[2]), "encoding")
}

func checkAnswer(t *testing.T, resp *http.Response) {
	t.Helper()
	if resp.StatusCode != http.StatusOK || resp.Header.Get("Content-Type") != "application/json" {
		return // a stream does not end
	}
	text, err := io.ReadAll(resp.Body)
	if err == nil && !json.Valid(text) {
		t.Errorf("answer %q, %v", text, err)
	}
}

// Names, topics and payloads are what a client chose. They must not write
// anywhere on the terminal but on their own line.
func FuzzTerminal(f *testing.F) {
	f.Add("washer", "1", "tele/washer/SENSOR", `{"ENERGY":{"Power":7}}`, "not JSON", 7.5)
	f.Add("\x1b[2J", "\r", "\u202egnp", "\x9b31m\n\xff", "\u2028", -1e300)
	f.Fuzz(func(t *testing.T, device, channel, topic, payload, reason string, number float64) {
		at := time.UnixMilli(1795507951123)
		r := heardReading{Device: device, Channel: channel, Source: reason, Values: []heardValue{{Metric: "power", Value: number, Unit: "W"}}}
		for _, line := range tailText(heard{Time: at, Topic: topic, Payload: payload, Reason: reason, Readings: []heardReading{r}}) {
			onOneLine(t, line)
		}
		s := status{
			Problems: []problem{{What: reason, Remedy: payload}}, MQTT: mqttStatus{Refused: map[string]uint64{"login": 1}},
			Devices: []deviceStatus{{Name: device, Source: channel, Last: &at}},
			Sources: []sourceStatus{{Source: topic, Readings: 1}},
			Kafka:   &kafkaStatus{State: "sending", LastError: payload},
			Sensors: []sensorStatus{{Name: "basil", State: "lost", Error: reason}},
		}
		empty := s
		empty.Problems, empty.Devices = []problem{{What: "x", Remedy: "x"}}, []deviceStatus{{Name: "x", Source: "x", Last: &at}}
		empty.Sources = []sourceStatus{{Source: "x", Readings: 1}}
		got, want := statusText(s, at), statusText(empty, at)
		if topic != "" && payload != "" && strings.Count(got, "\n") != strings.Count(want, "\n") {
			t.Errorf("names break lines:\n%q", got)
		}
		for line := range strings.SplitSeq(got, "\n") {
			onOneLine(t, line)
		}
	})
}

func onOneLine(t *testing.T, line string) {
	t.Helper()
	if !utf8.ValidString(line) || strings.ContainsFunc(line, func(r rune) bool { return !unicode.IsPrint(r) }) {
		t.Errorf("unprintable in %q", line)
	}
}
