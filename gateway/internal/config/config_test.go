package config_test

import (
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"go.yaml.in/yaml/v4"

	"github.com/plantgate/plantgate/gateway/internal/config"
)

func parse(t *testing.T, text string, o config.Options) config.Config {
	t.Helper()
	c, err := config.Parse("plantgate.yaml", []byte(text), o)
	if err != nil {
		t.Fatalf("Parse: %v", err)
	}
	return c
}

// withDefaults is what a file with nothing but brokers means.
func withDefaults() config.Config {
	c := config.Default()
	c.Gateway = "pi1"
	c.Kafka.Brokers = []string{"kafka.home:9092"}
	return c
}

// A newcomer copies a line out of the reference to change it: the value there
// must be the one that holds without the line.
func TestReferenceIsTheDefault(t *testing.T) {
	got := parse(t, config.Reference(), options())
	if diff := cmp.Diff(withDefaults(), got); diff != "" {
		t.Errorf("reference.yaml differs from the defaults (-default +reference):\n%s", diff)
	}
}

// uncommented turns the examples of the reference on.
func uncommented() string {
	example := regexp.MustCompile(`(?m)^( *)#(\S|  )`)
	return example.ReplaceAllString(config.Reference(), "$1$2")
}

// The examples in comments are never parsed by anybody but the reader who
// removes the "#".
func TestReferenceExamplesAreRight(t *testing.T) {
	o := options()
	o.Emulate = true
	c := parse(t, uncommented(), o)
	if len(c.Sensors) != 2 || len(c.Sensors[1].Calibration.Points) != 3 {
		t.Errorf("got sensors %+v", c.Sensors)
	}
	if len(c.MQTT.TLS.Listen) != 1 {
		t.Errorf("got TLS listeners %q", c.MQTT.TLS.Listen)
	}
}

// A key without explanation is one that nobody finds; an explanation without a
// key is a lie. Both come from forgetting the other file.
func TestReferenceExplainsEveryKey(t *testing.T) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(uncommented()), &root); err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	collect(explained, "", root.Content[0])
	for _, key := range config.Keys() {
		if !explained[key] {
			t.Errorf("reference.yaml does not explain %s", key)
		}
		delete(explained, key)
	}
	for key := range explained {
		t.Errorf("reference.yaml explains %s, which is no key", key)
	}
}

func collect(keys map[string]bool, path string, n *yaml.Node) {
	switch n.Kind {
	case yaml.SequenceNode:
		for _, c := range n.Content {
			collect(keys, path+"[]", c)
		}
	case yaml.MappingNode:
		for i := 0; i < len(n.Content); i += 2 {
			key := strings.TrimPrefix(path+"."+n.Content[i].Value, ".")
			keys[key] = true
			collect(keys, key, n.Content[i+1])
		}
	}
}

// A comment above each key is what makes the reference one.
func TestReferenceHasACommentForEveryKey(t *testing.T) {
	var root yaml.Node
	if err := yaml.Unmarshal([]byte(uncommented()), &root); err != nil {
		t.Fatal(err)
	}
	var bare func(path string, n *yaml.Node)
	bare = func(path string, n *yaml.Node) {
		for i := 0; n.Kind == yaml.MappingNode && i < len(n.Content); i += 2 {
			key, value := n.Content[i], n.Content[i+1]
			above := i > 0 && n.Content[i-2].HeadComment != "" && n.Content[i-2].Line == key.Line-1 // shares the comment
			if key.HeadComment == "" && key.LineComment == "" && value.LineComment == "" && !above && value.Kind == yaml.ScalarNode {
				t.Errorf("line %d: nothing explains %s", key.Line, path+key.Value)
			}
			bare(path+key.Value+".", value)
		}
	}
	bare("", root.Content[0])
}

func TestMinimalIsEnough(t *testing.T) {
	if diff := cmp.Diff(withDefaults(), parse(t, config.Minimal(), options())); diff != "" {
		t.Errorf("minimal.yaml changes defaults (-default +minimal):\n%s", diff)
	}
	example := regexp.MustCompile(`(?m)^#(\S|  )`).ReplaceAllString(config.Minimal(), "$1")
	if c := parse(t, example, options()); len(c.Sensors) != 1 {
		t.Errorf("the example in minimal.yaml gives %d sensors", len(c.Sensors))
	}
}

