package forward_test

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/plantgate/plantgate/gateway/internal/forward"
)

// trusting trusts the certificates of a server.
func trusting(t *testing.T, server *tls.Config) *tls.Config {
	t.Helper()
	leaf, err := x509.ParseCertificate(server.Certificates[0].Certificate[0])
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &tls.Config{RootCAs: roots}
}

// Encryption or the user is wrong on one of the two sides, and somebody mends it
// half an hour later: there, while the gateway runs, or here, with a restart. Until
// then the status says what to do, the journal says it once, and nothing is lost.
func TestWrongTLSAndSASLThenRight(t *testing.T) {
	user := scram.Auth{User: "pi", Pass: "right"}
	for name, test := range map[string]struct {
		start func(t *testing.T, r *rig)
		mend  func(t *testing.T, r *rig) // nil: the options are right after a restart
		right func(t *testing.T, r *rig)
		want  string
	}{
		"unknown authority, mended here": {
			start: func(t *testing.T, r *rig) {
				server := serverTLS(t, "localhost")
				r.startKafka(kfake.TLS(server))
				r.options.TLS = &tls.Config{RootCAs: x509.NewCertPool()}
				r.rightTLS = trusting(t, server)
			},
			right: func(t *testing.T, r *rig) { r.options.TLS = r.rightTLS },
			want:  "kafka.tls.ca",
		},
		"another name in the certificate, mended there": {
			start: func(t *testing.T, r *rig) {
				wrong, right := serverTLS(t, "kafka.cellar"), serverTLS(t, "localhost")
				r.options.TLS = trusting(t, wrong)
				leaf, err := x509.ParseCertificate(right.Certificates[0].Certificate[0])
				if err != nil {
					t.Fatal(err)
				}
				r.options.TLS.RootCAs.AddCert(leaf)
				r.rightTLS = right
				r.startKafka(kfake.TLS(wrong))
			},
			mend: func(t *testing.T, r *rig) { r.restartKafka(nil, kfake.TLS(r.rightTLS)) },
			want: "kafka.brokers must name the host as the broker's certificate does",
		},
		"another name in the certificate, mended here": {
			start: func(t *testing.T, r *rig) {
				server := serverTLS(t, "kafka.cellar")
				r.options.TLS = trusting(t, server)
				r.startKafka(kfake.TLS(server))
			},
			right: func(t *testing.T, r *rig) { r.options.TLS.ServerName = "kafka.cellar" },
			want:  "kafka.brokers must name the host as the broker's certificate does",
		},
		"wrong password, mended there": {
			start: func(t *testing.T, r *rig) {
				r.startKafka(kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "pi", "old"), kfake.Superuser("PLAIN", "admin", "admin"))
				r.options.SASL = user.AsSha256Mechanism()
			},
			mend: func(t *testing.T, r *rig) { r.setPassword("pi", "right") },
			want: "kafka.sasl with its user and password", // kfake hangs up; Kafka itself says more
		},
		"wrong password, mended here": {
			start: func(t *testing.T, r *rig) {
				r.startKafka(kfake.EnableSASL(), kfake.Superuser("PLAIN", "pi", "right"))
				r.options.SASL = plain.Auth{User: "pi", Pass: "wrong"}.AsMechanism()
			},
			right: func(t *testing.T, r *rig) { r.options.SASL = plain.Auth{User: "pi", Pass: "right"}.AsMechanism() },
			want:  "kafka.sasl with its user and password",
		},
		"wrong mechanism, mended here": {
			start: func(t *testing.T, r *rig) {
				r.startKafka(kfake.EnableSASL(), kfake.Superuser("SCRAM-SHA-256", "pi", "right"))
				r.options.SASL = user.AsSha512Mechanism()
			},
			right: func(t *testing.T, r *rig) { r.options.SASL = user.AsSha256Mechanism() },
			want:  "kafka.sasl",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				test.start(t, r)
				r.start()
				r.put("washer", 50)
				time.Sleep(30 * time.Minute)
				s := r.forward.Stats()
				if s.State != forward.Waiting || !strings.Contains(s.Advice, test.want) {
					t.Errorf("state %s, error %q, advice %q; want waiting and %q", s.State, s.LastError, s.Advice, test.want)
				}
				if n := r.log.count("kafka does not take records", "event=kafka_unreachable", test.want); n != 1 {
					t.Errorf("%d lines say so in half an hour, want 1", n)
				}
				if test.mend != nil {
					test.mend(t, r)
				} else {
					r.halt()
					test.right(t, r)
					r.start()
				}
				last := r.put("washer", 50)
				r.await(last)
				if s := r.forward.Stats(); s.LastError != "" || s.Forwarded[readings] != last || s.Rewound > 0 {
					t.Errorf("when it is mended stats are %+v, want %d readings and no error", s, last)
				}
				if report := r.verify(); !report.OK() || report.Streams[0].Readings != last {
					t.Errorf("verify says:\n%s", report)
				}
				proved(t, "kafka TLS and SASL, "+name, "%d readings kept for half an hour, all there", last)
			})
		})
	}
}

// setPassword changes a user's password at Kafka.
func (r *rig) setPassword(user, password string) {
	r.t.Helper()
	cl, err := kgo.NewClient(kgo.SeedBrokers(r.options.Brokers...), kgo.Dialer(r.net.DialContext),
		kgo.SASL(plain.Auth{User: "admin", Pass: "admin"}.AsMechanism()))
	if err != nil {
		r.t.Fatal(err)
	}
	defer cl.Close()
	_, err = kadm.NewClient(cl).AlterUserSCRAMs(context.Background(), nil,
		[]kadm.UpsertSCRAM{{User: user, Mechanism: kadm.ScramSha256, Iterations: 4096, Password: password}})
	if err != nil {
		r.t.Fatal(err)
	}
}
