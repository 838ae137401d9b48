package main

import (
	"github.com/plantgate/plantgate/gateway/internal/journal"
	"github.com/plantgate/plantgate/reading"
)

// The messages of this package that people search the journal for.
var (
	idStarted       = journal.ID(journal.Started)
	idStopping      = journal.ID(journal.Stopping)
	idStoreAbsent   = journal.ID(journal.StoreAbsent)
	idStoreBack     = journal.ID(journal.StoreBack)
	idBufferFilling = journal.ID(journal.BufferFilling)
	idBufferFull    = journal.ID(journal.BufferFull)
	idBufferFree    = journal.ID(journal.BufferFree)
	idStreamStarted = journal.ID(journal.StreamStarted)
	idFileSetAside  = journal.ID(journal.FileSetAside)
	idUncleanStart  = journal.ID(string(reading.UncleanStart))
	idPositionsLost = journal.ID(string(reading.PositionsLost))
)
