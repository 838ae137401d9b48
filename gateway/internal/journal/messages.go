package journal

import (
	"fmt"
	"log/slog"
	"slices"
	"strings"
)

// The names of messages that people and alerts search by. Those of the event
// types of package reading are the same words.
const (
	Started          = "started"
	Stopping         = "stopping"
	StoreAbsent      = "store_absent"
	StoreBack        = "store_back"
	BufferFilling    = "buffer_filling"
	BufferFull       = "buffer_full"
	BufferFree       = "buffer_free"
	StreamStarted    = "stream_started"
	UncleanStart     = "unclean_start"
	PositionsLost    = "positions_lost"
	FileSetAside     = "file_set_aside"
	KafkaUnreachable = "kafka_unreachable"
	KafkaBack        = "kafka_back"
	KafkaRewound     = "kafka_rewound"
	ClockCorrected   = "clock_corrected"
	ClockUnknown     = "clock_unknown"
	SensorLost       = "sensor_lost"
	SensorFound      = "sensor_found"
	ClientRefused    = "client_refused"
	DeviceSilent     = "device_silent"
	DeviceBack       = "device_back"
)

// A Message is one that can be searched for by its id:
// journalctl MESSAGE_ID=...
type Message struct {
	Name    string
	ID      string // 128 bits in hexadecimal, fixed for ever
	Subject string // one line; @FIELD@ is replaced by journalctl
	Body    string // what it means and what to do
}

// Messages returns the table of messages with an id.
func Messages() []Message { return slices.Clone(messages) }

// Event returns the attribute that makes an entry one to search for. Packages
// that must not import this one write the key themselves: "event", and a name of
// the table.
func Event(name string) slog.Attr { return slog.String(KeyEvent, name) }

func messageID(name string) (id string, ok bool) {
	for _, m := range messages {
		if m.Name == name {
			return m.ID, true
		}
	}
	return "", false
}

// Catalog returns the table as a journal catalog, which `journalctl -x` shows
// beside each message (systemd.io/CATALOG).
func Catalog() string {
	var b strings.Builder
	for i, m := range messages {
		if i > 0 {
			b.WriteByte('\n')
		}
		fmt.Fprintf(&b, "-- %s\nSubject: %s\nDefined-By: plantgate\n\n%s\n", m.ID, m.Subject, m.Body)
	}
	return b.String()
}

var messages = []Message{
	{Started, "91eb199fb9d248b7828eb0df3e638e13", "plantgate has started",
		"Every part of the gateway runs. `plantgate status` shows what it does."},
	{Stopping, "fd65545cadc54086a88128471c75bdd9", "plantgate is stopping",
		"What was acknowledged is on the card; what Kafka has not confirmed yet goes\nout after the next start."},
	{StoreAbsent, "c45ab7d79caa4984907557a0abd94ef4", "Readings cannot be stored",
		"The folder of the buffer is not writable, its card is full of other things, or\nthe card is failing. The broker serves its devices, but turns readings away.\nLook at `df -h`, `dmesg` and the owner of the folder; the gateway tries again\nevery minute by itself."},
	{StoreBack, "5a1ef676413c4c27a939c3d2806f790c", "Readings can be stored again",
		"The buffer could be opened. Readings that were turned away meanwhile are\nreported by events of the type refused."},
	{BufferFilling, "2b8fc2f5e5d642b783a7109bf6fc16c2", "The buffer is @PLANTGATE_PERCENT@ % full",
		"More readings arrive than Kafka takes: it is away, or slow. `plantgate status`\nsays for how many days there is room. Raise buffer.limit, or mend Kafka."},
	{BufferFull, "33158f11d3344fa89823c795f05a1e8e", "The buffer is full",
		"Depending on buffer.when_full the oldest readings are given up or new ones are\nturned away; events of the types gap and refused say exactly which. Mend Kafka\nor raise buffer.limit."},
	{BufferFree, "b37a55c441e44a1db359542012aa93eb", "The buffer has room again",
		"Kafka takes readings again. Nothing is to be done."},
	{StreamStarted, "8687b3f49d6544c8972a9b931b30d185", "A new stream of numbers has begun",
		"The gateway could not be sure which number came last (a new or cloned card, a\nlost tail), so it goes on under a new name. Consumers need not do anything:\nids stay unique."},
	{UncleanStart, "b21f325f0cce4d54ae6913b77bd1d7a7", "plantgate was not stopped in order",
		"The power failed, or the program was killed. What it had acknowledged is on the\ncard; readings of the last seconds (buffer.commit_every) that nobody waited for\nmay be missing."},
	{PositionsLost, "177aec4f15bb4797b96189640f989cd9", "It is not known what Kafka has confirmed",
		"The file that says so was damaged. Everything that is still on the card is sent\nagain, marked as replayed; consumers drop what they have by its id."},
	{FileSetAside, "387f5defeb6e4a6983165c231493d84a", "A damaged file was set aside",
		"@PLANTGATE_FILE@ was damaged, as happens to cards that lose power while they\nwrite. Its good parts were saved; the rest is reported by events of the type\ngap. If it happens again, replace the card."},
	{KafkaUnreachable, "cd9f5c027bb1433eaa9f223e25ecfe60", "Kafka does not take readings",
		"They are kept on the card, and sent in order once it does. `plantgate check\n--connect` says what is wrong: name, port, TLS, user, topics."},
	{KafkaBack, "021b2481e0c14f7482ca6413cd717fb1", "Kafka takes readings again",
		"What was kept on the card is being sent. Nothing is to be done."},
	{KafkaRewound, "21ba09c013804773a5a1e2c190a5e1df", "Kafka lost readings that it had confirmed",
		"Its log ends before what it had confirmed, as happens when a single broker\nloses power. The gateway sends the lost readings again from the card, marked as\nreplayed."},
	{ClockCorrected, "909b91193dad40a1b2614a175595ce40", "The clock is known now",
		"Readings taken since the start, while it was not, get their true time before\nthey leave. Nothing is to be done."},
	{ClockUnknown, "1d3af5a73fdd4d1fb203f1d0bf4f8f2c", "The time is not known",
		"No time server answered within clock.hold. Readings leave marked as uncertain.\nSee `timedatectl timesync-status`."},
	{SensorLost, "9f8b4bc971f945c59da9a032167d0177", "The sensor @PLANTGATE_SENSOR@ gives no readings",
		"It does not answer, or what it says cannot be. Check its wiring; `plantgate\nstatus` shows its state. It is tried again by itself."},
	{SensorFound, "b8678cab6c9e410cb0af11eb835e42d6", "The sensor @PLANTGATE_SENSOR@ gives readings again",
		"Nothing is to be done."},
	{ClientRefused, "1982f4bebb124780a5c9253a5d1ba298", "An MQTT client was turned away",
		"The client @PLANTGATE_CLIENT@ at @PLANTGATE_ADDRESS@ was not let in, was cut off,\nor a message of it was turned down; the reason is @PLANTGATE_REASON@. `plantgate\nstatus` names the limit and its key; `plantgate mqtt user list` shows who may."},
	{DeviceSilent, "e2523a333c18404baa46965a94ba1e9f", "The device @PLANTGATE_DEVICE@ is silent",
		"It was not heard for three times its longest usual interval and a minute. Look\nat its power, its battery and its network; `plantgate status` shows when it was\nlast heard."},
	{DeviceBack, "5e2de3739959416da46689e7886afe89", "The device @PLANTGATE_DEVICE@ is back",
		"Nothing is to be done."},
}
