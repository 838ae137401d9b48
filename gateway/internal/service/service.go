// Package service tells the service manager how the program is: that it is
// ready, that it stops, and that it still works.
//
// It guarantees that nothing is sent when no service manager listens, that the
// watchdog is fed only after the program has shown within the time that it
// works, and that a status text cannot smuggle in another message. It does not
// know what working means; that is a function of the caller.
package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"
	"unicode"

	"github.com/coreos/go-systemd/v22/daemon"
)

// The states of sd_notify(3).
const (
	Ready    = daemon.SdNotifyReady
	Stopping = daemon.SdNotifyStopping
	feeding  = daemon.SdNotifyWatchdog
)

// Notify tells the service manager states, for example Ready or
// Status("12 sensors"). It does nothing when no one listens.
func Notify(states ...string) error {
	lines := make([]string, len(states))
	for i, s := range states {
		lines[i] = strings.Map(oneLine, s)
	}
	if _, err := daemon.SdNotify(false, strings.Join(lines, "\n")); err != nil {
		return fmt.Errorf("notify the service manager: %w", err)
	}
	return nil
}

// oneLine keeps a state on its line: each line is a message of its own, and
// names of devices and clients come into the status.
func oneLine(r rune) rune {
	if unicode.IsControl(r) {
		return ' '
	}
	return r
}

// Status returns the state that `systemctl status` shows as text.
func Status(format string, args ...any) string {
	return "STATUS=" + fmt.Sprintf(format, args...)
}

// Interval returns how long the service manager waits for a sign of life before
// it kills the program; 0 when it does not wait for any.
func Interval() (time.Duration, error) {
	d, err := daemon.SdWatchdogEnabled(false)
	if err != nil {
		return 0, fmt.Errorf("read the watchdog's interval: %w", err)
	}
	return d, nil
}

// A Watchdog feeds the service manager's watchdog as long as the program works.
type Watchdog struct {
	Interval time.Duration               // of the service manager; 0: there is no watchdog
	Alive    func(context.Context) error // returns nil when the program works; must return when its context ends
	Feed     func() error                // nil: Notify("WATCHDOG=1")
	Log      *slog.Logger                // told when feeding ends and begins again; nil: nobody
}

// Watch feeds the watchdog of this process until ctx ends, as long as alive
// returns nil in time.
func Watch(ctx context.Context, alive func(context.Context) error, log *slog.Logger) error {
	interval, err := Interval()
	if err != nil {
		return err
	}
	w := Watchdog{Interval: interval, Alive: alive, Log: log}
	return w.Run(ctx, func() {})
}

// Run asks Alive three times within each interval and feeds after each answer
// that came in time. An answer that never comes is not fed: that is what the
// watchdog is for. It returns nil when ctx ends.
func (w *Watchdog) Run(ctx context.Context, ready func()) error {
	ready()
	if w.Interval <= 0 {
		<-ctx.Done()
		return nil
	}
	turn := w.Interval / 3
	tick := time.NewTicker(turn)
	defer tick.Stop()
	var failing error
	for ctx.Err() == nil {
		err := w.turn(ctx, turn)
		if ctx.Err() == nil {
			w.report(failing, err)
			failing = err
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

var errLate = errors.New("no sign of life in time")

func (w *Watchdog) turn(ctx context.Context, limit time.Duration) error {
	// The cause tells a late answer from the end of the program.
	asked, cancel := context.WithTimeoutCause(ctx, limit, errLate)
	defer cancel()
	err := w.Alive(asked)
	switch {
	case asked.Err() != nil: // late, even if it was good news in the end
		return context.Cause(asked)
	case err != nil:
		return err
	case w.Feed != nil:
		return w.Feed()
	default:
		return Notify(feeding)
	}
}

// report logs a change, not a state.
func (w *Watchdog) report(before, now error) {
	switch {
	case w.Log == nil:
	case before == nil && now != nil:
		w.Log.Warn("the watchdog is not fed: without a sign of life the program will be restarted", "error", now, "after", w.Interval)
	case before != nil && now == nil:
		w.Log.Info("the watchdog is fed again")
	}
}
