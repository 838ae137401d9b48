// Package card is an SD card for tests of what a power cut or a bad card leaves
// behind. The kernel sees a real block device with a real ext4 on it; the test
// sees every write and every flush that reaches the card, in order.
//
// A Card is a file in a FUSE file system of the test's own, behind a loop device.
// It records from Mount on. A Log makes crash states: what was flushed before a
// moment, and of what came later any part, in any order, some of it torn at the
// 512 bytes of a sector. A Fault lets writes, flushes or reads fail as the kernel
// reports it for a card that is worn out.
//
// It guarantees that nothing is in a crash state that the kernel had not written
// by then, and that everything is that was flushed, if the card is an Honest one.
// That is what a card with a volatile cache does; that of a Lying one forgets its
// last writes although it was flushed.
//
// It does not know what becomes of a card whose own mapping tables are damaged by
// the cut: such a card can lose anything. Nor does it know that cells rot.
//
// The process that has a Card must not map files on it into its memory, nor so
// much as load a program from it: a page fault would wait for the process itself.
// Whatever uses the files runs in a child process.
//
// There is none on 32-bit systems, where go-fuse does not build. It needs root, /dev/fuse, loop devices and mkfs.ext4; where one is missing, New
// skips the test, or fails it if PLANTGATE_REQUIRE_CARD is 1. What it mounts goes
// at the end of the test, also when the test was killed.
package card
