package buffer

import "time"

// The kinds of notice. Their names are those of the events they become.
const (
	StreamStarted = "stream_started" // Stream, Previous, First, Reason
	FileSetAside  = "file_set_aside" // File, Err, Salvaged
	UncleanStart  = "unclean_start"  // Stream, Last, CommitEvery, Detail
	PositionsLost = "positions_lost" // First, Last, Err
	Filling       = "filling"        // Percent, Bytes, Limit, DaysLeft
	Full          = "full"           // Bytes, Limit, Policy, Detail
	Free          = "free"           // Percent, Bytes, Limit
)

// A Notice is a change of state that a person must know. Which fields mean
// something stands beside each kind.
type Notice struct {
	Kind        string
	Stream      string
	Previous    string // the stream before; "": none
	First, Last uint64 // numbers
	Reason      string
	Detail      string
	File        string // path
	Err         error
	Salvaged    uint64 // records saved from File
	CommitEvery time.Duration
	Percent     int     // of Limit that unconfirmed records take
	Bytes       int64   // that unconfirmed records take
	Limit       int64   // bytes
	DaysLeft    float64 // until full at the rate of the last hour; 0: not known
	Policy      Policy
}
