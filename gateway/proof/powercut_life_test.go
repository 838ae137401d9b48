//go:build linux && (amd64 || arm64)

package proof_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/plantgate/plantgate/buffer"
)

// An order is what a process that has a buffer on a card is asked to do.
type order struct {
	Do      string // live, survive, spoil
	Dir     string // of the buffer
	Life    int    // marks the records of this process
	Seed    uint64
	Steps   int
	Drop    bool // the policy when it is full; else it refuses
	Way     way
	Roomy   bool   // the limit is near what the card has room for
	Close   bool   // ends in order; else the process just ends
	Program string // checks files in a process of its own; "": in this one
}

// A way is how a process lives.
type way int

const (
	busy     way = iota // appends, reads and confirms some time later
	reading             // reads and confirms with every step
	hoarding            // confirms nothing, as while Kafka is away
)

// A word is what that process says. It goes on once the word was heard.
type word struct {
	Opened     uint64    `json:",omitempty"` // number that its first record gets
	Durable    uint64    `json:",omitempty"` // reported durable through here
	Confirming uint64    `json:",omitempty"` // is about to be confirmed
	Survival   *survival `json:",omitempty"`
	Full       bool      `json:",omitempty"` // a record was turned away for want of room
	Unread     bool      `json:",omitempty"` // the next records could not be read
	Broken     bool      `json:",omitempty"` // the buffer ended for good, as it must after an error of the card
	Err        string    `json:",omitempty"`
	Done       bool      `json:",omitempty"`
}

// A survival is what a start found.
type survival struct {
	Runs      []run64
	Gaps      []buffer.Gap
	Confirmed uint64
	Durable   uint64
	First     uint64 // number of the first record that was appended after it
	Told      []string
	Aside     []string // files set aside, and why
}

// A run64 is a run of numbers whose records were written by one life.
type run64 struct {
	First, Last uint64
	Life        int
}

// TestBufferProcess does what the other tests order, as their child: a process
// must not have files on a card that it serves itself.
func TestBufferProcess(t *testing.T) {
	if os.Getenv("PLANTGATE_BUFFER_PROCESS") == "" {
		return
	}
	orders, words, heard := json.NewDecoder(os.Stdin), os.NewFile(3, "words"), os.NewFile(4, "heard")
	say := func(w word) {
		if err := json.NewEncoder(words).Encode(w); err != nil {
			os.Exit(3) // the test is gone
		}
		if _, err := io.ReadFull(heard, make([]byte, 1)); err != nil {
			os.Exit(3)
		}
	}
	for {
		var o order
		if err := orders.Decode(&o); err != nil {
			os.Exit(0)
		}
		w := word{Done: true}
		if err := obey(o, say); err != nil {
			w.Err, w.Broken = err.Error(), errors.Is(err, buffer.ErrBroken)
		}
		say(w)
	}
}

func obey(o order, say func(word)) error {
	switch o.Do {
	case "live":
		return live(o, say)
	case "survive":
		s := survival{}
		if err := survive(o, &s); err != nil {
			return err
		}
		say(word{Survival: &s})
		return nil
	default:
		return spoilMeta(o)
	}
}

// cardSegment is the smallest that there is, so that files change often.
const cardSegment = 256 << 10 // bytes

func (o order) options() buffer.Options {
	b := buffer.Options{SegmentSize: cardSegment, Limit: 8 * cardSegment, Reserve: -1, Keep: -1, CommitEvery: 20 * time.Millisecond, WhenFull: buffer.Refuse}
	if o.Drop {
		b.WhenFull = buffer.DropOldest
	}
	if o.Roomy {
		b.Limit = 60 * cardSegment
	}
	if o.Program != "" {
		b.Check = func(path string) error { return exec.Command(o.Program, "buffer", "check-file", path).Run() }
	}
	return b
}

// content of a record: who wrote it, and bytes that do not compress.
func content(life int, number uint64) []byte {
	random := rand.NewChaCha8([32]byte{byte(life), byte(life >> 8), byte(number), byte(number >> 8), byte(number >> 16)})
	size := random.Uint64() % 300
	if random.Uint64()%2 == 0 {
		size = random.Uint64() % 16000
	}
	b := append(fmt.Appendf(nil, "%d/%d/", life, number), make([]byte, size)...)
	random.Read(b[len(b)-int(size):])
	return b
}

// lifeOf is who wrote a record, which must be the one of that number.
func lifeOf(number uint64, record []byte) (life int, err error) {
	var n uint64
	if _, err := fmt.Sscanf(string(record[:min(len(record), 30)]), "%d/%d/", &life, &n); err != nil {
		return 0, fmt.Errorf("number %d is not a record: %.20q", number, record)
	}
	if n != number || !bytes.Equal(record, content(life, number)) {
		return 0, fmt.Errorf("number %d is the record %d of life %d, or not as it was", number, n, life)
	}
	return life, nil
}

