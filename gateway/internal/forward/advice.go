package forward

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"syscall"

	"github.com/twmb/franz-go/pkg/kerr"
)

// A topicMissing error says which topic Kafka does not have, and why it was
// not made.
type topicMissing struct {
	topic string
	cause error // nil: not allowed by the configuration
}

func (e *topicMissing) Error() string {
	if e.cause == nil {
		return "it is missing"
	}
	return fmt.Sprintf("it is missing and cannot be made: %v", e.cause)
}

func (e *topicMissing) Unwrap() error { return e.cause }

// An announcedAddress error wraps what went wrong at an address that Kafka
// itself gave, not the configuration.
type announcedAddress struct {
	address string
	err     error
}

func (e *announcedAddress) Error() string {
	return fmt.Sprintf("%v (address %s is what Kafka announces)", e.err, e.address)
}
func (e *announcedAddress) Unwrap() error { return e.err }

// A handshakeFailed error says that TLS was tried.
type handshakeFailed struct {
	address string
	err     error
}

func (e *handshakeFailed) Error() string {
	return fmt.Sprintf("TLS handshake with %s: %v", e.address, e.err)
}
func (e *handshakeFailed) Unwrap() error { return e.err }

// Advice says what a person can do about err, "" when there is nothing better
// than the error itself. The cases go from the particular to the general.
func Advice(err error) string {
	for _, a := range []func(error) string{adviseTopic, adviseAccess, adviseTLS, adviseAddress, adviseBroker} {
		if text := a(err); text != "" {
			return text
		}
	}
	return ""
}

func adviseTopic(err error) string {
	var missing *topicMissing
	switch {
	case !errors.As(err, &missing):
		return ""
	case missing.cause == nil:
		return "make the topic, for example with kafka-topics.sh --create --topic " + missing.topic + ", or set kafka.create_topics: true"
	case errors.Is(err, kerr.TopicAuthorizationFailed), errors.Is(err, kerr.ClusterAuthorizationFailed):
		return "allow the user to create topics, or make topic " + missing.topic + " yourself"
	default:
		return "make topic " + missing.topic + " yourself"
	}
}

func adviseAccess(err error) string {
	switch {
	case errors.Is(err, kerr.SaslAuthenticationFailed):
		return "check user and password in kafka.sasl"
	case errors.Is(err, kerr.UnsupportedSaslMechanism):
		return "set kafka.sasl.mechanism to one that the broker offers"
	case errors.Is(err, kerr.IllegalSaslState):
		return "the broker wants SASL first: set kafka.sasl, or use the port of another listener"
	case errors.Is(err, kerr.TopicAuthorizationFailed):
		return "allow the user to WRITE and DESCRIBE the plantgate topics"
	case errors.Is(err, kerr.ClusterAuthorizationFailed):
		return "allow the user IDEMPOTENT_WRITE on the cluster (needed before Kafka 2.8) and WRITE on the plantgate topics"
	default:
		return ""
	}
}

// adviseTLS knows some of the client's errors only by their words: it has no
// values for them.
func adviseTLS(err error) string {
	var (
		plain     tls.RecordHeaderError
		authority x509.UnknownAuthorityError
		name      x509.HostnameError
		invalid   x509.CertificateInvalidError
		alert     tls.AlertError
		handshake *handshakeFailed
	)
	text := err.Error()
	switch {
	case errors.As(err, &plain):
		return "the port does not speak TLS: remove kafka.tls or use the TLS listener's port"
	case errors.As(err, &authority):
		return "name the authority that signed the broker's certificate in kafka.tls.ca"
	case errors.As(err, &name):
		return "kafka.brokers must name the host as the broker's certificate does"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "renew the broker's certificate; if it is valid, this board's clock is wrong"
	case errors.As(err, &alert):
		return "the broker turned the TLS client down: does it want a certificate (kafka.tls.cert and key)?"
	case strings.Contains(text, "plaintext connection speaking to a tls endpoint"), strings.Contains(text, "is TLS missing?"):
		return "the port wants TLS: set kafka.tls or use the plain listener's port"
	case strings.Contains(text, "is SASL missing?"):
		return "the broker closed the connection: does it want kafka.sasl, or is the password wrong?"
	case errors.As(err, &handshake), strings.Contains(text, "is TLS misconfigured"):
		return "nothing there answers in TLS: remove kafka.tls or use the TLS listener's port"
	case strings.Contains(text, "the beginning of an HTTP response"):
		return "a web server answers there: kafka.brokers needs Kafka's port, usually 9092"
	case strings.Contains(text, "invalid large response size"):
		return "what answers there is not Kafka: check the port in kafka.brokers"
	default:
		return ""
	}
}

func adviseAddress(err error) string {
	var (
		announced *announcedAddress
		unknown   *net.DNSError
		slow      net.Error
	)
	switch {
	case errors.As(err, &announced):
		return "advertised.listeners of the broker must name an address that this board can reach"
	case errors.As(err, &unknown):
		return "the host name is not known here: check kafka.brokers and the name server"
	case errors.Is(err, syscall.ECONNREFUSED):
		return "nothing listens there: is Kafka running, and is the port in kafka.brokers right?"
	case errors.Is(err, syscall.EHOSTUNREACH), errors.Is(err, syscall.ENETUNREACH):
		return "there is no way to that host: check the network of this board and kafka.brokers"
	case errors.Is(err, context.DeadlineExceeded), errors.As(err, &slow) && slow.Timeout():
		return "no answer: check host and port in kafka.brokers, and firewalls between"
	case errors.Is(err, io.EOF):
		return "the broker closes the connection: check kafka.tls and kafka.sasl with its user and password"
	default:
		return ""
	}
}

func adviseBroker(err error) string {
	switch {
	case errors.Is(err, kerr.NotEnoughReplicas), errors.Is(err, kerr.NotEnoughReplicasAfterAppend):
		return "fewer replicas are in sync than min.insync.replicas asks for: look after the brokers"
	case errors.Is(err, kerr.KafkaStorageError):
		return "the broker cannot write to its disk"
	case errors.Is(err, kerr.InvalidTimestamp):
		return "Kafka and this board disagree about the time: check both clocks"
	case errors.Is(err, kerr.UnknownTopicOrPartition), errors.Is(err, kerr.UnknownTopicID):
		return "a plantgate topic was deleted; it is made again if kafka.create_topics allows it"
	case errors.Is(err, kerr.InvalidTopicException):
		return "a name under kafka.topics is not allowed by Kafka"
	default:
		return ""
	}
}
