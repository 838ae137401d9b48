package main

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"os"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"

	"github.com/plantgate/plantgate/gateway/internal/config"
	"github.com/plantgate/plantgate/gateway/internal/forward"
	"github.com/plantgate/plantgate/reading"
)

// kafkaOptions turns the configuration into what reaches Kafka. It reads the
// secrets, so a wrong path is an error of the start, not of the first record.
func kafkaOptions(cfg config.Config) (forward.Options, error) {
	tlsConfig, err := kafkaTLS(cfg.Kafka.TLS)
	if err != nil {
		return forward.Options{}, err
	}
	mechanism, err := kafkaSASL(cfg.Kafka.SASL)
	if err != nil {
		return forward.Options{}, err
	}
	t := cfg.Kafka.Topics
	return forward.Options{
		Brokers:      cfg.Kafka.Brokers,
		Topics:       forward.Topics{Readings: t.Readings, Events: t.Events, DeadLetter: t.DeadLetter, Devices: t.Devices},
		CreateTopics: cfg.Kafka.CreateTopics,
		TLS:          tlsConfig,
		SASL:         mechanism,
		Compression:  cfg.Kafka.Compression,
		Place:        place(cfg),
	}, nil
}

func place(cfg config.Config) reading.Place {
	return reading.Place{Gateway: cfg.Gateway, Site: cfg.Site}
}

func kafkaTLS(c config.KafkaTLS) (*tls.Config, error) {
	if !c.Enabled {
		return nil, nil
	}
	t := &tls.Config{ServerName: c.ServerName, MinVersion: tls.VersionTLS12}
	if c.CA != "" {
		pem, err := readConfigured(c.CA)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls.ca: %w", err)
		}
		t.RootCAs = x509.NewCertPool()
		if !t.RootCAs.AppendCertsFromPEM(pem) {
			return nil, fmt.Errorf("kafka.tls.ca: %s holds no PEM certificate", c.CA)
		}
	}
	if c.Cert != "" {
		pair, err := keyPair(c.Cert, c.Key)
		if err != nil {
			return nil, fmt.Errorf("kafka.tls.cert: %w", err)
		}
		t.Certificates = []tls.Certificate{pair}
	}
	return t, nil
}

func kafkaSASL(c config.SASL) (sasl.Mechanism, error) {
	password, err := c.Password()
	if err != nil {
		return nil, fmt.Errorf("kafka.sasl: %w", err)
	}
	switch c.Mechanism {
	case config.None:
		return nil, nil
	case "plain":
		return plain.Auth{User: c.User, Pass: password}.AsMechanism(), nil
	case "scram-sha-256":
		return scram.Auth{User: c.User, Pass: password}.AsSha256Mechanism(), nil
	case "scram-sha-512":
		return scram.Auth{User: c.User, Pass: password}.AsSha512Mechanism(), nil
	default:
		return nil, errors.New("kafka.sasl.mechanism is not known: " + c.Mechanism)
	}
}

func keyPair(certFile, keyFile string) (tls.Certificate, error) {
	cert, err := readConfigured(certFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	key, err := readConfigured(keyFile)
	if err != nil {
		return tls.Certificate{}, err
	}
	return tls.X509KeyPair(cert, key)
}

// readConfigured reads a file that the configuration names, which may be a
// systemd credential.
func readConfigured(path string) ([]byte, error) {
	resolved, err := config.Path(path)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(resolved)
}
