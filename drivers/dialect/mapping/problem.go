package mapping

import (
	"fmt"
	"strings"
	"unicode"
)

// A Problem is one thing that is wrong with a file of mappings.
type Problem struct {
	File         string
	Line, Column int // from 1
	What         string
}

// Error returns the place and what is wrong there, in one line.
func (p Problem) Error() string {
	return fmt.Sprintf("%s:%d:%d: %s", p.File, p.Line, p.Column, p.What)
}

// shown makes text from a file or a message fit for a line of the journal.
func shown(text string) string {
	const longest = 80
	if r := []rune(text); len(r) > longest {
		text = string(r[:longest]) + "..."
	}
	return strings.Map(func(r rune) rune {
		if r == unicode.ReplacementChar || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}

// meant says which word was probably meant, with the whole list when none is
// near.
func meant(word string, known []string) string {
	const longest = 40
	best, least := "", max(1, len(word)/3)+1
	for _, k := range known {
		if len(word) > longest {
			break
		}
		if d := distance(strings.ToLower(word), k); d < least {
			best, least = k, d
		}
	}
	if best != "" {
		return "did you mean `" + best + "`?"
	}
	return "known here: " + strings.Join(known, ", ")
}

// distance counts the insertions, deletions, replacements and swaps of
// neighbours between two words (optimal string alignment).
func distance(a, b string) int {
	var before, above []int
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		before, above, row = above, row, make([]int, len(b)+1)
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(above[j]+1, row[j-1]+1, above[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
	}
	return row[len(b)]
}
