# What can be done here. "make" alone lists it.

GO      ?= go
VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo dev)
LDFLAGS := -X main.version=$(VERSION)

# Arguments for "make run", such as ARGS='--xmpp-listen :5235'.
ARGS ?=

# How long "make fuzz" gives each target.
FUZZTIME ?= 10s

# Where "make profile" puts what it finds.
PROFILES ?= $(CURDIR)/bin/profiles

# The linters, from the module proxy. staticcheck runs every check, those of style included.
STATICCHECK ?= honnef.co/go/tools/cmd/staticcheck@v0.8.2
GOVULNCHECK ?= golang.org/x/vuln/cmd/govulncheck@v1.9.0

# What "make cross" builds for.
PLATFORMS ?= linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

# The race detector needs cgo and a C compiler. Where there is none the tests run without it, and say so.
RACE := $(shell test "$$($(GO) env CGO_ENABLED)" = 1 && command -v "$$($(GO) env CC)" >/dev/null && echo -race)

.DEFAULT_GOAL := help
.PHONY: help build run test short lint vuln cross race guard bench profile fuzz fmt vet clean interop e2e spec redis

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z0-9]+:.*## / { printf "  make %-7s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## build bin/ccs
	$(GO) build -ldflags '$(LDFLAGS)' -o bin/ccs ./cmd/ccs

run: build ## build, then start a server on ./data
	bin/ccs serve $(ARGS)

test: vet redis ## run every test, with the race detector where it works
	$(if $(RACE),,@echo 'no C compiler: the tests run without the race detector' >&2)
	$(GO) test $(RACE) -shuffle=on -timeout 15m ./...

# What "make short" leaves out: packages that kill processes and run Redis, and tests of damage and of long waits.
SLOW_PACKAGES = cmd/ccs|ccs/ccstest|ccs/load|store/redisstore|store/redisstore/redistest
SLOW_TESTS = ^TestStore|^TestASmallDisk|^TestMarksAreBounded|^TestTorn|^TestADisk|^TestEveryStringIsKnown|^TestFlippedBits|^TestTheEndOfTheLog|^TestLoad

short: ## run the fast tests, between two edits
	$(GO) test -short -timeout 2m -skip '$(SLOW_TESTS)' $$($(GO) list ./... | grep -vE '/($(SLOW_PACKAGES))$$')
	$(GO) test -short -timeout 1m -run '^Test(Docs|Readme|Config)' ./cmd/ccs
	$(GO) test -short -timeout 1m -run '^Test(RoundTrip|Upstream|Receipt|DrainByCommand|TheLifeOfARegistration|DeviceMovesBetweenXMPPAndMCS)$$' ./ccs/ccstest

lint: ## look for mistakes and bad style: staticcheck, and the rules of style.md that a program can check
	@test -z "$$(gofmt -l $$(git ls-files '*.go'))" || { gofmt -l $$(git ls-files '*.go'); echo 'gofmt would change these: make fmt' >&2; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags interop ./ccs/ccstest
	$(GO) vet -tags e2e ./ccs/ccstest
	$(GO) run $(STATICCHECK) -checks all ./...
	$(GO) run $(STATICCHECK) -checks all -tags interop ./ccs/ccstest
	$(GO) run $(STATICCHECK) -checks all -tags e2e ./ccs/ccstest
	$(GO) run ./ccs/internal/proselint

vuln: ## look for known vulnerabilities in dependencies (needs a way to vuln.go.dev)
	@$(GO) run $(GOVULNCHECK) ./... || { echo 'make vuln: a vulnerability was found, or the database at https://vuln.go.dev could not be read; the lines above say which' >&2; exit 1; }

cross: ## build for Linux, macOS and Windows on amd64 and arm64, into bin/cross
	@set -e; for p in $(PLATFORMS); do \
		os=$${p%/*}; arch=$${p#*/}; ext=; test $$os = windows && ext=.exe; echo "$$p"; \
		GOOS=$$os GOARCH=$$arch CGO_ENABLED=0 $(GO) build -trimpath ./...; \
		GOOS=$$os GOARCH=$$arch CGO_ENABLED=0 $(GO) build -trimpath -ldflags '$(LDFLAGS)' -o bin/cross/ccs-$$os-$$arch$$ext ./cmd/ccs; \
	done

interop: ## run third-party clients (Go, Node, Java, Debian's Python) against a server, and print what each can do
	testdata/interop/install.sh
	$(GO) vet -tags interop ./ccs/ccstest
	$(GO) test -tags interop -run '^TestInterop' -count=1 -timeout 10m -v ./ccs/ccstest

e2e: ## run unmodified devices (Debian's Chromium, an npm receiver) against a server, and print what each did
	testdata/e2e/install.sh
	$(GO) vet -tags e2e ./ccs/ccstest
	$(GO) test -tags e2e -run '^TestEndToEnd' -count=1 -timeout 5m -v ./ccs/ccstest

spec: ## list the sections of the specification with the tests that cover each
	$(GO) run ./ccs/internal/speccover

race: redis ## run every test with the race detector, or fail
	$(GO) test -race -shuffle=on -timeout 15m ./...

bench: ## run the benchmarks
	$(GO) test -run '^$$' -bench . -benchmem ./...

guard: ## check that a message has not become dearer, in memory and processor time
	$(GO) test -run '^TestAMessageCostsLittle$$' -count=1 -v ./ccs/ccstest

profile: ## profile a server under load, into PROFILES (bin/profiles)
	mkdir -p $(PROFILES)
	$(GO) test -run '^$$' -bench 'Server/(Downstream|Away|Upstream)$$' -benchtime 5s -o bin/ccstest.test ./ccs/ccstest -args -serverprofile $(PROFILES)
	@for p in $(PROFILES)/*.cpu.pprof; do echo "$$p"; $(GO) tool pprof -top bin/ccstest.test $$p 2>/dev/null | head -20; done

fuzz: ## fuzz every target for FUZZTIME (10s)
	@set -e; for p in $$($(GO) list ./...); do \
		for f in $$($(GO) test -list '^Fuzz' $$p | grep '^Fuzz' || true); do \
			echo "$$p $$f"; \
			$(GO) test -run '^$$' -fuzz "^$$f\$$" -fuzztime $(FUZZTIME) $$p; \
		done; \
	done

fmt: ## format the code
	$(GO) fmt ./...

vet: ## look for mistakes that compile, and for what does not build on Windows
	$(GO) vet ./...
	GOOS=windows $(GO) build ./...

redis: ## install redis-server, which the tests start, if it is missing
	testdata/redis/install.sh

clean: ## remove what was built; ./data stays
	rm -rf bin
