package broker

import (
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// TLSConfig serves the certificate (chain) and key in two PEM files, and takes
// new ones from there when they change: a renewal needs no restart. A pair that
// cannot be read, because one file was written and the other not yet, leaves
// the old one in use.
func TLSConfig(certFile, keyFile string, log *slog.Logger) (*tls.Config, error) {
	c := &certificate{certFile: certFile, keyFile: keyFile, log: log}
	if err := c.load(time.Now()); err != nil {
		return nil, err
	}
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: c.get}, nil
}

// certificate is a pair of files.
type certificate struct {
	certFile, keyFile string
	log               *slog.Logger

	mu      sync.Mutex
	pair    *tls.Certificate
	stamps  [2]stamp
	looked  time.Time
	failing bool
}

type stamp struct {
	changed time.Time
	size    int64
}

func (c *certificate) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.looked) < time.Second {
		return c.pair, nil
	}
	c.looked = now
	if stamps, err := c.look(); err == nil && stamps == c.stamps {
		return c.pair, nil
	}
	err := c.load(now)
	switch {
	case err != nil && !c.failing:
		c.log.Warn("new TLS certificate cannot be used; the old one stays in use", "error", err)
	case err == nil:
		c.log.Info("TLS certificate was read anew", "file", c.certFile)
	}
	c.failing = err != nil
	return c.pair, nil
}

func (c *certificate) look() (stamps [2]stamp, err error) {
	for i, name := range [2]string{c.certFile, c.keyFile} {
		info, err := os.Stat(name)
		if err != nil {
			return stamps, err
		}
		stamps[i] = stamp{info.ModTime(), info.Size()}
	}
	return stamps, nil
}

func (c *certificate) load(now time.Time) error {
	stamps, err := c.look()
	if err != nil {
		return fmt.Errorf("TLS certificate: %w", err)
	}
	pair, err := tls.LoadX509KeyPair(c.certFile, c.keyFile)
	if err != nil {
		return fmt.Errorf("TLS certificate %s with key %s: %w", c.certFile, c.keyFile, err)
	}
	c.pair, c.stamps, c.looked = &pair, stamps, now
	return nil
}
