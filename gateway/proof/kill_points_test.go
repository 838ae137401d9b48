//go:build linux

package proof_test

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// The program is killed before, between and after the single steps of storing,
// acknowledging, forwarding and confirming a reading, and of making, beginning
// and removing a file of the buffer: the moments of a power cut or of the
// kernel's want of memory that random ones seldom meet. What holds is the same.
func TestKilledAtNamedPoints(t *testing.T) {
	t.Parallel()
	rounds := 1
	if torture() {
		rounds = 20
	}
	random := rand.New(rand.NewPCG(seedOf(t), 1))
	var all outcome
	for range rounds {
		t.Run("", func(t *testing.T) { all.add(killAtPoints(t, random, fakeKafka(t))) })
	}
	if all.kills == 0 && !t.Failed() {
		t.Skip("skipped, as its parts say why")
	}
	proved(t, "kill -9 at named points", "%d points, %s", len(killPoints), all)
}

func killAtPoints(t *testing.T, random *rand.Rand, brokers string) outcome {
	t.Helper()
	// A small card, so that files of the buffer come and go all the time.
	card := filepath.Join(mountCard(t, "8m"), "data")
	s := newStation(t, brokers, sections{"data_dir": card, "buffer": "{commit_every: 500ms, keep: 0s, when_full: refuse}"})
	needTracing(t, s)
	s.start().kill()
	home := startHome(t, s, 20*time.Millisecond) // a block takes two pages and more: files fill quickly all the same
	var marks []mark
	for _, i := range random.Perm(len(killPoints)) {
		at := killPoints[i]
		visit := 1 + random.IntN(at.visits)
		begin := time.Now()
		p := s.launchTraced(at.name, visit)
		p.awaitKill(t, fmt.Sprintf("%s, visit %d", at.name, visit))
		t.Logf("%s, visit %d: killed after %.1f s", at.name, visit, time.Since(begin).Seconds())
		marks = append(marks, s.mark(time.Now()))
	}
	return judgeKills(t, s, home, brokers, marks)
}

// awaitKill returns when the tracer has killed the program.
func (p *process) awaitKill(t *testing.T, where string) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(time.Minute):
		p.signal(syscall.SIGTERM)
		<-p.ended
		t.Errorf("%s: never reached", where)
	}
	if code := p.cmd.ProcessState.ExitCode(); code != killedThere {
		t.Fatalf("%s: exit code %d of the tracer\n%s", where, code, tail(p.log.String()))
	}
	p.killed = true
}
