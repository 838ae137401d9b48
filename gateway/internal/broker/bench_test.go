package broker_test

import (
	"bufio"
	"encoding/binary"
	"flag"
	"fmt"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

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
	if _, err := c.Write(connect4(fmt.Sprintf("bench%d", client))); err != nil {
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

func connect4(id string) []byte {
	body := append([]byte{0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 60, 0, byte(len(id))}, id...)
	return append([]byte{0x10, byte(len(body))}, body...)
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

var outside = flag.String("broker", "", "address of another broker for BenchmarkOutside")

// BenchmarkOutside puts the same load on any broker: go test -bench Outside
// -args -broker localhost:1883.
func BenchmarkOutside(b *testing.B) {
	if *outside == "" {
		b.Skip("no -broker given")
	}
	load(b, *outside, 50, 10, b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "msg/s")
	_ = os.Stdout
}
