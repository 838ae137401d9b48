package config

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"go.yaml.in/yaml/v4"
)

// scalar returns the text of a value that is neither a list nor a mapping.
func scalar(d *decoder, name string, n *yaml.Node) (string, bool) {
	if n.Kind == yaml.ScalarNode {
		return n.Value, true
	}
	d.complain(n, fmt.Sprintf("`%s` must be one value, not %s", name, kindOf(n)), "")
	return "", false
}

// parsed makes a parser of a function that reads text.
func parsed[T any](parse func(text string) (T, *flaw)) parser[T] {
	return func(d *decoder, name string, n *yaml.Node) (T, bool) {
		var v T
		text, ok := scalar(d, name, n)
		if !ok {
			return v, false
		}
		v, wrong := parse(text)
		if wrong != nil {
			d.complain(n, "`"+name+"`: "+wrong.message, wrong.hint)
			return v, false
		}
		return v, true
	}
}

// within bounds a parser's values; format writes the bounds into the message.
func within[T int | int64 | float64 | time.Duration](least, most T, format func(T) string, parse func(string) (T, *flaw)) parser[T] {
	return parsed(func(text string) (T, *flaw) {
		v, wrong := parse(text)
		if wrong == nil && (v < least || v > most) {
			wrong = &flaw{fmt.Sprintf("%s is outside %s to %s", quoted(text), format(least), format(most)), ""}
		}
		return v, wrong
	})
}

func duration(least, most time.Duration) parser[time.Duration] {
	return within(least, most, formatDuration, parseDuration)
}

func size(least, most int64) parser[int64] { return within(least, most, formatSize, parseSize) }

func volts(least, most float64) parser[float64] {
	return within(least, most, func(v float64) string { return formatNumber(v) + " V" }, parseVolts)
}

func count(least, most int) parser[int] { return within(least, most, strconv.Itoa, parseInt) }

func parseInt(text string) (int, *flaw) {
	v, err := strconv.Atoi(text)
	if err != nil {
		return 0, &flaw{quoted(text) + " is no whole number", ""}
	}
	return v, nil
}

// number reads a plain decimal, for what has no unit.
func number(least, most float64) parser[float64] {
	return within(least, most, formatNumber, func(text string) (float64, *flaw) {
		v, ok := decimal(text)
		if !ok {
			return 0, &flaw{quoted(text) + " is no number", ""}
		}
		return v, nil
	})
}

// or lets a word stand for a value.
func or[T any](word string, meaning T, parse parser[T]) parser[T] {
	return func(d *decoder, name string, n *yaml.Node) (T, bool) {
		if n.Kind == yaml.ScalarNode && n.Value == word {
			return meaning, true
		}
		return parse(d, name, n)
	}
}

// longestList bounds the work of checks that compare each with each.
const longestList = 100

// oneOrMany reads a list, or a single value as a list of one.
func oneOrMany[T any](parse parser[T]) parser[[]T] {
	return func(d *decoder, name string, n *yaml.Node) ([]T, bool) {
		if n.Kind != yaml.SequenceNode {
			v, ok := parse(d, name, n)
			return []T{v}, ok
		}
		if len(n.Content) > longestList {
			d.complain(n, fmt.Sprintf("`%s` has more than %d elements", name, longestList), "")
			return nil, false
		}
		var all []T
		good := true
		for i, element := range n.Content {
			v, ok := parse(d, fmt.Sprintf("%s[%d]", name, i), element)
			all, good = append(all, v), good && ok
		}
		return all, good
	}
}

func yesOrNo(d *decoder, name string, n *yaml.Node) (bool, bool) {
	if n.ShortTag() == "!!bool" && n.Kind == yaml.ScalarNode {
		return strings.EqualFold(n.Value, "true"), true
	}
	hint := "write `true` or `false`"
	switch strings.ToLower(n.Value) {
	case "yes", "on", "y", "1":
		hint = "write `true`"
	case "no", "off", "n", "0":
		hint = "write `false`"
	}
	what := kindOf(n)
	if n.Kind == yaml.ScalarNode {
		what = quoted(n.Value)
	}
	d.complain(n, fmt.Sprintf("`%s` must be true or false, not %s", name, what), hint)
	return false, false
}

func oneOf(words ...string) parser[string] {
	return parsed(func(text string) (string, *flaw) {
		if slices.Contains(words, text) {
			return text, nil
		}
		return "", &flaw{quoted(text) + " is not " + list(words...), didYouMean(text, words)}
	})
}

var levels = map[string]slog.Level{"debug": slog.LevelDebug, "info": slog.LevelInfo, "warn": slog.LevelWarn, "error": slog.LevelError}

func logLevel(d *decoder, name string, n *yaml.Node) (slog.Level, bool) {
	word, ok := oneOf("debug", "info", "warn", "error")(d, name, n)
	return levels[word], ok
}

// maxLabelBytes is reading.MaxNameBytes: names travel as Kafka keys and tags.
const maxLabelBytes = 256

