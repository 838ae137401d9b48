package clock

// An Instant is one moment as a board without a clock of its own can state it:
// what the wall clock said, how long the board had been up, in which boot, and
// whether the wall clock was known to be right.
type Instant struct {
	Wall     int64 // milliseconds since 1970, as the system clock had it
	Boottime int64 // milliseconds since the start of the boot (CLOCK_BOOTTIME)
	Boot     uint32
	Synced   bool
}
