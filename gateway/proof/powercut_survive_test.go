//go:build linux && (amd64 || arm64)

package proof_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/plantgate/plantgate/buffer"
)

// survive starts on what a cut left, reads all of it, takes some records more,
// and starts once more.
func survive(o order, s *survival) error {
	options := o.options()
	options.Notify = func(n buffer.Notice) {
		s.Told = append(s.Told, n.Kind)
		if n.Kind == buffer.FileSetAside {
			s.Aside = append(s.Aside, fmt.Sprintf("%+v", n))
		}
	}
	if err := os.MkdirAll(o.Dir, 0o755); err != nil {
		return err
	}
	l, err := openLiving(o, options, nil)
	if err != nil {
		return fmt.Errorf("start refused: %w", err)
	}
	if err := errors.Join(l.takeStock(s), l.appendSome(s), l.end()); err != nil {
		return err
	}
	var again survival
	if l, err = openLiving(o, o.options(), nil); err != nil {
		return fmt.Errorf("second start refused: %w", err)
	}
	if err := errors.Join(l.takeStock(&again), l.end()); err != nil {
		return err
	}
	if again.Durable != s.First+2 || again.Confirmed != s.Confirmed {
		return fmt.Errorf("the second start finds numbers through %d, confirmed %d; want %d and %d", again.Durable, again.Confirmed, s.First+2, s.Confirmed)
	}
	return nil
}

func (l *living) appendSome(s *survival) error {
	s.First = l.next
	last, err := l.TryAppend(content(l.o.Life, l.next), content(l.o.Life, l.next+1), content(l.o.Life, l.next+2))
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	return l.Wait(ctx, last)
}

func (l *living) takeStock(s *survival) error {
	var blob []byte
	s.Confirmed, blob = l.Confirmed()
	if s.Confirmed > 0 && len(blob) > 0 && string(blob) != fmt.Sprint(s.Confirmed) {
		return fmt.Errorf("confirmed %d with the blob of %s", s.Confirmed, blob)
	}
	s.Durable, _ = l.Durable()
	for at := uint64(1); at <= s.Durable; {
		w, err := l.Read(at, 1000, 1<<20)
		switch {
		case err != nil:
			return err
		case w.Gap != nil:
			s.Gaps = append(s.Gaps, *w.Gap)
			at = w.Gap.Last + 1
			continue
		case len(w.Records) == 0:
			return fmt.Errorf("nothing at %d of %d", at, s.Durable)
		}
		for _, r := range w.Records {
			life, err := lifeOf(at, r)
			if err != nil {
				return err
			}
			if n := len(s.Runs); n > 0 && s.Runs[n-1].Life == life && s.Runs[n-1].Last+1 == at {
				s.Runs[n-1].Last = at
			} else {
				s.Runs = append(s.Runs, run64{at, at, life})
			}
			at++
		}
	}
	return nil
}

// spoilMeta changes a byte in a meta page of a segment: the file has to be set
// aside, and all its blocks can be saved.
func spoilMeta(o order) error {
	files, err := filepath.Glob(filepath.Join(o.Dir, "0*.seg"))
	if err != nil || len(files) == 0 {
		return err
	}
	random := rand.New(rand.NewPCG(o.Seed, 1))
	path := files[len(files)-1]
	if random.IntN(3) == 0 {
		path = files[random.IntN(len(files))]
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	at := int64(random.IntN(2)*4096 + 16 + random.IntN(64))
	b := make([]byte, 1)
	if _, err := f.ReadAt(b, at); err != nil {
		return errors.Join(err, f.Close())
	}
	_, err = f.WriteAt([]byte{b[0] ^ 1<<random.IntN(8)}, at)
	return errors.Join(err, f.Sync(), f.Close())
}
