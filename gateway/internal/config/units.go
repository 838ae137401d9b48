package config

import (
	"math"
	"strconv"
	"strings"
	"time"
)

// A flaw is what is wrong with a text, and what would be right.
type flaw struct{ message, hint string }

// splitNumber parts "2.80 V" into the number and the unit.
func splitNumber(text string) (number, unit string) {
	text = strings.TrimSpace(text)
	end := strings.IndexFunc(text, func(r rune) bool { return (r < '0' || r > '9') && r != '.' && r != '-' && r != '+' })
	if end < 0 {
		return text, ""
	}
	return text[:end], strings.TrimSpace(text[end:])
}

// decimal reads a finite number in plain notation; "1e3", "0x10" and "inf" are
// none in a file that people write.
func decimal(number string) (float64, bool) {
	if strings.Trim(number, "+-.0123456789") != "" {
		return 0, false
	}
	v, err := strconv.ParseFloat(number, 64)
	return v, err == nil && !math.IsInf(v, 0)
}

var durationUnits = []struct {
	name string
	unit time.Duration
}{
	{"d", day}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond},
}

func durationUnit(name string) time.Duration {
	if name == "w" {
		return 7 * day
	}
	for _, u := range durationUnits {
		if u.name == name {
			return u.unit
		}
	}
	return 0
}

// parseDuration reads "5s", "7d" or "1h30m". It knows more than
// time.ParseDuration (days and weeks) and less (nothing below a millisecond).
func parseDuration(text string) (time.Duration, *flaw) {
	const known = "units are ms, s, m (minutes), h, d and w"
	rest := strings.TrimSpace(text)
	if rest == "" {
		return 0, &flaw{"is empty", known}
	}
	var total float64
	for rest != "" {
		number, after := splitNumber(rest)
		v, ok := decimal(number)
		if !ok {
			return 0, &flaw{quoted(text) + " is no duration", "write for example `30s`, `1h30m` or `7d`"}
		}
		end := strings.IndexFunc(after, func(r rune) bool { return r == ' ' || r >= '0' && r <= '9' || r == '-' })
		if end < 0 {
			end = len(after)
		}
		unit := durationUnit(after[:end])
		switch {
		case after == "":
			return 0, &flaw{quoted(text) + " has no unit", "write `" + number + likely(v, "ms` for milliseconds; ", "s` for seconds; ") + known}
		case unit == 0:
			return 0, &flaw{quoted(after[:end]) + " is no unit of time", meantUnit(number, after[:end], known)}
		}
		total += v * float64(unit)
		rest = strings.TrimSpace(after[end:])
	}
	if total > math.MaxInt64/2 || total < -math.MaxInt64/2 {
		return 0, &flaw{quoted(text) + " is longer than any clock runs", ""}
	}
	return time.Duration(math.Round(total)).Round(time.Millisecond), nil
}

// likely guesses the unit of a bare number from its magnitude.
func likely(v float64, large, small string) string {
	if v >= 1000 {
		return large
	}
	return small
}

// meantUnit knows the units that are written out or in capitals.
func meantUnit(number, unit, known string) string {
	for _, word := range []string{"seconds", "minutes", "hours", "days", "weeks"} {
		if strings.HasPrefix(word, strings.ToLower(unit)) {
			return "did you mean `" + number + word[:1] + "`?"
		}
	}
	return known
}

// formatDuration writes what parseDuration reads.
func formatDuration(d time.Duration) string {
	if d < 0 {
		return "-" + formatDuration(-d)
	}
	var b strings.Builder
	for _, u := range durationUnits {
		if n := d / u.unit; n > 0 {
			b.WriteString(strconv.FormatInt(int64(n), 10) + u.name)
			d -= n * u.unit
		}
	}
	if b.Len() == 0 {
		return "0s"
	}
	return b.String()
}

var sizeUnits = []struct {
	name string
	unit int64
}{
	{"TiB", gib << 10}, {"GiB", gib}, {"MiB", mib}, {"KiB", kib}, {"B", 1},
	{"TB", 1e12}, {"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3},
}

// parseSize reads "64KiB" or "2 GiB" as bytes.
func parseSize(text string) (int64, *flaw) {
	const known = "units are B, KiB, MiB, GiB and TiB"
	number, unit := splitNumber(text)
	v, ok := decimal(number)
	if !ok {
		return 0, &flaw{quoted(text) + " is no size", "write for example `512MiB` or `2GiB`"}
	}
	if unit == "" {
		return 0, &flaw{quoted(text) + " has no unit", "write `" + number + likely(v, "B` for bytes; ", "MiB` for mebibytes; ") + known}
	}
	for _, u := range sizeUnits {
		if u.name != unit {
			if strings.EqualFold(u.name, unit) || strings.EqualFold(u.name[:1], unit) {
				return 0, &flaw{quoted(unit) + " is no unit of size", "did you mean `" + number + u.name + "`?"}
			}
			continue
		}
		if bytes := v * float64(u.unit); math.Abs(bytes) < 1<<53 { // exact up to here
			return int64(math.Round(bytes)), nil
		}
		return 0, &flaw{quoted(text) + " is larger than any card", ""}
	}
	return 0, &flaw{quoted(unit) + " is no unit of size", known}
}

// formatSize writes what parseSize reads.
func formatSize(bytes int64) string {
	for _, u := range sizeUnits[:5] {
		if bytes != 0 && bytes%u.unit == 0 {
			return strconv.FormatInt(bytes/u.unit, 10) + u.name
		}
	}
	return "0B"
}

// parseVolts reads "2.80 V" or "1400 mV" as volts.
func parseVolts(text string) (float64, *flaw) {
	number, unit := splitNumber(text)
	v, ok := decimal(number)
	switch {
	case !ok:
		return 0, &flaw{quoted(text) + " is no voltage", "write for example `2.80 V` or `1400 mV`"}
	case unit == "V":
		return v, nil
	case unit == "mV":
		return v / 1000, nil
	case unit == "" && math.Abs(v) >= 10:
		return 0, &flaw{quoted(text) + " has no unit", "write `" + number + " mV` for millivolts or `" + formatNumber(v/1000) + " V`"}
	case unit == "":
		return 0, &flaw{quoted(text) + " has no unit", "write `" + number + " V` for volts or `" + formatNumber(v*1000) + " mV`"}
	default:
		return 0, &flaw{quoted(unit) + " is no unit of voltage", "units are V and mV"}
	}
}

const maxMoisture = 100 // percent

// parsePercent reads "40%" or "40 %".
func parsePercent(text string) (float64, *flaw) {
	number, unit := splitNumber(text)
	v, ok := decimal(number)
	switch {
	case !ok:
		return 0, &flaw{quoted(text) + " is no percentage", "write for example `40 %`"}
	case unit != "%":
		return 0, &flaw{quoted(text) + " has no unit", "write `" + number + " %`"}
	case v < 0 || v > maxMoisture:
		return 0, &flaw{quoted(text) + " is outside 0 % to 100 %", ""}
	}
	return v, nil
}

// formatNumber writes the shortest decimal that reads as v again.
func formatNumber(v float64) string { return strconv.FormatFloat(v, 'f', -1, 64) }
