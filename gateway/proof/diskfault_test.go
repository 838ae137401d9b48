//go:build linux && (amd64 || arm64)

package proof_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/plantgate/plantgate/gateway/proof/card"
)

// A patient is a card with a buffer on it that was used for a while, and on which
// a second life meets a fault.
type patient struct {
	t      *testing.T
	card   *card.Card
	before *recording
	image  []byte
	court  *courtroom
}

func newPatient(t *testing.T, seed uint64, drop bool) *patient {
	t.Helper()
	p := &patient{t: t, card: card.New(t, cardSize), court: newCourtroom(t)}
	if err := p.card.Mount(); err != nil {
		t.Fatal(err)
	}
	p.before = &recording{seed: seed, drop: drop}
	if _, err := p.live(1, 100, hoarding, func(w word) { p.before.hear(0, 1, w) }); err != nil {
		t.Fatal(err)
	}
	if err := p.card.Unmount(); err != nil {
		t.Fatal(err)
	}
	p.image = p.card.Image()
	return p
}

func (r *recording) hear(at, life int, w word) {
	r.deeds = append(r.deeds, deed{at: at, word: w, life: life})
}

func (p *patient) dir() string { return filepath.Join(p.card.Dir(), "data", "buffer") }

func (p *patient) live(life, steps int, how way, hear func(word)) (broken bool, err error) {
	p.t.Helper()
	return alone(p.t, order{Do: "live", Dir: p.dir(), Life: life, Seed: p.before.seed, Steps: steps, Close: true, Drop: p.before.drop, Way: how, Roomy: true}, hear)
}

// wake puts the card in as it was after the first life.
func (p *patient) wake() (after *recording) {
	p.t.Helper()
	p.card.Insert(append([]byte(nil), p.image...))
	if err := p.card.Mount(); err != nil {
		p.t.Fatal(err)
	}
	return &recording{drop: p.before.drop, deeds: append([]deed(nil), p.before.deeds...)}
}

// autopsy holds what is left after a fault: in the process that is started next,
// when the card works again, and after a power cut on top of it.
func (p *patient) autopsy(after *recording, restart bool, random *rand.Rand) (wrong []string) {
	p.t.Helper()
	p.card.Heal()
	e := after.at(p.card.Moment())
	e.roomy = true
	if restart {
		wrong = append(wrong, p.restart(&e)...)
	}
	log := p.card.PullOut()
	if err := p.card.Unmount(); err != nil {
		p.t.Fatal(err)
	}
	_, _, cut := p.court.start(log.Flushed(log.Len()), e, survivorLife+1, random)
	return append(wrong, cut...)
}

// restart is what systemd does. What the kernel has made read-only, or given up
// because it could not be read, stays so until somebody mounts it again.
func (p *patient) restart(e *expectation) []string {
	p.t.Helper()
	var s *survival
	_, err := alone(p.t, order{Do: "survive", Dir: p.dir(), Life: survivorLife, Drop: e.drop, Roomy: true}, func(w word) {
		if w.Survival != nil {
			s = w.Survival
		}
	})
	switch {
	case err != nil && (strings.Contains(err.Error(), "read-only") || strings.Contains(err.Error(), "deadline exceeded")):
		return nil
	case err != nil:
		return []string{"restart: " + err.Error()}
	}
	wrong := e.breaches(s)
	e.told = s.First + 2
	e.owners = append(e.owners, run64{First: s.First, Life: survivorLife})
	return wrong
}

// A card fails at its Nth write, flush or read, from then on or that once, while
// the buffer is opened or under load. Nothing that it did not keep was
// acknowledged, the buffer ends for good and says so, and the next start has all
// that was durable, also after a power cut on top of it.
func TestDiskErrorsAreFinal(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	random := rand.New(rand.NewPCG(seed, 4))
	p := newPatient(t, seed, false)
	counts := map[string]int{}
	for _, op := range []card.Op{card.Write, card.Flush, card.Read} {
		for _, n := range sample(random, 200, 7) {
			f := card.Fault{Op: op, Nth: n, Once: random.IntN(2) == 0}
			if op == card.Read && !torture() {
				f.Nth = 1 + random.IntN(20) // there are few more
			}
			early := random.IntN(3) == 0
			outcome, wrong := p.suffer(f, early, random)
			counts[op.String()+" "+outcome]++
			for _, w := range wrong {
				t.Errorf("%+v, before the start %v, %s: %s", f, early, outcome, w)
			}
		}
	}
	proved(t, "disk errors", "EIO at the Nth write, flush and read, %d cases, each then started again and after a power cut: all that was durable is there; %v", p.court.states, counts)
}

// sample is 1..most in the long form, and some of them in the short one.
func sample(random *rand.Rand, most, some int) (numbers []int) {
	if torture() {
		for n := range most {
			numbers = append(numbers, n+1)
		}
		return numbers
	}
	for range some {
		numbers = append(numbers, 1+random.IntN(most))
	}
	return numbers
}

