package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"go.yaml.in/yaml/v4"
)

// document turns text into the one mapping that it must be. It returns nil when
// that is not possible; what is wrong has then been reported.
func (d *decoder) document(text []byte) *yaml.Node {
	if len(text) > maxFileBytes {
		d.complainAt(1, 1, "the file is larger than 1 MiB", "is it a configuration at all?")
		return nil
	}
	if !d.isText(text) {
		return nil
	}
	root, err := load(text, func(second *yaml.Node) {
		d.complain(second, "a second document begins here", "one file is one configuration: remove the line `---` or merge what follows into the first part")
	})
	if err != nil {
		d.syntax(err)
		return nil
	}
	if root == nil || isNull(root) {
		d.complainAt(1, 1, "the file is empty", whereKafkaIs)
		return nil
	}
	d.refuse(root)
	if root.Kind != yaml.MappingNode {
		d.complain(root, "the file must be lines of `key: value`, not "+kindOf(root), "a list of sensors goes under the key `sensors`")
		return nil
	}
	return root
}

// isText finds the first byte that no YAML file may hold. The parser would
// name it without its place.
func (d *decoder) isText(text []byte) bool {
	text = bytes.TrimPrefix(text, []byte("\ufeff"))
	for i := 0; i < len(text); {
		r, size := utf8.DecodeRune(text[i:])
		broken := r == utf8.RuneError && size <= 1
		if broken || r < ' ' && r != '\t' && r != '\n' && r != '\r' || r >= 0x7f && r < 0xa0 && r != 0x85 || r == 0xfffe || r == 0xffff || r == 0xfeff {
			line, column := place(text[:i])
			d.complainAt(line, column, fmt.Sprintf("byte 0x%02x is no text", text[i]), "save the file as plain text in UTF-8")
			return false
		}
		i += size
	}
	return true
}

// place returns where the byte after text is.
func place(text []byte) (line, column int) {
	line = 1
	for {
		at := lineBreaks.FindIndex(text)
		if at == nil {
			return line, utf8.RuneCount(text) + 1
		}
		line, text = line+1, text[at[1]:]
	}
}

// load returns the first document's content. It calls another for a second
// document, which is not read further.
func load(text []byte, another func(*yaml.Node)) (*yaml.Node, error) {
	loader, err := yaml.NewLoader(bytes.NewReader(text))
	if err != nil {
		return nil, err
	}
	var first, second yaml.Node
	if err := loader.Load(&first); err != nil {
		return nil, ignoreEOF(err)
	}
	switch err := loader.Load(&second); {
	case err == nil:
		another(&second)
	case !errors.Is(err, io.EOF):
		return nil, err
	}
	if first.Kind == yaml.DocumentNode && len(first.Content) == 1 {
		return first.Content[0], nil
	}
	return &first, nil
}

func ignoreEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return nil
	}
	return err
}

// refuse reports what YAML offers beyond plain keys and values. Anchors let a
// few lines stand for gigabytes, and none of it helps to read a configuration.
// The messages do not repeat the word: it may be half of a password.
func (d *decoder) refuse(n *yaml.Node) {
	switch {
	case n.Kind == yaml.AliasNode:
		if !d.aliases[n.Value] { // the first of many says it all
			d.complain(n, "a value that begins with `*` refers to another place in the file", "write the value out; text that begins so goes in double quotes")
		}
		d.aliases[n.Value], d.refused[n] = true, true
	case n.Anchor != "":
		d.complain(n, "`&` and the word behind it make this a value to refer to", "write values out where they are needed; text that begins so goes in double quotes")
		d.refused[n] = true
	case n.Style&yaml.TaggedStyle != 0:
		d.complain(n, "`!` and the word behind it declare a type", "remove them: each key knows its type; text that begins so goes in double quotes")
		d.refused[n] = true
	}
	for _, child := range n.Content { // an alias has no content of its own
		d.refuse(child)
	}
}

// syntax reports what the YAML parser stumbled over. The parser stops at the
// first error, so this is the only one that is reported.
func (d *decoder) syntax(err error) {
	var at *yaml.LoadError
	if !errors.As(err, &at) {
		d.complainAt(1, 1, "the file is no YAML: "+printable(err.Error()), "")
		return
	}
	mark := at.Mark
	message, hint, opening := explain(at.Message, at.ContextMsg, d.line(mark.Line), d.character(mark))
	if opening && at.ContextMark.Line > 0 {
		mark = at.ContextMark
	}
	d.complainAt(mark.Line, mark.Column, message, hint)
}

func (d *decoder) line(number int) string {
	if number < 1 || number > len(d.lines) {
		return ""
	}
	return d.lines[number-1]
}

func (d *decoder) character(at yaml.Mark) string {
	line := []rune(d.line(at.Line))
	if at.Column < 1 || at.Column > len(line) {
		return ""
	}
	return string(line[at.Column-1])
}

// explain rewords the parser's messages for someone who does not know how a
// YAML parser works. opening says that the place to look at is where the
// unfinished thing begins.
func explain(message, context, line, character string) (text, hint string, opening bool) {
	indent := line[:len(line)-len(strings.TrimLeft(line, " \t"))]
	switch {
	case strings.Contains(indent, "\t"):
		return "a tab indents this line", "YAML is indented with blanks only: replace each tab by two blanks", false
	case strings.Contains(message, "cannot start any token"):
		return "a value cannot begin with " + quoted(character), "put the value in double quotes", false
	case strings.Contains(message, "mapping values are not allowed"):
		return "this colon is one too many", "put a value that holds `: ` in double quotes, or check how far the line is indented", false
	case strings.Contains(context, "quoted scalar"):
		return "the text that begins here is never closed", "put the missing quote at its end", true
	case strings.Contains(context, "flow"):
		return "the bracket that opens here is never closed, or a comma is missing inside", "close it, or put the value in double quotes if the bracket belongs to it", true
	case strings.Contains(line, "]:"):
		return "this does not belong to a list", "put an IPv6 address in double quotes: `\"[::]:1883\"`", false
	case strings.Contains(message, "did not find expected"):
		return "this does not fit what stands above it", "keys of one section are indented equally far; a value with special characters goes in double quotes", false
	case strings.Contains(message, "unknown anchor"):
		return "a value cannot begin with `*`", "put the value in double quotes", false
	case strings.Contains(message, "max depth"):
		return "sections are nested too deeply", "this is no configuration of plantgate", false
	default:
		return printable(message), "", false
	}
}
