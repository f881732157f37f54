# One verb for each ring of tests; .ci/run runs those that take minutes.
GO ?= go

.PHONY: build test race sim model planted-quick lint fuzz e2e e2e-minio e2e-versitygw nemesis planted corpus differential bench bench-failover bench-scale

build: ## the program
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/firn ./cmd/firn

test: ## rings 1 to 3: pure transcripts and properties, seeded simulations, whole brokers in bubbles
	$(GO) test ./...

race: ## the same under the race detector
	$(GO) test -race ./...

lint: ## formatting, vet, staticcheck
	@test -z "$$(gofmt -l .)" || { gofmt -l .; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags ring4 ./...
	$(GO) run honnef.co/go/tools/cmd/staticcheck@v0.8.2 ./...

e2e: ## ring 4: real processes, kills, kcat and franz-go
	$(GO) test -tags ring4 -count=1 -timeout 20m -v -skip GoSourceTree ./localstack/ring4/

e2e-minio: ## the same and the corpus on a real MinIO, built from its Go module
	RING4_STORE=minio $(GO) test -tags ring4 -count=1 -timeout 40m -v ./localstack/ring4/

e2e-versitygw: ## the same on a versitygw
	RING4_STORE=versitygw $(GO) test -tags ring4 -count=1 -timeout 40m -v ./localstack/ring4/

NEMESIS ?= 1h
SEEDS ?= 10000
FIRST ?= 1
sim: ## SEEDS seeds of several brokers on virtual time, from FIRST on; one again: go test ./broker/sim -run TestSeed -seed N -v
	$(GO) test -count=1 -timeout 24h -run TestSeed ./broker/sim -args -first $(FIRST) -seeds $(SEEDS)

model: ## every order of events in small worlds, the larger ones too: some minutes
	MODEL=deep $(GO) test -count=1 -timeout 2h -v -run 'Order|Shortcut' ./ingest ./broker/sim

nemesis: ## three brokers on MinIO under rotating faults for NEMESIS, and a judge of what clients saw
	RING4_STORE=minio RING4_NEMESIS=$(NEMESIS) $(GO) test -tags ring4 -count=1 -timeout 24h -v -run HistoryUnderFaults ./localstack/ring4/

planted: ## builds with one bug each, and the ring that must see it
	RING4_PLANTED=all $(GO) test -tags ring4 -count=1 -timeout 1h -v -run PlantedBugs ./localstack/ring4/

BUGS = $(shell sed -n 's/.*Bug = "\([a-z-]*\)".*/\1/p' planted/doc.go)
QUICK = ./broker/sim ./ingest ./ingest/pump ./tier/press ./catalog/journal
planted-quick: ## the same against the rings that take seconds: one of them must see each
	$(GO) test -tags planted -run '^$$' $(QUICK)
	@for b in $(BUGS); do \
	  sound() { $(GO) test -tags planted -ldflags "-X github.com/firnlog/firn/planted.bug=$$b" -count=1 "$$@" >/dev/null 2>&1; }; \
	  if sound ./broker/sim -run TestSeed -args -seeds 3000 && sound ./ingest/pump && sound ./tier/press && sound ./catalog/journal && sound ./ingest -args -rapid.nofailfile; \
	  then echo "$$b: nobody noticed"; exit 1; else echo "$$b: seen"; fi; done

corpus: ## Go's source tree through the log and back, SHA-256 equal
	$(GO) test -tags ring4 -count=1 -timeout 20m -v -run GoSourceTree ./localstack/ring4/

differential: ## the same requests to a real Kafka and to Firn; needs mvn and Java 17
	$(GO) run ./localstack/differential

FUZZTIME ?= 20s
fuzz: ## every fuzz target for FUZZTIME
	@set -e; for p in $$($(GO) list ./...); do for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
	  echo "== $$p $$f"; $(GO) test -run '^$$' -fuzz "^$$f$$" -fuzztime $(FUZZTIME) $$p; done; done

bench: ## the raw store and Firn in one run
	$(GO) run ./localstack/bench

bench-failover: ## what clients notice when one of three brokers goes, on MinIO and with puts of 30 ms more
	$(GO) run ./localstack/failover -partitions 10,1000,10000
	$(GO) run ./localstack/failover -partitions 10,1000,10000 -put-delay 30ms

bench-scale: ## 100,000 partitions on real brokers, a million in catalog, journal and placement
	$(GO) run ./localstack/scale