func (p *patient) suffer(f card.Fault, early bool, random *rand.Rand) (outcome string, wrong []string) {
	p.t.Helper()
	p.court.states++
	after := p.wake()
	if early {
		p.card.Fail(f)
	}
	how := busy
	if f.Op == card.Read {
		how = reading
	}
	broken, err := p.live(2, 120, how, func(w word) {
		after.hear(p.card.Moment(), 2, w)
		if !early && w.Opened > 0 {
			p.card.Fail(f)
		}
	})
	failed := p.card.Failed()
	switch {
	case failed == 0:
		outcome = "never came"
		if err != nil {
			wrong = append(wrong, err.Error())
		}
	case broken:
		outcome = "ended it"
	case err != nil && early && strings.Contains(err.Error(), "open buffer"):
		outcome = "refused the start"
	case err != nil:
		outcome, wrong = "broke it", append(wrong, err.Error())
	case f.Op != card.Read && !f.Once:
		outcome, wrong = "unnoticed", append(wrong, fmt.Sprintf("%d %ss failed and nothing ended", failed, f.Op))
	default:
		outcome = "made good"
	}
	return outcome, append(wrong, p.autopsy(after, random.IntN(2) == 0, random)...)
}

// The file system is full, at each 64 KiB of its last 2 MiB, while the buffer
// works, and later somebody makes room. Nothing ends, nothing that was durable is
// missing, and it goes on by itself.
func TestFullCardAtEachStep(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	random := rand.New(rand.NewPCG(seed, 5))
	full, cases := 0, 0
	for _, drop := range []bool{false, true} {
		p := newPatient(t, seed, drop)
		for _, step := range append(sample(random, 32, 2), 1) {
			cases++
			turnedAway, wrong := p.squeeze(int64(step)*64<<10, random)
			if turnedAway {
				full++
			}
			for _, w := range wrong {
				t.Errorf("%d KiB free, drop %v: %s", step*64, drop, w)
			}
		}
	}
	if full == 0 {
		t.Error("no record was ever turned away: the card was not full")
	}
	proved(t, "disk full", "%d cases in steps of 64 KiB, records turned away in %d: all that was durable is there, and it went on when there was room", cases, full)
}

// squeeze leaves free bytes on the card for a second of a life.
func (p *patient) squeeze(free int64, random *rand.Rand) (turnedAway bool, wrong []string) {
	p.t.Helper()
	after := p.wake()
	filler := filepath.Join(p.card.Dir(), "photos")
	if err := fillUp(filler, free); err != nil {
		p.t.Fatal(err)
	}
	clear := sync.OnceValue(func() error { return os.Remove(filler) })
	var roomAt, lastAt time.Time
	var later sync.WaitGroup
	broken, err := p.live(2, 150, hoarding, func(w word) {
		after.hear(p.card.Moment(), 2, w)
		turnedAway = turnedAway || w.Full
		if w.Durable > 0 {
			lastAt = time.Now()
		}
		if w.Opened > 0 {
			roomAt = time.Now().Add(time.Second)
			later.Go(func() { <-time.After(time.Second); _ = clear() })
		}
	})
	later.Wait()
	if err := clear(); err != nil {
		p.t.Error(err)
	}
	if err != nil {
		wrong = append(wrong, fmt.Sprintf("ended (for good %v): %v", broken, err))
	}
	if turnedAway && lastAt.Before(roomAt) {
		wrong = append(wrong, "nothing became durable after there was room again")
	}
	return turnedAway, append(wrong, p.autopsy(after, random.IntN(2) == 0, random)...)
}

// fillUp takes all room of a file system but free bytes.
func fillUp(path string, free int64) error {
	f, err := os.Create(path)
	if err != nil {
		return err
	}
	var s unix.Statfs_t
	if err := unix.Fstatfs(int(f.Fd()), &s); err != nil {
		return errors.Join(err, f.Close())
	}
	if take := int64(s.Bavail)*s.Bsize - free; take > 0 {
		err = unix.Fallocate(int(f.Fd()), 0, 0, take)
	}
	return errors.Join(err, f.Sync(), f.Close())
}

// The kernel makes the file system read-only under load, as ext4 does after an
// error. The buffer ends for good; all that was durable is there.
func TestReadOnlyUnderLoad(t *testing.T) {
	t.Parallel()
	seed := seedOf(t)
	random := rand.New(rand.NewPCG(seed, 6))
	p := newPatient(t, seed, false)
	cases := sample(random, 60, 4)
	for _, n := range cases {
		after := p.wake()
		reports := 0
		broken, err := p.live(2, 200, busy, func(w word) {
			after.hear(p.card.Moment(), 2, w)
			if reports++; reports != n {
				return
			}
			if err := p.card.ReadOnly(); err != nil {
				t.Error(err)
			}
		})
		if !broken {
			t.Errorf("read-only at report %d: did not end for good: %v", n, err)
		}
		for _, w := range p.autopsy(after, true, random) {
			t.Errorf("read-only at report %d: %s", n, w)
		}
	}
	proved(t, "read-only card", "made read-only under load at %d moments: ended each time, all that was durable is there", len(cases))
}
