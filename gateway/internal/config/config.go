// Package config turns the one YAML file that a person writes into a Config
// that the program can rely on.
//
// It guarantees that every value of a Config is inside its bounds, that all
// that is wrong with a file is reported at once, each with its line and column,
// the line itself and a remedy, and that no secret is in a Config, an error or a
// dump: secrets are named by file and read by Secret. It does not know drivers
// (they are handed in as Options.Chips), nor does it open, listen or connect.
package config

import (
	_ "embed"
	"log/slog"
	"time"
)

// A Config is a whole configuration. Its yaml tags are the keys of the file;
// reference.yaml explains each. A value made by Parse is valid as a whole.
type Config struct {
	Gateway string   `yaml:"gateway"`  // part of every record's id; Parse puts the host name in when it is ""
	Site    string   `yaml:"site"`     // home, greenhouse ...
	DataDir string   `yaml:"data_dir"` // buffer, users, retained messages; an absolute path
	Kafka   Kafka    `yaml:"kafka"`
	MQTT    MQTT     `yaml:"mqtt"`
	Sensors []Sensor `yaml:"sensors"`
	Buffer  Buffer   `yaml:"buffer"`
	Clock   Clock    `yaml:"clock"`
	HTTP    HTTP     `yaml:"http"`
	Log     Log      `yaml:"log"`

	// Warnings are what Parse found doubtful; they stop nothing.
	Warnings Errors `yaml:"-"`
}

// Kafka says where readings go.
type Kafka struct {
	Brokers      []string `yaml:"brokers"` // host:port
	Topics       Topics   `yaml:"topics"`
	CreateTopics bool     `yaml:"create_topics"`
	TLS          KafkaTLS `yaml:"tls"`
	SASL         SASL     `yaml:"sasl"`
	Compression  string   `yaml:"compression"` // zstd, snappy, lz4, gzip or none
}

// Topics names the four topics; no two are alike.
type Topics struct {
	Readings   string `yaml:"readings"`
	Events     string `yaml:"events"`
	DeadLetter string `yaml:"deadletter"`
	Devices    string `yaml:"devices"`
}

// KafkaTLS encrypts the connection to Kafka. Paths may begin with
// ${CREDENTIALS_DIRECTORY}; Path replaces it.
type KafkaTLS struct {
	Enabled    bool   `yaml:"enabled"`
	CA         string `yaml:"ca"`          // "": the system's authorities
	Cert       string `yaml:"cert"`        // "": no client certificate
	Key        string `yaml:"key"`         // belongs to Cert
	ServerName string `yaml:"server_name"` // "": the broker's host name
}

// SASL is how the gateway proves to Kafka who it is.
type SASL struct {
	Mechanism    string `yaml:"mechanism"` // none, plain, scram-sha-256 or scram-sha-512
	User         string `yaml:"user" redact:"yes"`
	PasswordFile string `yaml:"password_file"`
	Credential   string `yaml:"credential"` // name of a systemd credential, instead of PasswordFile
}

// Password reads the password from the file or credential that is named. It is
// "" without an error when the mechanism needs none.
func (s SASL) Password() (string, error) {
	switch {
	case s.Mechanism == None:
		return "", nil
	case s.Credential != "":
		return Secret(credentialsVariable + "/" + s.Credential)
	default:
		return Secret(s.PasswordFile)
	}
}

// None is the compression or mechanism that is no compression or mechanism.
const None = "none"

// MQTT is the broker that sockets and plant stations are pointed at.
type MQTT struct {
	Listen    []string `yaml:"listen" empty:"off"` // host:port; nil: nothing listens without TLS
	TLS       MQTTTLS  `yaml:"tls"`
	Anonymous bool     `yaml:"anonymous"` // local devices need no user
	Limits    Limits   `yaml:"limits"`
}

