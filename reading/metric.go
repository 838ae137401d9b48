package reading

import (
	"fmt"
	"slices"
	"strings"
)

// A Metric is a quantity in its one unit. Its text is the record's field name:
// the quantity and the unit, so that nobody downstream has to guess either.
type Metric string

// The metrics. The list is closed, but for the x_ names of a user's mapping.
const (
	Power              Metric = "power_w"
	PowerDC            Metric = "power_dc_w"
	ApparentPower      Metric = "apparent_power_va"
	ReactivePower      Metric = "reactive_power_var"
	PowerFactor        Metric = "power_factor"
	Energy             Metric = "energy_kwh"
	EnergyReturned     Metric = "energy_returned_kwh"
	EnergyToday        Metric = "energy_today_kwh"
	EnergyYesterday    Metric = "energy_yesterday_kwh"
	Voltage            Metric = "voltage_v"
	Current            Metric = "current_a"
	Frequency          Metric = "frequency_hz"
	PhaseAngle         Metric = "phase_angle_deg"
	Efficiency         Metric = "efficiency_pct"
	Irradiance         Metric = "irradiance_w_m2"
	Irradiation        Metric = "irradiation_pct"
	Switch             Metric = "switch_on"
	PH                 Metric = "ph"
	SoilMoisture       Metric = "soil_moisture_pct"
	SoilMoistureRaw    Metric = "soil_moisture_raw"
	SoilVoltage        Metric = "soil_voltage_v"
	SoilTemperature    Metric = "soil_temperature_c"
	Conductivity       Metric = "conductivity_us_cm"
	Temperature        Metric = "temperature_c"
	DeviceTemperature  Metric = "device_temperature_c"
	DewPoint           Metric = "dew_point_c"
	Humidity           Metric = "humidity_pct"
	Pressure           Metric = "pressure_hpa"
	Illuminance        Metric = "illuminance_lx"
	DarknessRaw        Metric = "darkness_raw"
	Battery            Metric = "battery_pct"
	BatteryVoltage     Metric = "battery_v"
	CO2                Metric = "co2_ppm"
	ECO2               Metric = "eco2_ppm"
	Distance           Metric = "distance_cm"
	Gas                Metric = "gas_m3"
	Water              Metric = "water_m3"
	Rain               Metric = "rain_mm"
	WindSpeed          Metric = "wind_speed_m_s"
	ADCRaw             Metric = "adc_raw"
	UserScaled         Metric = "user_scaled_raw"
	BufferRecords      Metric = "buffer_records"
	BufferBytes        Metric = "buffer_bytes"
	OldestUnsent       Metric = "oldest_unsent_s"
	GapsTotal          Metric = "gaps_total"
	RefusedTotal       Metric = "refused_total"
	CardWritten        Metric = "card_written_mb"
	ConnectedClients   Metric = "connected_clients"
	DevicesSilent      Metric = "devices_silent"
	ReadingsTotal      Metric = "readings_total"
	CardFree           Metric = "card_free_mb"
	customMetricPrefix        = "x_"
)

// A Definition says what a metric means.
type Definition struct {
	Metric   Metric
	Quantity string // the word of the decoders' vectors, for example "power"
	Unit     string // canonical unit; "1" for a ratio, "raw" for counts
}

// Definitions returns the whole table, in the order of the documentation.
func Definitions() []Definition { return slices.Clone(definitions) }

var definitions = []Definition{
	{Power, "power", "W"},
	{PowerDC, "power_dc", "W"},
	{ApparentPower, "apparent_power", "VA"},
	{ReactivePower, "reactive_power", "var"},
	{PowerFactor, "power_factor", "1"},
	{Energy, "energy", "kWh"},
	{EnergyReturned, "energy_returned", "kWh"},
	{EnergyToday, "energy_today", "kWh"},
	{EnergyYesterday, "energy_yesterday", "kWh"},
	{Voltage, "voltage", "V"},
	{Current, "current", "A"},
	{Frequency, "frequency", "Hz"},
	{PhaseAngle, "phase_angle", "deg"},
	{Efficiency, "efficiency", "%"},
	{Irradiance, "irradiance", "W/m2"},
	{Irradiation, "irradiation", "%"},
	{Switch, "switch", "0/1"},
	{PH, "ph", "1"},
	{SoilMoisture, "soil_moisture", "%"},
	{SoilMoistureRaw, "soil_moisture_raw", "raw"},
	{SoilVoltage, "soil_voltage", "V"},
	{SoilTemperature, "soil_temperature", "degC"},
	{Conductivity, "conductivity", "uS/cm"},
	{Temperature, "temperature", "degC"},
	{DeviceTemperature, "device_temperature", "degC"},
	{DewPoint, "dew_point", "degC"},
	{Humidity, "humidity", "%"},
	{Pressure, "pressure", "hPa"},
	{Illuminance, "illuminance", "lx"},
	{DarknessRaw, "darkness_raw", "raw"},
	{Battery, "battery", "%"},
	{BatteryVoltage, "battery_voltage", "V"},
	{CO2, "co2", "ppm"},
	{ECO2, "eco2", "ppm"},
	{Distance, "distance", "cm"},
	{Gas, "gas", "m3"},
	{Water, "water", "m3"},
	{Rain, "rain", "mm"},
	{WindSpeed, "wind_speed", "m/s"},
	{ADCRaw, "adc_raw", "raw"},
	{UserScaled, "user_scaled", "raw"},
	{BufferRecords, "buffer_records", "1"},
	{BufferBytes, "buffer_bytes", "B"},
	{OldestUnsent, "oldest_unsent", "s"},
	{GapsTotal, "gaps", "1"},
	{RefusedTotal, "refused", "1"},
	{CardWritten, "card_written", "MB"},
	{ConnectedClients, "connected_clients", "1"},
	{DevicesSilent, "devices_silent", "1"},
	{ReadingsTotal, "readings", "1"},
	{CardFree, "card_free", "MB"},
}

var definitionOf = func() map[Metric]Definition {
	m := make(map[Metric]Definition, len(definitions))
	for _, d := range definitions {
		m[d.Metric] = d
	}
	return m
}()

// Quantity returns the quantity's name, for example "power"; for an x_ metric
// its own text.
func (m Metric) Quantity() string {
	if d, ok := definitionOf[m]; ok {
		return d.Quantity
	}
	return string(m)
}

// Unit returns the canonical unit, for example "W"; "" for an x_ metric.
func (m Metric) Unit() string { return definitionOf[m].Unit }

func (m Metric) validate() error {
	if _, ok := definitionOf[m]; ok {
		return nil
	}
	name, custom := strings.CutPrefix(string(m), customMetricPrefix)
	if !custom || name == "" || len(m) > 64 {
		return fmt.Errorf("metric %q is not known", string(m))
	}
	for _, c := range []byte(name) {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '_' {
			return fmt.Errorf("metric %q may hold only a-z, 0-9 and _", string(m))
		}
	}
	return nil
}
