package broker_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"hash/fnv"
	"os"
	"path/filepath"
	"testing"

	"go.etcd.io/bbolt"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// FuzzRetainedValue lets a value of the file of retained messages be anything
// behind a checksum that is right. What is understood comes back the same.
func FuzzRetainedValue(f *testing.F) {
	for _, topic := range []string{"tele/washer/SENSOR", "a/b", "\xff"} {
		value, err := broker.EncodeRetained(topic, "DVES_1", []byte("{}"))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(value)
	}
	f.Add([]byte{1, 0, 0, 0, 0, 2, 4, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1})
	f.Fuzz(func(t *testing.T, value []byte) {
		if len(value) >= 5 {
			value = bytes.Clone(value)
			binary.BigEndian.PutUint32(value[1:], crc32.Checksum(value[5:], crc32.MakeTable(crc32.Castagnoli)))
		}
		topic, payload, once, err := broker.DecodeRetained(value)
		if err != nil {
			return
		}
		also, same, twice, err := broker.DecodeRetained(once)
		if err != nil || also != topic || !bytes.Equal(same, payload) || !bytes.Equal(once, twice) {
			t.Errorf("%q %q became %q %q, %v", topic, payload, also, same, err)
		}
	})
}

// FuzzRetainedFile: whatever became of the file, the broker serves, with
// messages that were kept and no others.
func FuzzRetainedFile(f *testing.F) {
	whole := aRetainedFile(f)
	root, pages := branchOf(f, whole), uint32(len(whole)/4096)
	for page := range pages {
		f.Add(page*4096+8, []byte{3, 0, 1}) // flags, count
		f.Add(page*4096+24, []byte{1, 0, 0, 0, 8})
	}
	f.Add(root*4096+24, []byte{byte(root ^ firstChild(whole, root))}) // its own child: bbolt never came back
	f.Fuzz(func(t *testing.T, at uint32, xor []byte) {
		content := bytes.Clone(whole)
		for i, x := range xor {
			content[(int(at%uint32(len(content)))+i)%len(content)] ^= x
		}
		for _, meta := range [][]byte{content[16:], content[4096+16:]} {
			h := fnv.New64a()
			h.Write(meta[:56]) // never fails
			binary.LittleEndian.PutUint64(meta[56:], h.Sum64())
		}
		path := filepath.Join(t.TempDir(), "retained.db")
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		learned := 0
		r := start(t, func(o *broker.Options) {
			o.RetainedPath, o.Log = path, nil
			o.Learn = func(m broker.Message) {
				if learned++; len(m.Payload) != 100 || len(m.Topic) < 6 || m.Topic[:5] != "topic" {
					t.Errorf("learned %q %q", m.Topic, m.Payload)
				}
			}
		})
		if err := r.Alive(t.Context()); err != nil {
			t.Fatal(err)
		}
		if err := r.stop(); err != nil {
			t.Fatal(err)
		}
	})
}

// aRetainedFile holds a hundred messages, as a broker writes them.
func aRetainedFile(f *testing.F) []byte {
	f.Helper()
	path := filepath.Join(f.TempDir(), "retained.db")
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{PageSize: 4096})
	if err != nil {
		f.Fatal(err)
	}
	db.AllocSize = 64 << 10
	err = db.Update(func(tx *bbolt.Tx) error {
		b, err := tx.CreateBucket([]byte("retained"))
		for i := range 100 {
			topic := fmt.Sprint("topic", i)
			value, encodeErr := broker.EncodeRetained(topic, "a", bytes.Repeat([]byte("x"), 100))
			err = errors.Join(err, encodeErr, b.Put([]byte(topic), value))
		}
		return err
	})
	if err := errors.Join(err, db.Close()); err != nil {
		f.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		f.Fatal(err)
	}
	return whole
}

// branchOf finds the branch page of a bbolt file of two levels.
func branchOf(f *testing.F, content []byte) uint32 {
	f.Helper()
	for page := 2; page < len(content)/4096; page++ {
		if binary.LittleEndian.Uint16(content[page*4096+8:]) == 1 {
			return uint32(page)
		}
	}
	f.Fatal("no branch page")
	return 0
}

func firstChild(content []byte, page uint32) uint32 {
	return binary.LittleEndian.Uint32(content[page*4096+16+8:])
}