// MQTTTLS is the encrypted listener; Listen is nil when there is none.
type MQTTTLS struct {
	Listen []string `yaml:"listen" empty:"off"`
	Cert   string   `yaml:"cert"`
	Key    string   `yaml:"key"`
}

// Limits keep one client from hurting the others.
type Limits struct {
	Connections            int           `yaml:"connections"`
	ConnectionsPerAddress  int           `yaml:"connections_per_address"`
	MessagesPerClient      int           `yaml:"messages_per_client"` // a second
	BytesPerClient         int64         `yaml:"bytes_per_client" unit:"bytes"`
	MessagesPerAddress     int           `yaml:"messages_per_address"` // a second
	BytesPerAddress        int64         `yaml:"bytes_per_address" unit:"bytes"`
	Patience               time.Duration `yaml:"patience"` // with a client that has to be slowed down to these
	RetainedPerClient      int           `yaml:"retained_per_client"`
	SubscriptionsPerClient int           `yaml:"subscriptions_per_client"`
	Keepalive              time.Duration `yaml:"keepalive"` // longest silence of an MQTT 5 client
	Packet                 int64         `yaml:"packet" unit:"bytes"`
	ConnectTimeout         time.Duration `yaml:"connect_timeout"` // from accept to CONNECT, the TLS handshake apart
	WriteTimeout           time.Duration `yaml:"write_timeout"`   // for each write to a client
}

// NoChannel is the channel of a sensor whose chip has none to choose from.
const NoChannel = -1

// A Sensor is one chip, or one input of it, that the gateway reads itself.
type Sensor struct {
	Name        string        `yaml:"name"` // the device's name in every record
	Chip        string        `yaml:"chip"`
	Bus         string        `yaml:"bus"`                    // i2c-1, spi0.0
	Address     uint16        `yaml:"address" unit:"hex"`     // 0: the chip has none
	Channel     int           `yaml:"channel" unit:"channel"` // NoChannel: the chip has none
	Probe       string        `yaml:"probe" empty:"omit"`     // "": plain volts
	Calibration Calibration   `yaml:"calibration" empty:"omit"`
	Every       time.Duration `yaml:"every"`
	Gain        float64       `yaml:"gain" unit:"volts" empty:"omit"` // full scale in volts; 0: the driver's own
	Rate        int           `yaml:"rate" empty:"omit"`              // samples per second; 0: the driver's own
	Emulate     *Emulation    `yaml:"emulate" empty:"omit"`           // never set for run
}

// A Calibration turns a probe's volts into percent: either Dry and Wet, or
// Points. The zero value is no calibration.
type Calibration struct {
	Dry    float64 `yaml:"dry" unit:"volts" empty:"omit"` // volts in dry soil: 0 %
	Wet    float64 `yaml:"wet" unit:"volts" empty:"omit"` // volts in wet soil: 100 %
	Points []Point `yaml:"points" empty:"omit"`           // by rising moisture, volts strictly monotone
	ID     string  `yaml:"id" empty:"omit"`               // travels with every percent
}

// A Point says which moisture a voltage stands for.
type Point struct {
	At       float64 `yaml:"at" unit:"volts"`
	Moisture float64 `yaml:"moisture" unit:"percent"`
}

// Curve returns the calibration as points, by rising moisture; nil when there
// is none.
func (c Calibration) Curve() []Point {
	switch {
	case len(c.Points) > 0:
		return append([]Point(nil), c.Points...)
	case c.Dry == c.Wet:
		return nil
	default:
		return []Point{{c.Dry, 0}, {c.Wet, 100}}
	}
}

// An Emulation is the truth behind an emulated chip.
type Emulation struct {
	Volts []float64 `yaml:"volts"` // at the chip's inputs, the first at input 0
	Clock float64   `yaml:"clock"` // speed of the chip's oscillator; 1 is nominal
}