// A living is a buffer in use.
type living struct {
	*buffer.Buffer
	o      order
	say    func(word)
	random *rand.Rand
	next   uint64
	ended  chan error
	stop   context.CancelFunc
}

func openLiving(o order, options buffer.Options, say func(word)) (*living, error) {
	b, err := buffer.Open(o.Dir, options)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(context.Background())
	l := &living{Buffer: b, o: o, say: say, random: rand.New(rand.NewPCG(o.Seed, uint64(o.Life))), next: b.Stats().Next, ended: make(chan error, 1), stop: cancel}
	ready := make(chan struct{})
	go func() { l.ended <- b.Run(ctx, func() { close(ready) }) }()
	select {
	case <-ready:
		return l, nil
	case err := <-l.ended:
		cancel()
		return nil, errors.Join(err, b.Close())
	}
}

// end returns why the buffer stopped by itself, if it did.
func (l *living) end() error {
	l.stop()
	return errors.Join(<-l.ended, l.Close())
}

// live uses a buffer as the gateway does: appends and waits, reads, confirms.
func live(o order, say func(word)) error {
	if err := os.MkdirAll(filepath.Dir(o.Dir), 0o755); err != nil {
		return err
	}
	l, err := openLiving(o, o.options(), say)
	if err != nil {
		return err
	}
	say(word{Opened: l.next})
	for range o.Steps {
		if err = l.step(); err != nil {
			break
		}
	}
	switch {
	case err == nil && !o.Close:
		os.Exit(0)
	case err == nil:
		return l.end()
	}
	return errors.Join(err, l.mustBeOver())
}

// mustBeOver holds that after an error nothing goes on: not one more record is
// taken, and Run has returned by itself.
func (l *living) mustBeOver() error {
	var run error
	select {
	case run = <-l.ended:
	case <-time.After(10 * time.Second):
		return errors.New("Run goes on after an error that Wait reported")
	}
	l.stop()
	if _, err := l.TryAppend([]byte("late")); err == nil {
		return errors.New("a record was taken after the end")
	}
	return errors.Join(run, l.Close())
}

func (l *living) step() error {
	var records [][]byte
	for range 1 + l.random.IntN(4) {
		records = append(records, content(l.o.Life, l.next+uint64(len(records))))
	}
	last, err := l.Append(context.Background(), records...)
	for end := time.Now().Add(30 * time.Second); l.o.Way == hoarding && errors.Is(err, buffer.ErrFull) && time.Now().Before(end); {
		l.say(word{Full: true}) // as a device does that sends again
		time.Sleep(10 * time.Millisecond)
		last, err = l.Append(context.Background(), records...)
	}
	if errors.Is(err, buffer.ErrFull) {
		l.say(word{Full: true})
		time.Sleep(10 * time.Millisecond)
		return l.forward()
	}
	if err != nil {
		return err
	}
	if l.next += uint64(len(records)); last+1 != l.next {
		return fmt.Errorf("the last of %d records got number %d, want %d", len(records), last, l.next-1)
	}
	if l.random.IntN(5) > 0 {
		if err := l.waitOrTurn(last); err != nil {
			return err
		}
	}
	if durable, _ := l.Durable(); durable > 0 {
		l.say(word{Durable: durable})
	}
	if l.random.IntN(4) == 0 {
		return l.SetNote(records[0])
	}
	if l.o.Way == reading || !l.o.Drop && l.random.IntN(6) == 0 || l.random.IntN(200) == 0 {
		return l.forward()
	}
	return nil
}

// waitOrTurn waits, but not for ever on a card that has no room: then it does as
// the gateway does beside it.
func (l *living) waitOrTurn(last uint64) error {
	ctx, cancel := context.WithTimeout(context.Background(), 500*time.Millisecond)
	defer cancel()
	err := l.Wait(ctx, last)
	if errors.Is(err, context.DeadlineExceeded) {
		return l.forward()
	}
	return err
}

// forward reads some windows on and confirms them.
func (l *living) forward() error {
	if l.o.Way == hoarding {
		return nil
	}
	at, _ := l.Confirmed()
	for range 1 + l.random.IntN(12) {
		w, err := l.Read(at+1, 50, 1<<20)
		if err != nil { // the gateway tries again later as well
			l.say(word{Unread: true})
			break
		}
		for i, r := range w.Records {
			if _, err := lifeOf(w.First+uint64(i), r); err != nil {
				return err
			}
		}
		at += uint64(len(w.Records))
		if w.Gap != nil {
			at = w.Gap.Last
		}
	}
	if at == 0 {
		return nil
	}
	l.say(word{Confirming: at})
	return l.Confirm(at, fmt.Append(nil, at))
}
