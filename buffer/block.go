package buffer

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"

	"github.com/klauspost/compress/zstd"
)

// The head of a block, all numbers big-endian:
//
//	 0  magic "PGB", format version (1)
//	 4  codec: 0 as it is, 1 zstd
//	 5  stream
//	 9  number of the first record
//	17  count of records
//	21  bytes of the records before compression
//	25  bytes that follow this head
//	29  CRC-32C over the head up to here and all that follows it
//
// A block says all about itself, so that it can be saved from a file whose own
// structure is gone. Each record is its length as a uvarint and its bytes. A
// later format must keep this head, so that it can be told from damage.
const (
	blockMagic    = "PGB"
	blockVersion  = 1
	blockHeadSize = 33
)

const (
	codecPlain = 0
	codecZstd  = 1
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errNewer means that a later version of this package wrote the data. It is not
// damage, and nothing may be set aside for it.
var errNewer = errors.New("written by a newer version of plantgate; install that one")

type blockHead struct {
	codec  byte
	stream uint32
	first  uint64
	count  uint32
	raw    uint32
	stored uint32
}

func (h blockHead) last() uint64 { return h.first + uint64(h.count) - 1 }

// parseBlock checks everything but what decompression alone can show. The
// payload is a part of b, which may be longer than the block.
func parseBlock(b []byte) (blockHead, []byte, error) {
	h, err := parseBlockHead(b)
	if err != nil {
		return h, nil, err
	}
	if uint64(len(b)-blockHeadSize) < uint64(h.stored) {
		return h, nil, fmt.Errorf("block %d is cut short", h.first)
	}
	payload := b[blockHeadSize : blockHeadSize+int(h.stored)]
	sum := crc32.Update(crc32.Checksum(b[:29], castagnoli), castagnoli, payload)
	if sum != binary.BigEndian.Uint32(b[29:]) {
		return h, nil, fmt.Errorf("block %d has a wrong checksum", h.first)
	}
	if b[3] > blockVersion { // a flipped bit would not have come this far
		return h, nil, fmt.Errorf("block %d of format %d: %w", h.first, b[3], errNewer)
	}
	return h, payload, nil
}

func parseBlockHead(b []byte) (blockHead, error) {
	if len(b) < blockHeadSize || string(b[:3]) != blockMagic {
		return blockHead{}, errors.New("no block where one should be")
	}
	h := blockHead{
		codec:  b[4],
		stream: binary.BigEndian.Uint32(b[5:]),
		first:  binary.BigEndian.Uint64(b[9:]),
		count:  binary.BigEndian.Uint32(b[17:]),
		raw:    binary.BigEndian.Uint32(b[21:]),
		stored: binary.BigEndian.Uint32(b[25:]),
	}
	if h.first == 0 || h.count == 0 || h.raw > maxBlock+maxRecordOverhead || h.stored > h.raw || h.last() < h.first {
		return h, fmt.Errorf("block %d has an impossible head", h.first)
	}
	return h, nil
}

// An encoder makes blocks. It is not safe for concurrent use.
type encoder struct {
	zstd *zstd.Encoder
	out  []byte
}

// The window holds several hundred records, as much as helps. One encoder at a
// time and the small tables keep the whole program within the memory of a Pi
// Zero.
func newEncoder() (*encoder, error) {
	z, err := zstd.NewWriter(nil,
		zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithEncoderConcurrency(1),
		zstd.WithWindowSize(256<<10),
		zstd.WithLowerEncoderMem(true),
		zstd.WithEncoderCRC(false))
	if err != nil {
		return nil, fmt.Errorf("make zstd encoder: %w", err)
	}
	return &encoder{zstd: z}, nil
}

// encode returns a block that is valid until the next call.
func (e *encoder) encode(stream uint32, first uint64, count int, raw []byte) []byte {
	if cap(e.out) > maxSpare {
		e.out = nil // it was made for an exceptional block
	}
	out := append(e.out[:0], make([]byte, blockHeadSize)...)
	out = e.zstd.EncodeAll(raw, out)
	codec := byte(codecZstd)
	if len(out)-blockHeadSize >= len(raw) {
		codec, out = codecPlain, append(out[:blockHeadSize], raw...)
	}
	e.out = out
	copy(out, blockMagic)
	out[3], out[4] = blockVersion, codec
	binary.BigEndian.PutUint32(out[5:], stream)
	binary.BigEndian.PutUint64(out[9:], first)
	binary.BigEndian.PutUint32(out[17:], uint32(count))
	binary.BigEndian.PutUint32(out[21:], uint32(len(raw)))
	binary.BigEndian.PutUint32(out[25:], uint32(len(out)-blockHeadSize))
	sum := crc32.Update(crc32.Checksum(out[:29], castagnoli), castagnoli, out[blockHeadSize:])
	binary.BigEndian.PutUint32(out[29:], sum)
	return out
}

// A decoder opens blocks. It is not safe for concurrent use.
type decoder struct{ zstd *zstd.Decoder }

func newDecoder() (*decoder, error) {
	z, err := zstd.NewReader(nil,
		zstd.WithDecoderConcurrency(1),
		zstd.WithDecoderLowmem(true),
		zstd.WithDecoderMaxMemory(2*maxBlock))
	if err != nil {
		return nil, fmt.Errorf("make zstd decoder: %w", err)
	}
	return &decoder{zstd: z}, nil
}

func (d *decoder) close() { d.zstd.Close() }

// A block is a decoded one: its records lie one behind the other in raw.
type block struct {
	head blockHead
	raw  []byte
	ends []uint32 // where each record ends
}

// decode fills b, reusing its memory, from a stored block.
func (d *decoder) decode(b *block, stored []byte) error {
	b.head, b.ends = blockHead{}, b.ends[:0]
	h, payload, err := parseBlock(stored)
	if err != nil {
		return err
	}
	switch b.raw = b.raw[:0]; h.codec {
	case codecPlain:
		b.raw = append(b.raw, payload...)
	case codecZstd:
		b.raw, err = d.zstd.DecodeAll(payload, b.raw)
	default:
		err = errors.New("unknown codec")
	}
	if err != nil {
		return fmt.Errorf("decompress block %d: %w", h.first, err)
	}
	if len(b.raw) != int(h.raw) {
		return fmt.Errorf("block %d holds %d bytes, want %d", h.first, len(b.raw), h.raw)
	}
	if err := b.index(int(h.count)); err != nil {
		return fmt.Errorf("block %d: %w", h.first, err)
	}
	b.head = h
	return nil
}

// index strips the lengths, so that raw holds the records alone.
func (b *block) index(count int) error {
	in, out := 0, 0
	for range count {
		n, w := binary.Uvarint(b.raw[in:])
		if w <= 0 || n > uint64(len(b.raw)-in-w) {
			return errors.New("a record is cut short")
		}
		copy(b.raw[out:], b.raw[in+w:in+w+int(n)])
		in, out = in+w+int(n), out+int(n)
		b.ends = append(b.ends, uint32(out))
	}
	if in != len(b.raw) {
		return errors.New("bytes behind the last record")
	}
	b.raw = b.raw[:out]
	return nil
}

// bounds of record i within raw.
func (b *block) bounds(i int) (start, end uint32) {
	if i > 0 {
		start = b.ends[i-1]
	}
	return start, b.ends[i]
}

// nextMagic finds where in b the next block may begin; -1: nowhere.
func nextMagic(b []byte) int { return bytes.Index(b, []byte(blockMagic)) }
