package journal

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"syscall"

	slogjournal "github.com/systemd/slog-journal"
)

// socketPath is journald's (systemd.io/JOURNAL_NATIVE_PROTOCOL).
const socketPath = "/run/systemd/journal/socket"

// goesToJournal reports whether out is the stream that systemd connected to the
// journal: JOURNAL_STREAM holds its device and inode (systemd.exec(5)). A
// redirection in a shell below the service makes it another one.
func goesToJournal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	if err != nil {
		return false
	}
	stat, ok := info.Sys().(*syscall.Stat_t)
	return ok && os.Getenv("JOURNAL_STREAM") == fmt.Sprintf("%d:%d", stat.Dev, stat.Ino)
}

// nativeSink writes native fields to the journal, and to instead what cannot be
// written there.
func nativeSink(instead sink) sink {
	if _, err := os.Stat(socketPath); err != nil {
		return instead // the library would be silent about it
	}
	next, err := slogjournal.NewHandler(&slogjournal.Options{Level: slog.Level(-1 << 31)})
	if err != nil {
		return instead
	}
	return func(ctx context.Context, r slog.Record, attrs []slog.Attr) error {
		if err := next.Handle(ctx, native(r, attrs)); err != nil {
			return instead(ctx, r, attrs)
		}
		return nil
	}
}

// native makes fields of the attributes. The message carries them as well:
// journalctl shows nothing else unless it is asked to.
func native(r slog.Record, attrs []slog.Attr) slog.Record {
	n := slog.NewRecord(r.Time, levelOf(r.Level), string(appendBody(nil, r.Message, attrs)), r.PC)
	for _, a := range attrs {
		n.AddAttrs(slog.String(fieldName(a.Key), fieldValue(a)))
	}
	return n
}

// fieldValue escapes what cannot be printed. The protocol would frame line
// breaks, but `journalctl -o verbose` shows what follows one as if it were
// another field; and it shows a field with other control characters as "blob
// data". No client can put anything into a stack trace.
func fieldValue(a slog.Attr) string {
	text := a.Value.String()
	if a.Key != KeyStack {
		return clean(text, maxField)
	}
	lines := strings.Split(text, "\n")
	for i, line := range lines {
		lines[i] = clean(strings.ReplaceAll(line, "\t", "    "), maxField)
	}
	return strings.Join(lines, "\n")
}

// fieldName makes a journal field of a key: device becomes PLANTGATE_DEVICE.
// journald drops a field whose name is not of A-Z, 0-9 and _, or too long.
func fieldName(key string) string {
	if key == keyMessageID {
		return "MESSAGE_ID"
	}
	return "PLANTGATE_" + strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9':
			return r
		default:
			return '_'
		}
	}, key[:min(len(key), 50)])
}
