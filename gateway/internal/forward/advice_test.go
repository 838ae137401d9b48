package forward_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"io"
	"math/big"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/sasl/plain"

	"github.com/plantgate/plantgate/gateway/internal/forward"
)

// What a person gets wrong when they point the gateway at Kafka, and what the
// log then tells them.
func TestLogSaysWhatToDo(t *testing.T) {
	for name, test := range map[string]struct {
		kafka  func(t *testing.T) []kfake.Opt // nil: none is there
		change func(t *testing.T, r *rig)
		want   string
	}{
		"nobody listens": {want: "nothing listens there"},
		"unknown host": {
			change: func(t *testing.T, r *rig) {
				r.options.Dial = func(context.Context, string, string) (net.Conn, error) {
					return nil, &net.OpError{Op: "dial", Err: &net.DNSError{Name: "kafak", IsNotFound: true}}
				}
			},
			want: "the host name is not known here",
		},
		"no answer": {
			change: func(t *testing.T, r *rig) {
				r.options.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
					<-ctx.Done()
					return nil, ctx.Err()
				}
			},
			want: "no answer: check host and port",
		},
		"plain client, TLS port": {
			kafka: func(t *testing.T) []kfake.Opt { return []kfake.Opt{kfake.TLS(serverTLS(t, "localhost"))} },
			want:  "the port wants TLS",
		},
		"TLS client, plain port": {
			// A real broker takes the first bytes for a length and hangs up.
			change: func(t *testing.T, r *rig) {
				serve(t, r, "")
				r.options.TLS = &tls.Config{InsecureSkipVerify: true}
			},
			want: "nothing there answers in TLS",
		},
		"unknown authority": {
			kafka:  func(t *testing.T) []kfake.Opt { return []kfake.Opt{kfake.TLS(serverTLS(t, "localhost"))} },
			change: func(t *testing.T, r *rig) { r.options.TLS = &tls.Config{RootCAs: x509.NewCertPool()} },
			want:   "kafka.tls.ca",
		},
		"no SASL": {
			kafka: func(*testing.T) []kfake.Opt { return []kfake.Opt{kfake.EnableSASL()} },
			want:  "kafka.sasl",
		},
		"wrong password": {
			kafka: func(*testing.T) []kfake.Opt {
				return []kfake.Opt{kfake.EnableSASL(), kfake.Superuser("PLAIN", "pi", "right")}
			},
			change: func(t *testing.T, r *rig) {
				r.options.SASL = plain.Auth{User: "pi", Pass: "wrong"}.AsMechanism()
			},
			want: "kafka.sasl",
		},
		"a web server": {
			change: func(t *testing.T, r *rig) { serve(t, r, "HTTP/1.1 400 Bad Request\r\n\r\n") },
			want:   "kafka.brokers needs Kafka's port",
		},
		"announced address": {
			kafka: func(*testing.T) []kfake.Opt { return nil },
			change: func(t *testing.T, r *rig) {
				r.options.Brokers = []string{"proxy:443"}
				real := r.options.Dial
				r.options.Dial = func(ctx context.Context, network, address string) (net.Conn, error) {
					if address == "proxy:443" {
						return real(ctx, network, "localhost:9092")
					}
					return real(ctx, network, "localhost:1")
				}
			},
			want: "advertised.listeners",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				r := newRig(t)
				if test.kafka != nil {
					r.startKafka(test.kafka(t)...)
				}
				if test.change != nil {
					test.change(t, r)
				}
				r.start()
				r.put("washer", 1)
				time.Sleep(10 * time.Minute)
				s := r.forward.Stats()
				if s.State != forward.Waiting || !strings.Contains(s.Advice, test.want) {
					t.Errorf("state %s, error %q, advice %q; want an advice with %q", s.State, s.LastError, s.Advice, test.want)
				}
				if n := r.log.count("kafka does not take records", test.want); n != 1 {
					t.Errorf("%d lines say so in ten minutes, want 1", n)
				}
			})
		})
	}
}

// serve answers whatever comes with text.
func serve(t *testing.T, r *rig, text string) {
	l, err := r.net.Listen("tcp", "localhost:9092")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				buf := make([]byte, 4096)
				if _, err := conn.Read(buf); err == nil && text != "" {
					_, _ = io.WriteString(conn, text) // the client may be gone
				}
			}()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
}

func serverTLS(t *testing.T, host string) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{host},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{cert}, PrivateKey: key}}}
}

// Readings go through TLS and SASL as well.
func TestThroughTLSAndSASL(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newRig(t)
		config := serverTLS(t, "localhost")
		r.startKafka(kfake.TLS(config), kfake.EnableSASL(), kfake.Superuser("PLAIN", "pi", "right"))
		roots := x509.NewCertPool()
		leaf, err := x509.ParseCertificate(config.Certificates[0].Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		roots.AddCert(leaf)
		r.options.TLS = &tls.Config{RootCAs: roots}
		r.options.SASL = plain.Auth{User: "pi", Pass: "right"}.AsMechanism()
		r.start()
		last := r.put("washer", 5)
		r.await(last)
		if report := r.verify(); report.Streams[0].Readings != last {
			t.Errorf("verify found\n%s\nwant %d readings", report, last)
		}
	})
}

// Options that can work with no Kafka are an error at once.
func TestOptionsAreValidated(t *testing.T) {
	good := forward.Options{Brokers: []string{"localhost:9092"}, Place: place}
	if err := good.Validate(); err != nil {
		t.Errorf("the least of options: %v", err)
	}
	for want, change := range map[string]func(*forward.Options){
		"kafka.brokers is empty":                   func(o *forward.Options) { o.Brokers = nil },
		"gateway has no name":                      func(o *forward.Options) { o.Place.Gateway = "" },
		"kafka.topics":                             func(o *forward.Options) { o.Topics = forward.Topics{Readings: "a", Events: "b"} },
		`kafka.compression "brotli" is not known:`: func(o *forward.Options) { o.Compression = "brotli" },
	} {
		o := good
		change(&o)
		if err := o.Validate(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error is %v, want %q", err, want)
		}
	}
}
