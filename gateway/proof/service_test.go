//go:build linux

package proof_test

import (
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// systemd is told when the service works, how it is, and that it stops: else
// `systemctl stop` looks like a crash in the journal, and `systemctl status`
// says nothing of a full card.
func TestSystemdIsTold(t *testing.T) {
	t.Parallel()
	s := newStation(t, fakeKafka(t), nil)
	p := s.start()
	eventually(t, 10*time.Second, "a line for systemctl status", func() bool { return strings.Contains(p.told.String(), "STATUS=0 devices") })
	p.stop()
	told := p.told.String()
	if ready, stopping := strings.Index(told, "READY=1"), strings.Index(told, "STOPPING=1"); ready < 0 || stopping < ready {
		t.Errorf("systemd heard %q, want READY=1 and later STOPPING=1", told)
	}
}

// A card that the kernel has made read-only, and no folder for the control
// socket elsewhere: the sockets still have their broker.
func TestReadOnlyDataDirStillServes(t *testing.T) {
	t.Parallel()
	data := mountCard(t, "8m")
	if err := remount(data, syscall.MS_RDONLY); err != nil {
		t.Fatal(err)
	}
	s := newStation(t, fakeKafka(t), sections{"data_dir": data})
	s.env = []string{"RUNTIME_DIRECTORY="}
	p := s.start()
	if _, ok := s.status(); ok {
		t.Error("status has an answer without a socket")
	}
	if log := p.log.String(); !strings.Contains(log, "running without the control socket") || !strings.Contains(log, filepath.Base(data)) {
		t.Errorf("the log does not say that the socket is missing, and where:\n%s", log)
	}
	dashboard := connect(t, s.mqtt, greeting{id: "dashboard", version: 4})
	dashboard.subscribe("home/door")
	connect(t, s.mqtt, greeting{id: "door", version: 4}).publish("home/door", "open", false)
	if topic, payload, _ := dashboard.message(); topic != "home/door" || payload != "open" {
		t.Errorf("the subscriber got %s %s", topic, payload)
	}
	p.stop()
}
