package service_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/service"
)

// manager stands in for systemd: it reads what is sent to NOTIFY_SOCKET.
func manager(t *testing.T) (read func() string) {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("no unix datagrams on Windows")
	}
	path := filepath.Join(t.TempDir(), "notify")
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	t.Setenv("NOTIFY_SOCKET", path)
	return func() string {
		t.Helper()
		if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 4096)
		n, err := conn.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		return string(b[:n])
	}
}

func TestNotifyReachesTheServiceManager(t *testing.T) {
	read := manager(t)
	for _, c := range []struct {
		states []string
		want   string
	}{
		{[]string{service.Ready}, "READY=1"},
		{[]string{service.Stopping, service.Status("%d readings wait", 3)}, "STOPPING=1\nSTATUS=3 readings wait"},
		// A client is named so that the service looks stopped.
		{[]string{service.Status("refused %s", "x\nSTOPPING=1\r\x00")}, "STATUS=refused x STOPPING=1  "},
	} {
		if err := service.Notify(c.states...); err != nil {
			t.Fatal(err)
		}
		if got := read(); got != c.want {
			t.Errorf("got %q, want %q", got, c.want)
		}
	}
}

// On a desk, in a container and under other managers nobody listens.
func TestNotifyWithoutAManagerDoesNothing(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", "")
	if err := service.Notify(service.Ready); err != nil {
		t.Errorf("got %v", err)
	}
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "absent"))
	if err := service.Notify(service.Ready); err == nil {
		t.Error("a manager that cannot be reached is no error")
	}
}

func TestIntervalIsThatOfThisProcess(t *testing.T) {
	for _, c := range []struct {
		usec, pid string
		want      time.Duration
		wrong     bool
	}{
		{"", "", 0, false}, {"30000000", "", 30 * time.Second, false}, {"30000000", fmt.Sprint(os.Getpid()), 30 * time.Second, false},
		{"30000000", "1", 0, false}, {"soon", "", 0, true}, {"-1", "", 0, true},
	} {
		t.Setenv("WATCHDOG_USEC", c.usec)
		t.Setenv("WATCHDOG_PID", c.pid)
		if got, err := service.Interval(); got != c.want || (err != nil) != c.wrong {
			t.Errorf("%+v: got %v, %v", c, got, err)
		}
	}
}

// watch runs a watchdog of 30 s for a while of synthetic time and returns how
// often it was fed and what was logged.
func watch(t *testing.T, while time.Duration, alive func(context.Context) error) (fed int, log string) {
	t.Helper()
	var b bytes.Buffer
	w := service.Watchdog{Interval: 30 * time.Second, Alive: alive, Feed: func() error { fed++; return nil }, Log: slog.New(slog.NewTextHandler(&b, nil))}
	ctx, cancel := context.WithTimeout(t.Context(), while)
	defer cancel()
	started := false
	if err := w.Run(ctx, func() { started = true }); err != nil || !started {
		t.Errorf("Run: %v, ready %v", err, started)
	}
	return fed, b.String()
}

func TestWatchdogIsFedWhileTheProgramWorks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fed, log := watch(t, 5*time.Minute+time.Second, func(context.Context) error { return nil })
		if fed != 31 || log != "" { // at once, then every 10 s
			t.Errorf("fed %d times in 301 s, log %q", fed, log)
		}
	})
}

// A committer that hangs in the card's driver ends no context; it just never
// answers. A slow answer is one that would come too late next time.
func TestWatchdogIsNotFedWhenAnAnswerIsLate(t *testing.T) {
	for name, alive := range map[string]func(context.Context) error{
		"never": func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() },
		"late":  func(context.Context) error { time.Sleep(11 * time.Second); return nil },
		"error": func(context.Context) error { return errors.New("the committer has ended") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fed, log := watch(t, 5*time.Minute, alive)
				if fed != 0 || strings.Count(log, "\n") != 1 || !strings.Contains(log, "not fed") {
					t.Errorf("fed %d times, log %q", fed, log)
				}
			})
		})
	}
}

// A card that pauses to clean up is no reason to restart: one missed feeding is
// made good by the next.
func TestWatchdogIsFedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		start := time.Now()
		fed, log := watch(t, time.Minute-time.Second, func(context.Context) error {
			if at := time.Since(start); at >= 10*time.Second && at < 20*time.Second {
				return errors.New("the card pauses")
			}
			return nil
		})
		if fed != 5 || !strings.Contains(log, "the card pauses") || !strings.Contains(log, "fed again") || strings.Count(log, "\n") != 2 {
			t.Errorf("fed %d times, log %q", fed, log)
		}
	})
}

// The end of the program is not a failure of the program.
func TestStoppingIsNoLateAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, log := watch(t, 5*time.Second, func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() })
		if log != "" {
			t.Errorf("log %q", log)
		}
	})
}

func TestWithoutAWatchdogNobodyIsAsked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := service.Watchdog{Alive: func(context.Context) error { t.Error("asked"); return nil }}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		if err := w.Run(ctx, func() {}); err != nil {
			t.Error(err)
		}
	})
}

func TestWatchTakesTheIntervalFromTheEnvironment(t *testing.T) {
	read := manager(t)
	t.Setenv("WATCHDOG_PID", "")
	t.Setenv("WATCHDOG_USEC", "soon")
	if err := service.Watch(t.Context(), nil, nil); err == nil {
		t.Error("a broken interval is no error")
	}
	t.Setenv("WATCHDOG_USEC", "60000000")
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() {
		done <- service.Watch(ctx, func(context.Context) error { return nil }, nil)
	}()
	if got := read(); got != "WATCHDOG=1" {
		t.Errorf("got %q", got)
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
