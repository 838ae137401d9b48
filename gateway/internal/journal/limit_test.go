package journal_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/journal"
)

// quieted returns a limited logger, and a function that returns the lines since
// its last call without their heads.
func quieted(o journal.LimitOptions) (*slog.Logger, func() string) {
	var b bytes.Buffer
	log := slog.New(journal.Limit(journal.New(journal.Options{Format: journal.Text, Out: &b}).Handler(), o))
	return log, func() string {
		text := when.ReplaceAllString(b.String(), "")
		b.Reset()
		return strings.ReplaceAll(text, "<4> ", "")
	}
}

func expect(t *testing.T, got string, lines ...string) {
	t.Helper()
	want := strings.Join(lines, "\n")
	if strings.TrimSuffix(got, "\n") != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// A socket with a wrong password tries again every second, for weeks.
func TestRepeatedMessagesAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := quieted(journal.LimitOptions{})
		refuse := func(client string) {
			log.Warn("client refused", journal.KeyClient, client, journal.KeyReason, "password")
		}
		refuse("lamp")
		refuse("lamp")
		refuse("washer")
		expect(t, lines(), "client refused client=lamp reason=password", "client refused client=washer reason=password")

		for range 59 {
			time.Sleep(time.Second)
			refuse("lamp")
		}
		expect(t, lines())
		time.Sleep(time.Second)
		refuse("lamp")
		expect(t, lines(), "client refused client=lamp reason=password repeated=60")
		time.Sleep(10 * time.Second)
		refuse("lamp")
		expect(t, lines())

		// It was unplugged. What is left is told with the next message of
		// another client, and then it is forgotten.
		time.Sleep(time.Minute)
		refuse("washer")
		expect(t, lines(), "client refused client=lamp reason=password repeated=1", "client refused client=washer reason=password")
		time.Sleep(time.Hour)
		refuse("lamp")
		expect(t, lines(), "client refused client=lamp reason=password")
	})
}

// The port of a client differs at every attempt, as may the handler it is
// logged with.
func TestAPortTellsNobodyApart(t *testing.T) {
	log, lines := quieted(journal.LimitOptions{})
	log.Warn("refused", journal.KeyAddress, "192.168.1.5:50001")
	log.With(journal.KeyAddress, "192.168.1.5:50002").Warn("refused")
	log.With(journal.KeyAddress, "[fd00::1]:1").WithGroup("g").Warn("refused", "x", 1)
	log.Warn("refused", journal.KeyAddress, "192.168.1.6:50001")
	expect(t, lines(), "refused address=192.168.1.5:50001", "refused address=[fd00::1]:1 g.x=1", "refused address=192.168.1.6:50001")
}

// An attacker takes a new name for each attempt, to fill the journal or the
// memory.
func TestInventedNamesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		log, lines := quieted(journal.LimitOptions{PerMessage: 3})
		for i := range 10_000 {
			log.Warn("refused", journal.KeyClient, fmt.Sprint("client", i))
		}
		expect(t, lines(), "refused client=client0", "refused client=client1", "refused client=client2", "refused client=client3")
		time.Sleep(2 * time.Minute)
		log.Warn("refused", journal.KeyClient, "late")
		expect(t, lines(), "refused client=client9999 repeated=9996", "refused client=late")
	})
}

// Should a text itself hold what a client chose, lines are bounded even so.
func TestInventedTextsAreBounded(t *testing.T) {
	log, lines := quieted(journal.LimitOptions{})
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	large := strings.Repeat("x", 60_000)
	for i := range 5_000 {
		log.Warn(fmt.Sprint("text", i), journal.KeyTopic, large+fmt.Sprint(i))
		log.Warn(fmt.Sprint("text", i), journal.KeyTopic, large+fmt.Sprint(i))
	}
	if got := strings.Count(lines(), "\n"); got > 1100 {
		t.Errorf("%d lines", got)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if grown := int64(after.HeapAlloc) - int64(before.HeapAlloc); grown > 16<<20 {
		t.Errorf("memory grew by %d KiB", grown>>10)
	}
	log.Info("the log lives")
}

// A client must not silence what is said about another.
func TestTextsAreNotMixedUp(t *testing.T) {
	log, lines := quieted(journal.LimitOptions{Keys: []string{"a", "b"}})
	log.Warn("m", "a", "x\x00y", "b", "")
	log.Warn("m", "a", "x", "b", "y")
	log.Warn("m", "a", "", "b", "x")
	log.Warn("m", "a", "x")
	log.Warn("n", "a", "x")
	if got := strings.Count(lines(), "\n"); got != 5 {
		t.Errorf("%d lines, want 5", got)
	}
}

func TestLimitIsSafeForManyGoroutines(t *testing.T) {
	log := slog.New(journal.Limit(journal.New(journal.Options{Format: journal.Text, Out: io.Discard}).Handler(), journal.LimitOptions{Every: time.Nanosecond}))
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			own := log.With(journal.KeyClient, i)
			for range 500 {
				own.Warn("refused")
			}
		})
	}
	wg.Wait()
}

var errBroken = errors.New("broken")

func TestErrorsOfTheNextHandlerAreReturned(t *testing.T) {
	h := journal.Limit(journal.New(journal.Options{Format: journal.Text, Out: brokenWriter{}}).Handler(), journal.LimitOptions{})
	err := h.Handle(t.Context(), slog.NewRecord(time.Now(), slog.LevelWarn, "m", 0))
	if !errors.Is(err, errBroken) {
		t.Errorf("got %v", err)
	}
}

type brokenWriter struct{}

func (brokenWriter) Write([]byte) (int, error) { return 0, errBroken }
