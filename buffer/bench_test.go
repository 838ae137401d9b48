package buffer_test

import (
	"context"
	"encoding/binary"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/klauspost/compress/s2"
	"github.com/klauspost/compress/zstd"
	"go.etcd.io/bbolt"

	"github.com/plantgate/plantgate/buffer"
)

// tasmota makes n records as the gateway stores them: a short envelope and the
// rest of a JSON object, of 50 sockets.
func tasmota(n int) [][]byte {
	r := rand.New(rand.NewPCG(1, 2))
	at := int64(1795507951123) // ms
	energy := make([]float64, 50)
	out := make([][]byte, n)
	for i := range out {
		d := r.IntN(50)
		at += r.Int64N(30)
		energy[d] += 0.001 * float64(r.IntN(3))
		power := 20 + r.IntN(300)
		b := []byte{1, 1, 0, 1}
		b = binary.AppendVarint(b, at)
		b = binary.AppendVarint(b, at-1795500000000)
		b = append(b, 14, 9)
		b = fmt.Appendf(b, "socket-%02d", d)
		out[i] = fmt.Appendf(b, `,"gateway":"pi1","site":"home","device":"socket-%02d","channel":"","source":"tasmota",`+
			`"power_w":%d.0,"energy_kwh":%.3f,"energy_today_kwh":%.3f,"energy_yesterday_kwh":1.234,"apparent_power_va":%d.0,`+
			`"reactive_power_var":%d.0,"power_factor":0.%02d,"voltage_v":%d.0,"current_a":0.%03d}`,
			d, power, 100+energy[d], energy[d], power+r.IntN(20), r.IntN(40), 80+r.IntN(19), 228+r.IntN(6), r.IntN(999))
	}
	return out
}

func benchOptions() buffer.Options { return buffer.Options{Reserve: -1, Limit: 1 << 30} }

// BenchmarkAppend is the price of a record for the one who hands it over.
func BenchmarkAppend(b *testing.B) {
	buf, _ := start(b, b.TempDir(), benchOptions())
	records := tasmota(1000)
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		if _, err := buf.Append(b.Context(), records[n%len(records)]); err != nil {
			b.Fatal(err)
		}
		n++
	}
}

// BenchmarkDurable is the number of records per second that clients see
// acknowledged: each appends and waits, with a number of records in flight.
func BenchmarkDurable(b *testing.B) {
	for _, c := range []struct{ waiters, inFlight int }{{1, 1}, {10, 1}, {100, 1}, {100, 10}, {5000, 1}} {
		b.Run(fmt.Sprintf("waiters=%d,in_flight=%d", c.waiters, c.inFlight), func(b *testing.B) {
			buf, stop := start(b, b.TempDir(), benchOptions())
			records := tasmota(1000)
			begin := time.Now()
			b.ResetTimer()
			var wg sync.WaitGroup
			for w := range c.waiters {
				wg.Go(func() { client(b, buf, records, w, b.N/c.waiters+1, c.inFlight) })
			}
			wg.Wait()
			took := time.Since(begin)
			b.StopTimer()
			s := buf.Stats()
			b.ReportMetric(float64(s.Durable)/took.Seconds(), "records/s")
			b.ReportMetric(float64(s.Durable)/float64(s.Commits), "records/commit")
			b.ReportMetric(float64(s.BytesWritten)/float64(s.Durable), "B/record")
			stop()
		})
	}
}

// client keeps inFlight records unacknowledged, like an MQTT client does.
func client(b *testing.B, buf *buffer.Buffer, records [][]byte, seed, n, inFlight int) {
	var flight []uint64
	for i := range n {
		last, err := buf.Append(context.Background(), records[(seed+i)%len(records)])
		if err != nil {
			b.Error(err)
			return
		}
		if flight = append(flight, last); len(flight) < inFlight {
			continue
		}
		if err := buf.Wait(context.Background(), flight[0]); err != nil {
			b.Error(err)
			return
		}
		flight = flight[1:]
	}
	if len(flight) > 0 {
		if err := buf.Wait(context.Background(), flight[len(flight)-1]); err != nil {
			b.Error(err)
		}
	}
}

