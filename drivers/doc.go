// Package drivers is the contract of what lives below it, in prose; it holds no
// code. Two kinds of driver turn what a device says into readings.
//
// # A chip
//
// A package drivers/chip/NAME knows one chip, or one family that differs in
// tables only.
//
//   - It takes interfaces (i2c.Bus, spi.Conn, gpio.PinIn of periph.io/x/conn)
//     and returns a concrete type. It does not own the bus and never closes it.
//   - New probes: it returns an error when the chip does not answer or is
//     another one. A chip that was unplugged has lost its setup, so whoever
//     polls it calls New again; New is cheap and may be called for ever.
//   - Read is bounded by its context, waits through bus.Sleep, and holds the
//     chip with bus.Hold from the first write to the last read.
//   - It waits for the chip's ready bit. Sleeping for the nominal time of a
//     conversion and reading gives the value of another channel as soon as the
//     chip's clock is slow.
//   - It never invents a value. What could not be measured is absent; what was
//     measured and is not to be trusted comes marked as suspect, together with
//     an error that says why.
//   - Its errors are those of drivers/bus, so that they can be told apart by
//     errors.Is and carry the health state they stand for.
//   - It has no goroutine, no logger, no clock of its own and no package state.
//   - It imports reading, drivers/bus and periph conn; never another driver.
//
// A converter from volts to bits (an ADC) gives volts. What is wired to it is
// the business of drivers/probe, so that every converter works with every probe.
//
// # A dialect
//
// A package drivers/dialect/NAME knows how one vendor's devices speak over MQTT:
// topic and payload in, readings out, and nothing else.
//
// # The emulator
//
// Package drivers/emulator imitates chips from their datasheets, with time and
// faults. It imports no driver, so that a wrong register cannot pass its own
// test; a driver is finished when it survives the emulator's faults without one
// wrong value.
package drivers
