package forward_test

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/plantgate/plantgate/buffer"
	"github.com/plantgate/plantgate/gateway/internal/clock"
	"github.com/plantgate/plantgate/gateway/internal/forward"
)

func TestZZMem(t *testing.T) {
	dir := os.Getenv("MEMDIR")
	if os.Getenv("FILL") != "" {
		testing.Benchmark(func(b *testing.B) {
			if b.N > 1 {
				return
			}
			os.RemoveAll(dir)
			os.MkdirAll(dir, 0o755)
			buf, _ := buffer.Open(filepath.Join(dir, "buffer"), buffer.Options{Limit: 2 << 30, Reserve: -1})
			clk, _ := clock.Open(clock.Options{Path: filepath.Join(dir, "clock"), Trust: true})
			ctx, cancel := context.WithCancel(context.Background())
			var g sync.WaitGroup
			g.Go(func() { _ = buf.Run(ctx, func() {}) })
			backlog(b, buf, clk, 300000)
			cancel()
			g.Wait()
			buf.Close()
		})
		return
	}
	buf, err := buffer.Open(filepath.Join(dir, "buffer"), buffer.Options{Limit: 2 << 30, Reserve: -1})
	if err != nil {
		t.Fatal(err)
	}
	clk, _ := clock.Open(clock.Options{Path: filepath.Join(dir, "clock"), Trust: true})
	f := forward.New(forward.Options{Brokers: []string{os.Getenv("ADDR")}, CreateTopics: true, Place: place}, buf, clk)
	ctx, cancel := context.WithCancel(context.Background())
	var g sync.WaitGroup
	g.Go(func() { _ = buf.Run(ctx, func() {}) })
	hwm := func(what string) {
		s, _ := os.ReadFile("/proc/self/status")
		for l := range strings.SplitSeq(string(s), "\n") {
			if strings.HasPrefix(l, "VmHWM") || strings.HasPrefix(l, "VmRSS") {
				fmt.Println(what, l)
			}
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		fmt.Println(what, "heap", m.HeapAlloc>>20, "sys", m.Sys>>20)
	}
	hwm("before")
	g.Go(func() { _ = f.Run(ctx, func() {}) })
	if os.Getenv("KILLDIR") != "" {
		for f.Stats().Confirmed < 50000 {
			time.Sleep(time.Millisecond)
		}
		exec.Command("/work/main/scripts/kafka", "kill", "--dir", os.Getenv("KILLDIR")).Run()
		time.Sleep(20 * time.Second)
		hwm("killed in the middle")
	} else {
		time.Sleep(15 * time.Second)
		hwm("kafka away")
	}
	fmt.Printf("%+v\n", f.Stats())
	cancel()
	g.Wait()
	buf.Close()
}
