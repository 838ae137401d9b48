package openbeken

import (
	"strings"

	"github.com/plantgate/plantgate/reading"
)

// A key is what a topic's word means.
type key struct {
	metric  reading.Metric
	channel string
	unit    string // "Wh" and "mV" are not the metric's own
}

// keys are the words that the firmware's drivers measure under. Windows such as
// the last hour are not among them, nor are days gone by but yesterday.
var keys = map[string]key{
	"voltage":                   {metric: reading.Voltage},
	"current":                   {metric: reading.Current},
	"power":                     {metric: reading.Power},
	"138":                       {metric: reading.Frequency}, // SPECIAL_CHANNEL_OBK_FREQUENCY
	"power_apparent":            {metric: reading.ApparentPower},
	"power_reactive":            {metric: reading.ReactivePower},
	"power_factor":              {metric: reading.PowerFactor},
	"energycounter":             {reading.Energy, "", "Wh"},
	"energycounter_today":       {reading.EnergyToday, "", "Wh"},
	"energycounter_yesterday":   {reading.EnergyYesterday, "", "Wh"},
	"voltage_b":                 {metric: reading.Voltage, channel: "b"},
	"current_b":                 {metric: reading.Current, channel: "b"},
	"power_b":                   {metric: reading.Power, channel: "b"},
	"frequency_b":               {metric: reading.Frequency, channel: "b"},
	"power_apparent_b":          {metric: reading.ApparentPower, channel: "b"},
	"power_reactive_b":          {metric: reading.ReactivePower, channel: "b"},
	"power_factor_b":            {metric: reading.PowerFactor, channel: "b"},
	"energycounter_b":           {reading.Energy, "b", "Wh"},
	"energycounter_today_b":     {reading.EnergyToday, "b", "Wh"},
	"energycounter_yesterday_b": {reading.EnergyYesterday, "b", "Wh"},
	"battery":                   {metric: reading.Battery},
	"CurrentTemperature":        {metric: reading.Temperature}, // of an air conditioner

	// The BL0939 driver has its own words, and counts in kWh.
	"bl0939_voltage":      {metric: reading.Voltage},
	"bl0939_current_a":    {metric: reading.Current, channel: "a"},
	"bl0939_power_a":      {metric: reading.Power, channel: "a"},
	"bl0939_apparent_a":   {metric: reading.ApparentPower, channel: "a"},
	"bl0939_pf_a":         {metric: reading.PowerFactor, channel: "a"},
	"bl0939_import_a":     {metric: reading.Energy, channel: "a"},
	"bl0939_export_a":     {metric: reading.EnergyReturned, channel: "a"},
	"bl0939_current_b":    {metric: reading.Current, channel: "b"},
	"bl0939_power_b":      {metric: reading.Power, channel: "b"},
	"bl0939_apparent_b":   {metric: reading.ApparentPower, channel: "b"},
	"bl0939_pf_b":         {metric: reading.PowerFactor, channel: "b"},
	"bl0939_import_b":     {metric: reading.Energy, channel: "b"},
	"bl0939_export_b":     {metric: reading.EnergyReturned, channel: "b"},
	"bl0939_import_total": {metric: reading.Energy},
	"bl0939_export_total": {metric: reading.EnergyReturned},
}

// isKey says whether a word is one of the firmware's. Users publish under words
// of their own, which are for mappings to read.
func isKey(word string) bool {
	if _, ok := keys[word]; ok || isNumber(word) {
		return true
	}
	switch word {
	case "sockets", "rssi", "uptime", "freeheap", "ip", "mac", "build", "host", "datetime", "ssid", "connected",
		"consumption_stats", "currentAnim", "TargetTemperature", "ACMode", "FANMode", "Buzzer", "Display", "SwingH", "SwingV":
		return true
	}
	return strings.HasPrefix(word, "led_") || strings.HasPrefix(word, "energycounter_") || strings.HasPrefix(word, "shutter")
}

// isNumber tells a channel, whose meaning only its owner knows.
func isNumber(word string) bool {
	return word != "" && len(word) <= 3 && strings.Trim(word, "0123456789") == ""
}
