//go:build linux && (amd64 || arm64)

package card_test

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/plantgate/plantgate/gateway/proof/card"
)

const size = 16 << 20 // bytes of a card

func inserted(t *testing.T) *card.Card {
	t.Helper()
	c := card.New(t, size)
	if err := c.Mount(); err != nil {
		t.Fatal(err)
	}
	return c
}

// write makes a file with or without a sync of it and of its name.
func write(c *card.Card, name string, content []byte, sync bool) error {
	f, err := os.Create(filepath.Join(c.Dir(), name))
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	if sync && err == nil {
		err = f.Sync()
	}
	return errors.Join(err, f.Close())
}

// survives says whether a file is whole on the card as it is after a cut.
func survives(t *testing.T, c *card.Card, image []byte, name string, content []byte) bool {
	t.Helper()
	if err := c.Unmount(); err != nil {
		t.Fatal(err)
	}
	c.Insert(image)
	if err := c.Mount(); err != nil {
		t.Logf("mount after the cut: %v", err)
		return false
	}
	got, err := os.ReadFile(filepath.Join(c.Dir(), name))
	return err == nil && bytes.Equal(got, content)
}

var content = bytes.Repeat([]byte("plantgate "), 5000)

// What was synced is on the card after any cut, what was not is gone after some:
// else the card would prove nothing.
func TestCutKeepsWhatWasSynced(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	lost := 0
	for range 8 {
		c := inserted(t)
		if err := errors.Join(write(c, "synced", content, true), write(c, "other", content, false)); err != nil {
			t.Fatal(err)
		}
		log := c.PullOut()
		image := log.Cut(log.Len(), random, card.Honest)
		if !survives(t, c, image, "synced", content) {
			t.Error("a file that was synced is gone")
		}
		if !survives(t, c, image, "other", content) {
			lost++
		}
	}
	if lost == 0 {
		t.Error("no file that was not synced was ever lost")
	}
}

// A card that lies loses what was synced.
func TestLyingCardLosesWhatWasSynced(t *testing.T) {
	random := rand.New(rand.NewPCG(3, 4))
	lost := 0
	for range 10 {
		c := inserted(t)
		if err := write(c, "synced", content, true); err != nil {
			t.Fatal(err)
		}
		log := c.PullOut()
		if !survives(t, c, log.Cut(log.Len(), random, card.Lying), "synced", content) {
			lost++
		}
	}
	if lost == 0 {
		t.Error("nothing was lost")
	}
}

// Without barriers a sync flushes nothing, so that a cut takes what was synced.
func TestNoBarrierIsNoFlush(t *testing.T) {
	c := card.New(t, size)
	if err := c.Mount("nobarrier"); err != nil {
		t.Fatal(err)
	}
	if err := write(c, "synced", content, true); err != nil {
		t.Fatal(err)
	}
	log := c.PullOut()
	if writes, _, written := log.Writes(log.Len()); written < int64(len(content)) {
		t.Errorf("%d writes of %d bytes", writes, written)
	}
	if survives(t, c, log.Flushed(log.Len()), "synced", content) {
		t.Error("the file is on a card that was never flushed")
	}
}

// Each kind of fault reaches the program as EIO, from the moment that was asked
// for, and ends when the card is healed.
func TestFaultsReachTheProgram(t *testing.T) {
	for _, op := range []card.Op{card.Write, card.Flush, card.Read} {
		t.Run(op.String(), func(t *testing.T) {
			c := inserted(t)
			if err := write(c, "old", content, true); err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(c.Unmount(), c.Mount()); err != nil { // nothing is cached
				t.Fatal(err)
			}
			use := func(name string) error {
				_, err := os.ReadFile(filepath.Join(c.Dir(), "old"))
				return errors.Join(err, write(c, name, content, true))
			}
			c.Fail(card.Fault{Op: op, Nth: 1})
			if err := use("new"); !errors.Is(err, syscall.EIO) && !errors.Is(err, syscall.EROFS) {
				t.Errorf("got %v", err)
			}
			if c.Failed() == 0 {
				t.Error("nothing failed")
			}
			c.Heal()
			// A file system that met an error may stay read-only until the next mount.
			if err := errors.Join(c.Unmount(), c.Mount(), use("newer")); err != nil {
				t.Errorf("after healing: %v", err)
			}
		})
	}
}

// A card whose file system is made read-only refuses to write and goes on reading.
func TestReadOnlyCard(t *testing.T) {
	c := inserted(t)
	if err := errors.Join(write(c, "old", content, true), c.ReadOnly()); err != nil {
		t.Fatal(err)
	}
	if err := write(c, "new", content, true); !errors.Is(err, syscall.EROFS) {
		t.Errorf("got %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(c.Dir(), "old")); err != nil || !bytes.Equal(got, content) {
		t.Errorf("read %d bytes, %v", len(got), err)
	}
}
