package clock

import (
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// bootID returns the kernel's name for this boot, or "" where it is hidden
// (systemd's ProcSubset=pid: pass %b in Options.BootID instead).
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}

// boottime returns CLOCK_BOOTTIME: unlike Go's monotonic clock it has the same
// origin in every process of a boot, and goes on during suspend.
func boottime(time.Time) func() time.Duration {
	return func() time.Duration {
		var now unix.Timespec
		// Its only errors are an unknown clock and a bad pointer.
		_ = unix.ClockGettime(unix.CLOCK_BOOTTIME, &now)
		return time.Duration(now.Nano())
	}
}

// synchronised: the kernel says so (STA_UNSYNC of adjtimex is clear; NTP
// daemons clear it), or systemd-timesyncd left its flag. The flag is asked too
// because a sandbox may forbid adjtimex.
func synchronised() bool {
	says, known := kernelSays()
	return says && known || flagged()
}

// disciplined is the kernel's present word. The flag stays for the whole boot
// and counts only where the kernel must not be asked.
func disciplined() bool {
	if says, known := kernelSays(); known {
		return says
	}
	return flagged()
}

func kernelSays() (synchronised, known bool) {
	var t unix.Timex
	_, err := unix.Adjtimex(&t)
	return t.Status&unix.STA_UNSYNC == 0, err == nil
}

func flagged() bool {
	_, err := os.Stat("/run/systemd/timesync/synchronized")
	return err == nil
}
