package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// A Problem is one thing that is wrong with a file, and what to do about it.
type Problem struct {
	File         string
	Line, Column int    // from 1, in characters
	Message      string // what is wrong
	Quote        string // the line, with secrets masked; "" when there is none to show
	Caret        int    // column in Quote, from 1
	Hint         string // what to do; may be ""
}

// Error returns the place and the message, then the quoted line with a caret
// under the column, then the hint, each on its own line.
func (p Problem) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: %s", printable(p.File), p.Line, p.Column, p.Message)
	if p.Quote != "" {
		number := strconv.Itoa(p.Line)
		fmt.Fprintf(&b, "\n  %s | %s", number, p.Quote)
		fmt.Fprintf(&b, "\n  %*s | %*s", len(number), "", p.Caret, "^")
	}
	if p.Hint != "" {
		b.WriteString("\n  " + p.Hint) // may be several lines
	}
	return b.String()
}

// Errors is all that is wrong with a file, in the order of the file.
type Errors []Problem

// shownProblems bounds the text: a file of another kind can be wrong a
// thousand times, and only the first ones help.
const shownProblems = 50

// Error returns the text of each problem, one after the other.
func (e Errors) Error() string {
	texts := make([]string, 0, len(e))
	for _, p := range e[:min(len(e), shownProblems)] {
		texts = append(texts, p.Error())
	}
	if more := len(e) - shownProblems; more > 0 {
		texts = append(texts, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(texts, "\n")
}

// Unwrap lets errors.As reach the problems.
func (e Errors) Unwrap() []error {
	errs := make([]error, len(e))
	for i, p := range e {
		errs[i] = p
	}
	return errs
}

// maxProblems bounds the memory that a hostile file can take.
const maxProblems = 1000

// lineBreaks are what YAML takes for the end of a line; the columns that it
// reports count from there.
var lineBreaks = regexp.MustCompile("\r\n|[\r\n\u0085\u2028\u2029]")

// quote shows the line at place p around its column.
func (d *decoder) quote(p *Problem) {
	const longest = 4096 // bytes; a longer line was not written by hand
	if p.Line < 1 || p.Line > len(d.lines) || len(d.lines[p.Line-1]) > longest {
		return
	}
	line := []rune(masked(d.lines, p.Line-1))
	column := min(max(p.Column-1, 0), len(line))
	const before, after = 60, 60 // characters around the column of a long line
	from, to := max(0, column-before), min(len(line), column+after)
	if len(line) <= before+after {
		from, to = 0, len(line)
	}
	text := printable(string(line[from:column]))
	p.Caret = utf8.RuneCountInString(text) + 1
	text += printable(string(line[column:to]))
	if from > 0 {
		text = "..." + text
		p.Caret += 3
	}
	if to < len(line) {
		text += "..."
	}
	p.Quote = strings.TrimRightFunc(text, unicode.IsSpace)
}

// secretKey finds a key whose value is, or was meant to be, a secret.
var secretKey = regexp.MustCompile(`(?i)(pas+w|pass|pwd|secret|token|api_?key|credential)[\w.-]*["']?\s*[:=]`)

// userInfo finds user:password@host, which some programs put into an address.
var userInfo = regexp.MustCompile(`[^\s,\[\]{}"']+:[^\s,\[\]{}"']*@`)

// masked returns the line with whatever follows a secret's key replaced:
// someone who writes a password into the file by mistake must not find it in
// the journal or in a support request as well. A path is no secret.
func masked(lines []string, i int) string {
	line := userInfo.ReplaceAllStringFunc(lines[i], func(s string) string { return strings.Repeat("*", utf8.RuneCountInString(s)-1) + "@" })
	at := secretKey.FindStringIndex(line)
	if at == nil && i > 0 && !strings.Contains(line, ":") && secretKey.MatchString(lines[i-1]) {
		return "***" // a value that began on the line above
	}
	if at == nil {
		return line
	}
	value := strings.Trim(line[at[1]:], " \t\"'")
	if value == "" || strings.HasPrefix(value, "/") || strings.HasPrefix(value, credentialsVariable) {
		return line
	}
	return line[:at[1]] + " ***"
}

// quoted returns text that came from the file for use in a message.
func quoted(text string) string {
	const longest = 60
	if r := []rune(text); len(r) > longest {
		text = string(r[:longest]) + "..."
	}
	return "`" + printable(text) + "`"
}

// printable replaces what could move the cursor, begin a new line of the
// journal or turn the writing direction. A tab becomes one blank, so that the
// caret stays under its column.
func printable(text string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\t':
			return ' '
		case r == utf8.RuneError || !unicode.IsPrint(r):
			return '?'
		default:
			return r
		}
	}, text)
}

// list writes the names as "a, b or c".
func list(names ...string) string {
	if len(names) < 2 {
		return strings.Join(names, "")
	}
	names = slices.Clone(names)
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}
