package broker

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"log/slog"
	"os"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"
)

const (
	saveAfter    = 4 * time.Second // of the first change; with the write it is less than five
	messageCost  = 1 << 10         // bytes that mochi needs for a retained message besides its payload
	levelCost    = 1 << 9          // bytes for each level of a topic, where no other shares it
	mostOfAll    = 0.75            // of the memory for all retained messages, that those of one client may take
	allocateStep = 64 << 10        // bytes; bbolt's own is 16 MiB
)

var retainedBucket = []byte("retained")

// retained keeps the retained messages in a file. What it writes is what
// mochi's tree holds at that moment: mochi calls its hook outside the lock of
// the tree, so the order of the calls means nothing.
//
// It is no part of what PUBACK promises: up to five seconds of changes are lost
// in a power cut, and a damaged file is set aside.
type retained struct {
	path   string
	limit  int
	each   int // messages of one client
	server *mqtt.Server
	log    *slog.Logger

	changed chan struct{}
	failing atomic.Bool

	mu    sync.Mutex
	bytes int64               // of all messages, about
	owned map[string]*holding // by client id, about

	// Used by one goroutine at a time: begin, then run, then end.
	db    *bbolt.DB
	saved map[string]uint64 // topic: hash of what the file holds
	seed  maphash.Seed
}

// A holding is what one client had retained.
type holding struct {
	messages int
	bytes    int64
}

func newRetained(path string, l Limits, s *mqtt.Server, log *slog.Logger) *retained {
	return &retained{
		path: path, limit: l.RetainedBytes, each: l.Retained, server: s, log: log,
		changed: make(chan struct{}, 1), seed: maphash.MakeSeed(),
	}
}

// touch notes that something changed.
func (r *retained) touch() { signal(r.changed) }

// fits reports whether a message of a client may be retained, and why not. One
// that deletes another always may, and one that replaces another counts for what
// it is longer. What it counts holds until recount.
func (r *retained) fits(client, topic string, size int) (why refusal, ok bool) {
	if size == 0 {
		return 0, true
	}
	old, replaces := r.server.Topics.Retained.Get(topic)
	r.mu.Lock()
	defer r.mu.Unlock()
	h := r.owned[client]
	if h == nil {
		h = new(holding)
	}
	cost, one := costOf(topic, size), 1
	if replaces {
		cost, one = max(0, int64(size-len(old.Payload))), 0
	}
	switch {
	case cost == 0:
		return 0, true
	case one > 0 && h.messages >= r.each, float64(h.bytes+cost) > mostOfAll*float64(r.limit):
		return refusedRetainClient, false
	case r.bytes+cost > int64(r.limit):
		return refusedRetain, false
	}
	r.bytes += cost
	h.bytes += cost
	h.messages += one
	if r.owned == nil {
		r.owned = make(map[string]*holding)
	}
	r.owned[client] = h
	return 0, true
}

// recount takes what the tree holds for what was counted.
func (r *retained) recount(all map[string]packets.Packet) {
	owned, bytes := make(map[string]*holding), int64(0)
	for topic, pk := range all {
		cost := costOf(topic, len(pk.Payload))
		bytes += cost
		h := owned[pk.Origin]
		if h == nil {
			h = new(holding)
			owned[pk.Origin] = h
		}
		h.messages++
		h.bytes += cost
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.owned, r.bytes = owned, bytes
}

// run saves changes until ctx ends.
func (r *retained) run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-r.changed:
		}
		pause(ctx, saveAfter)
		r.save()
	}
}

// open loads the file. The broker serves without it: what cannot be opened is
// tried again, whether anything changes or not, because a person who mended the
// card wants to see that it is well.
func (r *retained) open() {
	if r.path == "" {
		return
	}
	err := guard(r.load)
	if errors.Is(err, errDamaged) {
		err = errors.Join(r.setAside(err), guard(r.load))
	}
	if err != nil {
		r.touch()
	}
	r.report(err)
}

// close saves a last time.
func (r *retained) close() {
	r.save()
	if r.db != nil {
		r.report(r.db.Close())
	}
}

func (r *retained) save() {
	if r.path != "" && r.db == nil {
		r.open()
	}
	if r.db == nil {
		r.recount(r.server.Topics.Retained.GetAll())
		return
	}
	err := guard(r.write)
	if errors.Is(err, errDamaged) {
		err = r.setAside(err)
	}
	if err != nil {
		r.touch() // again
	}
	r.report(err)
}

// report logs changes from well to ill and back.
func (r *retained) report(err error) {
	switch was := r.failing.Swap(err != nil); {
	case err != nil && !was:
		r.log.Error("retained messages cannot be saved; they are kept in memory only", "file", r.path, "error", err)
	case err == nil && was:
		r.log.Info("retained messages are saved again", "file", r.path)
	}
}

var errDamaged = errors.New("file is damaged")

// guard runs f and turns a panic of bbolt into an error, and a fault too: a
// truncated file is one when its memory map is read.
func guard(f func() error) (err error) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: %v", errDamaged, p)
		}
	}()
	return f()
}

// openError tells damage from what the system says: no room, no permission, a
// folder that is not there, another process that has the file.
func openError(err error) error {
	var no syscall.Errno
	if errors.As(err, &no) || errors.Is(err, bolterrors.ErrTimeout) {
		return err
	}
	return fmt.Errorf("%w: %w", errDamaged, err)
}

