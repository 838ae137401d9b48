package main

import (
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
)

// makeMetrics registers what /metrics shows. The parts keep their own counters;
// they are read when somebody asks, so that counting costs the main path
// nothing more.
func (g *gateway) makeMetrics() error {
	for _, c := range []prometheus.Collector{
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		&scrape{g},
	} {
		if err := g.registry.Register(c); err != nil {
			return err
		}
	}
	return nil
}

// scrape is the collector of all parts.
type scrape struct{ g *gateway }

// A figure is one metric of /metrics.
type figure struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

func counter(name, help string, labels ...string) figure {
	return figure{prometheus.NewDesc("plantgate_"+name, help, labels, nil), prometheus.CounterValue}
}

func gauge(name, help string, labels ...string) figure {
	return figure{prometheus.NewDesc("plantgate_"+name, help, labels, nil), prometheus.GaugeValue}
}

var (
	messagesReceived = counter("messages_received_total", "MQTT messages and polls that were handed to ingest.", "source")
	readingsStored   = counter("readings_total", "Readings that were queued for the card.", "source")
	acknowledged     = counter("readings_acknowledged_total", "Readings that are acknowledged to their device once they are on the card (QoS 1 and 2).", "source")
	forwarded        = counter("readings_forwarded_total", "Readings that Kafka confirmed.", "source")
	messagesIgnored  = counter("messages_ignored_total", "Messages that carry no reading.", "source")
	deadLettered     = counter("dead_lettered_total", "Messages that nobody could read.", "source")
	readingsRefused  = counter("readings_refused_total", "Readings turned away because they could not be kept.", "source")
	valuesDropped    = counter("values_dropped_total", "Values that are a device's word for no value.", "source")
	bufferBytes      = gauge("buffer_bytes", "Bytes of the buffer on the card.")
	bufferLimit      = gauge("buffer_limit_bytes", "Bytes that the buffer may take.")
	bufferUnsent     = gauge("buffer_unsent_records", "Records on the card that Kafka has not confirmed.")
	bufferDurable    = counter("buffer_durable_number", "Highest number that survives a power cut: what was acknowledged.")
	bufferConfirmed  = counter("buffer_confirmed_number", "Highest number that Kafka confirmed with all before it.")
	bufferDropped    = counter("buffer_dropped_total", "Records given up for newer ones.")
	bufferDaysLeft   = gauge("buffer_days_until_full", "At the rate of the last hour; absent while it does not fill.")
	bufferCommits    = counter("buffer_commits_total", "Commits to the card.")
	bufferWritten    = counter("buffer_written_bytes_total", "Bytes handed to the card.")
	bufferSync       = counter("buffer_sync_seconds_total", "Seconds spent in commits.")
	bufferUsable     = gauge("buffer_usable", "1 while readings can be kept.")
	kafkaForwarded   = counter("kafka_forwarded_total", "Records that Kafka confirmed.", "topic")
	kafkaRefused     = counter("kafka_dead_lettered_total", "Records that Kafka refused for good.")
	kafkaRebuilt     = counter("kafka_client_rebuilt_total", "Clients given up for a new one.")
	kafkaStalled     = counter("kafka_client_stalled_total", "Clients given up because nothing moved in them.")
	kafkaRetries     = counter("kafka_retries_total", "Sendings after a refusal.")
	kafkaRewound     = counter("kafka_rewound_total", "Partitions found to have lost confirmed records.")
	kafkaOldest      = gauge("oldest_unsent_seconds", "Age of the oldest record that Kafka has not confirmed.")
	kafkaWorking     = gauge("kafka_takes_records", "1 while Kafka takes records.")
	devicesSilent    = gauge("devices_silent", "Devices that should have been heard long ago.")
	mqttClients      = gauge("mqtt_clients", "Connected MQTT clients.")
	mqttMessages     = counter("mqtt_messages_total", "MQTT messages received.")
	mqttRefused      = counter("mqtt_refused_total", "Clients and messages turned away.", "reason")
	mqttSlowed       = counter("mqtt_slowed_seconds_total", "Time for which clients that sent more than they may were not read from.")
	mqttPanics       = counter("mqtt_panics_total", "Packets that the MQTT library could not bear.")
	mqttHeld         = gauge("mqtt_held_bytes", "Answers that wait for the card.")
	sensorWorks      = gauge("sensor_ok", "1 while the sensor gives good readings.", "sensor", "state")
	sensorReads      = counter("sensor_reads_total", "Reads that gave readings.", "sensor")
	sensorFailures   = counter("sensor_failures_total", "Reads that failed.", "sensor")
	clockSynced      = gauge("clock_synchronised", "1 once the wall clock is known to be right.")
)

