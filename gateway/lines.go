package main

import (
	"bytes"
	"strings"
)

func splitLines(text []byte) []string { return strings.Split(strings.TrimSpace(string(text)), "\n") }

func firstLine(text []byte) string {
	line, _, _ := bytes.Cut(bytes.TrimSpace(text), []byte("\n"))
	return string(line)
}