// setAside moves a damaged file out of the way. What bbolt still holds of it
// (a lock, a map) is worth a descriptor, and it happens once in a card's life.
func (r *retained) setAside(why error) error {
	r.db, r.saved = nil, nil
	aside := r.path + ".damaged-" + time.Now().UTC().Format("20060102T150405Z")
	if err := os.Rename(r.path, aside); err != nil {
		return fmt.Errorf("set damaged file aside: %w", err)
	}
	r.log.Warn("file of retained messages was damaged and set aside; those not published again are lost",
		"file", aside, "error", why)
	return nil
}

// load opens the file and puts its messages into the tree. One that is in the
// tree already is newer.
func (r *retained) load() error {
	// The free list is written too: without, bbolt searches for free pages in a
	// goroutine whose panic at a damaged page nobody can recover.
	db, err := bbolt.Open(r.path, 0o600, &bbolt.Options{Timeout: time.Second, PageSize: 4096})
	if err != nil {
		return openError(fmt.Errorf("open %s: %w", r.path, err))
	}
	if err := checkPages(r.path); err != nil { // nobody else writes to it now
		return errors.Join(openError(fmt.Errorf("check %s: %w", r.path, err)), db.Close())
	}
	db.AllocSize = allocateStep
	r.saved = make(map[string]uint64)
	err = db.View(func(tx *bbolt.Tx) error {
		b := tx.Bucket(retainedBucket)
		if b == nil {
			return nil
		}
		return b.ForEach(func(topic, value []byte) error {
			r.saved[string(topic)] = maphash.Bytes(r.seed, value)
			r.restore(string(topic), value)
			return nil
		})
	})
	if err != nil {
		return errors.Join(fmt.Errorf("read %s: %w", r.path, err), db.Close())
	}
	r.db = db
	r.recount(r.server.Topics.Retained.GetAll())
	atomic.StoreInt64(&r.server.Info.Retained, int64(r.server.Topics.Retained.Len()))
	return nil
}

// restore leaves a value that cannot be read where it is; the next message to
// the topic replaces it.
func (r *retained) restore(topic string, value []byte) {
	pk, err := decodeRetained(value)
	if err != nil || pk.TopicName != topic {
		r.log.Warn("retained message could not be read", "topic", topic, "error", err)
		return
	}
	if _, ok := r.server.Topics.Retained.Get(topic); !ok {
		r.server.Topics.RetainMessage(pk)
	}
}

// count leaves out what the broker publishes itself.
func (r *retained) count() (n int) {
	for topic := range r.server.Topics.Retained.GetAll() {
		if !strings.HasPrefix(topic, "$") {
			n++
		}
	}
	return n
}

// write brings the file up to date in one transaction, if anything differs.
func (r *retained) write() error {
	all := r.server.Topics.Retained.GetAll()
	r.recount(all)
	put, drop, err := r.compare(all)
	if err != nil || len(put)+len(drop) == 0 {
		return err
	}
	err = r.db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucketIfNotExists(retainedBucket)
		if err != nil {
			return err
		}
		for topic, value := range put {
			err = errors.Join(err, b.Put([]byte(topic), value))
		}
		for _, topic := range drop {
			err = errors.Join(err, b.Delete([]byte(topic)))
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", r.path, err)
	}
	for topic, value := range put {
		r.saved[topic] = maphash.Bytes(r.seed, value)
	}
	for _, topic := range drop {
		delete(r.saved, topic)
	}
	return nil
}

func (r *retained) compare(all map[string]packets.Packet) (put map[string][]byte, drop []string, err error) {
	put = make(map[string][]byte)
	for topic, pk := range all {
		if strings.HasPrefix(topic, "$") || len(topic) > bbolt.MaxKeySize {
			continue // the broker's own; a key that bbolt refuses
		}
		value, err := encodeRetained(pk)
		if err != nil {
			return nil, nil, fmt.Errorf("encode retained message: %w", err)
		}
		if sum, ok := r.saved[topic]; !ok || sum != maphash.Bytes(r.seed, value) {
			put[topic] = value
		}
	}
	for topic := range r.saved {
		if _, ok := all[topic]; !ok {
			drop = append(drop, topic)
		}
	}
	return put, drop, nil
}

func costOf(topic string, size int) int64 {
	return int64(len(topic) + size + messageCost + levelCost*(1+strings.Count(topic, "/")))
}

// matching returns the topics that filter matches and that have a retained
// message. mochi's own search (Topics.Messages) reads nodes of its tree that
// others write, without a lock.
func (r *retained) matching(filter string) (topics []string) {
	if !strings.ContainsAny(filter, "+#") {
		return []string{filter}
	}
	for topic := range r.server.Topics.Retained.GetAll() {
		if matches(filter, topic) {
			topics = append(topics, topic)
		}
	}
	return topics
}

// matches follows MQTT 5.0 section 4.7: + is one level, # all that follow and
// the one before, and neither stands for a first level that begins with $.
func matches(filter, topic string) bool {
	if strings.HasPrefix(topic, "$") && (filter[0] == '+' || filter[0] == '#') {
		return false
	}
	for more := true; filter != "#"; {
		if !more {
			return false
		}
		var want, level string
		var wantMore bool
		want, filter, wantMore = strings.Cut(filter, "/")
		level, topic, more = strings.Cut(topic, "/")
		if want != "+" && want != level {
			return false
		}
		if !wantMore {
			return !more
		}
	}
	return true
}
