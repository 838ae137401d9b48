//go:build linux

package proof_test

import (
	"bufio"
	"context"
	"encoding/binary"
	"fmt"
	"net"
	"slices"
	"strconv"
	"time"
)

// A device plays a Tasmota socket that counts its messages: the n-th says so in
// its energy counter, by which it is found again in Kafka. It keeps what is not
// acknowledged and sends it again on the next connection, as MQTT wants it
// (4.4), so that it shows what a broker owes to a client that does its part.
type device struct {
	name    string
	version byte // 4 (MQTT 3.1.1) or 5
	qos     byte
	window  int           // messages in flight
	pace    time.Duration // between two messages; 0: as fast as answers come, not for QoS 0
	limit   int           // ends after so many messages; 0: at stop
	payload func(dst []byte, n int) []byte

	told        []int // messages that were acknowledged, as they were
	sent        int   // messages so far
	connections int
	worst       time.Duration // longest time from sending to the answer
	refused     []string      // MQTT 5: answers that say no

	flying  []flight
	allowed int // messages that pace allows so far
	lastID  uint16
}

// A flight is a message on its way, oldest first.
type flight struct {
	n        int
	id       uint16
	received bool // QoS 2: PUBREC came
	at       time.Time
}

// An answer is an acknowledgement.
type answer struct {
	head byte
	id   uint16
	code byte
}

// run publishes until stop is closed or limit is reached, and then until
// nothing is in flight. It connects again as often as it must; ctx ends it
// whatever is in flight.
func (d *device) run(ctx context.Context, address string, stop <-chan struct{}) error {
	if d.payload == nil {
		d.payload = energy
	}
	retry := time.NewTicker(20 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, kept, err := d.connect(ctx, address)
		if err == nil {
			d.connections++
			err = d.session(ctx, conn, kept, stop)
			conn.Close()
		}
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("device %s: %d of %d messages are unanswered: %w", d.name, len(d.flying), d.sent, err)
		case <-retry.C:
		}
	}
}

func (d *device) connect(ctx context.Context, address string) (conn net.Conn, kept bool, err error) {
	dialer := net.Dialer{Timeout: 5 * time.Second}
	if conn, err = dialer.DialContext(ctx, "tcp", address); err != nil {
		return nil, false, err
	}
	if kept, err = d.greet(conn); err != nil {
		conn.Close()
		return nil, false, err
	}
	return conn, kept, nil
}

// greet reports whether the broker kept the session.
func (d *device) greet(conn net.Conn) (kept bool, err error) {
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return false, err
	}
	if _, err := conn.Write(greeting{id: d.name, version: d.version}.bytes()); err != nil {
		return false, err
	}
	// Nothing but the CONNACK can come yet: the device subscribes to nothing.
	head, body, err := readPacket(bufio.NewReader(conn))
	if err != nil {
		return false, err
	}
	if head != connack || len(body) < 2 || body[1] != 0 {
		return false, fmt.Errorf("answer to CONNECT: %x %x", head, body)
	}
	return body[0]&1 != 0, conn.SetDeadline(time.Time{})
}

