package config

import (
	"fmt"
	"log/slog"
	"reflect"
	"strconv"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"
)

// String returns the whole configuration as YAML, with what was left to the
// defaults and without the name of the Kafka user. It is itself a valid
// configuration, for status and for a support request.
func (c Config) String() string {
	text, err := yaml.Dump(node(reflect.ValueOf(c), ""))
	if err != nil { // a tree of plain scalars can always be written
		return fmt.Sprintf("# the configuration cannot be shown: %v\n", err)
	}
	return string(text)
}

// hidden stands for a value that is not shown.
const hidden = "(hidden)"

// node writes v as YAML; unit is the field's tag that says what a number means.
func node(v reflect.Value, unit string) *yaml.Node {
	switch x := v.Interface().(type) {
	case time.Duration:
		return text(formatDuration(x))
	case slog.Level:
		return text(strings.ToLower(x.String()))
	case string:
		return text(x)
	case bool:
		return plain(strconv.FormatBool(x))
	case int:
		return plain(strconv.Itoa(x))
	case int64:
		return text(formatSize(x))
	case uint16:
		return plain(fmt.Sprintf("0x%02x", x))
	case float64:
		return decimalNode(x, unit)
	}
	switch v.Kind() {
	case reflect.Pointer:
		return node(v.Elem(), unit)
	case reflect.Slice:
		return sequence(v)
	default:
		return mapping(v)
	}
}

func decimalNode(v float64, unit string) *yaml.Node {
	switch unit {
	case "volts":
		return text(formatNumber(v) + " V")
	case "percent":
		return text(formatNumber(v) + " %")
	default:
		return plain(formatNumber(v))
	}
}

func sequence(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode}
	for i := range v.Len() {
		n.Content = append(n.Content, node(v.Index(i), ""))
	}
	return n
}

func mapping(v reflect.Value) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode}
	for f := range fields(v.Type()) {
		if value := keyNode(f, v.FieldByIndex(f.Index)); value != nil {
			n.Content = append(n.Content, text(f.Tag.Get("yaml")), value)
		}
	}
	return n
}

// keyNode writes one field, or returns nil for one that is left out.
func keyNode(f reflect.StructField, v reflect.Value) *yaml.Node {
	instead, unit := f.Tag.Get("empty"), f.Tag.Get("unit")
	switch {
	case unit == "channel" && v.Int() == NoChannel, unit == "hex" && v.IsZero():
		return nil
	case f.Tag.Get("redact") != "" && !v.IsZero():
		return text(hidden)
	case !v.IsZero() || instead == "":
		return node(v, unit)
	case instead == "omit":
		return nil
	default:
		return text(instead)
	}
}

func text(s string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: s}
}

func plain(s string) *yaml.Node { return &yaml.Node{Kind: yaml.ScalarNode, Value: s} }
