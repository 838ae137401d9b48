//go:build linux

package proof_test

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The program is killed in the middle of a system call by a process that traces
// it: the test's own binary, which first becomes the tracer and, in its child,
// the shim. The shim asks the kernel to stop it at the calls of the point alone
// (seccomp), so that everything else runs at full speed, and then becomes the
// program.
const (
	tracePointVar = "PLANTGATE_TEST_TRACE_POINT" // name of the point
	traceVisitVar = "PLANTGATE_TEST_TRACE_VISIT" // kill at this visit, from 1
	traceShimVar  = "PLANTGATE_TEST_TRACE_SHIM"

	killedThere = 77 // exit codes of the tracer
	cannotTrace = 78
)

// traced plays one of these parts when the environment asks for it. The
// arguments are the command line of the program.
func traced() (exitCode int, played bool) {
	name := os.Getenv(tracePointVar)
	if name == "" {
		return 0, false
	}
	// Every request must come from the thread that is the tracer, and the filter
	// holds for the thread that becomes the program.
	runtime.LockOSThread()
	at := slices.IndexFunc(killPoints, func(p killPoint) bool { return p.name == name })
	visit, err := strconv.Atoi(os.Getenv(traceVisitVar))
	if at < 0 || err != nil {
		fmt.Fprintf(os.Stderr, "no point %q, visit %q\n", name, os.Getenv(traceVisitVar))
		return 2, true
	}
	if os.Getenv(traceShimVar) != "" {
		err = becomeProgram(killPoints[at].calls)
	} else {
		var code int
		if code, err = trace(killPoints[at], visit); err == nil {
			return code, true
		}
	}
	fmt.Fprintf(os.Stderr, "trace %s: %v\n", name, err)
	return cannotTrace, true
}

func becomeProgram(calls []int) error {
	if err := stopAt(calls); err != nil {
		return err
	}
	var env []string
	for _, variable := range os.Environ() {
		if !strings.HasPrefix(variable, "PLANTGATE_TEST_TRACE") {
			env = append(env, variable)
		}
	}
	return syscall.Exec(os.Args[1], os.Args[1:], env)
}

// stopAt makes the kernel tell the tracer of these calls of this thread, and of
// all that it becomes.
func stopAt(calls []int) error {
	const numberOffset = 0 // of struct seccomp_data
	filter := []unix.SockFilter{{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: numberOffset}}
	for i, number := range calls {
		filter = append(filter, unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jt: uint8(len(calls) - i), K: uint32(number)})
	}
	filter = append(filter, unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_ALLOW},
		unix.SockFilter{Code: unix.BPF_RET | unix.BPF_K, K: unix.SECCOMP_RET_TRACE})
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("forbid new privileges: %w", err)
	}
	if err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0); err != nil {
		return fmt.Errorf("set filter: %w", err)
	}
	return nil
}

// A tracer follows the program with its threads and children.
type tracer struct {
	program int // process id
	at      killPoint
	left    int // visits until it kills
	known   map[int]bool
	inside  map[int]*systemCall // of a thread: the call whose end counts
	seen    sight
}

// trace runs the program until it is killed at the point, or ends by itself.
func trace(at killPoint, visit int) (exitCode int, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	program, err := syscall.ForkExec(self, os.Args, &syscall.ProcAttr{
		Env: append(os.Environ(), traceShimVar+"=1"), Files: []uintptr{0, 1, 2}, Sys: &syscall.SysProcAttr{Ptrace: true},
	})
	if err != nil {
		return 0, fmt.Errorf("start: %w", err)
	}
	var status unix.WaitStatus
	if _, err := unix.Wait4(program, &status, 0, nil); err != nil || !status.Stopped() {
		return 0, fmt.Errorf("the shim does not stop: %v, %x", err, status)
	}
	const options = unix.PTRACE_O_TRACESYSGOOD | unix.PTRACE_O_TRACECLONE | unix.PTRACE_O_TRACEFORK | unix.PTRACE_O_TRACEVFORK |
		unix.PTRACE_O_TRACEEXEC | unix.PTRACE_O_TRACESECCOMP | unix.PTRACE_O_EXITKILL
	if err := unix.PtraceSetOptions(program, options); err != nil {
		return 0, fmt.Errorf("set options: %w", err)
	}
	if err := unix.PtraceCont(program, 0); err != nil {
		return 0, fmt.Errorf("continue: %w", err)
	}
	enough := make(chan os.Signal, 1)
	signal.Notify(enough, unix.SIGTERM)
	go func() {
		<-enough
		_ = unix.Kill(program, unix.SIGKILL) // it may have ended meanwhile
	}()
	t := &tracer{program: program, at: at, left: visit, known: map[int]bool{program: true}, inside: map[int]*systemCall{}, seen: newSight()}
	return t.loop()
}

func (t *tracer) loop() (exitCode int, err error) {
	for {
		var status unix.WaitStatus
		thread, err := unix.Wait4(-1, &status, unix.WALL, nil)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return 0, fmt.Errorf("wait: %w", err)
		case status.Stopped():
			t.stopped(thread, status)
		case thread != t.program:
			delete(t.known, thread)
		case t.left <= 0:
			return killedThere, nil
		case status.Signaled():
			return 128 + int(status.Signal()), nil
		default:
			return status.ExitStatus(), nil
		}
	}
}