const everything = `
gateway: Balcony_2.pi
site: "Mutters Garten: Süd"
data_dir: /srv/plantgate
kafka:
  brokers: [kafka-1.home:9092, "[fd00::2]:19092"]
  topics: {readings: r, events: e, deadletter: l, devices: d}
  create_topics: false
  tls: {enabled: true, ca: /etc/ca.pem, cert: /etc/c.pem, key: "${CREDENTIALS_DIRECTORY}/key", server_name: kafka}
  sasl: {mechanism: scram-sha-512, user: gate, password_file: /etc/secret}
  compression: snappy
mqtt:
  listen: ["127.0.0.1:1884", "[::1]:1884"]
  tls: {listen: ":8884", cert: /etc/mc.pem, key: /etc/mk.pem}
  anonymous: true
  limits:
    {connections: 20, connections_per_address: 2, messages_per_client: 50, bytes_per_client: 20KiB, messages_per_address: 500,
    bytes_per_address: 200KiB, patience: 5s, retained_per_client: 30, subscriptions_per_client: 40, keepalive: 2m,
    packet: 64KiB, connect_timeout: 3s, write_timeout: 500ms}
sensors:
  - name: Basilikum (Küche)
    chip: ads1115
    bus: /dev/i2c-1
    address: 0x49
    channel: 3
    probe: capacitive
    calibration: {dry: 2800 mV, wet: 1.4 V, id: spring}
    every: 90s
    gain: 4.096 V
    rate: 128/s
  - {name: p, chip: mcp3008, bus: spi0.1, channel: 0, probe: capacitive, emulate: {volts: [1.6, -0.002], clock: 0.9},
     calibration: {points: [{at: 1.4 V, moisture: 100 %}, {at: 2.8V, moisture: 0%}, {at: 2 V, moisture: 37.5 %}]}}
buffer: {limit: 1.5GiB, keep: 2w, when_full: refuse, commit_every: 1m30s500ms, reserve: 1GB}
clock: {hold: 90s, trust: true}
http: {listen: off}
log: {level: debug, format: json}
`

func everythingMeans() config.Config {
	return config.Config{
		Gateway: "Balcony_2.pi", Site: "Mutters Garten: Süd", DataDir: "/srv/plantgate",
		Kafka: config.Kafka{
			Brokers:     []string{"kafka-1.home:9092", "[fd00::2]:19092"},
			Topics:      config.Topics{Readings: "r", Events: "e", DeadLetter: "l", Devices: "d"},
			TLS:         config.KafkaTLS{Enabled: true, CA: "/etc/ca.pem", Cert: "/etc/c.pem", Key: "${CREDENTIALS_DIRECTORY}/key", ServerName: "kafka"},
			SASL:        config.SASL{Mechanism: "scram-sha-512", User: "gate", PasswordFile: "/etc/secret"},
			Compression: "snappy",
		},
		MQTT: config.MQTT{
			Listen:    []string{"127.0.0.1:1884", "[::1]:1884"},
			TLS:       config.MQTTTLS{Listen: []string{":8884"}, Cert: "/etc/mc.pem", Key: "/etc/mk.pem"},
			Anonymous: true,
			Limits: config.Limits{Connections: 20, ConnectionsPerAddress: 2, MessagesPerClient: 50, BytesPerClient: 20 << 10, MessagesPerAddress: 500,
				BytesPerAddress: 200 << 10, Patience: 5 * time.Second, RetainedPerClient: 30, SubscriptionsPerClient: 40, Keepalive: 2 * time.Minute, Packet: 64 << 10, ConnectTimeout: 3 * time.Second,
				WriteTimeout: 500 * time.Millisecond},
		},
		Sensors: []config.Sensor{
			{Name: "Basilikum (Küche)", Chip: "ads1115", Bus: "i2c-1", Address: 0x49, Channel: 3, Probe: "capacitive",
				Calibration: config.Calibration{Dry: 2.8, Wet: 1.4, ID: "spring"}, Every: 90 * time.Second, Gain: 4.096, Rate: 128},
			{Name: "p", Chip: "mcp3008", Bus: "spi0.1", Channel: 0, Probe: "capacitive", Every: time.Minute,
				Calibration: config.Calibration{Points: []config.Point{{At: 2.8, Moisture: 0}, {At: 2, Moisture: 37.5}, {At: 1.4, Moisture: 100}}, ID: "points-873f2320"},
				Emulate:     &config.Emulation{Volts: []float64{1.6, -0.002}, Clock: 0.9}},
		},
		Buffer: config.Buffer{Limit: 3 << 29, Keep: 14 * 24 * time.Hour, WhenFull: "refuse", CommitEvery: 90500 * time.Millisecond, Reserve: 1e9},
		Clock:  config.Clock{Hold: 90 * time.Second, Trust: true},
		HTTP:   config.HTTP{},
		Log:    config.Log{Level: slog.LevelDebug, Format: "json"},
	}
}