// Buffer is the queue on the card.
type Buffer struct {
	Limit       int64         `yaml:"limit" unit:"bytes" empty:"auto"`   // 0: 2 GiB or a quarter of the file system, whichever is less
	Keep        time.Duration `yaml:"keep"`                              // how long confirmed readings stay
	WhenFull    string        `yaml:"when_full"`                         // drop_oldest or refuse
	CommitEvery time.Duration `yaml:"commit_every"`                      // longest time on the way to the card
	Reserve     int64         `yaml:"reserve" unit:"bytes" empty:"auto"` // 0: 64 MiB or 5 % of the file system, whichever is less
}

// Clock says what to do while the time is not known.
type Clock struct {
	Hold  time.Duration `yaml:"hold"`  // how long readings wait for the time once the network is up
	Trust bool          `yaml:"trust"` // take the system clock as right
}

// HTTP serves /healthz and /metrics.
type HTTP struct {
	Listen string `yaml:"listen" empty:"off"` // "": nothing listens
}

// Log is what the gateway says about itself.
type Log struct {
	Level  slog.Level `yaml:"level"`
	Format string     `yaml:"format"` // auto, journal, text or json
}

// A Chip is what the configuration must know of a driver to check a sensor.
type Chip struct {
	Bus string // how the name of its bus begins: "i2c" or "spi"; "" is not checked

	// I2C addresses that the chip can have, and the one it has when nobody
	// changed it. Highest 0: the chip has no address.
	Lowest, Highest, Usual uint16

	Channels int       // inputs to choose from; 0: none
	Probes   []string  // probes that its inputs may carry
	Gains    []float64 // full scales in volts; nil: not adjustable
	Rates    []int     // samples per second; nil: not adjustable
}

// Options are what a command demands of a configuration.
type Options struct {
	Chips    map[string]Chip // known chips by name; nil: chips are not checked
	Emulate  bool            // sensors may be emulated, and then need no channel
	NoKafka  bool            // kafka.brokers may be absent: the command sends nothing
	Hostname string          // stands in for an absent gateway; "": ask the system
}

const (
	day = 24 * time.Hour

	kib = int64(1) << 10
	mib = kib << 10
	gib = mib << 10
)

// Default returns what an empty file would mean, but for the brokers, which
// have no default, and the host name, which Parse puts in as Gateway.
func Default() Config {
	return Config{
		Site:    "home",
		DataDir: "/var/lib/plantgate",
		Kafka: Kafka{
			Topics: Topics{
				Readings:   "plantgate.readings.v1",
				Events:     "plantgate.events.v1",
				DeadLetter: "plantgate.deadletter.v1",
				Devices:    "plantgate.devices.v1",
			},
			CreateTopics: true,
			SASL:         SASL{Mechanism: None},
			Compression:  "zstd",
		},
		MQTT: MQTT{
			Listen: []string{":1883"},
			Limits: Limits{
				Connections:            512,
				ConnectionsPerAddress:  128,
				MessagesPerClient:      20_000,
				BytesPerClient:         16 * mib,
				MessagesPerAddress:     200_000,
				BytesPerAddress:        128 * mib,
				Patience:               30 * time.Second,
				RetainedPerClient:      2048,
				SubscriptionsPerClient: 8192,
				Keepalive:              time.Hour,
				Packet:                 mib,
				ConnectTimeout:         5 * time.Second,
				WriteTimeout:           2 * time.Second,
			},
		},
		Buffer: Buffer{Keep: 7 * day, WhenFull: "drop_oldest", CommitEvery: 5 * time.Second},
		Clock:  Clock{Hold: 5 * time.Minute},
		HTTP:   HTTP{Listen: "127.0.0.1:8080"},
		Log:    Log{Level: slog.LevelInfo, Format: "auto"},
	}
}

//go:embed reference.yaml
var reference string

//go:embed minimal.yaml
var minimal string

// Reference returns a file that explains every key and sets each to its
// default.
func Reference() string { return reference }

// Minimal returns the smallest file that is worth starting from.
func Minimal() string { return minimal }
