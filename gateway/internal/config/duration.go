package config

import (
	"errors"
	"time"
)

// ParseDuration reads a duration as it is written in the configuration, for
// example "90m", "2h" or "3d", for the command line. The error says what would
// be right.
func ParseDuration(text string) (time.Duration, error) {
	d, wrong := parseDuration(text)
	if wrong == nil {
		return d, nil
	}
	if wrong.hint == "" {
		return 0, errors.New(wrong.message)
	}
	return 0, errors.New(wrong.message + "; " + wrong.hint)
}
