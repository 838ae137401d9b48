package forward

import (
	"context"
	"errors"
	"time"

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
	if f.stalls > 0 {
		// A Kafka or a network that is so slow that requests time out gets more
		// time for each: else nothing would ever move.
		opts = append(opts, kgo.RequestTimeoutOverhead(dialTimeout<<min(f.stalls, maxStalls)))
	}
	kafka, err := kgo.NewClient(opts...)
	if err != nil {
		return nil, err
	}
	c.kafka = kafka
	c.admin = kadm.NewClient(kafka)
	c.admin.SetTimeoutMillis(int32(requestTimeout.Milliseconds()))
	return c, nil
}

// errStuck: a client does not end. Its records must not be touched any more, so
// only a new process helps.
var errStuck = errors.New("the kafka client does not end")

// close fails whatever is still buffered; the promises may come a little later.
// The error is errStuck.
func (c *client) close(ctx context.Context) error {
	limit := closeTimeout
	if ctx.Err() != nil {
		limit = stopTimeout
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.kafka.Close()
	}()
	select {
	case <-ended:
		return nil
	case <-time.After(limit):
		return errStuck
	}
}
