package broker_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"testing/synctest"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// A device announces its topics once, retained. After a restart its readings
// would otherwise go by another name until it announces them again.
func TestKeptAnnouncementsAreLearnedBeforeAnyoneConnects(t *testing.T) {
	path := filepath.Join(t.TempDir(), "retained.db")
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, keptIn(path))
		c := letIn(t, net.dial(t, ""), hello{id: "a"})
		c.send(c.message(retain, "tasmota/discovery/1/config", 1, 1, "{}"))
		c.want(ack(puback, 1)...)
	})
	synctest.Test(t, func(t *testing.T) {
		var learned []broker.Message
		inBubble(t, func(o *broker.Options) {
			o.RetainedPath = path
			o.Learn = func(m broker.Message) { learned = append(learned, m) }
		})
		want := []broker.Message{{Topic: "tasmota/discovery/1/config", Payload: []byte("{}"), Retained: true}}
		if fmt.Sprint(learned) != fmt.Sprint(want) {
			t.Errorf("learned %v, want %v", learned, want)
		}
	})
}
