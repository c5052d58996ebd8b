# Everything here is also a plain command; make only saves typing.
GO ?= go
FUZZTIME ?= 20s

.PHONY: check test race fuzz bench bench-exchange bench-crdt versus interop durability soak broken exact converge

check: ## what every commit must pass
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test ./...

test:
	$(GO) test ./...

# Timers of a synctest bubble that fire on two processors at once crash the race detector
# (golang/go#78156), so packages with bubbles get one processor: as many packages run at
# once as there are processors, and what no lock orders is found all the same. What merges
# has no goroutines: of its thousands of schedules some are enough here.
race:
	@set -e; list=$$($(GO) list -f '{{.ImportPath}} {{.TestImports}} {{.XTestImports}}' ./... | grep -v '/crdttest '); \
	bubbles='/testground| testing/synctest|[[]testing/synctest'; \
	$(GO) test -race -timeout 20m -cpu 1 $$(echo "$$list" | grep -E "$$bubbles" | cut -d' ' -f1); \
	$(GO) test -race -timeout 20m $$(echo "$$list" | grep -vE "$$bubbles" | cut -d' ' -f1); \
	$(GO) test -race ./crdt/crdttest -converge.schedules 300

# Every fuzz target of the module, one after the other.
fuzz:
	@set -e; for pkg in $$($(GO) list ./...); do \
		for target in $$($(GO) test -list '^Fuzz' $$pkg | grep '^Fuzz' || true); do \
			echo "$$pkg $$target"; \
			$(GO) test -run '^$$' -fuzz "^$$target\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 1x $$pkg; \
		done; \
	done

bench:
	$(GO) test -run '^$$' -bench . -benchmem ./...

# Side by side with Kubo. The wide-area rows need an emulator of one, which makes
# the namespaces lab0 and lab1: make versus WAN="wanlab -n 2 -rtt 50ms -up 100mbit -down 100mbit"
versus:
	$(GO) run ./testground/versus -out docs/benchmarks/versus.md $(if $(WAN),-wan "$(WAN)")

# The exchange against what the lines allow, and boxo's, in simulated networks.
bench-exchange:
	$(GO) run ./testground bench -out docs/benchmarks/exchange.md

# Documents beside Yjs, Loro and Automerge, which npm installs and Node.js 20 runs, and go-ds-crdt.
bench-crdt:
	$(GO) run ./testground/versus/crdt -out docs/benchmarks/crdt.md

# Real Kubo peers, built by Go from a module of their own.
interop:
	cd testground/interop && $(GO) test -count=1 -timeout 15m .

# Crashes, power cuts, flipped bits, full disks: the full counts.
durability:
	$(GO) test -count=1 -timeout 30m ./testground/durability -durability.full
	$(GO) test -count=1 -timeout 30m ./blockstore/disk -run '^(TestPowerLoss|TestKill|TestBitFlips)$$' -args -times 40
	$(GO) test -count=1 -timeout 30m ./blockstore/disk -run '^TestModel$$' -rapid.checks 200

# Random simulations, most of them with faults of all kinds, until one fails:
# make soak MINUTES=60 JOBS=2
MINUTES ?= 10
JOBS ?= 1
RUNS ?= 0
soak:
	$(GO) run ./testground soak -det -minutes $(MINUTES) -runs $(RUNS) -jobs $(JOBS) $(if $(SEED),-seed $(SEED))

# Documents that merge: 100,000 schedules, and builds with a mistake each, which they find.
FIRST ?= 0
converge:
	$(GO) test -count=1 -timeout 3h ./crdt/crdttest -converge.first $(FIRST) -converge.schedules 100000 -converge.broken

# Builds with a mistake each, which a simulation must find.
broken:
	$(GO) run ./testground broken

# The same seed, the same run: of machines, and with a runtime that the seed decides of
# whole nodes. Without it, measures that are alike. A quarter of an hour of one processor.
CHURN = churn -set minutes=2 -set loss=0.02
exact:
	$(GO) test -count=1 -run '^(TestSameSeed|TestOnlookers)$$' ./testground/machine
	$(GO) test -count=1 -timeout 30m ./testground/det -det.full
	$(GO) run ./testground run $(CHURN) -peers 100 -det -times 10
	$(GO) run ./testground run $(CHURN) -peers 300 -det -times 3
	$(GO) run ./testground run mixed-faults -peers 20 -det -times 3
	$(GO) run ./testground run mixed-faults -peers 20 -det -schedules 1..20
	$(GO) run ./testground run churn -set loss=0.02 -times 3
	$(GO) run ./testground run gossip -set loss=0.02 -times 3
