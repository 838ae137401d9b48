// Package clock tells the time on a board that has no clock of its own.
//
// A Pi starts with a wall clock that is wrong by the length of the power cut,
// or stands in 1970, until the network has set it. So a moment is kept as an
// Instant: wall clock, time since the start of the boot, number of the boot and
// whether the wall clock was known to be right. Resolve makes the time out of
// it with which a record leaves.
//
// It guarantees: what was taken while the clock was synchronised keeps its own
// time, and a wall clock that somebody steps afterwards is not believed until it
// is synchronised again: until then time runs on from where it was known. What
// was taken before that in the same boot gets the true one, once the
// clock has been set, or leaves marked uncertain after a bounded wait; and the
// answer for one Instant, once given, is the same for ever: after the clock was
// set, after steps of it, after restarts and power cuts. What the answers rest
// on is on the card before the first of them is given.
//
// It does not know records, where they are kept, or how a clock is set. It
// cannot guarantee the same answer after its own state file was lost, or for a
// boot that lies more than a thousand synchronised boots back.
package clock

import (
	"crypto/rand"
	"errors"
	"hash/fnv"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/plantgate/plantgate/reading"
)

// DefaultHold is how long readings wait for the clock to be set, counted while
// there is a network. Where there is one, NTP needs seconds.
const DefaultHold = 5 * time.Minute

// Options say where the state lies, how long to wait, and where the time comes
// from. Only Path has no default.
type Options struct {
	Path  string        // state file; its folder must exist
	Hold  time.Duration // how long readings wait for the clock; 0: not at all
	Trust bool          // take the system clock as synchronised, whatever the kernel says
	Floor time.Time     // see SetFloor

	BootID       string               // default: /proc/sys/kernel/random/boot_id
	Wall         func() time.Time     // default: time.Now
	Boottime     func() time.Duration // default: CLOCK_BOOTTIME
	Synchronised func() bool          // default: adjtimex, or timesyncd's flag file
	Disciplined  func() bool          // whether NTP has the clock in hand now; default: Synchronised, or adjtimex alone
	NetworkUp    func() bool          // default: any interface but loopback has a routable address
	Sync         func(*os.File) error // default: (*os.File).Sync

	Notify func(reading.Event) // called by Run with clock_corrected, clock_unknown, file_set_aside; must not block; may be nil
	Log    *slog.Logger        // changes of state; nil: none
}

// A Clock states and resolves Instants. Now, Resolve, Trusted, Changed, State
// and SetFloor may be called at any time by any goroutine.
type Clock struct {
	o    Options
	boot uint32

	view   atomic.Pointer[view]
	floor  atomic.Pointer[line]
	status atomic.Pointer[State]

	// The rest belongs to Open, then to Run.
	stored      table
	current     boot  // what should be on the card about this boot
	stated      int64 // wall minus boottime while not synchronised, as last seen
	steady      int64 // wall minus boottime as last believed, once synchronised
	doubts      int   // looks in a row at a wall clock that is not believed
	opened      time.Duration
	polled      time.Duration // boottime of the last look at the network
	networkTime time.Duration
	storeErr    error
	retryAt     time.Duration // boottime of the next attempt to store, after a failed one
	retryAfter  time.Duration
	notices     []reading.Event
}

// A view is what answers rest on. It is replaced whole, never changed.
type view struct {
	synced  bool
	steady  int64 // wall minus boottime, if synced
	facts   map[uint32]facts
	changed chan struct{}
}

// Facts are what is known for good about one boot. They are on the card before
// they are in a view.
type facts struct {
	offset *int64 // wall minus boottime at the first synchronisation, ms
	before int64  // what was taken earlier in the boot (boottime, ms) leaves uncorrected
}

// A line is a clock that said wall at boottime and runs on from there, in ms.
type line struct{ wall, boottime int64 }

func (l *line) at(boottime int64) int64 { return l.wall + boottime - l.boottime }

// State is what a person may want to know.
type State struct {
	Boot         uint32
	Synchronised bool          // this boot's wall clock is right
	Corrected    bool          // Offset is known and stored
	Offset       time.Duration // wall clock minus time since boot, at the first synchronisation
	Holding      bool          // readings that are taken now are held back
	Held         time.Duration // since when, while Holding
	HoldLeft     time.Duration // with a network, while Holding
	NetworkUp    bool
	Err          error // why the state cannot be stored; held readings wait until it can
}