// A key that is checked but not stored would be a setting without effect.
func TestEveryKeyIsRead(t *testing.T) {
	o := options()
	o.Emulate = true
	got := parse(t, everything, o)
	if diff := cmp.Diff(everythingMeans(), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	sameAsDefault(t, "", reflect.ValueOf(got), reflect.ValueOf(config.Default()))
}

// sameAsDefault guards the test above: a value that equals the default shows
// nothing.
func sameAsDefault(t *testing.T, path string, got, def reflect.Value) {
	t.Helper()
	for i := range got.NumField() {
		f := got.Type().Field(i)
		switch {
		case f.Name == "Warnings" || f.Name == "Credential": // instead of PasswordFile
		case f.Type.Kind() == reflect.Struct:
			sameAsDefault(t, path+f.Name+".", got.Field(i), def.Field(i))
		case reflect.DeepEqual(got.Field(i).Interface(), def.Field(i).Interface()):
			t.Errorf("the test sets %s%s to its default", path, f.Name)
		}
	}
}

// A support request carries this dump: whoever gets it must be able to start
// from it, and must not learn who the user is at Kafka.
func TestDumpIsAConfiguration(t *testing.T) {
	o := options()
	o.Emulate = true
	for name, text := range map[string]string{"minimal": config.Minimal(), "everything": everything, "credential": credential} {
		t.Run(name, func(t *testing.T) {
			want := parse(t, text, o)
			want.Warnings = nil
			dump := want.String()
			if strings.Contains(dump, "user: gate") {
				t.Errorf("the dump names the user:\n%s", dump)
			}
			got := parse(t, dump, o)
			got.Warnings = nil // they quote the dump
			if want.Kafka.SASL.User != "" {
				want.Kafka.SASL.User = "(hidden)"
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("dump reads as something else (-want +got):\n%s\n%s", diff, dump)
			}
		})
	}
}

const credential = `
kafka:
  brokers: kafka.home:9092
  sasl: {mechanism: plain, user: gate, credential: kafka}
`

func TestDumpGolden(t *testing.T) {
	o := options()
	o.Emulate = true
	got := parse(t, everything, o).String()
	const golden = "testdata/dump.golden"
	if *update {
		if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestWarningsStopNothing(t *testing.T) {
	for _, c := range []struct{ name, text, want string }{
		{"password in clear", credential, "unencrypted"},
		{"nothing to collect", "kafka: {brokers: [k:9092]}\nmqtt: {listen: off}\n", "nothing to collect"},
		{"keep out of reach", "kafka: {brokers: [k:9092]}\nbuffer: {limit: 192MiB, keep: 30d}\nsensors:\n" +
			"  - {name: a, chip: chirp, bus: i2c-1, address: 0x20, every: 1s}\n", "never reached"},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := parse(t, c.text, options()).Warnings
			if len(got) != 1 || !strings.Contains(got[0].Message, c.want) || got[0].Line < 1 || got[0].Hint == "" {
				t.Errorf("got warnings %v, want one about %q", got, c.want)
			}
		})
	}
	quiet := "kafka: {brokers: [k:9092]}\nbuffer: {limit: 192MiB, keep: 30d}\n"
	if got := parse(t, quiet, options()).Warnings; got != nil {
		t.Errorf("got warnings %v", got)
	}
}

// A file for emulated chips alone describes nothing but chips.
func TestOptionsSayWhatACommandNeeds(t *testing.T) {
	const text = "sensors:\n  - {name: a, chip: ads1115, bus: i2c-1, emulate: {volts: [1.60, 2.83, 3.30, -0.002], clock: 0.9}}\n"
	if _, err := config.Parse("p.yaml", []byte(text), options()); err == nil {
		t.Error("run takes an emulated sensor without Kafka")
	}
	o := options()
	o.Emulate, o.NoKafka = true, true
	c := parse(t, text, o)
	want := []config.Sensor{{Name: "a", Chip: "ads1115", Bus: "i2c-1", Address: 0x48, Channel: config.NoChannel, Every: time.Minute,
		Emulate: &config.Emulation{Volts: []float64{1.6, 2.83, 3.3, -0.002}, Clock: 0.9}}}
	if diff := cmp.Diff(want, c.Sensors); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if _, err := config.Parse("p.yaml", []byte("sensors:\n  - {name: a, chip: new, bus: i2c-1}\n"), config.Options{NoKafka: true}); err != nil {
		t.Errorf("without a list of chips any chip is possible: %v", err)
	}
}

// Two sensors on one chip may both say what it measures, as long as they agree.
func TestEmulationsOfOneChipAgree(t *testing.T) {
	o := options()
	o.Emulate = true
	const one = "kafka: {brokers: [k:9092]}\nsensors:\n  - {name: a, chip: ads1115, bus: i2c-1, channel: 0, emulate: {volts: [1.6, 2.0]}}\n"
	parse(t, one+"  - {name: b, chip: ads1115, bus: i2c-1, channel: 1, emulate: {volts: [1.6, 2.0]}}\n", o)
	_, err := config.Parse("p.yaml", []byte(one+"  - {name: b, chip: ads1115, bus: i2c-1, channel: 1, emulate: {volts: [1.6, 2.1]}}\n"), o)
	if err == nil || !strings.Contains(err.Error(), "p.yaml:4:") {
		t.Errorf("got %v", err)
	}
}

// "pi.home" of a router, or "Pi von Oma" of a phone's hotspot, may be the host
// name; a record's id must still be safe.
func TestHostNameStandsInForGateway(t *testing.T) {
	o := options()
	o.Hostname = "greenhouse.home"
	if c := parse(t, config.Minimal(), o); c.Gateway != "greenhouse.home" {
		t.Errorf("got gateway %q", c.Gateway)
	}
	o.Hostname = `Oma's "Pi"`
	_, err := config.Parse("p.yaml", []byte(config.Minimal()), o)
	if err == nil || !strings.Contains(err.Error(), "gateway: Oma-s--Pi") {
		t.Errorf("got %v", err)
	}
	parse(t, "gateway: pi2\n"+config.Minimal(), o)
}
