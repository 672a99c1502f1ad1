# Two commands set everything up on a fresh Debian machine with Go: `make demo` and `make test`.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GO          ?= go
BINARY      := anabranch
STATICCHECK := .tools/staticcheck

# What each program's Debian package is called. The race detector needs a C compiler.
NEED_REDIS := redis-server:redis-server
NEED_SENTINEL := redis-sentinel:redis-sentinel
NEED_TOOLS := redis-cli:redis-tools redis-benchmark:redis-tools openssl:openssl
NEED_CC    := gcc:gcc,libc6-dev
NEED_HAPROXY := haproxy:haproxy
# A browser for the dashboard, and Prometheus's own tool for the rules.
NEED_OBSERVE := chromium:chromium promtool:prometheus
# The client libraries that tests/clients runs. Node.js may have come with npm or without.
NEED_CLIENTS := import-redis:python3-redis node:nodejs npm:npm
# What reads or runs the examples: units, scripts, and a whole site in network namespaces.
NEED_EXAMPLES := systemd-analyze:systemd shellcheck:shellcheck keepalived:keepalived ip:iproute2 unshare:util-linux

FUZZ_SECONDS  ?= 30
BENCH_SECONDS ?= 5
BENCH_FLAGS   ?=
SEED          ?=
MINUTES       ?= 10
FAULTS        ?=
RUNS          ?= 20

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the one binary, ./anabranch
	$(GO) build -o $(BINARY) ./cmd/anabranch

.PHONY: release
release: ## Static binaries for amd64 and arm64, in archives with documentation and examples, in dist/
	scripts/release.sh dist

.PHONY: demo
demo: need-redis build ## Two regions, concurrent writes of every type, and how they merge (DEMO_FLAGS=--keep stays up)
	./$(BINARY) demo $(DEMO_FLAGS)

.PHONY: check
check: format vet lint unit ## Fast: gofmt, vet, staticcheck, unit tests with the race detector

.PHONY: test
test: need-redis need-sentinel need-tools need-clients need-observe need-haproxy need-consul need-examples format vet lint full manifests allocations smoke ## All that CI runs: check, tests against real servers, demo
	@echo "make test: all passed"

.PHONY: fuzz
fuzz: ## Fuzz every parser for FUZZ_SECONDS (30) each
	@scripts/fuzz.sh $(FUZZ_SECONDS)

.PHONY: nemesis
nemesis: need-cc need-redis ## Three regions under random load and faults for MINUTES (10), by SEED (random); FAULTS=a,b chooses
	NEMESIS_SEED=$(SEED) NEMESIS_MINUTES=$(MINUTES) NEMESIS_FAULTS=$(FAULTS) \
		$(GO) test -race -count=1 -timeout 0 -v -run TestThreeRegionsUnderAllFaults ./tests/nemesis

.PHONY: failover
failover: need-redis need-sentinel ## Fail-overs by real Sentinels under load: RUNS (20) times each kind, with p50 and maximum
	FAILOVER_RUNS=$(RUNS) $(GO) test -count=1 -timeout 0 -v -run 'TestFailOver$$|TestPlannedFailOver' ./tests/sentinel

.PHONY: bench
bench: need-redis need-tools ## Throughput, latency and CPU against plain Redis, as a markdown table (BENCH_SECONDS=5 per row)
	$(GO) run ./bench --seconds $(BENCH_SECONDS) $(BENCH_FLAGS)

.PHONY: clean
clean: ## Remove what was built
	rm -rf $(BINARY) dist .tools

# The parts of check and test.

.PHONY: format vet lint unit full manifests allocations smoke need-redis need-sentinel need-tools need-cc need-clients need-observe need-haproxy need-consul need-examples

format:
	@unformatted=$$(gofmt -l $$(git ls-files -co --exclude-standard '*.go' 2>/dev/null || find . -name '*.go')); \
	if [ -n "$$unformatted" ]; then echo "gofmt -w these:"; echo "$$unformatted"; exit 1; fi

vet:
	$(GO) vet ./...

# ST1005 wants errors in lower case; those that a client sees are Redis's own words, which begin with a code in capitals.
lint: $(STATICCHECK)
	$(STATICCHECK) -checks inherit,-ST1005 ./...

# The version is pinned in a module of its own, so that a linter's dependencies stay out of ours.
$(STATICCHECK): scripts/tools/go.mod scripts/tools/go.sum
	$(GO) build -C scripts/tools -o $(CURDIR)/$(STATICCHECK) honnef.co/go/tools/cmd/staticcheck
	@touch $@

# Packages beside their code; those under tests/ run whole regions for minutes, and belong to make test.
unit: need-cc need-redis need-sentinel need-haproxy
	$(GO) test -race -short -timeout 5m $$($(GO) list ./... | grep -v '/tests/')

full: need-cc need-haproxy need-consul need-examples
	$(GO) test -race -timeout 30m ./...

# A module of its own, because of what it needs to read a Dockerfile, compose and Kubernetes.
manifests: $(STATICCHECK) need-redis
	$(GO) vet -C tests/manifests ./...
	cd tests/manifests && ../../$(STATICCHECK) -checks inherit,-ST1005 ./...
	$(GO) test -C tests/manifests -timeout 10m ./...

# Promises of zero allocation are tests too, but the race detector allocates on its own.
allocations:
	$(GO) test -run 'Alloc' -timeout 5m ./...

# The programs as a person would run them: the demo checks every merged result, the benchmark that it still runs.
smoke: build
	./$(BINARY) demo
	$(GO) run ./bench --seconds 0.2 --quick

need-redis:
	@scripts/install-missing.sh $(NEED_REDIS)

need-sentinel:
	@scripts/install-missing.sh $(NEED_SENTINEL)

need-tools:
	@scripts/install-missing.sh $(NEED_TOOLS)

need-cc:
	@scripts/install-missing.sh $(NEED_CC)

need-clients:
	@scripts/install-missing.sh $(NEED_CLIENTS)

need-observe:
	@scripts/install-missing.sh $(NEED_OBSERVE)

need-haproxy:
	@scripts/install-missing.sh $(NEED_HAPROXY)

need-examples:
	@scripts/install-missing.sh $(NEED_EXAMPLES)

# There is no Debian package: it is built once, which takes minutes, and kept in .tools.
need-consul:
	@scripts/build-consul.sh
