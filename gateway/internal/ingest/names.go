package ingest

import (
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"unicode/utf8"

	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/reading"
)

// maxDevices bounds the devices that are known by name. Further ones are read
// all the same; their names are their own affair.
const maxDevices = 10_000

// Names say which source owns a device's name: the first that used it. Two
// sources with one name would become one device downstream.
type names struct {
	path    string
	seed    maphash.Seed
	shards  [nameShards]nameShard
	count   atomic.Int32
	changed atomic.Bool // since it was saved
}

const nameShards = 32

type nameShard struct {
	mu      sync.RWMutex
	devices map[string]*device
}

// A device is a name that is taken.
type device struct {
	name, owner string
	known       atomic.Bool // it gave a reading, now or in an earlier run
	readings    atomic.Uint64
	last        atomic.Int64 // wall clock of the last reading, ms
	state       atomic.Pointer[reading.EventType]
	rhythm
	since atomic.Int64 // when it was last heard before it fell silent, as rhythm.heard
}

// openNames reads the file. One that is damaged is set aside.
func openNames(path string, now clock.Instant, log *slog.Logger) *names {
	n := &names{path: path, seed: maphash.MakeSeed()}
	for i := range n.shards {
		n.shards[i].devices = make(map[string]*device)
	}
	if path == "" {
		return n
	}
	known, err := loadNames(path)
	if err != nil {
		aside := path + ".damaged"
		err = errors.Join(err, os.Rename(path, aside))
		log.Warn("the file of device names is unreadable and set aside; names go to the first source that uses them", "file", aside, "error", err)
	}
	for name, owner := range known.Owners {
		if d, _ := n.claim(name, owner); d != nil {
			d.known.Store(true)
			if every := known.Every[name]; every > 0 { // it may never come back
				d.earlier.Store(every)
				d.saved.Store(every)
				d.heard.Store(max(1, now.Boottime))
			}
		}
	}
	return n
}

// A namesFile is the file's content. Fields are only ever added.
type namesFile struct {
	Version int               `json:"v"`
	Owners  map[string]string `json:"owners"`             // source by device
	Every   map[string]int64  `json:"every_ms,omitempty"` // longest usual interval by device
}

func loadNames(path string) (f namesFile, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return f, nil
	}
	if err != nil {
		return f, err
	}
	if err := json.Unmarshal(text, &f); err != nil {
		return namesFile{}, fmt.Errorf("read %s: %w", path, err)
	}
	if f.Version != 1 {
		return namesFile{}, fmt.Errorf("read %s: version %d is not known", path, f.Version)
	}
	return f, nil
}

// save writes the file when something changed: beside it, synced, and renamed,
// so that a power cut leaves the old one or the new one.
func (n *names) save() error {
	if n.path == "" || !n.changed.Swap(false) {
		return nil
	}
	if err := n.write(); err != nil {
		n.changed.Store(true)
		return fmt.Errorf("save device names: %w", err)
	}
	return nil
}

func (n *names) write() error {
	f := namesFile{Version: 1, Owners: make(map[string]string), Every: make(map[string]int64)}
	for _, d := range n.all() {
		if !d.known.Load() {
			continue
		}
		f.Owners[d.name] = d.owner
		every := d.expected()
		if every > 0 {
			f.Every[d.name] = every
		}
		d.saved.Store(every)
	}
	text, err := json.MarshalIndent(f, "", "\t")
	if err != nil {
		return err
	}
	return replaceFile(n.path, append(text, '\n'))
}

func replaceFile(path string, content []byte) error {
	beside := path + ".tmp" // always the same: a power cut leaves one at most
	f, err := os.OpenFile(beside, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(beside, path); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}

// syncDir makes the rename survive a power cut. Windows cannot, and keeps no
// readings in the field.
func syncDir(dir string) error {
	if runtime.GOOS == "windows" {
		return nil
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// claim returns the device of that name and whether the name was free. It
// returns nil when there are too many.
func (n *names) claim(name, owner string) (d *device, isNew bool) {
	shard := &n.shards[maphash.String(n.seed, name)%nameShards]
	shard.mu.RLock()
	d = shard.devices[name]
	shard.mu.RUnlock()
	if d != nil {
		return d, false
	}
	shard.mu.Lock()
	defer shard.mu.Unlock()
	if d = shard.devices[name]; d != nil {
		return d, false
	}
	if n.count.Add(1) > maxDevices {
		n.count.Add(-1)
		return nil, false
	}
	d = &device{name: strings.Clone(name), owner: strings.Clone(owner)}
	shard.devices[d.name] = d
	return d, true
}

// all returns the devices by name.
func (n *names) all() []*device {
	all := make([]*device, 0, n.count.Load())
	for i := range n.shards {
		shard := &n.shards[i]
		shard.mu.RLock()
		for _, d := range shard.devices {
			all = append(all, d)
		}
		shard.mu.RUnlock()
	}
	slices.SortFunc(all, func(a, b *device) int { return strings.Compare(a.name, b.name) })
	return all
}

// nameOf returns the name that a reading's device is known by, and notes that
// it was heard.
func (i *Ingest) nameOf(name, source string, now clock.Instant) string {
	d, taken := i.find(name, source)
	if d == nil {
		i.counts.nameless.Add(1)
		return taken
	}
	d.readings.Add(1)
	d.last.Store(now.Wall)
	d.beat(now.Boottime)
	if !d.known.Load() && !d.known.Swap(true) {
		i.names.changed.Store(true)
		i.Event(reading.Event{Type: reading.DeviceSeen, Device: d.name, Fields: []reading.Field{{Name: "source", Value: d.owner}}})
	}
	return d.name
}

// find returns the device that a source means by a name: the device of that
// name, or another one if the name is another source's. It returns the name
// alone when there are too many devices.
func (i *Ingest) find(name, source string) (*device, string) {
	d, _ := i.names.claim(name, source)
	if d == nil || d.owner == source {
		return d, name
	}
	owner := d.owner
	renamed := apart(source, name)
	d, isNew := i.names.claim(renamed, source)
	if isNew {
		i.o.Log.Warn("two sources use one device name; the second is kept apart", "device", name, "owner", owner, "source", source, "renamed", renamed)
		i.Event(reading.Event{Type: reading.DeviceNameTaken, Device: renamed, Fields: []reading.Field{
			{Name: "source", Value: source}, {Name: "owner", Value: owner}, {Name: "renamed", Value: renamed},
		}})
	}
	return d, renamed
}

// apart puts the source in front of a name, and cuts what no longer fits.
func apart(source, name string) string {
	renamed := source + ":" + name
	for len(renamed) > reading.MaxNameBytes {
		_, size := utf8.DecodeLastRuneInString(renamed)
		renamed = renamed[:len(renamed)-size]
	}
	return renamed
}

// changed passes on that a device came or went, once for each change: devices
// repeat themselves at every reconnect.
func (i *Ingest) changed(e reading.Event, source string) {
	d, name := i.find(e.Device, source)
	if d == nil {
		i.counts.nameless.Add(1)
		return
	}
	if before := d.state.Swap(&e.Type); before != nil && *before == e.Type {
		return
	}
	e.Device = name
	i.Event(e)
}