// Describe says nothing: labels come and go with devices, so the collector is
// an unchecked one.
func (s *scrape) Describe(chan<- *prometheus.Desc) {}

// Collect reads all parts.
func (s *scrape) Collect(out chan<- prometheus.Metric) {
	add := func(f figure, v float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(f.desc, f.kind, v, labels...)
	}
	s.collectIngest(add)
	s.collectStore(add)
	s.collectBroker(add)
	for _, p := range s.g.poller.States() {
		add(sensorWorks, oneIf(p.State == "ok"), p.Name, p.State)
		add(sensorReads, float64(p.Reads), p.Name)
		add(sensorFailures, float64(p.Failures), p.Name)
	}
	c := s.g.clock.State()
	add(clockSynced, oneIf(c.Synchronised))
}

type addFigure func(f figure, v float64, labels ...string)

func (s *scrape) collectIngest(add addFigure) {
	in := s.g.ingest.Stats()
	add(devicesSilent, float64(in.Silent))
	for _, src := range in.Sources {
		add(messagesReceived, float64(src.Received), src.Name)
		add(readingsStored, float64(src.Readings), src.Name)
		add(acknowledged, float64(src.Acknowledged), src.Name)
		add(messagesIgnored, float64(src.Ignored), src.Name)
		add(deadLettered, float64(src.DeadLettered), src.Name)
		add(readingsRefused, float64(src.Refused), src.Name)
		add(valuesDropped, float64(src.Dropped), src.Name)
	}
}

func (s *scrape) collectStore(add addFigure) {
	parts := s.g.store.now()
	add(bufferUsable, oneIf(parts.buffer != nil))
	if parts.buffer == nil {
		return
	}
	b, f := parts.buffer.Stats(), parts.forwarder.Stats()
	add(bufferBytes, float64(b.Bytes))
	add(bufferLimit, float64(b.Limit))
	add(bufferUnsent, float64(b.Unsent))
	add(bufferDurable, float64(b.Durable))
	add(bufferConfirmed, float64(b.Confirmed))
	add(bufferDropped, float64(b.Dropped))
	if b.DaysLeft > 0 {
		add(bufferDaysLeft, b.DaysLeft)
	}
	add(bufferCommits, float64(b.Commits))
	add(bufferWritten, float64(b.BytesWritten))
	add(bufferSync, b.SyncSeconds)
	for topic, n := range f.Forwarded {
		add(kafkaForwarded, float64(n), topic)
	}
	for source, n := range f.ForwardedBySource {
		add(forwarded, float64(n), source)
	}
	add(kafkaRefused, float64(f.DeadLettered))
	add(kafkaRebuilt, float64(f.Rebuilt))
	add(kafkaStalled, float64(f.Stalled))
	add(kafkaRetries, float64(f.Retries))
	add(kafkaRewound, float64(f.Rewound))
	add(kafkaOldest, s.g.oldestUnsent(f).Seconds())
	add(kafkaWorking, oneIf(f.LastError == ""))
}

func (s *scrape) collectBroker(add addFigure) {
	b := s.g.broker.Stats()
	add(mqttClients, float64(b.Clients))
	add(mqttMessages, float64(b.Received))
	add(mqttSlowed, b.SlowedFor.Seconds())
	add(mqttPanics, float64(b.Panics))
	add(mqttHeld, float64(b.HeldBytes))
	for reason, n := range b.Refused {
		add(mqttRefused, float64(n), reason)
	}
}

func oneIf(yes bool) float64 {
	if yes {
		return 1
	}
	return 0
}
