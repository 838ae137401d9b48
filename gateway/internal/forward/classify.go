package forward

import (
	"errors"
	"slices"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A verdict is what to do about an error with which a record came back. The
// client has retried whatever it calls retriable before we see it.
type verdict uint8

const (
	// retry: keep the record and try again, for ever.
	retry verdict = iota
	// restamp: only the record's CreateTime offends.
	restamp
	// poison: this record, or another of its batch, will never be taken.
	poison
	// rebuild: the client itself is of no more use, or Kafka has to be
	// changed by a person; keep everything, wait, start a new client.
	rebuild
)

// A rule gives the verdict for some errors.
type rule struct {
	verdict verdict
	errors  []error
}

// rules is the one table of what Kafka may answer to a produce request. What is
// not in it is retried: to keep a record too long is a nuisance, to give one up
// is a loss.
var rules = []rule{
	// The batch is larger than the topic or the segment allows, or a validator
	// of the broker turned a record down. The answer does not say which record
	// of the batch it was, and kgo fails everything buffered for the partition
	// with it, so the batch is halved until one record stands alone.
	{poison, []error{kerr.MessageTooLarge, kerr.RecordListTooLarge, kerr.InvalidRecord}},

	// A checksum that did not match, or "otherwise corrupt": the network may
	// have done it once, a record that is alone and refused again has it in
	// itself. Halving sends everything again first, so the innocent pass.
	{poison, []error{kerr.CorruptMessage}},

	// CreateTime is too far from the broker's clock (message.timestamp.*.max.ms;
	// one hour ahead since Kafka 4). Never poison: a Pi without a clock makes
	// such records by the thousand, and ts_ms in the value is right or marked.
	{restamp, []error{kerr.InvalidTimestamp}},

	// Somebody has to allow it. kgo remembers CLUSTER_AUTHORIZATION_FAILED on
	// InitProducerID for ever, even after the ACL was mended.
	{rebuild, []error{
		kerr.TopicAuthorizationFailed, kerr.ClusterAuthorizationFailed, kerr.TransactionalIDAuthorizationFailed,
		kerr.SaslAuthenticationFailed, kerr.UnsupportedSaslMechanism, kerr.IllegalSaslState, kerr.SecurityDisabled,
		kerr.DelegationTokenExpired, kerr.DelegationTokenAuthorizationFailed, kerr.DelegationTokenNotFound,
	}},

	// The topic was deleted and made again: the client addresses it by an id
	// that no longer exists and does not ask for the new one.
	{rebuild, []error{kerr.UnknownTopicID, kerr.InconsistentTopicID}},

	// The configuration names a topic that cannot exist, or Kafka is set up so
	// that it can take no record of ours. Only a person can change that.
	{rebuild, []error{
		kerr.InvalidTopicException, kerr.PolicyViolation, kerr.InvalidRequiredAcks, kerr.UnsupportedCompressionType,
		kerr.UnsupportedForMessageFormat, kerr.UnsupportedVersion, kerr.InvalidRequest,
	}},

	// The producer's identity is gone or taken: a poisoned client. These also
	// announce that Kafka lost records; the new client looks for that.
	{rebuild, []error{
		kerr.InvalidProducerEpoch, kerr.ProducerFenced, kerr.UnknownProducerID, kerr.InvalidProducerIDMapping,
		kerr.OutOfOrderSequenceNumber, kerr.InvalidTxnState, kerr.TransactionAbortable,
	}},

	// The client was closed under the records, by a rebuild or at the end.
	{rebuild, []error{kgo.ErrClientClosed, kgo.ErrAborting}},
}

// classify returns what to do about err. A new client costs nothing but a
// connection, so an error that is not Kafka's gets one too: the client's own
// trouble must not outlive it.
func classify(err error) verdict {
	for _, r := range rules {
		if slices.ContainsFunc(r.errors, func(known error) bool { return errors.Is(err, known) }) {
			return r.verdict
		}
	}
	if isAnswer(err) {
		return retry
	}
	return rebuild
}

// isAnswer reports whether Kafka itself said so.
func isAnswer(err error) bool {
	var answer *kerr.Error
	return errors.As(err, &answer)
}
