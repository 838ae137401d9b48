package forward

import (
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// A client is one producing client and what was learned about Kafka through
// it. It lives until the progress watch or a verdict gives it up.
type client struct {
	kafka *kgo.Client
	admin *kadm.Client
	facts topicFacts
}

func (f *Forwarder) newClient() (*client, error) {
	c := new(client)
	opts := append(f.o.produceOpts(c.batchLimit),
		kgo.WithHooks(f.witness, &f.delivery),
		kgo.WithLogger(f.witness),
		kgo.ProducerOnDataLossDetected(func(string, int32) { f.witness.wasAway() }),
	)
	kafka, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	c.kafka = kafka
	c.admin = kadm.NewClient(kafka)
	c.admin.SetTimeoutMillis(int32(requestTimeout.Milliseconds()))
	return c, nil
}

// close fails whatever is still buffered; the promises may come a little
// later.
func (c *client) close() { c.kafka.Close() }
