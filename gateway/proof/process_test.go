//go:build linux

package proof_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// A process is a plantgate that runs.
type process struct {
	t        *testing.T
	cmd      *exec.Cmd
	out, log text // standard output and error
	ready    chan struct{}
	ended    chan struct{}
	err      error // once ended is closed
	killed   bool  // by the test
	told     text  // what systemd heard
}

// A text collects what a process writes.
type text struct {
	mu    sync.Mutex
	bytes bytes.Buffer
}

func (x *text) Write(p []byte) (int, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.bytes.Write(p)
}

func (x *text) String() string {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.bytes.String()
}

// launch starts program and listens to what it tells systemd.
func launch(t *testing.T, program string, env []string, args ...string) *process {
	t.Helper()
	p := &process{t: t, cmd: exec.Command(program, args...), ready: make(chan struct{}), ended: make(chan struct{})}
	notify := filepath.Join(t.TempDir(), "notify")
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: notify, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	p.cmd.Env = append(environment(env), "NOTIFY_SOCKET="+notify)
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.log
	// A test that is killed leaves no gateway behind; a child of the gateway that
	// outlives it does not keep Wait from returning.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	p.cmd.WaitDelay = 2 * time.Second
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go p.listen(systemd)
	go func() {
		p.err = p.cmd.Wait()
		systemd.Close()
		close(p.ended)
	}()
	t.Cleanup(p.cleanUp)
	return p
}

// environment is what the program runs in. The race detector waits a second at
// each exit by default, and the program checks its files in children. Its commands
// look for a demo of this user's too, which a developer may have running.
func environment(more []string) []string {
	nowhere := filepath.Join(os.Getenv("PLANTGATE_TEST_DIR"), "state")
	return append(append(os.Environ(), "GORACE=atexit_sleep_ms=0", "RUNTIME_DIRECTORY=", "PLANTGATE_CONFIG=", "XDG_STATE_HOME="+nowhere), more...)
}

func (p *process) listen(systemd *net.UnixConn) {
	ready := sync.OnceFunc(func() { close(p.ready) })
	message := make([]byte, 4096)
	for {
		n, err := systemd.Read(message)
		if err != nil {
			return
		}
		p.told.Write(append(message[:n:n], '\n'))
		if strings.Contains(string(message[:n]), "READY=1") {
			ready()
		}
	}
}

// awaitReady returns when systemd would take the service for started.
func (p *process) awaitReady() {
	p.t.Helper()
	select {
	case <-p.ready:
	case <-p.ended:
		p.t.Fatalf("the program ended before it was ready: %v\n%s", p.err, p.log.String())
	case <-time.After(time.Minute):
		p.t.Fatalf("the program is not ready after a minute:\n%s", p.log.String())
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatal(err)
	}
}

// kill is kill -9.
func (p *process) kill() {
	p.t.Helper()
	p.killed = true
	p.signal(syscall.SIGKILL)
	<-p.ended
}

// stop ends the program as systemd does, checks that it ends in order, and
// returns how long it took.
func (p *process) stop() time.Duration {
	p.t.Helper()
	begin := time.Now()
	p.signal(syscall.SIGTERM)
	p.awaitEnd(30 * time.Second)
	if p.err != nil {
		p.t.Errorf("ordinary stop: %v\n%s", p.err, tail(p.log.String()))
	}
	return time.Since(begin)
}

func (p *process) awaitEnd(within time.Duration) {
	p.t.Helper()
	select {
	case <-p.ended:
	case <-time.After(within):
		p.signal(syscall.SIGQUIT) // the runtime writes what every goroutine waits for
		<-p.ended
		p.t.Fatalf("the program still runs after %s:\n%s", within, p.log.String())
	}
}

func (p *process) running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// cleanUp also looks for what no test must overlook, in whatever way the
// program ended.
func (p *process) cleanUp() {
	p.signal(syscall.SIGKILL)
	<-p.ended
	log := p.log.String()
	// At the beginning of a line: what was recovered stands in a line of the log.
	if bad := regexp.MustCompile(`(?m)^(panic: |fatal error: |WARNING: DATA RACE|SIG)`).FindStringIndex(log); bad != nil {
		p.t.Errorf("the program broke:\n%s", log[bad[0]:min(len(log), bad[0]+4000)])
	}
	if p.t.Failed() && !p.killed {
		p.t.Logf("end of the program's log:\n%s", tail(log))
	}
}

// tail is the end of a long log.
func tail(log string) string { return log[max(0, len(log)-6000):] }

// A usage is what a process has used so far.
type usage struct {
	cpu           time.Duration
	resident, top int64 // bytes
}

func (p *process) usage() usage {
	p.t.Helper()
	dir := fmt.Sprintf("/proc/%d/", p.cmd.Process.Pid)
	stat, err := os.ReadFile(dir + "stat")
	if err != nil {
		p.t.Fatal(err)
	}
	// proc(5): the name in brackets may hold blanks; utime and stime are fields
	// 14 and 15, in hundredths of a second.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	status, err := os.ReadFile(dir + "status")
	if err != nil {
		p.t.Fatal(err)
	}
	return usage{time.Duration(user+system) * 10 * time.Millisecond, memory(status, "VmRSS:"), memory(status, "VmHWM:")}
}

func memory(status []byte, key string) int64 {
	for line := range strings.Lines(string(status)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, key+" %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}

// run runs a command to its end.
func run(t *testing.T, stdin, program string, env []string, args ...string) (out, log string, code int) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = environment(env)
	var stdout, stderr bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &stdout, &stderr
	cmd.WaitDelay = 2 * time.Second
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatalf("run %s %v: %v", program, args, err)
	}
	return stdout.String(), stderr.String(), cmd.ProcessState.ExitCode()
}

// eventually asks until the answer is yes; what it is waiting for is said when
// it never comes.
func eventually(t *testing.T, within time.Duration, what string, yes func() bool) {
	t.Helper()
	if !becomes(within, yes) {
		t.Fatalf("not within %s: %s", within, what)
	}
}

func becomes(within time.Duration, yes func() bool) bool {
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for end := time.Now().Add(within); !yes(); <-again.C {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}
