package clock

import "time"

// follow keeps up with a wall clock that was synchronised once, and reports
// whether there is something new to store. Slewing is followed as it goes, a
// step only on the word of NTP or of the owner: the kernel takes back that the
// clock is synchronised when somebody sets it (kernel/time/ntp.c, ntp_clear),
// and a daemon gives that word again once it has set it right. Until then time
// runs on with CLOCK_BOOTTIME, which nobody can set and which is right to a few
// seconds a day.
func (c *Clock) follow() bool {
	offset := c.o.Wall().UnixMilli() - c.o.Boottime().Milliseconds()
	slip := distance(offset, c.steady)
	switch {
	case slip < minSlip:
		c.believe()
		return false
	case slip <= maxSlip:
		c.believe()
	case c.o.Trust || c.o.Disciplined():
		c.o.Log.Info("clock was stepped and is synchronised", "step", time.Duration(offset-c.steady)*time.Millisecond)
		c.doubts = 0
	default:
		c.doubt(offset - c.steady)
		return false
	}
	c.steady = offset
	c.current.Steady = &offset
	return true
}

func (c *Clock) doubt(step int64) {
	if c.doubts++; c.doubts == patientLooks {
		c.o.Log.Warn("clock was stepped by something other than NTP and is not believed; readings keep the time that it showed before (set it right, or write clock.trust)",
			"step", time.Duration(step)*time.Millisecond)
	}
}

func (c *Clock) believe() {
	if c.doubts >= patientLooks {
		c.o.Log.Info("clock is right again")
	}
	c.doubts = 0
}

// distance of two offsets, in ms.
func distance(a, b int64) int64 {
	if a < b {
		return b - a
	}
	return a - b
}
