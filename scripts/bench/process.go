//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// A process is a program under test.
type process struct {
	cmd   *exec.Cmd
	log   string // file
	ended chan struct{}
}

func start(log, program string, args ...string) (*process, error) {
	out, err := os.Create(log)
	if err != nil {
		return nil, err
	}
	defer out.Close()
	p := &process{cmd: exec.Command(program, args...), log: log, ended: make(chan struct{})}
	p.cmd.Stdout, p.cmd.Stderr = out, out
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	go func() {
		_ = p.cmd.Wait() // how it ended stands in its log
		close(p.ended)
	}()
	return p, nil
}

// stop ends the process in order, or after 20 s in any way.
func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	select {
	case <-p.ended:
	case <-time.After(20 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.ended
	}
}

// err tells why a process that should run does not.
func (p *process) err() error {
	select {
	case <-p.ended:
		text, _ := os.ReadFile(p.log)
		return fmt.Errorf("%s has ended:\n%s", filepath.Base(p.cmd.Path), text[max(0, len(text)-2000):])
	default:
		return nil
	}
}

func (p *process) file(name string) string {
	return fmt.Sprintf("/proc/%d/%s", p.cmd.Process.Pid, name)
}

// cpu is the time that all threads have spent in user and kernel mode, in steps
// of 10 ms.
func (p *process) cpu() (time.Duration, error) {
	stat, err := os.ReadFile(p.file("stat"))
	if err != nil {
		return 0, err
	}
	// proc(5): the name in brackets may hold blanks; utime and stime are fields
	// 14 and 15, in hundredths of a second.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, err1 := strconv.Atoi(fields[11])
	system, err2 := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond, errors.Join(err1, err2)
}

// resident is the memory now, peak the most since the last forgetPeak; bytes.
func (p *process) memory() (resident, peak float64, err error) {
	status, err := os.ReadFile(p.file("status"))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(status)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmRSS: %f kB", &kib); n == 1 {
			resident = kib * 1024
		}
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 {
			peak = kib * 1024
		}
	}
	return resident, peak, nil
}

// forgetPeak makes the peak begin anew (proc(5), clear_refs).
func (p *process) forgetPeak() error { return os.WriteFile(p.file("clear_refs"), []byte("5"), 0) }

// eventually asks until the answer is yes.
func eventually(ctx context.Context, within time.Duration, what string, yes func() (bool, error)) error {
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(within); ; {
		ok, err := yes()
		if ok || err != nil && time.Now().After(end) {
			return err
		}
		if time.Now().After(end) {
			return fmt.Errorf("not within %s: %s", within, what)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-again.C:
		}
	}
}
