package dialect

import (
	"math"
	"strconv"
	"strings"

	"github.com/plantgate/plantgate/reading"
)

// A Conversion brings a number into a metric's canonical unit:
// canonical = number * Factor + Offset.
type Conversion struct{ Factor, Offset float64 }

// Apply converts a number. It rounds away what the arithmetic adds: 30 inHg is
// 1015.9166 hPa and not 1015.9166000000002, 32 degF is 0 degC and not 3.6e-15.
func (c Conversion) Apply(number float64) float64 {
	switch converted := number*c.Factor + c.Offset; {
	case c.Offset != 0: // the difference may have cancelled all but the noise
		return math.Round(converted*1e9) / 1e9
	case c.Factor != 1:
		return round15(converted)
	default:
		return converted
	}
}

// round15 rounds to the 15 digits that a float64 can hold exactly.
func round15(number float64) float64 {
	var room [32]byte
	rounded, err := strconv.ParseFloat(string(strconv.AppendFloat(room[:0], number, 'g', 15, 64)), 64)
	if err != nil {
		return number // it is not finite
	}
	return rounded
}

// ToCanonical returns how values that a device gives in unit become values of
// the metric. The unit is spelled as devices spell it; blanks around it and the
// two code points of the micro sign do not matter, everything else does: mW is
// not MW. It reports false for a unit that is unknown or belongs to another
// quantity.
func ToCanonical(m reading.Metric, unit string) (Conversion, bool) {
	canonical := m.Unit()
	unit = strings.ReplaceAll(strings.TrimSpace(unit), "\u03bc", "\u00b5")
	if canonical != "" && unit == canonical {
		return Conversion{Factor: 1}, true
	}
	c, ok := conversions[aliasOf{canonical, unit}]
	return c, ok
}

// An aliasOf is a spelling for a canonical unit. The unit belongs to it because
// a percent sign is 0.01 for a power factor and 1 for a humidity.
type aliasOf struct{ canonical, alias string }

var conversions = map[aliasOf]Conversion{
	{"W", "kW"}:             {1000, 0},
	{"W", "mW"}:             {0.001, 0},
	{"W", "MW"}:             {1000000, 0},
	{"W", "Watt"}:           {1, 0},
	{"kWh", "KWh"}:          {1, 0},
	{"kWh", "Wh"}:           {0.001, 0},
	{"kWh", "mWh"}:          {0.000001, 0},
	{"kWh", "MWh"}:          {1000, 0},
	{"kWh", "J"}:            {2.777777777777778e-7, 0},
	{"kWh", "kJ"}:           {0.0002777777777777778, 0},
	{"kWh", "MJ"}:           {0.2777777777777778, 0},
	{"kWh", "GJ"}:           {277.77777777777777, 0},
	{"kWh", "Ws"}:           {2.777777777777778e-7, 0},
	{"kWh", "Wmin"}:         {0.000016666666666666667, 0},
	{"V", "mV"}:             {0.001, 0},
	{"V", "kV"}:             {1000, 0},
	{"V", "\u00b5V"}:        {0.000001, 0},
	{"A", "mA"}:             {0.001, 0},
	{"VA", "kVA"}:           {1000, 0},
	{"VA", "mVA"}:           {0.001, 0},
	{"var", "VAr"}:          {1, 0},
	{"var", "VAR"}:          {1, 0},
	{"var", "Var"}:          {1, 0},
	{"var", "kvar"}:         {1000, 0},
	{"Hz", "mHz"}:           {0.001, 0},
	{"Hz", "kHz"}:           {1000, 0},
	{"degC", "\u00b0C"}:     {1, 0},
	{"degC", "C"}:           {1, 0},
	{"degC", "celsius"}:     {1, 0},
	{"degC", "Cel"}:         {1, 0},
	{"degC", "\u00b0F"}:     {0.5555555555555556, -17.77777777777778},
	{"degC", "F"}:           {0.5555555555555556, -17.77777777777778},
	{"degC", "fahrenheit"}:  {0.5555555555555556, -17.77777777777778},
	{"degC", "K"}:           {1, -273.15},
	{"%", "%RH"}:            {1, 0},
	{"1", "%"}:              {0.01, 0},
	{"1", ""}:               {1, 0}, // a ratio comes without a unit
	{"1", "/"}:              {1, 0},
	{"lx", "lux"}:           {1, 0},
	{"lx", "klx"}:           {1000, 0},
	{"uS/cm", "\u00b5S/cm"}: {1, 0},
	{"uS/cm", "mS/cm"}:      {1000, 0},
	{"uS/cm", "S/m"}:        {10000, 0},
	{"hPa", "mbar"}:         {1, 0},
	{"hPa", "Pa"}:           {0.01, 0},
	{"hPa", "kPa"}:          {10, 0},
	{"hPa", "bar"}:          {1000, 0},
	{"hPa", "mmHg"}:         {1.33322387415, 0},
	{"hPa", "inHg"}:         {33.86388666666667, 0},
	{"hPa", "psi"}:          {68.94757293168361, 0},
	{"W/m2", "W/m\u00b2"}:   {1, 0},
}