// session speaks over one connection. nil: all is done.
func (d *device) session(ctx context.Context, conn net.Conn, kept bool, stop <-chan struct{}) error {
	answers, failed := make(chan []answer), make(chan error, 1)
	go func() { failed <- d.listen(conn, answers) }()
	defer func() {
		conn.Close()
		for range answers { // until listen has ended
		}
	}()
	var tick <-chan time.Time
	if d.pace > 0 {
		ticker := time.NewTicker(d.pace)
		defer ticker.Stop()
		tick = ticker.C
	}
	out := d.resend(nil, kept)
	for stopped := false; ; {
		if !stopped {
			out = d.fill(out)
		}
		if _, err := conn.Write(out); err != nil {
			return err
		}
		out = out[:0]
		if len(d.flying) == 0 && (stopped || d.finished()) {
			return nil
		}
		select {
		case batch, ok := <-answers:
			if !ok {
				return <-failed
			}
			out = d.take(out, batch)
		case <-tick:
			d.allowed++
		case <-stop:
			stop, stopped = nil, true
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

func (d *device) finished() bool { return d.limit > 0 && d.sent >= d.limit }

// listen hands on what came together, because a channel for each answer would
// cost more than the answer.
func (d *device) listen(conn net.Conn, answers chan<- []answer) error {
	defer close(answers)
	r := bufio.NewReaderSize(conn, 16<<10)
	for {
		var batch []answer
		for len(batch) == 0 || r.Buffered() > 0 {
			head, body, err := readPacket(r)
			if err != nil {
				return err
			}
			if len(body) < 2 {
				return fmt.Errorf("got packet %x %x", head, body)
			}
			a := answer{head: head, id: binary.BigEndian.Uint16(body)}
			if len(body) > 2 {
				a.code = body[2]
			}
			batch = append(batch, a)
		}
		answers <- batch
	}
}

// resend repeats what is in flight. A broker that does not know the session any
// more has told all there is to tell about a message it sent PUBREC for.
func (d *device) resend(out []byte, kept bool) []byte {
	if !kept {
		d.flying = slices.DeleteFunc(d.flying, func(f flight) bool { return f.received })
	}
	for i := range d.flying {
		f := &d.flying[i]
		if f.received {
			out = append(out, pubrel, 2, byte(f.id>>8), byte(f.id))
			continue
		}
		f.at = time.Now()
		out = appendPublish(out, d.version, flagDup, d.qos, d.topic(), f.id, d.payload(nil, f.n))
	}
	return out
}

func (d *device) topic() string { return "tele/" + d.name + "/SENSOR" }

// fill sends new messages while the window has room.
func (d *device) fill(out []byte) []byte {
	var payload []byte
	for len(d.flying) < d.window && !d.finished() && (d.pace == 0 || d.allowed > 0) {
		d.sent++
		d.allowed--
		payload = d.payload(payload[:0], d.sent)
		if d.qos == 0 {
			out = appendPublish(out, d.version, 0, 0, d.topic(), 0, payload)
			continue
		}
		if d.lastID++; d.lastID == 0 {
			d.lastID = 1
		}
		d.flying = append(d.flying, flight{n: d.sent, id: d.lastID, at: time.Now()})
		out = appendPublish(out, d.version, 0, d.qos, d.topic(), d.lastID, payload)
	}
	return out
}

// take books answers and adds what they call for.
func (d *device) take(out []byte, batch []answer) []byte {
	for _, a := range batch {
		i := slices.IndexFunc(d.flying, func(f flight) bool { return f.id == a.id })
		if i < 0 {
			continue
		}
		f := &d.flying[i]
		switch {
		case a.code >= 0x80 && !f.received:
			d.refused = append(d.refused, fmt.Sprintf("message %d: packet %x, reason %#x", f.n, a.head, a.code))
			d.flying = slices.Delete(d.flying, i, i+1)
		case a.head == pubrec:
			d.tell(f)
			f.received = true
			out = append(out, pubrel, 2, byte(a.id>>8), byte(a.id))
		case a.head == puback:
			d.tell(f)
			d.flying = slices.Delete(d.flying, i, i+1)
		case a.head == pubcomp:
			d.flying = slices.Delete(d.flying, i, i+1)
		}
	}
	return out
}

// tell books that the broker has taken over a message.
func (d *device) tell(f *flight) {
	if !f.received {
		d.told = append(d.told, f.n)
		d.worst = max(d.worst, time.Since(f.at))
	}
}

// energy is a message as a socket with the usual firmware sends it.
func energy(dst []byte, n int) []byte {
	dst = append(dst, `{"Time":"2026-11-24T08:12:31","ENERGY":{"TotalStartTime":"2026-01-29T20:23:40","Total":`...)
	dst = appendThousandths(dst, n)
	dst = append(dst, `,"Yesterday":0.140,"Today":0.027,"Period":2,"Power":`...)
	dst = strconv.AppendInt(dst, int64(20+n%50), 10)
	return append(dst, `,"ApparentPower":40,"ReactivePower":25,"Factor":0.78,"Voltage":236,"Current":0.170}}`...)
}

func appendThousandths(dst []byte, n int) []byte {
	dst = append(strconv.AppendInt(dst, int64(n/1000), 10), '.')
	return append(dst, byte('0'+n/100%10), byte('0'+n/10%10), byte('0'+n%10))
}
