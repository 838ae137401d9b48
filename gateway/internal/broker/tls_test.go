package broker_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/plantgate/plantgate/gateway/internal/broker"
)

// writePair makes a certificate for localhost and its key, with a serial number
// to tell it by.
func writePair(t *testing.T, dir string, serial int64) (certFile, keyFile string) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Unix(0, 0), NotAfter: time.Unix(1<<33, 0),
	}
	cert, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	certFile, keyFile = filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem")
	for name, block := range map[string]*pem.Block{certFile: {Type: "CERTIFICATE", Bytes: cert}, keyFile: {Type: "PRIVATE KEY", Bytes: der}} {
		if err := os.WriteFile(name, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return certFile, keyFile
}

func secure(t *testing.T, certFile, keyFile string) func(*broker.Options) {
	t.Helper()
	config, err := broker.TLSConfig(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	return func(o *broker.Options) { o.Listen[0].TLS = config }
}

func trusting() *tls.Config { return &tls.Config{InsecureSkipVerify: true} } //nolint:gosec // the test knows the serial number

// Answers are held under TLS as without, and a refusal arrives before the end.
func TestTLS(t *testing.T) {
	r := start(t, secure2(t, t.TempDir()))
	conn := tls.Client(r.dial(t), trusting())
	c := letIn(t, conn, hello{id: "a"})
	r.store.hold()
	c.publish("a", 1, 1, "x")
	c.wantSilence(100 * time.Millisecond)
	r.store.release()
	c.want(ack(puback, 1)...)
	refused := newClient(t, tls.Client(r.dial(t), trusting()), 4)
	refused.send(hello{id: "", keep: true}.bytes())
	refused.want(0x20, 2, 0, 2)
	refused.wantClosed()
}

func secure2(t *testing.T, dir string) func(*broker.Options) {
	certFile, keyFile := writePair(t, dir, 1)
	return secure(t, certFile, keyFile)
}

// TLS is the way in from outside the home network; but not without a user, even
// where the home network needs none.
func TestTLSServesRemotePeersWithUser(t *testing.T) {
	certFile, keyFile := writePair(t, t.TempDir(), 1)
	file := household(t)
	synctest.Test(t, func(t *testing.T) {
		_, net := inBubble(t, func(o *broker.Options) {
			secure(t, certFile, keyFile)(o)
			o.Users = file
		})
		remote, near := address("8.8.8.8:1"), address("192.168.1.7:1")
		if got := answer(t, tls.Client(net.dial(t, remote), trusting()), as("plug", "a", 4)); got != 0 {
			t.Errorf("remote user: code %x, want 0", got)
		}
		if got := answer(t, tls.Client(net.dial(t, remote), trusting()), hello{id: "b"}); got != 5 {
			t.Errorf("remote anonymous client: code %x, want 5", got)
		}
		if got := answer(t, tls.Client(net.dial(t, near), trusting()), hello{id: "c"}); got != 0 {
			t.Errorf("near anonymous client: code %x, want 0", got)
		}
	})
}

// A client that begins a handshake and never ends it is cut off.
func TestUnfinishedHandshakeIsClosed(t *testing.T) {
	certFile, keyFile := writePair(t, t.TempDir(), 1)
	synctest.Test(t, func(t *testing.T) {
		r, net := inBubble(t, secure(t, certFile, keyFile))
		c := net.dial(t, "")
		if _, err := c.Write([]byte{0x16, 0x03, 0x01}); err != nil {
			t.Fatal(err)
		}
		start := time.Now()
		c.Read(make([]byte, 1))
		if took := time.Since(start); took > 11*time.Second {
			t.Errorf("closed after %v, want 10 s", took)
		}
		synctest.Wait()
		if s := r.Stats(); s.Connections != 0 || s.Refused["tls"] != 1 {
			t.Errorf("stats %+v", s)
		}
	})
}

// A renewed certificate is used without a restart; a half-written pair does not
// end the service.
func TestCertificateIsReadAnew(t *testing.T) {
	dir := t.TempDir()
	certFile, keyFile := writePair(t, dir, 1)
	config, err := broker.TLSConfig(certFile, keyFile, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	wantSerial := func(want int64) {
		t.Helper()
		pair, err := config.GetCertificate(nil)
		if err != nil {
			t.Fatal(err)
		}
		leaf, err := x509.ParseCertificate(pair.Certificate[0])
		if err != nil {
			t.Fatal(err)
		}
		if got := leaf.SerialNumber.Int64(); got != want {
			t.Errorf("certificate %d is used, want %d", got, want)
		}
	}
	wantSerial(1)
	synctest.Test(t, func(t *testing.T) {
		config, err = broker.TLSConfig(certFile, keyFile, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		old, err := os.ReadFile(keyFile)
		if err != nil {
			t.Fatal(err)
		}
		writePair(t, dir, 2)
		renewed, err := os.ReadFile(keyFile)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(keyFile, append(old, "\n\n\n\n"...), 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		wantSerial(1)
		if err := os.WriteFile(keyFile, renewed, 0o600); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		wantSerial(2)
	})
	if _, err := broker.TLSConfig(certFile, filepath.Join(dir, "absent"), slog.Default()); err == nil {
		t.Error("a missing key is no error")
	}
}
