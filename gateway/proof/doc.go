// Package proof holds the tests that run the whole program: as a stranger
// starts it, with real clients, a real Kafka and a card of its own, and with
// everything that goes wrong in a home.
//
// Nothing of the program is linked into them: they know its command line, its
// configuration, MQTT, Kafka, its log, and the files of the buffer where a
// proof is about what a power cut leaves of those. Only the proofs with a card
// use the buffer itself as well, to hold it number by number. What they show
// stands in the contract at the head of README.md.
//
// PLANTGATE_SEED repeats a run that failed, with the seed that it printed;
// PLANTGATE_TORTURE=1 makes the short forms long ones.
package proof
