//go:build linux && (amd64 || arm64)

package proof_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/proof/card"
)

const (
	cardSize     = 16 << 20 // bytes
	survivorLife = 1000     // marks what was appended after a cut
)

// A deed is what a process did with a buffer, and where the card was then.
type deed struct {
	at     int
	word   word
	life   int
	damage bool // a meta page was spoiled
}

// A recording is the lives of a buffer on a card, one after the other.
type recording struct {
	log   *card.Log
	deeds []deed
	drop  bool
	seed  uint64
}

// record lets some processes live on an empty card: the first one makes the
// buffer, others are killed or end in order, and between two of them a file may
// go bad.
func record(t *testing.T, seed uint64, lives, steps int, options ...string) *recording {
	t.Helper()
	c := card.New(t, cardSize)
	if err := c.Mount(options...); err != nil {
		t.Fatal(err)
	}
	random := rand.New(rand.NewPCG(seed, 0))
	r := &recording{seed: seed, drop: random.IntN(2) == 0}
	o := order{Dir: filepath.Join(c.Dir(), "data", "buffer"), Drop: r.drop}
	for life := 1; life <= lives; life++ {
		o.Do, o.Life, o.Seed, o.Steps, o.Close = "live", life, seed, 1+random.IntN(steps), random.IntN(3) == 0
		if _, err := alone(t, o, func(w word) { r.deeds = append(r.deeds, deed{at: c.Moment(), word: w, life: life}) }); err != nil {
			t.Fatalf("seed %d, life %d: %v", seed, life, err)
		}
		if random.IntN(2) == 0 {
			continue
		}
		// From here on: a cut may fall between the spoiling and the word of it.
		r.deeds = append(r.deeds, deed{at: c.Moment(), damage: true})
		o.Do, o.Seed = "spoil", seed+uint64(life)
		if _, err := alone(t, o, nil); err != nil {
			t.Fatal(err)
		}
	}
	r.log = c.PullOut()
	if err := c.Unmount(); err != nil {
		t.Fatal(err)
	}
	return r
}

// An expectation is what must be there after a cut.
type expectation struct {
	told       uint64  // durable through here
	confirming uint64  // nobody confirmed more
	owners     []run64 // who wrote the numbers from First on
	drop       bool
	damaged    bool // a meta page may be spoiled
	roomy      bool
}

func (r *recording) at(moment int) expectation {
	e := expectation{drop: r.drop}
	for _, d := range r.deeds {
		if d.at > moment {
			break
		}
		e.told, e.confirming, e.damaged = max(e.told, d.word.Durable), max(e.confirming, d.word.Confirming), e.damaged || d.damage
		if d.word.Opened > 0 {
			e.owners = append(e.owners, run64{First: d.word.Opened, Life: d.life})
		}
	}
	return e
}

func (e expectation) owner(number uint64) int {
	for _, o := range slices.Backward(e.owners) {
		if o.First <= number {
			return o.Life
		}
	}
	return 0
}

// breaches holds what a start found against what must be there.
func (e expectation) breaches(s *survival) (found []string) {
	add := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	if s.Durable < e.told || s.First <= e.told {
		add("lost: numbers through %d were durable, %d are left and %d is given next", e.told, s.Durable, s.First)
	}
	if s.Confirmed > e.confirming {
		add("confirmed %d, but nobody confirmed more than %d", s.Confirmed, e.confirming)
	}
	for _, r := range s.Runs {
		for n := r.First; n <= r.Last; n++ {
			if owner := e.owner(n); owner != r.Life {
				add("number %d was given by life %d and holds the record of life %d", n, owner, r.Life)
				break
			}
		}
	}
	for _, g := range s.Gaps {
		kept := slices.ContainsFunc(s.Runs, func(r run64) bool { return r.First < g.First && r.Last > s.Confirmed })
		switch {
		case g.Reason == buffer.Expired && g.Last <= s.Confirmed:
		case g.Reason == buffer.Dropped && e.drop && !kept:
		default:
			add("numbers %d..%d are gone: %s (%s)", g.First, g.Last, g.Reason, g.Detail)
		}
	}
	if slices.Contains(s.Told, buffer.FileSetAside) && !e.damaged {
		add("a file was set aside: %s", strings.Join(s.Aside, "; "))
	}
	return found
}

// A courtroom is a second card, on which crash states are started on.
type courtroom struct {
	t       *testing.T
	card    *card.Card
	process *bufferProcess
	program string

	states, again int
	met           map[string]int // notices and gaps by kind
}

func newCourtroom(t *testing.T) *courtroom {
	t.Helper()
	return &courtroom{t: t, card: card.New(t, cardSize), program: plainProgram(t), met: map[string]int{}}
}

// try starts on a crash state and returns what is wrong. One in four is cut once
// more while it starts.
func (c *courtroom) try(image []byte, e expectation, random *rand.Rand, honesty card.Honesty) []string {
	c.states++
	s, log, wrong := c.start(image, e, survivorLife, random)
	if wrong != nil || random.IntN(4) > 0 {
		return wrong
	}
	c.again++
	e.owners = append(e.owners, run64{First: s.First, Life: survivorLife})
	_, _, wrong = c.start(log.Cut(random.IntN(log.Len()+1), random, honesty), e, survivorLife+1, random)
	return wrong
}

