package broker

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
)

// Alive reports whether the broker moves: it connects as a client of its own,
// through memory, subscribes, publishes and waits for the message to come back.
// It needs neither Kafka nor room in the buffer, so a watchdog may depend on
// it. It fails when ctx ends first and when Run is not running.
func (b *Broker) Alive(ctx context.Context) error {
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("broker: ask itself: %w", err)
	}
	ours, theirs := net.Pipe()
	defer ours.Close()
	stop := context.AfterFunc(ctx, func() { ours.Close() })
	defer stop()
	c, wctx := newConn(context.WithoutCancel(ctx), theirs, &b.options.Limits)
	c.internal, c.local = true, true
	b.conns.add(c)
	if !b.start(wctx, c) {
		b.conns.remove(c)
		c.abandon()
		return errors.New("broker: not running")
	}
	id := "plantgate-" + rand.Text() // that no client can take
	if err := converse(ours, id); err != nil {
		return fmt.Errorf("broker: ask itself: %w", errors.Join(ctx.Err(), err))
	}
	return nil
}

// converse speaks MQTT 3.1.1.
func converse(rw net.Conn, id string) error {
	topic := "$plantgate/" + id
	publish := packet(0x30, text(topic), []byte("alive"))
	steps := []struct{ send, want []byte }{
		{packet(0x10, text("MQTT"), []byte{4, 2, 0, 60}, text(id)), []byte{0x20, 2, 0, 0}}, // CONNECT, CONNACK
		{packet(0x82, []byte{0, 1}, text(topic), []byte{0}), []byte{0x90, 3, 0, 1, 0}},     // SUBSCRIBE, SUBACK
		{publish, publish},     // PUBLISH
		{[]byte{0xe0, 0}, nil}, // DISCONNECT
	}
	r := bufio.NewReader(rw)
	for _, s := range steps {
		if _, err := rw.Write(s.send); err != nil {
			return err
		}
		got := make([]byte, len(s.want))
		if _, err := io.ReadFull(r, got); err != nil {
			return err
		}
		if !bytes.Equal(got, s.want) {
			return fmt.Errorf("answer %x, want %x", got, s.want)
		}
	}
	return nil
}

func packet(kind byte, parts ...[]byte) []byte {
	body := bytes.Join(parts, nil)
	return append([]byte{kind, byte(len(body))}, body...) // shorter than 128 bytes
}

func text(s string) []byte { return append([]byte{0, byte(len(s))}, s...) }
