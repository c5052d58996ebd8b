# Everything here is also a plain command; make only saves typing.
GO ?= go
FUZZTIME ?= 20s

.PHONY: check test race fuzz bench versus interop durability cross

check: ## what every commit must pass
	$(GO) vet ./...
	$(GO) tool staticcheck ./...
	$(GO) test ./...

test:
	$(GO) test ./...

race:
	$(GO) test -race ./...

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
