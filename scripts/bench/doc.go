// Command bench measures the gateway against what people run today, on one machine in
// one run: acknowledgements, the way to Kafka, memory, wear of the card, start
// and growth. `make bench` measures the gateway alone, `make bench-peers` beside
// Debian's mosquitto and Telegraf.
//
// The load, Kafka and all systems share the machine's processors: figures are
// to be compared with each other, not with those of another machine. It runs on
// Linux, needs Java and Maven for Kafka, and root for what is written to the
// card.
package main