// BenchmarkReadConfirm is the forwarder's side.
func BenchmarkReadConfirm(b *testing.B) {
	buf, _ := start(b, b.TempDir(), benchOptions())
	records := tasmota(1000)
	const total = 200_000
	for n := 0; n < total; n += 500 {
		at := n % len(records)
		last, err := buf.Append(b.Context(), records[at:at+500]...)
		if err == nil {
			err = buf.Wait(b.Context(), last)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	from, n := uint64(1), 0
	begin := time.Now()
	for b.Loop() {
		w, err := buf.Read(from, 1000, 1<<20)
		if err != nil || len(w.Records) == 0 {
			b.Fatalf("read %d: %+v, %v", from, w.Gap, err)
		}
		n += len(w.Records)
		from += uint64(len(w.Records))
		if err := buf.Confirm(from-1, []byte("offsets")); err != nil {
			b.Fatal(err)
		}
		if from > total {
			from = 1
		}
	}
	b.ReportMetric(float64(n)/time.Since(begin).Seconds(), "records/s")
}

// BenchmarkBytesPerCommit compares what a commit of a block writes with one
// bbolt value of the same size in a plain file that is opened the same way.
func BenchmarkBytesPerCommit(b *testing.B) {
	for _, n := range []int{1, 5, 20, 100, 500} {
		b.Run(fmt.Sprintf("records=%d", n), func(b *testing.B) {
			records := tasmota(5000)
			buf, stop := start(b, b.TempDir(), benchOptions())
			plain := openPlain(b)
			before := ioWritten(b)
			commits := 0
			for b.Loop() {
				at := commits * n % (len(records) - n + 1)
				last, err := buf.Append(b.Context(), records[at:at+n]...)
				if err == nil {
					err = buf.Wait(b.Context(), last)
				}
				if err != nil {
					b.Fatal(err)
				}
				commits++
			}
			ours := ioWritten(b) - before
			stop()
			before = ioWritten(b)
			enc := newZstd(b)
			for c := range commits {
				at := c * n % (len(records) - n + 1)
				putPlain(b, plain, uint64(c+1), append(make([]byte, 33), enc.EncodeAll(join(records[at:at+n]), nil)...))
			}
			theirs := ioWritten(b) - before
			b.ReportMetric(float64(ours)/float64(commits), "B/commit")
			b.ReportMetric(float64(theirs)/float64(commits), "plain-B/commit")
			b.ReportMetric(float64(ours)/float64(theirs), "ratio")
		})
	}
}

func openPlain(t testing.TB) *bbolt.DB {
	t.Helper()
	db, err := bbolt.Open(filepath.Join(t.TempDir(), "plain"), 0o600, &bbolt.Options{NoFreelistSync: true, FreelistType: bbolt.FreelistMapType, PageSize: 4096})
	if err != nil {
		t.Fatal(err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucket([]byte("records"))
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	return db
}

func putPlain(t testing.TB, db *bbolt.DB, number uint64, value []byte) {
	t.Helper()
	err := db.Update(func(tx *bbolt.Tx) error {
		b := tx.Bucket([]byte("records"))
		b.FillPercent = 1
		return b.Put(binary.BigEndian.AppendUint64(nil, number), value)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// ioWritten is what this process has handed to write calls so far.
func ioWritten(t testing.TB) int64 {
	t.Helper()
	b, err := os.ReadFile("/proc/self/io")
	if err != nil {
		t.Skipf("no count of bytes written: %v", err)
	}
	for line := range strings.Lines(string(b)) {
		var n int64
		if _, err := fmt.Sscanf(line, "wchar: %d", &n); err == nil {
			return n
		}
	}
	t.Fatal("no wchar in /proc/self/io")
	return 0
}

func newZstd(t testing.TB) *zstd.Encoder {
	t.Helper()
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1), zstd.WithEncoderLevel(zstd.SpeedFastest),
		zstd.WithWindowSize(256<<10), zstd.WithLowerEncoderMem(true), zstd.WithEncoderCRC(false))
	if err != nil {
		t.Fatal(err)
	}
	return enc
}

func join(records [][]byte) []byte {
	var out []byte
	for _, r := range records {
		out = binary.AppendUvarint(out, uint64(len(r)))
		out = append(out, r...)
	}
	return out
}

// BenchmarkCodec is what the choice of the compressor rests on: see the comment
// of the package.
func BenchmarkCodec(b *testing.B) {
	for _, n := range []int{5, 100, 1000} {
		raw := join(tasmota(n))
		enc := newZstd(b)
		for name, encode := range map[string]func([]byte) []byte{
			"zstd": func(dst []byte) []byte { return enc.EncodeAll(raw, dst[:0]) },
			"s2":   func(dst []byte) []byte { return s2.Encode(dst[:cap(dst)], raw) },
		} {
			b.Run(name+"/records="+strconv.Itoa(n), func(b *testing.B) {
				var out []byte
				for b.Loop() {
					out = encode(out)
				}
				b.ReportMetric(float64(len(out))/float64(n), "B/record")
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/float64(n), "ns/record")
			})
		}
	}
}

// BenchmarkOpen opens 2 GiB of segments: what a start after a long outage costs.
func BenchmarkOpen(b *testing.B) {
	if os.Getenv("PLANTGATE_BENCH_OPEN") == "" {
		b.Skip("writes 2 GiB: set PLANTGATE_BENCH_OPEN=1")
	}
	dir := b.TempDir()
	o := buffer.Options{Reserve: -1, Limit: 3 << 30}
	buf, stop := start(b, dir, o)
	r := rand.NewChaCha8([32]byte{})
	noise := make([]byte, 64<<10)
	for buf.Stats().Bytes < 2<<30 {
		r.Read(noise)
		last, err := buf.Append(b.Context(), noise)
		if err == nil {
			err = buf.Wait(b.Context(), last)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	stop()
	for b.Loop() {
		buf, err := buffer.Open(dir, o)
		if err != nil {
			b.Fatal(err)
		}
		buf.Close()
	}
}
