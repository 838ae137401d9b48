package zigbee2mqtt

import (
	"strings"

	"github.com/plantgate/plantgate/drivers/dialect"
	"github.com/plantgate/plantgate/reading"
)

// A property is what an attribute means.
type property struct {
	metric  reading.Metric // "" for what is not read
	channel string         // the endpoint, for example l1
	unit    string         // as the dictionary gives it; "" if it gives none
	convert dialect.Conversion
	other   bool // another name for the metric, which gives way to the main one
}

// properties are the attributes whose sense and unit the converters share. Not
// among them: limits and settings, the quality of the radio link, and switches.
var properties = map[string]property{
	"power":              {metric: reading.Power},
	"power_apparent":     {metric: reading.ApparentPower},
	"apparent_power":     {metric: reading.ApparentPower, other: true},
	"power_reactive":     {metric: reading.ReactivePower},
	"reactive_power":     {metric: reading.ReactivePower, other: true},
	"power_factor":       {metric: reading.PowerFactor},
	"energy":             {metric: reading.Energy},
	"consumption":        {metric: reading.Energy, other: true}, // its deprecated name
	"produced_energy":    {metric: reading.EnergyReturned},
	"energy_produced":    {metric: reading.EnergyReturned, other: true},
	"energy_today":       {metric: reading.EnergyToday},
	"energy_yesterday":   {metric: reading.EnergyYesterday},
	"voltage":            {metric: reading.Voltage},
	"current":            {metric: reading.Current},
	"ac_frequency":       {metric: reading.Frequency},
	"frequency":          {metric: reading.Frequency, other: true},
	"battery":            {metric: reading.Battery},
	"battery_voltage":    {metric: reading.BatteryVoltage},
	"temperature":        {metric: reading.Temperature},
	"local_temperature":  {metric: reading.Temperature, other: true}, // of a thermostat
	"device_temperature": {metric: reading.DeviceTemperature},
	"cpu_temperature":    {metric: reading.DeviceTemperature, other: true},
	"soil_temperature":   {metric: reading.SoilTemperature},
	"soil_moisture":      {metric: reading.SoilMoisture},
	"soil_humidity":      {metric: reading.SoilMoisture, other: true},
	"soil_fertility":     {metric: reading.Conductivity},
	"conductivity":       {metric: reading.Conductivity, other: true},
	"ec":                 {metric: reading.Conductivity, other: true},
	"soil_ec":            {metric: reading.Conductivity, other: true},
	"humidity":           {metric: reading.Humidity},
	"dew_point":          {metric: reading.DewPoint},
	"pressure":           {metric: reading.Pressure},
	"illuminance":        {metric: reading.Illuminance, other: true},
	"illuminance_lux":    {metric: reading.Illuminance}, // beside it illuminance was a raw number, until version 2
	"co2":                {metric: reading.CO2},
	"eco2":               {metric: reading.ECO2},
	"ph":                 {metric: reading.PH},
}

// endpoints are what converters append to an attribute of a device with several
// sockets, phases or probes.
var endpoints = map[string]bool{
	"l1": true, "l2": true, "l3": true, "l4": true, "l5": true, "l6": true, "l7": true, "l8": true,
	"1": true, "2": true, "3": true, "4": true, "5": true, "6": true, "7": true, "8": true,
	"a": true, "b": true, "c": true, "phase_a": true, "phase_b": true, "phase_c": true,
	"left": true, "right": true, "center": true, "top": true, "bottom": true, "usb": true,
}

// guess reads an attribute's name without a dictionary.
func guess(name string) property {
	if p, ok := properties[name]; ok {
		return p
	}
	for i := len(name) - 1; i > 0; i-- {
		if name[i] != '_' || !endpoints[name[i+1:]] {
			continue
		}
		if p, ok := properties[name[:i]]; ok {
			p.channel = name[i+1:]
			return p
		}
	}
	return property{}
}

// in gives a property the unit that the dictionary states. One in a unit that is
// not its metric's is not read: distances in metres, illuminance as a raw number.
func (p property) in(unit string) property {
	switch {
	case p.metric == reading.PH: // a scale and not a unit, whatever stands there
		return p
	case unit == "" && p.metric == reading.Illuminance && p.other:
		return property{}
	case unit == "":
		return p
	}
	convert, ok := dialect.ToCanonical(p.metric, unit)
	if !ok {
		return property{}
	}
	p.unit, p.convert = strings.Clone(unit), convert
	return p
}
