package buffer_test

import (
	"testing"
	"time"

	"github.com/plantgate/plantgate/buffer"
)

// A gateway that crashes again and again within its first second would send its
// whole backlog each time, if what Kafka confirmed meanwhile were not written at
// once: the first positions of a life do not wait for the second that later
// ones do.
func TestFirstConfirmationOfALifeIsWrittenAtOnce(t *testing.T) {
	dir := tempDir(t)
	b, stop := start(t, dir, small())
	put(t, b, record, 1, 10)
	stop()

	b, _ = start(t, dir, small())
	opened := time.Now()
	if err := b.Confirm(10, nil); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the confirmed number on the card", func() bool {
		r, err := buffer.Inspect(crash(t, dir), nil)
		return err == nil && r.Confirmed == 10
	})
	if took := time.Since(opened); took > 700*time.Millisecond {
		t.Errorf("the confirmed number was on the card after %s", took)
	}
}