// Open reads the state file, gives this boot its number and takes a first look
// at the system clock. A damaged or newer state file is set aside; a card that
// cannot be written is no error either: Run tries again, and until then what
// needs the state is held back. The only error is a missing Path.
func Open(o Options) (*Clock, error) {
	if o.Path == "" {
		return nil, errors.New("open clock: no path for its state file")
	}
	c := &Clock{o: o.withDefaults()}
	var bad *aside
	if c.stored, bad = load(o.Path); bad != nil {
		c.notices = append(c.notices, bad.event())
		c.o.Log.Warn("clock state was unreadable and is set aside; readings of earlier boots that still wait leave uncorrected", "file", bad.name, "error", bad.cause)
	}
	c.current = c.stored.find(c.o.BootID)
	c.boot = c.current.Number
	c.opened = c.o.Boottime()
	c.polled = c.opened
	c.floor.Store(&line{wall: -1 << 62})
	if !o.Floor.IsZero() {
		c.SetFloor(o.Floor.UnixMilli())
	}
	if c.current.Stated != nil {
		c.stated = *c.current.Stated
	}
	if c.current.Offset != nil {
		c.steady = c.current.steady()
	}
	c.view.Store(&view{changed: make(chan struct{})})
	c.step()
	return c, nil
}

func (o Options) withDefaults() Options {
	if o.BootID == "" {
		o.BootID = bootID()
	}
	if o.BootID == "" {
		// Where the kernel tells no boot, each start of the program is one.
		o.BootID = rand.Text()
	}
	if o.Wall == nil {
		o.Wall = time.Now
	}
	if o.Boottime == nil {
		o.Boottime = boottime(time.Now())
	}
	if o.Disciplined == nil {
		o.Disciplined = o.Synchronised
	}
	if o.Synchronised == nil {
		o.Synchronised = synchronised
	}
	if o.Disciplined == nil {
		o.Disciplined = disciplined
	}
	if o.NetworkUp == nil {
		o.NetworkUp = networkUp
	}
	if o.Sync == nil {
		o.Sync = (*os.File).Sync
	}
	if o.Notify == nil {
		o.Notify = func(reading.Event) {}
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// Now states the present moment.
func (c *Clock) Now() Instant {
	v := c.view.Load()
	i := Instant{Boot: c.boot, Synced: v.synced}
	i.Boottime = c.o.Boottime().Milliseconds()
	i.Wall = c.o.Wall().UnixMilli()
	switch {
	case !v.synced:
		i.Wall = max(i.Wall, c.floor.Load().at(i.Boottime))
	case !c.o.Trust && distance(i.Wall-i.Boottime, v.steady) > maxSlip:
		i.Wall = i.Boottime + v.steady
	}
	return i
}

// SetFloor gives the instant of the newest stored record, in milliseconds since
// 1970. Until the clock is synchronised, Now states no less than that and the
// time that has passed since: without it a board that starts in 1970, or hours
// behind, would date what it takes now before what it took last.
func (c *Clock) SetFloor(wall int64) {
	c.floor.Store(&line{wall: wall, boottime: c.o.Boottime().Milliseconds()})
}

// Resolve returns the time with which what was taken at i leaves, and Good or
// Uncertain. While ok is false it must not leave yet and t is a guess; once ok
// is true, the answer for i never changes.
func (c *Clock) Resolve(i Instant) (t time.Time, q reading.Quality, ok bool) {
	// A boot that is over will never be synchronised any more.
	return resolve(c.view.Load().facts[i.Boot], i, i.Boot == c.boot)
}

// Trusted returns the present wall clock and whether it is known to be right.
func (c *Clock) Trusted() (wall time.Time, trusted bool) {
	i := c.Now()
	return time.UnixMilli(i.Wall).UTC(), i.Synced
}

// Changed returns a channel that is closed when Resolve may let through more
// than it did. Take it before the call of Resolve whose answer it completes.
func (c *Clock) Changed() <-chan struct{} { return c.view.Load().changed }

// State returns how the clock stood at the last look, which Run takes every
// second until all is settled.
func (c *Clock) State() State { return *c.status.Load() }

// numberOf makes a boot's number from its id. A counter would be nicer to read,
// but when its file was lost, or came back from a backup, it would give numbers
// of old boots away again, and their readings would be corrected by the wrong
// offset without anybody noticing.
func numberOf(id string) uint32 {
	h := fnv.New32a()
	h.Write([]byte(id)) // never fails
	return max(h.Sum32(), 1)
}
