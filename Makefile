# Needs Go 1.26. Everything else that a check can use (a C compiler, shellcheck,
# mosquitto's clients, kcat, Java and Maven) is used when it is there; `make test`
# says at its end what was skipped for want of it. PLANTGATE_REQUIRE_KAFKA=1 and
# PLANTGATE_REQUIRE_MOSQUITTO=1 make such an absence a failure.

FUZZTIME ?= 30s

.PHONY: build run test fuzz bench torture clean

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

bench:
	go test -run '^$$' -bench . -benchmem ./...

# The long forms: tests look at PLANTGATE_TORTURE, each runs three times in
# another order.
torture:
	PLANTGATE_TORTURE=1 go test -race -count=3 -shuffle=on -timeout 3h ./...

clean:
	rm -rf bin dist
