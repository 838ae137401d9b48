package config

import (
	"maps"
	"reflect"
	"slices"
	"strings"
)

// synonyms are what people write who know another program. A suggestion is made
// only where the key that is meant exists.
var synonyms = map[string]string{
	"bootstrap_servers": "brokers", "bootstrap.servers": "brokers", "servers": "brokers", "hosts": "brokers", "urls": "brokers",
	"username": "user", "login": "user",
	"password": "password_file", "pass": "password_file", "passwd": "password_file", "secret": "password_file",
	"interval": "every", "period": "every", "poll": "every", "update_interval": "every", "scan_interval": "every",
	"type": "chip", "driver": "chip", "model": "chip", "platform": "chip",
	"addr": "address", "i2c_address": "address",
	"pin": "channel", "input": "channel", "port": "listen", "bind": "listen", "address": "listen",
	"size": "limit", "max_size": "limit", "retention": "keep",
	"path": "data_dir", "dir": "data_dir", "datadir": "data_dir", "directory": "data_dir",
	"id": "name", "device": "name", "host": "gateway", "hostname": "gateway", "name": "gateway", "gateways": "gateway",
	"location": "site", "room": "site", "home": "site",
	"certificate": "cert", "crt": "cert", "cert_file": "cert", "key_file": "key", "cafile": "ca", "ca_file": "ca",
	"verbosity": "level", "sensor": "sensors", "http_listen": "http",
}

// longestWord bounds the work: no key is as long.
const longestWord = 40

// suggestion says what an unknown key was probably meant to be: one of the keys
// that its place knows, or a key that belongs elsewhere.
func suggestion(key string, known []string) string {
	if meant := synonyms[strings.ToLower(key)]; meant != "" && slices.Contains(known, meant) {
		return "did you mean `" + meant + "`?"
	}
	if hint := didYouMean(key, known); hint != "" {
		return hint
	}
	if meant := misspelt(key, known); meant != "" {
		return "did you mean `" + meant + "`?"
	}
	if places := placesOf(key); len(places) == 1 {
		return "`" + key + "` belongs under `" + places[0] + "`: check how far the line is indented"
	}
	return "known here: " + strings.Join(known, ", ")
}

// misspelt finds a synonym with one slip of the finger.
func misspelt(key string, known []string) string {
	const shortest = 5 // among shorter words everything resembles something
	if len(key) > longestWord {
		return ""
	}
	for _, word := range slices.Sorted(maps.Keys(synonyms)) {
		if len(word) >= shortest && slices.Contains(known, synonyms[word]) && distance(strings.ToLower(key), word) == 1 {
			return synonyms[word]
		}
	}
	return ""
}

// didYouMean names the word that was probably meant, or returns "".
func didYouMean(text string, words []string) string {
	near := nearest(text, words)
	longer := slices.IndexFunc(words, func(w string) bool { return strings.HasPrefix(text, w) })
	switch {
	case near != "":
		return "did you mean `" + near + "`?"
	case longer >= 0:
		return "did you mean `" + words[longer] + "`?"
	default:
		return ""
	}
}

// nearest returns the name that is a slip of the finger away from word, or "".
func nearest(word string, names []string) string {
	if len(word) > longestWord {
		return ""
	}
	word = strings.ToLower(strings.ReplaceAll(word, "-", "_"))
	best, least := "", max(1, len(word)/3)+1
	for _, name := range names {
		if d := distance(word, strings.ReplaceAll(name, "-", "_")); d < least {
			best, least = name, d
		}
	}
	return best
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

// placesOf returns the sections that know key.
func placesOf(key string) []string {
	var places []string
	for _, path := range Keys() {
		section, last, nested := cutLast(path)
		if nested && last == key {
			places = append(places, section)
		}
	}
	return places
}

func cutLast(path string) (section, key string, nested bool) {
	i := strings.LastIndexByte(path, '.')
	if i < 0 {
		return "", path, false
	}
	return path[:i], path[i+1:], true
}

// Keys returns the path of every key, in the order of the documentation:
// "kafka", "kafka.brokers" ... An element of a list is written "[]".
func Keys() []string { return appendKeys(nil, "", reflect.TypeFor[Config]()) }

func appendKeys(keys []string, path string, t reflect.Type) []string {
	switch t.Kind() {
	case reflect.Pointer:
		return appendKeys(keys, path, t.Elem())
	case reflect.Slice:
		return appendKeys(keys, path+"[]", t.Elem())
	case reflect.Struct:
	default:
		return keys
	}
	if path != "" {
		path += "."
	}
	for f := range fields(t) {
		keys = append(keys, path+f.Tag.Get("yaml"))
		keys = appendKeys(keys, path+f.Tag.Get("yaml"), f.Type)
	}
	return keys
}

// fields yields the fields of a struct that are keys of the file.
func fields(t reflect.Type) func(yield func(reflect.StructField) bool) {
	return func(yield func(reflect.StructField) bool) {
		for i := range t.NumField() {
			if f := t.Field(i); f.Tag.Get("yaml") != "-" && !yield(f) {
				return
			}
		}
	}
}