// label reads a name that people choose: any text on one line.
func label(d *decoder, name string, n *yaml.Node) (string, bool) {
	return parsed(func(text string) (string, *flaw) {
		switch {
		case text == "" || strings.TrimSpace(text) != text:
			return "", &flaw{"a name is neither empty nor begins or ends with a blank", ""}
		case len(text) > maxLabelBytes:
			return "", &flaw{fmt.Sprintf("the name is longer than %d bytes", maxLabelBytes), ""}
		case strings.ContainsFunc(text, unicode.IsControl):
			return "", &flaw{"a name is one line of text", "remove the line break or control character"}
		}
		return text, nil
	})(d, name, n)
}

// gatewayPattern is what can stand unescaped in a record's id, a URL and a
// metric.
var gatewayPattern = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9_.-]{0,62}[A-Za-z0-9])?$`)

func validGatewayName(name string) bool { return gatewayPattern.MatchString(name) }

// gatewayName reads the gateway's name; "" stands for the host name.
func gatewayName(d *decoder, name string, n *yaml.Node) (string, bool) {
	return parsed(func(text string) (string, *flaw) {
		if text == "" || validGatewayName(text) {
			return text, nil
		}
		return "", &flaw{quoted(text) + " cannot be part of a record's id",
			"use up to 64 letters (a-z), digits, `_`, `.` and `-`, with a letter or digit at both ends, for example `" + cleanedName(text) + "`"}
	})(d, name, n)
}

// cleanedName makes a legal name out of any text.
func cleanedName(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < unicode.MaxASCII && validGatewayName("x"+string(r)+"x") {
			return r
		}
		return '-'
	}, text)
	text = strings.Trim(text, "-_.")
	text = strings.Trim(text[:min(len(text), 32)], "-_.")
	if text == "" {
		return "pi1"
	}
	return text
}

var topicPattern = regexp.MustCompile(`^[a-zA-Z0-9._-]{1,249}$`)

// topicName reads a Kafka topic (org.apache.kafka.common.internals.Topic).
func topicName(d *decoder, name string, n *yaml.Node) (string, bool) {
	return parsed(func(text string) (string, *flaw) {
		if !topicPattern.MatchString(text) || text == "." || text == ".." {
			return "", &flaw{quoted(text) + " is no name that Kafka allows", "use up to 249 letters, digits, `.`, `_` and `-`"}
		}
		return text, nil
	})(d, name, n)
}

// word reads a plain text that may be empty.
func word(d *decoder, name string, n *yaml.Node) (string, bool) {
	return parsed(func(text string) (string, *flaw) {
		if len(text) > maxLabelBytes || strings.ContainsFunc(text, unicode.IsControl) {
			return "", &flaw{fmt.Sprintf("the text is not one line of at most %d bytes", maxLabelBytes), ""}
		}
		return text, nil
	})(d, name, n)
}

// dataDir reads a folder. It is absolute: the working folder of a service is /.
func dataDir(d *decoder, name string, n *yaml.Node) (string, bool) {
	return parsed(func(text string) (string, *flaw) {
		switch {
		case !absolute(text):
			return "", &flaw{quoted(text) + " is no absolute path", "begin it with `/`, for example `/var/lib/plantgate`"}
		case filepath.Clean(text) == string(filepath.Separator):
			return "", &flaw{"the root folder cannot hold the data", "write for example `/var/lib/plantgate`"}
		}
		return text, nil
	})(d, name, n)
}

// file reads the path of a file that is opened later; "" is no file. The
// message does not repeat the text: it may be the secret itself.
func file(d *decoder, name string, n *yaml.Node) (string, bool) {
	return parsed(func(text string) (string, *flaw) {
		rest, credential := strings.CutPrefix(text, credentialsVariable+"/")
		switch {
		case text == "":
			return "", nil
		case strings.ContainsFunc(text, unicode.IsControl):
			return "", &flaw{"is no path", "write the path of a file, in one line"}
		case credential && validCredential(rest):
			return text, nil
		case strings.Contains(text, "${"):
			return "", &flaw{"only `" + credentialsVariable + "/NAME` is replaced in a path", "write the path out, or name a systemd credential"}
		case !absolute(text):
			return "", &flaw{"is no absolute path", "write the path of a file that begins with `/`; secrets themselves never stand in this file"}
		}
		return text, nil
	})(d, name, n)
}

func absolute(path string) bool {
	return !strings.ContainsRune(path, 0) && (strings.HasPrefix(path, "/") || filepath.IsAbs(path))
}

// validCredential follows systemd's credential_name_valid: a plain file name.
func validCredential(name string) bool {
	return name != "" && name != "." && name != ".." && len(name) <= 255 &&
		!strings.ContainsFunc(name, func(r rune) bool { return r == '/' || unicode.IsControl(r) || unicode.IsSpace(r) })
}

func credentialName(d *decoder, name string, n *yaml.Node) (string, bool) {
	return parsed(func(text string) (string, *flaw) {
		if text != "" && !validCredential(text) {
			return "", &flaw{"is no name of a systemd credential", "write the name that stands behind `LoadCredential=` in the unit"}
		}
		return text, nil
	})(d, name, n)
}
