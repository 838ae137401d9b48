package journal_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"github.com/plantgate/plantgate/gateway/internal/journal"
)

const socketPath = "/run/systemd/journal/socket"

// journald's socket has a fixed place, so the test takes a /run of its own: it
// starts itself in a mount namespace.
func TestJournalGetsNativeFields(t *testing.T) {
	const inside = "PLANTGATE_TEST_OWN_RUN"
	if os.Getenv(inside) != "" {
		nativeFields(t)
		return
	}
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestJournalGetsNativeFields$", "-test.v", fmt.Sprintf("-update=%v", *update))
	cmd.Env = append(os.Environ(), inside+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: unix.CLONE_NEWNS}
	if os.Geteuid() != 0 {
		cmd.SysProcAttr.Cloneflags = unix.CLONE_NEWUSER
		cmd.SysProcAttr.UidMappings = []syscall.SysProcIDMap{{HostID: os.Getuid(), Size: 1}}
		cmd.SysProcAttr.GidMappings = []syscall.SysProcIDMap{{HostID: os.Getgid(), Size: 1}}
	}
	out, err := cmd.CombinedOutput()
	if errors.Is(err, os.ErrPermission) {
		t.Skipf("no mount namespace here: %v", err)
	}
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// nativeFields runs where /run belongs to the test.
func nativeFields(t *testing.T) {
	if err := unix.Mount("tmpfs", "/run", "tmpfs", 0, ""); err != nil {
		t.Fatal(err)
	}
	stderr := stream(t)
	journal.New(journal.Options{Out: stderr}).Info("no journal yet")
	if got := content(t, stderr); got != "<6>no journal yet\n" {
		t.Errorf("without a socket: got %q", got)
	}

	entries := fakeJournal(t)
	log := journal.New(journal.Options{Out: stderr})
	speak(log)
	log.Warn("client refused", journal.KeyClient, "x\nMESSAGE_ID=0\n\x1b[2J", "Odd key=", 1, "stack", "a\n\tb", journal.KeyTopic, strings.Repeat("t", 65535))
	var all, last string
	for range 7 {
		last = readEntry(t, entries)
		all += last + "\n"
	}
	golden(t, "native", all)
	want := []string{"MESSAGE", "PRIORITY", "PLANTGATE_CLIENT", "PLANTGATE_ODD_KEY_", "PLANTGATE_STACK", "PLANTGATE_TOPIC"}
	if diff := cmp.Diff(want, names(last)); diff != "" {
		t.Errorf("fields of the message that was to be forged (-want +got):\n%s", diff)
	}
	if got := content(t, stderr); got != "" {
		t.Errorf("stderr got %q as well", got)
	}

	// A shell's redirection below the service is no journal any more.
	other := filepath.Join(t.TempDir(), "log")
	f, err := os.Create(other)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	journal.New(journal.Options{Out: f}).Info("redirected")
	if got := content(t, f); !strings.HasPrefix(got, "<6>2") || !strings.HasSuffix(got, "Z redirected\n") {
		t.Errorf("redirected: got %q", got)
	}
	journal.New(journal.Options{Out: stderr, Format: journal.Text}).Info("as text")
	if got := content(t, stderr); got != "<6>as text\n" {
		t.Errorf("text to the journal: got %q", got)
	}
}

func names(entry string) []string {
	var names []string
	for line := range strings.Lines(entry) {
		name, _, _ := strings.Cut(line, "=")
		names = append(names, name)
	}
	return names
}

// stream returns a file that JOURNAL_STREAM says goes to the journal.
func stream(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	var stat unix.Stat_t
	if err := unix.Fstat(int(f.Fd()), &stat); err != nil {
		t.Fatal(err)
	}
	t.Setenv("JOURNAL_STREAM", fmt.Sprintf("%d:%d", stat.Dev, stat.Ino))
	return f
}

// content returns what was written since the last call.
func content(t *testing.T, f *os.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(f.Truncate(0), rewind(f)); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func rewind(f *os.File) error {
	_, err := f.Seek(0, 0)
	return err
}

func fakeJournal(t *testing.T) *net.UnixConn {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(socketPath), 0o755); err != nil {
		t.Fatal(err)
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socketPath, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	return conn
}

// readEntry reads one datagram and writes its fields, one a line, without those
// that differ from run to run.
func readEntry(t *testing.T, conn *net.UnixConn) string {
	t.Helper()
	if err := conn.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	b := make([]byte, 1<<18)
	n, err := conn.Read(b)
	if err != nil {
		t.Fatal(err)
	}
	var text strings.Builder
	for rest := b[:n]; len(rest) > 0; {
		name, value, after := readField(t, rest)
		rest = after
		switch {
		case strings.HasPrefix(name, "CODE_"), name == "SYSLOG_TIMESTAMP", name == "SYSLOG_IDENTIFIER":
		case len(value) > 200:
			fmt.Fprintf(&text, "%s=%q... %d bytes\n", name, value[:60], len(value))
		case name != "PLANTGATE_STACK" && strings.Contains(value, "\n"):
			t.Errorf("%s holds a line break: %q", name, value)
		default:
			fmt.Fprintf(&text, "%s=%q\n", name, value)
		}
	}
	return text.String()
}

// readField reads one field of the native protocol
// (systemd.io/JOURNAL_NATIVE_PROTOCOL).
func readField(t *testing.T, b []byte) (name, value string, rest []byte) {
	t.Helper()
	end := bytes.IndexAny(b, "=\n")
	if end < 0 {
		t.Fatalf("no field in %q", b)
	}
	name = string(b[:end])
	if b[end] == '=' {
		line, rest, ok := bytes.Cut(b[end+1:], []byte("\n"))
		if !ok {
			t.Fatalf("field %s has no end", name)
		}
		return name, string(line), rest
	}
	size := binary.LittleEndian.Uint64(b[end+1:])
	b = b[end+9:]
	if uint64(len(b)) <= size || b[size] != '\n' {
		t.Fatalf("field %s of %d bytes has no end", name, size)
	}
	return name, string(b[:size]), b[size+1:]
}

// On a terminal a person reads: time, level, words.
func TestTerminalGetsReadableLines(t *testing.T) {
	master, terminal := openTerminal(t)
	log := journal.New(journal.Options{Out: terminal})
	log.Info("plantgate has started", journal.Event(journal.Started))
	log.Log(t.Context(), slog.LevelError, "the card is full", journal.KeyFile, "/var/lib/my data")
	b := make([]byte, 4096)
	var got string
	for strings.Count(got, "\n") < 2 {
		n, err := master.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		got += string(b[:n])
	}
	lines := strings.Split(got, "\r\n")
	for i, want := range []string{"INFO  plantgate has started event=started", `ERROR the card is full file="/var/lib/my data"`} {
		at, rest, _ := strings.Cut(lines[i], " ")
		if _, err := time.Parse("15:04:05.000", at); err != nil || rest != want {
			t.Errorf("got %q, want a time and %q", lines[i], want)
		}
	}
}

func openTerminal(t *testing.T) (master, terminal *os.File) {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = master.Close() })
	n, err := unix.IoctlGetInt(int(master.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(master.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		terminal, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	}
	if err != nil {
		t.Skipf("no terminals here: %v", err)
	}
	t.Cleanup(func() { _ = terminal.Close() })
	return master, terminal
}
