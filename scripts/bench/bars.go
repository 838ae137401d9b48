//go:build linux

package main

import "math"

// bars are what the figures have to reach.
func bars(t *table) []bar {
	get := func(system, what string) float64 {
		v, ok := t.median(system, what)
		if !ok {
			return math.NaN()
		}
		return v
	}
	const (
		acks  = "acknowledged, QoS 1, 50x10"
		kafka = "from socket until readable in Kafka"
		cpu   = "CPU of all processes, per message"
		half  = "acknowledgement, open loop at half the full rate, p99"
	)
	all := []bar{
		{what: "acknowledged, every one durable, against mosquitto", got: get(ours, acks) / get(theirs, acks), bar: 1.5, unit: "x"},
		{what: "sustained into Kafka against mosquitto + Telegraf", got: get(ours, kafka) / get(theirsBoth, kafka), bar: 2.5, unit: "x"},
		{what: "CPU per message against mosquitto + Telegraf", got: get(ours, cpu) / get(theirsBoth, cpu), bar: 0.3, atMost: true, unit: "x"},
		{what: "peak memory, Kafka stopped under full load", got: get(ours, "memory at most, Kafka stopped for 60 s under full load"), bar: 80, atMost: true, unit: "MB"},
		{what: "drain against franz-go from memory", got: get(ours, "that rate against franz-go from memory, beside it"), bar: 0.5, unit: "x"},
		{what: "p99 of the acknowledgement at half load", got: get(ours, half), bar: 3*get(ours, "median of an fsync beside it") + 5, atMost: true, unit: "ms"},
		{what: "start with 2 GiB", got: get(ours, "start, buffer of 2 GiB") / 1000, bar: 2, atMost: true, unit: "s"},
		{what: "CPU per message, 5,000 sockets against 10", got: get(ours, "CPU per message, 5,000 sockets, 10,000 msg/s") / get(ours, "CPU per message, 10 sockets, 10,000 msg/s"), bar: 1.25, atMost: true, unit: "x"},
	}
	for i := range all {
		all[i].known = !math.IsNaN(all[i].got)
	}
	return all
}
