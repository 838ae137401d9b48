//go:build linux

package proof_test

import "strings"

// A difference is a way in which the gateway and mosquitto answer differently,
// for a reason.
type difference struct {
	what, why string
	fits      func(kind, ours, theirs string) bool
	parts     bool // what follows cannot be compared
}

func differences() []difference {
	return []difference{
		{"SUBACK grants QoS 0, mosquitto what was asked for",
			"Kafka is the durable consumer; see MQTT-3.1.2-5.",
			func(_, ours, theirs string) bool {
				return strings.HasPrefix(ours, "SUBACK") && ours == grantedZero(theirs)
			}, false},
		{"a filter with a misplaced wildcard, or an empty one, fails alone; mosquitto closes the connection",
			"MQTT-4.7.1 and MQTT-4.7.3 forbid such filters, and SUBACK has a code for it: the client's other subscriptions need not suffer.",
			func(kind, ours, theirs string) bool {
				return badFilter(kind) && !firstGranted(ours) && !strings.HasSuffix(ours, ended) && strings.HasSuffix(theirs, ended)
			}, true},
		{"the connection is closed without a DISCONNECT, or with another reason in it (MQTT 5)",
			"mochi ends a connection whose packet it cannot decode without a word. The standard lets a server say why.",
			func(_, ours, theirs string) bool {
				return strings.HasSuffix(ours, ended) && withoutReason(ours) == withoutReason(theirs)
			}, true},
		{"no reason 0x10, no matching subscribers (MQTT 5)",
			"The standard leaves it to the server. There is a consumer: the message goes to Kafka.",
			func(_, ours, theirs string) bool { return ours == strings.ReplaceAll(theirs, " 10)", " 00)") }, false},
		{"reason 0x92 for a packet id that is not known (MQTT 5), mosquitto 0x00",
			"MQTT 5 section 3.6.2.1 and 3.7.2.1 have the code for it.",
			func(_, ours, theirs string) bool { return theirs == strings.ReplaceAll(ours, " 92)", " 00)") }, false},
		{"reason 0x87 for a message to a topic that begins with $ (MQTT 5), mosquitto 0x00 or 0x10",
			"Those topics belong to the broker. MQTT 3.1.1 clients get the same answer from both, and the message is dropped.",
			func(kind, ours, theirs string) bool {
				return strings.Contains(kind, " to $") && (ours == strings.ReplaceAll(theirs, " 10)", " 87)") || ours == strings.ReplaceAll(theirs, " 00)", " 87)"))
			}, false},
		{"PUBREC (and PUBREL, when the client sent a PUBREC for it) comes again after a reconnect",
			"The message it answers is not finished. mosquitto waits for the client to ask.",
			func(_, ours, theirs string) bool { return strings.HasPrefix(ours, theirs+" PUBRE") }, false},
		{"a new QoS 2 message whose id an unfinished one has is refused with 0x91 (MQTT 5), mosquitto takes it for the old one",
			"MQTT 5 has a reason for it. With DUP set it is taken for the old one by both.",
			func(kind, ours, theirs string) bool {
				return strings.Contains(kind, "publish qos 2") && theirs == strings.ReplaceAll(ours, " 91)", " 00)")
			}, false},
		{"PUBREC and PUBCOMP for nothing that was sent do not close the connection, in mosquitto they may",
			"They may be late; nothing depends on them.",
			func(kind, ours, theirs string) bool {
				return strings.Contains(kind, "answer PUB") && !strings.HasSuffix(ours, ended) && strings.HasSuffix(theirs, ended)
			}, true},
		{"a CONNECT of MQTT 5 with more bytes than it needs is taken",
			"mochi does not say how long the properties were, so the rest cannot be told from them. MQTT 3.1.1 is judged as mosquitto does.",
			func(kind, ours, theirs string) bool {
				return strings.HasPrefix(kind, "v5 connect with") && strings.HasPrefix(ours, "CONNACK") && theirs == ended
			}, true},
		{"reserved flags, DUP at QoS 0 and packets that only servers send, and SUBSCRIBE without filters, close the connection; mosquitto overlooks some",
			"MQTT-2.2.2-2, MQTT-3.3.1-2, MQTT-3.8.3-3 and MQTT-4.8.0-1 ask for it.",
			func(kind, ours, theirs string) bool {
				return lax(kind) && strings.HasSuffix(ours, ended) && !strings.HasSuffix(theirs, ended)
			}, true},
		{"PUBREL with packet id 0 gets a PUBCOMP, mosquitto closes the connection",
			"No statement forbids it to a client that has no such message; nothing depends on it.",
			func(kind, ours, theirs string) bool {
				return strings.Contains(kind, "pubrel with id 0") && strings.HasPrefix(ours, "PUBCOMP(0") && strings.HasSuffix(theirs, ended)
			}, true},
		{"reserved bits of the options in SUBSCRIBE are overlooked (MQTT 5)",
			"mochi drops them as it decodes. In MQTT 3.1.1 they close the connection, see MQTT-3.8.3-4.",
			func(kind, ours, theirs string) bool {
				return kind == "v5 subscribe wrong options" && strings.HasPrefix(ours, "SUBACK") && strings.HasSuffix(theirs, ended)
			}, true},
		{"UNSUBACK says 0x00 (MQTT 5) for a filter that nobody followed but that is the topic of a retained message; mosquitto 0x11",
			"mochi looks for the node of its tree, not for the subscription. The client is not subscribed in either case.",
			func(_, ours, theirs string) bool {
				return strings.HasPrefix(ours, "UNSUBACK") && ours == strings.ReplaceAll(theirs, " 11)", " 00)")
			}, false},
		{"a session of MQTT 5 that ends with its connection goes on when a newer connection takes it over",
			"mochi ends it when the connection is closed, and a takeover comes before that.",
			func(kind, ours, theirs string) bool {
				return strings.HasPrefix(kind, "v5 connect") && strings.HasPrefix(ours, "CONNACK(1 00)") && theirs == "CONNACK(0 00)"
			}, true},
	}
}

// grantedZero is a SUBACK that grants QoS 0 where it grants anything.
func grantedZero(s string) string {
	head, codes, _ := strings.Cut(s, " ")
	return head + " " + strings.NewReplacer("01", "00", "02", "00").Replace(codes)
}

// firstGranted reports whether a SUBACK grants the first filter, which is the one
// that may be wrong.
func firstGranted(s string) bool {
	_, codes, _ := strings.Cut(s, " ")
	return strings.HasPrefix(s, "SUBACK") && !strings.HasPrefix(codes, "8")
}

// withoutReason is what comes before the DISCONNECT.
func withoutReason(s string) string {
	if i := strings.Index(s, "DISCONNECT("); i >= 0 {
		return s[:i] + ended
	}
	return s
}

func badFilter(kind string) bool {
	return strings.HasSuffix(kind, "subscribe nothing") || strings.HasSuffix(kind, "subscribe a misplaced wildcard")
}

func lax(kind string) bool {
	return strings.HasSuffix(kind, "wrong flags") || strings.HasSuffix(kind, "publish qos 0 again") ||
		strings.HasSuffix(kind, "packet of a server") || strings.HasSuffix(kind, "subscribe without filters")
}
