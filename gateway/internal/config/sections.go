package config

import (
	"fmt"
	"slices"
	"time"

	"go.yaml.in/yaml/v4"
)

// whereKafkaIs is the one thing that nobody can guess.
const whereKafkaIs = "say where Kafka is, for example:\n\n    kafka:\n      brokers: [kafka.home:9092]\n"

func (d *decoder) kafka(o *object, k *Kafka, opts Options) {
	brokers := read(o, "brokers", &k.Brokers, oneOrMany(brokerAddress))
	d.topics(o.section("topics"), &k.Topics)
	read(o, "create_topics", &k.CreateTopics, yesOrNo)
	d.kafkaTLS(o.section("tls"), &k.TLS)
	d.sasl(o.section("sasl"), &k.SASL, k.TLS.Enabled)
	read(o, "compression", &k.Compression, oneOf("zstd", "snappy", "lz4", "gzip", None))
	o.end()
	if !opts.NoKafka {
		o.require("brokers", whereKafkaIs)
	}
	if brokers && len(k.Brokers) == 0 && !opts.NoKafka {
		d.complain(o.place("brokers"), "`kafka.brokers` is an empty list", whereKafkaIs)
	}
	for i, b := range k.Brokers {
		if slices.Contains(k.Brokers[:i], b) {
			d.complain(element(o.place("brokers"), i), "`kafka.brokers` names "+quoted(b)+" twice", "remove one")
		}
	}
}

func (d *decoder) topics(o *object, t *Topics) {
	all := []struct {
		key string
		to  *string
	}{{"readings", &t.Readings}, {"events", &t.Events}, {"deadletter", &t.DeadLetter}, {"devices", &t.Devices}}
	for _, topic := range all {
		read(o, topic.key, topic.to, topicName)
	}
	o.end()
	for i, later := range all {
		for _, earlier := range all[:i] {
			// Dead letters are raw bytes and devices are compacted: in one
			// topic with readings they would break every consumer.
			if *earlier.to == *later.to {
				at := o.place(later.key)
				if !o.has(later.key) {
					at = o.place(earlier.key)
				}
				d.complain(at, fmt.Sprintf("`%s` and `%s` are the same topic %s", o.name(earlier.key), o.name(later.key), quoted(*later.to)), "each kind of record has a topic of its own")
			}
		}
	}
}

func (d *decoder) kafkaTLS(o *object, t *KafkaTLS) {
	read(o, "enabled", &t.Enabled, yesOrNo)
	read(o, "ca", &t.CA, file)
	read(o, "cert", &t.Cert, file)
	read(o, "key", &t.Key, file)
	read(o, "server_name", &t.ServerName, word)
	o.end()
	if t.Enabled {
		d.certificate(o, t.Cert, t.Key)
		return
	}
	for _, key := range []string{"ca", "cert", "key", "server_name"} {
		if o.filled(key) && !o.has("enabled") {
			d.complain(o.keys[key].key, "`"+o.name(key)+"` has no effect while TLS is off", "add `enabled: true` under `"+o.path+"`")
			return
		}
	}
}

// certificate reports a certificate without its key and a key without its
// certificate.
func (d *decoder) certificate(o *object, cert, key string) {
	for _, half := range []struct{ there, missing, have, other string }{
		{"cert", "key", cert, key}, {"key", "cert", key, cert},
	} {
		// Of a half that is there but wrong enough has been said.
		if half.have != "" && half.other == "" && !o.filled(half.missing) {
			d.complain(o.keys[half.there].key, fmt.Sprintf("`%s` is set, but `%s` is not", o.name(half.there), o.name(half.missing)), "a certificate and its key belong together: name both files")
		}
	}
}