// stopped looks at why a thread stands and lets it go on. A request to a thread
// that was killed meanwhile fails, which says nothing.
func (t *tracer) stopped(thread int, status unix.WaitStatus) {
	signal := status.StopSignal()
	switch {
	case signal == unix.SIGTRAP && status.TrapCause() == unix.PTRACE_EVENT_SECCOMP:
		if t.enters(thread) {
			_ = unix.PtraceSyscall(thread, 0)
			return
		}
		signal = 0
	case signal == unix.SIGTRAP|0x80:
		t.leaves(thread)
		signal = 0
	case signal == unix.SIGTRAP: // it makes a thread or a process, or becomes a program
		signal = 0
	case signal == unix.SIGSTOP && !t.known[thread]: // as every new one does
		t.known[thread] = true
		signal = 0
	}
	_ = unix.PtraceCont(thread, int(signal))
}

// enters reports whether the end of the call is to be seen.
func (t *tracer) enters(thread int) bool {
	info, ok := syscallInfo(thread)
	if !ok {
		return false
	}
	c := &systemCall{thread: thread, number: int(info.data[0]), args: [6]uint64(info.data[1:7])}
	c.look()
	there := t.left > 0 && t.at.is(c, &t.seen)
	t.seen.note(c)
	switch {
	case !there:
		return false
	case t.at.after:
		t.inside[thread] = c
		return true
	}
	t.visit()
	return false
}

func (t *tracer) leaves(thread int) {
	c := t.inside[thread]
	delete(t.inside, thread)
	info, ok := syscallInfo(thread)
	if c == nil || !ok || t.left <= 0 {
		return
	}
	result := int64(info.data[0])
	if result > 0 || result == 0 && c.number != unix.SYS_READ {
		t.visit()
	}
}

// visit kills the program, before the thread that is there can go on.
func (t *tracer) visit() {
	if t.left--; t.left == 0 {
		_ = unix.Kill(t.program, unix.SIGKILL)
	}
}

// ptraceSyscallInfo is struct ptrace_syscall_info of the kernel. data is the
// number of a call and its arguments, or its result.
type ptraceSyscallInfo struct {
	op, _, _, _ uint8
	arch        uint32
	ip, sp      uint64
	data        [8]uint64
}

func syscallInfo(thread int) (info ptraceSyscallInfo, ok bool) {
	_, _, errno := unix.Syscall6(unix.SYS_PTRACE, unix.PTRACE_GET_SYSCALL_INFO, uintptr(thread), unsafe.Sizeof(info), uintptr(unsafe.Pointer(&info)), 0, 0)
	return info, errno == 0
}

// A systemCall is one that the program makes.
type systemCall struct {
	thread int
	number int
	args   [6]uint64
	path   string // of the file, or what the kernel calls a socket
	to     string // of a rename
	head   []byte // of what is written
}

// look reads what the arguments point to.
func (c *systemCall) look() {
	switch c.number {
	case unix.SYS_OPENAT, unix.SYS_UNLINKAT:
		c.path = c.text(c.args[1])
	case unix.SYS_RENAMEAT:
		c.path, c.to = c.text(c.args[1]), c.text(c.args[3])
	case unix.SYS_WRITE:
		c.head = c.memory(c.args[1], int(min(c.args[2], 8)))
		fallthrough
	default:
		c.path, _ = os.Readlink(fmt.Sprintf("/proc/%d/fd/%d", c.thread, c.args[0])) // "" for one that is closed
	}
}

func (c *systemCall) memory(at uint64, size int) []byte {
	b := make([]byte, size)
	n, err := unix.PtracePeekData(c.thread, uintptr(at), b)
	if err != nil {
		return nil
	}
	return b[:n]
}

// text is a string with its zero. It is read word by word: a longer read could
// go beyond the end of what is mapped.
func (c *systemCall) text(at uint64) string {
	var text []byte
	for len(text) < unix.PathMax {
		word := c.memory(at+uint64(len(text)), 8)
		if end := slices.Index(word, 0); end >= 0 || len(word) == 0 {
			return string(append(text, word[:max(end, 0)]...))
		}
		text = append(text, word...)
	}
	return string(text)
}

// launchTraced starts the gateway so that it is killed at its n-th visit to a
// point.
func (s *station) launchTraced(point string, visit int) *process {
	s.t.Helper()
	self, err := os.Executable()
	if err != nil {
		s.t.Fatal(err)
	}
	env := append(slices.Clone(s.env), tracePointVar+"="+point, traceVisitVar+"="+strconv.Itoa(visit))
	return launch(s.t, self, env, s.program, "run", "--config", s.config)
}

// needTracing skips where processes cannot be traced.
func needTracing(t *testing.T, s *station) {
	t.Helper()
	if strconv.IntSize < 64 {
		t.Skip("system calls are traced on 64-bit machines only")
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	nothing := []string{tracePointVar + "=" + killPoints[0].name, traceVisitVar + "=1"}
	_, log, code := run(t, "", self, nothing, s.program, "version")
	if code == cannotTrace {
		t.Skipf("processes cannot be traced here: %s", log)
	}
	if code != 0 {
		t.Fatalf("%s version under the tracer: exit code %d\n%s", filepath.Base(s.program), code, log)
	}
}
