package journal

import (
	"context"
	"io"
	"log/slog"
	"os"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"
)

const (
	maxMessage = 2 << 10  // bytes
	maxValue   = 1 << 10  // bytes of one value in a line; a topic alone may have 64 KiB
	maxField   = 16 << 10 // bytes of one native field: a stack trace fits
	maxKey     = 64
)

// A layout says what stands before a message.
type layout int

const (
	collected  layout = iota // <6>message: journald adds the time and reads the level
	redirected               // <6>time message: a file, or a container's log
	terminal                 // time level message
)

func layoutOf(out io.Writer, toJournal bool) layout {
	switch {
	case toJournal:
		return collected
	case isTerminal(out):
		return terminal
	default:
		return redirected
	}
}

func isTerminal(out io.Writer) bool {
	f, ok := out.(*os.File)
	if !ok {
		return false
	}
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// textSink writes lines, each in one Write, so that lines of several goroutines
// do not mix.
func textSink(out io.Writer, l layout) sink {
	var mu sync.Mutex
	return func(_ context.Context, r slog.Record, attrs []slog.Attr) error {
		line := appendHead(make([]byte, 0, 256), l, r)
		line = appendBody(line, r.Message, attrs)
		line = append(line, '\n')
		mu.Lock()
		defer mu.Unlock()
		_, err := out.Write(line)
		return err
	}
}

func appendHead(dst []byte, l layout, r slog.Record) []byte {
	level := levelOf(r.Level)
	if l != terminal {
		dst = append(dst, '<', priority(level), '>')
	}
	if !r.Time.IsZero() && l == redirected {
		dst = r.Time.UTC().AppendFormat(dst, timeFormat)
		dst = append(dst, ' ')
	}
	if !r.Time.IsZero() && l == terminal {
		dst = r.Time.AppendFormat(dst, "15:04:05.000 ")
	}
	if l == terminal {
		dst = append(dst, level.String()...)
		dst = append(dst, "      "[len(level.String()):]...)
	}
	return dst
}

// priority returns the digit of syslog's levels (sd-daemon(3)).
func priority(l slog.Level) byte {
	switch l {
	case slog.LevelError:
		return '3'
	case slog.LevelWarn:
		return '4'
	case slog.LevelInfo:
		return '6'
	default:
		return '7'
	}
}

// appendBody writes the message and what belongs to it. The id of the message
// is for programs and is left out.
func appendBody(dst []byte, message string, attrs []slog.Attr) []byte {
	dst = append(dst, clean(message, maxMessage)...)
	for _, a := range attrs {
		if a.Key == keyMessageID {
			continue
		}
		dst = append(dst, ' ')
		dst = append(dst, cleanKey(a.Key)...)
		dst = append(dst, '=')
		dst = appendValue(dst, a.Value.String())
	}
	return dst
}

// appendValue quotes what could be taken for something else.
func appendValue(dst []byte, text string) []byte {
	text = cut(text, maxValue)
	odd := func(r rune) bool {
		return r == ' ' || r == '=' || r == '"' || r == utf8.RuneError || !unicode.IsPrint(r)
	}
	if text == "" || strings.ContainsFunc(text, odd) {
		return strconv.AppendQuote(dst, text)
	}
	return append(dst, text...)
}

// cleanKey keeps a key one word. Keys are constants of the program, but for
// those of a library.
func cleanKey(key string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '=' || r == '"' || r == utf8.RuneError || !unicode.IsPrint(r) {
			return '_'
		}
		return r
	}, cut(key, maxKey))
}

// clean escapes what cannot be printed, as strconv.Quote does, and so keeps
// text on its line.
func clean(text string, longest int) string {
	text = cut(text, longest)
	unprintable := func(r rune) bool { return r == utf8.RuneError || !unicode.IsPrint(r) }
	if !strings.ContainsFunc(text, unprintable) {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		if unprintable(r) {
			quoted := strconv.Quote(text[:size])
			b.WriteString(quoted[1 : len(quoted)-1])
		} else {
			b.WriteString(text[:size])
		}
		text = text[size:]
	}
	return b.String()
}

// cut bounds text without breaking a character.
func cut(text string, longest int) string {
	if len(text) <= longest {
		return text
	}
	end := longest
	for end > longest-utf8.UTFMax && !utf8.RuneStart(text[end]) {
		end--
	}
	return text[:end] + "..."
}