func (d *decoder) sasl(o *object, s *SASL, encrypted bool) {
	read(o, "mechanism", &s.Mechanism, oneOf(None, "plain", "scram-sha-256", "scram-sha-512"))
	read(o, "user", &s.User, word)
	passwordFile := read(o, "password_file", &s.PasswordFile, file)
	credential := read(o, "credential", &s.Credential, credentialName)
	if p, ok := o.keys["password"]; ok {
		o.asked = append(o.asked, "password")
		d.complain(p.key, "a password never stands in this file", "write it into a file of its own that only the user plantgate can read (chmod 600), and name that: `password_file: /etc/plantgate/kafka.password`")
	}
	o.end()
	password := o.has("password") || o.has("password_file") && !passwordFile || o.has("credential") && !credential
	switch {
	case s.Mechanism == None:
		d.withoutMechanism(o)
	case s.PasswordFile != "" && s.Credential != "":
		d.complain(o.keys["credential"].key, "`kafka.sasl.password_file` and `kafka.sasl.credential` are both set", "keep one of the two")
	case s.User == "":
		d.complain(o.place("mechanism"), "`kafka.sasl.user` is missing", "add `user`, or write `mechanism: none`")
	case s.PasswordFile == "" && s.Credential == "" && !password:
		d.complain(o.place("mechanism"), "there is no password for `kafka.sasl.user`", "add `password_file` with the path of a file, or `credential` with the name of a systemd credential")
	case s.Mechanism == "plain" && !encrypted:
		d.warn(o.place("mechanism"), "the password goes over the network unencrypted", "set `kafka.tls.enabled: true`, or use scram-sha-512")
	}
}

// withoutMechanism reports a user or password that nobody would ask for. A
// mechanism that was written out, wrong or "none", is meant as it is.
func (d *decoder) withoutMechanism(o *object) {
	for _, key := range []string{"user", "password_file", "credential"} {
		if o.filled(key) && !o.has("mechanism") {
			d.complain(o.keys[key].key, "`"+o.name(key)+"` has no effect without `kafka.sasl.mechanism`", "add `mechanism: scram-sha-512`, or what your Kafka asks for")
			return
		}
	}
}

func (d *decoder) mqtt(o *object, m *MQTT, all *listeners) {
	read(o, "listen", &m.Listen, or("off", nil, oneOrMany(listenAddress(":1883"))))
	all.add(o, "listen", m.Listen)
	d.mqttTLS(o.section("tls"), &m.TLS, all)
	read(o, "anonymous", &m.Anonymous, yesOrNo)
	d.limits(o.section("limits"), &m.Limits)
	o.end()
}

func (d *decoder) mqttTLS(o *object, t *MQTTTLS, all *listeners) {
	read(o, "listen", &t.Listen, or("off", nil, oneOrMany(listenAddress(":8883"))))
	cert := read(o, "cert", &t.Cert, file) && t.Cert != ""
	read(o, "key", &t.Key, file)
	o.end()
	d.certificate(o, t.Cert, t.Key)
	if len(t.Listen) > 0 && !o.filled("cert") && !o.filled("key") {
		d.complain(o.place("listen"), "`mqtt.tls.listen` needs a certificate", "name its files: `cert: /etc/plantgate/tls/cert.pem` and `key: /etc/plantgate/tls/key.pem`")
	}
	if cert && !o.has("listen") {
		t.Listen = []string{":8883"}
	}
	all.add(o, "listen", t.Listen)
}

func (d *decoder) limits(o *object, l *Limits) {
	read(o, "connections", &l.Connections, count(1, 100_000))
	read(o, "connections_per_address", &l.ConnectionsPerAddress, count(1, 100_000))
	read(o, "messages_per_client", &l.MessagesPerClient, count(1, 10_000_000))
	read(o, "bytes_per_client", &l.BytesPerClient, size(kib, gib))
	read(o, "messages_per_address", &l.MessagesPerAddress, count(1, 10_000_000))
	read(o, "bytes_per_address", &l.BytesPerAddress, size(kib, gib))
	read(o, "patience", &l.Patience, duration(time.Second, time.Hour))
	read(o, "retained_per_client", &l.RetainedPerClient, count(1, 100_000))
	read(o, "subscriptions_per_client", &l.SubscriptionsPerClient, count(1, 100_000))
	// MQTT has 16 bits for its seconds.
	read(o, "keepalive", &l.Keepalive, duration(10*time.Second, 65535*time.Second))
	// The lower bound leaves room for the longest reading that is taken in.
	read(o, "packet", &l.Packet, size(4*kib, 256*mib))
	read(o, "connect_timeout", &l.ConnectTimeout, duration(time.Second, 5*time.Minute))
	read(o, "write_timeout", &l.WriteTimeout, duration(100*time.Millisecond, time.Minute))
	o.end()
	if l.ConnectionsPerAddress > l.Connections && o.has("connections_per_address") {
		d.complain(o.place("connections_per_address"), fmt.Sprintf("`%s` allows more than `connections` (%d) does for all together", o.name("connections_per_address"), l.Connections), "lower one or raise the other")
	}
	l.ConnectionsPerAddress = min(l.ConnectionsPerAddress, l.Connections)
	d.addressFits(o, l)
}

