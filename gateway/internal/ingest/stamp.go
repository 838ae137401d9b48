package ingest

import (
	"hash/maphash"
	"math"
	"strings"
	"sync"

	"github.com/plantgate/plantgate/gateway/internal/clock"
)

// Stamps keep the readings of one channel apart and in order: two messages may
// share a millisecond, and gateway, device, channel and time are the natural key
// downstream. Past a second the order of arrival is left to the clock.
type stamps struct {
	seed   maphash.Seed
	shards [stampShards]stampShard
}

const (
	stampShards = 64

	// stampsPerShard bounds the memory: 32,768 channels, about 4 MB. Only
	// those of the last second matter.
	stampsPerShard = 512

	// sameMoment is how near in ms the last stamp must be to matter.
	sameMoment = 1000
)

type stampShard struct {
	mu   sync.Mutex
	last map[channelKey]*moment
}

type channelKey struct{ device, channel string }

type moment struct{ wall, boottime int64 } // ms

func newStamps() *stamps {
	s := &stamps{seed: maphash.MakeSeed()}
	for i := range s.shards {
		s.shards[i].last = make(map[channelKey]*moment)
	}
	return s
}

// next returns at, or one millisecond behind the channel's last stamp when that
// is later and within a second.
func (s *stamps) next(device, channel string, at clock.Instant) clock.Instant {
	h := maphash.String(s.seed, device) ^ 31*maphash.String(s.seed, channel)
	shard := &s.shards[h%stampShards]
	shard.mu.Lock()
	defer shard.mu.Unlock()
	key := channelKey{device, channel}
	last, ok := shard.last[key]
	if !ok {
		shard.makeRoom()
		// Cloned, for the channel is a piece of a payload that would stay.
		shard.last[channelKey{strings.Clone(device), strings.Clone(channel)}] = &moment{at.Wall, at.Boottime}
		return at
	}
	at = shift(at, max(lag(last.wall, at.Wall), lag(last.boottime, at.Boottime)))
	last.wall, last.boottime = at.Wall, at.Boottime
	return at
}

// lag is how much now must be raised to come behind last, in ms.
func lag(last, now int64) int64 {
	if d := last - now; d >= 0 && d < sameMoment {
		return d + 1
	}
	return 0
}

// makeRoom forgets the longest silent one of a few: the most silent of all would
// have to be searched for at each message of a flood.
func (s *stampShard) makeRoom() {
	if len(s.last) < stampsPerShard {
		return
	}
	var oldest channelKey
	silent, looks := int64(math.MaxInt64), 0
	for key, m := range s.last {
		if m.boottime < silent {
			oldest, silent = key, m.boottime
		}
		if looks++; looks == 8 {
			break
		}
	}
	delete(s.last, oldest)
}
