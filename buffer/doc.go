// Package buffer keeps records on disk, in order, until they are confirmed. It
// knows nothing of what they say, nor where they go.
//
// It guarantees, in this order: a record that Wait reported durable survives a
// power cut, if the card honours a flush; records come back in the order and
// under the numbers they were given; a number is never given twice within a
// stream; the files stay within Limit; every missing number is explained by a
// Gap; the card is written to as little as that allows.
//
// # Files
//
//	00000000000000000001.seg               records from number 1 on: a bbolt file, a segment
//	00000000000000048211.seg               the next; the newest one takes blocks
//	next.seg                               prepared: whole on the card, empty
//	positions                              two slots: confirmed number, blob, note, gaps
//	lock                                   held by the process that has the buffer
//	00...1.seg.damaged-20261124T081231.123 set aside, for whoever wants to look
//	*.tmp                                  was being made when the power went; removed at start
//
// A segment is written to from its beginning to its end and then only read; it
// goes as a whole. Nothing is ever deleted within one: a bbolt file that was
// emptied stays large, and its list of free pages makes every commit expensive.
// After an unclean stop a new one is begun.
//
// # Blocks
//
// What one group commit carries is one block: its records compressed together,
// with a CRC-32C over all of it; block.go shows the bytes. Compression is zstd at
// its fastest level. Measured with 100 sockets' records of 370 bytes per block
// (BenchmarkCodec): zstd leaves 27 bytes of each and takes 0.65 us, s2 leaves 54
// and takes 0.16 us. Twice the outage fits into the same space for half a
// microsecond, and a commit waits a thousand times longer for the card.
//
// Each block lies in a bucket of its own in the root of the file. A commit then
// writes the pages of the block, one or two of the index, and a meta page: 12 to
// 16 KiB for a small one, in two syncs. As plain values in one bucket, blocks of
// some KiB would be written up to five times, because bbolt does not split a page
// of less than five values. BenchmarkBytesPerCommit: 0.8 of what a plain value of
// the same size costs with one record in a block, 0.5 with 100, 0.36 with 500.
//
// # Streams
//
// Numbers begin at 1 and never go back. A stream names the stretch in which they
// are sure to be unique; whatever makes that doubtful, such as a damaged newest
// file or a cloned card, begins a new one, which counts on.
//
// # Failures
//
// A card that is full stops new records, not those that are queued: they are
// tried again, under their numbers. Any other error of a write or sync is final
// for the process, because after a failed sync nobody knows what is on the card:
// Run returns it, all waiting ends with ErrBroken, and the next Open checks the
// newest file. A damaged file is set aside and its good blocks are put in its
// place, also those whose index is gone; what is missing between them is a Gap.
//
// A file is damaged only if it is so when the card is asked a second time, and one
// that the card hardly reads is not: Read fails and can be tried again, Open fails
// and can be tried again, and nothing is given up for it.
package buffer