func (c *courtroom) start(image []byte, e expectation, life int, random *rand.Rand) (*survival, *card.Log, []string) {
	c.t.Helper()
	c.card.Insert(image)
	if err := c.card.Mount(); err != nil {
		return nil, nil, []string{"unreadable: " + err.Error()}
	}
	o := order{Do: "survive", Dir: filepath.Join(c.card.Dir(), "data", "buffer"), Life: life, Drop: e.drop, Roomy: e.roomy}
	if random.IntN(5) == 0 {
		o.Program = c.program
	}
	if c.process == nil {
		c.process = startBufferProcess(c.t)
	}
	var s *survival
	_, err := c.process.do(o, func(w word) {
		if w.Survival != nil {
			s = w.Survival
		}
	})
	if err != nil || slices.Contains(s.Told, buffer.FileSetAside) {
		c.process.kill() // a damaged file may stay mapped
		c.process = nil
	}
	log := c.card.PullOut()
	if err := c.card.Unmount(); err != nil {
		c.t.Fatal(err)
	}
	if err != nil {
		return nil, nil, []string{err.Error()}
	}
	for _, kind := range s.Told {
		c.met[kind]++
	}
	for _, g := range s.Gaps {
		c.met["gap: "+g.Reason]++
	}
	return s, log, e.breaches(s)
}

// The power goes at any moment, while a buffer is made for the first time, takes
// records, begins a file, unlinks one, writes its positions or saves what is good
// of a damaged file, and it goes again during the start after that. Nothing that
// was reported durable is missing, no number says two things, and every start
// goes on.
func TestPowerCutsLoseNothing(t *testing.T) {
	t.Parallel()
	states, recordings := 100, 4
	if torture() {
		states, recordings = 2000, 25
	}
	seed := seedOf(t)
	random := rand.New(rand.NewPCG(seed, 1))
	court := newCourtroom(t)
	var writes, flushes int
	var records uint64
	for i := range recordings {
		r := record(t, seed+uint64(i), 6, 60)
		w, f, _ := r.log.Writes(r.log.Len())
		writes, flushes, records = writes+w, flushes+f, records+r.at(r.log.Len()).told
		for range states / recordings {
			at := r.moment(random)
			image := r.log.Cut(at, random, card.Honest)
			keep := keeper(t, image)
			for _, wrong := range court.try(image, r.at(at), random, card.Honest) {
				t.Errorf("recording %d cut at %d of %d: %s", r.seed, at, r.log.Len(), wrong)
			}
			if t.Failed() {
				keep()
				return
			}
		}
	}
	proved(t, "power cuts", "%d crash states of %d recordings (%d card writes, %d flushes, %d records durable), %d of them cut again while starting: nothing durable lost, no number twice, no start refused; met %v",
		court.states, recordings, writes, flushes, records, court.again, court.met)
}

// keeper returns what saves the card of a state that failed, in the folder that
// PLANTGATE_KEEP names: what the kernel writes when is not repeated by a seed.
func keeper(t *testing.T, image []byte) (keep func()) {
	dir := os.Getenv("PLANTGATE_KEEP")
	if dir == "" {
		return func() {}
	}
	image = slices.Clone(image) // a start changes it
	return func() {
		path := filepath.Join(dir, fmt.Sprintf("card-%d.img", time.Now().UnixNano()))
		if err := os.WriteFile(path, image, 0o600); err != nil {
			t.Error(err)
		}
		t.Logf("the card is kept as %s", path)
	}
}

// moment chooses one: anywhere, where a report that came too early shows, or
// during a start.
func (r *recording) moment(random *rand.Rand) int {
	i := random.IntN(len(r.deeds))
	switch random.IntN(4) {
	case 0:
		return max(1, r.deeds[i].at)
	case 1:
		for r.deeds[i].word.Opened == 0 {
			i = (i + 1) % len(r.deeds)
		}
		begin := 0
		if i > 0 {
			begin = r.deeds[i-1].at
		}
		return begin + 1 + random.IntN(max(1, r.deeds[i].at-begin))
	default:
		return 1 + random.IntN(r.log.Len())
	}
}

// A card that lies about its flushes, and a file system that asks for none, lose
// what was reported durable: else the proof above would find nothing either.
func TestPowerCutControlsFail(t *testing.T) {
	t.Parallel()
	states := 12
	if torture() {
		states = 80
	}
	seed := seedOf(t)
	for _, control := range []struct {
		name    string
		honesty card.Honesty
		options []string
	}{
		{"a file system without flushes", card.Honest, []string{"nobarrier"}},
		{"a card that ignores them", card.Lying, nil},
	} {
		random := rand.New(rand.NewPCG(seed, 2))
		court := newCourtroom(t)
		r := record(t, seed, 4, 60, control.options...)
		failed, kinds := 0, map[string]int{}
		for range states {
			at := r.log.Len()/2 + random.IntN(r.log.Len()/2)
			if wrong := court.try(r.log.Cut(at, random, control.honesty), r.at(at), random, control.honesty); len(wrong) > 0 {
				failed++
				kinds[strings.Fields(wrong[0])[0]]++
			}
		}
		if failed < states/4 {
			t.Errorf("%s: only %d of %d crash states show it", control.name, failed, states)
		}
		proved(t, "power cuts, control", "%s: %d of %d crash states break the promise: %v", control.name, failed, states, kinds)
	}
}
