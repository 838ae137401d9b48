package broker_test

import (
	"bufio"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/listeners"
	"github.com/mochi-mqtt/server/v2/packets"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

const tasmota = `{"Time":"2026-11-24T09:12:31","ENERGY":{"TotalStartTime":"2024-01-01T00:00:00","Total":1234.567,` +
	`"Yesterday":1.234,"Today":0.567,"Period":12,"Power":123,"ApparentPower":130,"ReactivePower":42,"Factor":0.95,` +
	`"Voltage":231,"Current":0.545}}`

// BenchmarkAcknowledged measures acknowledged QoS 1 messages: 50 clients with
// 10 in flight each, a commit of one millisecond. b.N is the number of
// messages.
func BenchmarkAcknowledged(b *testing.B) {
	r := start(b, func(o *broker.Options) { o.Log = nil })
	r.store.sync = func() error { time.Sleep(time.Millisecond); return nil }
	r.store.forget = true
	load(b, r.addr(), 50, 10, b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

// load publishes n messages from clients with a window of messages in flight.
func load(b *testing.B, addr string, clients, window, n int) {
	b.Helper()
	var all sync.WaitGroup
	b.ResetTimer()
	for i := range clients {
		share := n / clients
		if i < n%clients {
			share++
		}
		all.Go(func() {
			if err := publishAll(addr, i, window, share); err != nil {
				b.Error(err)
			}
		})
	}
	all.Wait()
}

func publishAll(addr string, client, window, n int) error {
	c, err := net.Dial("tcp", addr)
	if err != nil {
		return err
	}
	defer c.Close()
	r := bufio.NewReader(c)
	if _, err := c.Write(hello{id: fmt.Sprint("bench", client)}.bytes()); err != nil {
		return err
	}
	if _, err := io.ReadFull(r, make([]byte, 4)); err != nil {
		return err
	}
	topic := fmt.Sprintf("tele/plug%d/SENSOR", client)
	free := make(chan struct{}, window)
	for range window {
		free <- struct{}{}
	}
	failed := make(chan error, 1)
	go func() {
		for range n {
			if _, err := io.ReadFull(r, make([]byte, 4)); err != nil {
				failed <- err
				return
			}
			free <- struct{}{}
		}
		failed <- nil
	}()
	var out []byte
	for i := 0; i < n; {
		<-free
		out = appendPublish(out[:0], topic, 1, uint16(i%60000+1), []byte(tasmota))
		i++
		for more := true; more && i < n; {
			select {
			case <-free:
				out = appendPublish(out, topic, 1, uint16(i%60000+1), []byte(tasmota))
				i++
			default:
				more = false
			}
		}
		if _, err := c.Write(out); err != nil {
			return err
		}
	}
	return <-failed
}

func appendPublish(dst []byte, topic string, qos byte, id uint16, payload []byte) []byte {
	size := 2 + len(topic) + len(payload)
	if qos > 0 {
		size += 2
	}
	dst = append(dst, 0x30|qos<<1)
	dst = binary.AppendUvarint(dst, uint64(size))
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(topic)))
	dst = append(dst, topic...)
	if qos > 0 {
		dst = binary.BigEndian.AppendUint16(dst, id)
	}
	return append(dst, payload...)
}

// BenchmarkMochiAlone is the same load on mochi without store, limits and
// rules, which answers at once: what there is to lose.
func BenchmarkMochiAlone(b *testing.B) {
	s := mqtt.New(&mqtt.Options{Logger: slog.New(slog.DiscardHandler)})
	l := listeners.NewTCP(listeners.Config{ID: "tcp", Address: "127.0.0.1:0"})
	if err := errors.Join(s.AddHook(new(allow), nil), s.AddListener(l), s.Serve()); err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	load(b, l.Address(), 50, 10, b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}

type allow struct{ mqtt.HookBase }

func (*allow) Provides(b byte) bool                                    { return b == mqtt.OnACLCheck || b == mqtt.OnConnectAuthenticate }
func (*allow) OnACLCheck(*mqtt.Client, string, bool) bool              { return true }
func (*allow) OnConnectAuthenticate(*mqtt.Client, packets.Packet) bool { return true }

var outside = flag.String("broker", "", "address of another broker for BenchmarkOutside")

// BenchmarkOutside puts the same load on any broker: go test -bench Outside
// -args -broker localhost:1883.
func BenchmarkOutside(b *testing.B) {
	if *outside == "" {
		b.Skip("no -broker given")
	}
	load(b, *outside, 50, 10, b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
}