// addressFits warns where one client could never have what it is allowed.
func (d *decoder) addressFits(o *object, l *Limits) {
	for _, pair := range []struct {
		client, address string
		less            bool
	}{
		{"messages_per_client", "messages_per_address", l.MessagesPerAddress < l.MessagesPerClient},
		{"bytes_per_client", "bytes_per_address", l.BytesPerAddress < l.BytesPerClient},
	} {
		if pair.less && o.filled(pair.client) {
			d.warn(o.place(pair.client), fmt.Sprintf("`%s` allows more than `%s` does for all clients of an address together", o.name(pair.client), pair.address), "lower one or raise the other")
		}
	}
}

func (d *decoder) clock(o *object, c *Clock) {
	read(o, "hold", &c.Hold, duration(0, day))
	read(o, "trust", &c.Trust, yesOrNo)
	o.end()
}

func (d *decoder) http(o *object, h *HTTP, all *listeners) {
	const usual = "127.0.0.1:8080"
	read(o, "listen", &h.Listen, or("off", "", listenAddress(usual)))
	if h.Listen != "" {
		all.add(o, "listen", []string{h.Listen})
	}
	o.end()
}

func (d *decoder) log(o *object, l *Log) {
	read(o, "level", &l.Level, logLevel)
	read(o, "format", &l.Format, oneOf("auto", "journal", "text", "json"))
	o.end()
}

const (
	// A window in flight spans at most two segments of 32 MiB, and the rest
	// must hold the segment being written, the prepared one and something to
	// drop.
	segmentSize  = 32 * mib
	leastSegment = 6
	leastLimit   = leastSegment * segmentSize

	// Kafka keeps readings for 400 days by default; a card need not keep
	// confirmed ones for longer.
	longestKeep = 400 * day
)

func (d *decoder) buffer(o *object, c *Config) {
	b := &c.Buffer
	limited := read(o, "limit", &b.Limit, or("auto", 0, bufferLimit))
	kept := read(o, "keep", &b.Keep, duration(0, longestKeep))
	read(o, "when_full", &b.WhenFull, oneOf("drop_oldest", "refuse"))
	read(o, "commit_every", &b.CommitEvery, duration(0, 5*time.Minute))
	read(o, "reserve", &b.Reserve, or("auto", 0, size(0, 1<<40)))
	o.end()
	if limited && kept && b.Limit > 0 {
		d.keepFits(o.place("keep"), c)
	}
}

func bufferLimit(d *decoder, name string, n *yaml.Node) (int64, bool) {
	return parsed(func(text string) (int64, *flaw) {
		v, wrong := parseSize(text)
		switch {
		case wrong != nil:
			return 0, wrong
		case v < leastLimit:
			return 0, &flaw{fmt.Sprintf("%s is less than %d segments of %s", quoted(text), leastSegment, formatSize(segmentSize)), "write at least `" + formatSize(leastLimit) + "`, or `auto`"}
		case v > 1<<50:
			return 0, &flaw{quoted(text) + " is larger than any card", ""}
		}
		return v, nil
	})(d, name, n)
}

// keepFits warns when the gateway's own record a minute and the sensors alone
// fill the half of the limit that confirmed readings may take, long before keep
// has passed. What MQTT devices add is not known here.
func (d *decoder) keepFits(at *yaml.Node, c *Config) {
	const recordBytes = 150 // one reading on the card, compressed in its block
	perDay := int64(day/time.Minute) * recordBytes
	for _, s := range c.Sensors {
		perDay += int64(day/s.Every) * recordBytes
	}
	days := float64(c.Buffer.Limit/2) / float64(perDay)
	if c.Buffer.Keep.Hours()/24 <= days {
		return
	}
	d.warn(at, fmt.Sprintf("confirmed readings may take half of `buffer.limit`; that is full after about %.1f days, so `buffer.keep` of %s is never reached", days, formatDuration(c.Buffer.Keep)),
		"raise `buffer.limit` or lower `buffer.keep`")
}
