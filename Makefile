# Needs Go 1.26. Everything else that a check can use (a C compiler, shellcheck,
# mosquitto's clients, kcat, Java and Maven) is used when it is there; `make test`
# says at its end what was skipped for want of it. PLANTGATE_REQUIRE_KAFKA=1,
# PLANTGATE_REQUIRE_MOSQUITTO=1 and PLANTGATE_REQUIRE_CARD=1 (root and FUSE) make such
# an absence a failure.

FUZZTIME ?= 30s

.PHONY: build run test fuzz bench bench-peers bench-parts torture soak clean

build:
	go build -trimpath -o bin/plantgate ./gateway

run: build
	bin/plantgate demo

# All checks, as they run for every change.
test:
	scripts/test

# Each fuzz target in turn, FUZZTIME each.
fuzz:
	scripts/fuzz $(FUZZTIME)

# The figures of docs/benchmarks.md for the gateway alone, about half an hour;
# bench-peers measures mosquitto and Telegraf beside it and writes that page;
# bench-parts are the benchmarks of single packages.
bench:
	go run ./scripts/bench

bench-peers:
	go run ./scripts/bench -peers -out docs/benchmarks.md

bench-parts:
	go test -run '^$$' -bench . -benchmem ./...

# The long forms: tests look at PLANTGATE_TORTURE. RUN chooses some by name.
torture:
	scripts/torture '$(RUN)'

# A day at 50 messages a second with outages; PLANTGATE_SOAK=20m makes it shorter.
soak:
	PLANTGATE_SOAK=$${PLANTGATE_SOAK:-24h} go test -run '^TestSoak$$' -timeout 0 -v ./gateway/proof

clean:
	rm -rf bin dist .bench
