# Everything a developer or CI runs. `make help` lists it. Needs Go; what else is needed is fetched, by version, into
# .tools, which git ignores. Only the check of generated code wants npm too, and says so where it is missing.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules --no-print-directory

GO ?= go
TOOLS := $(CURDIR)/.tools
BIN := $(CURDIR)/bin

# Packages that are tested at once. Tests of timing want a machine to themselves, so more is not better.
P ?= 2

# What `make sim` runs with: its heaps are a few MB, and the collector took a third of the time.
TEST_GOGC ?= 400

# Inputs that `make test` gives to each fuzz target. A number and not a time, because Go's fuzzer now and then calls the
# end of its time a failure.
FUZZ_INPUTS ?= 5000

# How many clusters `make sim` simulates, and from which seed on. `make soak` takes as many as asked too.
SEEDS ?= 2000
FROM ?= 1

# How long `make fuzz` tries each target and `make soak` each limit, and how often `make bench` runs each benchmark.
FUZZ_TIME ?= 1m
SOAK_TIME ?= 10m
BENCH_COUNT ?= 6
BENCH ?= .

# What "make release" and "make docker" say that they build, and the name of the image.
VERSION ?= $(shell git describe --tags --match 'v[0-9]*' 2>/dev/null || echo v0.1.0-dev)
COMMIT ?= $(shell git describe --always --abbrev=40 --match=none --dirty 2>/dev/null)
DATE ?= $(shell TZ=UTC git log -1 --format=%cd --date=format-local:%Y-%m-%dT%H:%M:%SZ 2>/dev/null)
IMAGE ?= noria:local

# Tools and their versions. staticcheck v0.8.2 is the release also called 2026.1.2; benchstat has no releases.
GOFUMPT_VERSION := v0.12.0
STATICCHECK_VERSION := v0.8.2
BENCHSTAT_VERSION := v0.0.0-20260908200009-22c9c6c9d4da
PROTOC_GEN_GO_VERSION := v1.36.12
PROTOC_GEN_GO_GRPC_VERSION := v1.6.2
GRPCURL_VERSION := v1.9.4
GHZ_VERSION := v0.121.0
GOLANGCI_LINT_VERSION := v2.15.0
BUF_VERSION := 1.75.0

.DEFAULT_GOAL := help

##@ Use

.PHONY: build
build: ## Build bin/noria.
	$(GO) build -trimpath -o $(BIN)/noria ./cmd/noria

.PHONY: run
run: build ## Build and run three gateways in one process before a small upstream, with lines to type next.
	@exec $(BIN)/noria fleet --nodes 3 --demo

##@ Test

.PHONY: test
test: lint check-generated unit sim e2e fuzz-briefly bench-once ## Everything CI checks.

.PHONY: unit
unit: ## All tests but those with real processes, under the race detector.
	$(GO) test -race -timeout 30m -p $(P) $$($(GO) list ./... | grep -vE '/e2e(/interop)?$$')
	cd e2e/compare && GOWORK=off $(GO) vet ./... && GOWORK=off $(GO) test ./...
	@$(MAKE) deploy-check

.PHONY: deploy-check
deploy-check: ## Manifests, chart, image, Compose file and systemd unit, as far as that goes without a cluster.
	cd cmd/noria/deploy/check && GOWORK=off $(GO) vet ./... && GOWORK=off $(GO) test ./...

.PHONY: sim
sim: ## Simulated clusters, SEEDS of them from FROM on, through crashes, cuts and moves: without the race detector many more.
	GOGC=$(TEST_GOGC) $(GO) test -count=1 -timeout 0 ./cluster/core -run 'TestSim|TestPlanted|TestSameStory|TestCost|Missed|TestForget' -seeds $(SEEDS) -from $(FROM)
	GOGC=$(TEST_GOGC) $(GO) test -count=1 -timeout 10m ./cluster -run 'TestCost|TestExact|TestChangesForgetNothing|TestDenialNeverWrong|TestJoinsLeakNothing'
	GOGC=$(TEST_GOGC) $(GO) test -count=1 -timeout 10m ./transport/peer -run TestClusterExact

.PHONY: e2e
e2e: tool-grpcurl tool-ghz ## Tests with real processes, built with the race detector too, of the README's lines, and with real SDKs.
	E2E_GRPCURL=$(TOOLS)/grpcurl E2E_GHZ=$(TOOLS)/ghz E2E_RACE=1 $(GO) test -race -count=1 -timeout 20m -p 1 ./e2e ./e2e/interop

.PHONY: fuzz-briefly
fuzz-briefly: ## Every fuzz target with FUZZ_INPUTS inputs.
	@$(call each-fuzz,$(FUZZ_INPUTS)x,$(P),1)

.PHONY: fuzz
fuzz: ## Every fuzz target for FUZZ_TIME.
	@$(call each-fuzz,$(FUZZ_TIME),1,$$(getconf _NPROCESSORS_ONLN))

.PHONY: soak
soak: sim tool-grpcurl ## The simulated clusters, and the tests with real processes, with limits watched for SOAK_TIME.
	E2E_GRPCURL=$(TOOLS)/grpcurl E2E_RACE=1 $(GO) test -race -count=1 -timeout 0 -v ./e2e -skip TestGoodput -steady $(SOAK_TIME) -soak
	$(GO) test -count=1 -timeout 10m -v ./e2e -run TestGoodput -soak
	$(GO) test -count=1 -timeout 30m ./cluster -run TestJoinsLeakNothing -joins 1000

##@ Measure

.PHONY: bench-once
bench-once: ## Every benchmark once: do they still run?
	$(GO) test -run '^$$' -bench . -benchtime 1x -p $(P) $$($(GO) list ./... | grep -v '/e2e')

.PHONY: bench
bench: tool-benchstat ## Benchmarks that match BENCH, BENCH_COUNT times, summed up; new.txt becomes old.txt.
	@mkdir -p $(BIN)
	@if [[ -e $(BIN)/bench-new.txt ]]; then mv $(BIN)/bench-new.txt $(BIN)/bench-old.txt; fi
	$(GO) test -run '^$$' -bench '$(BENCH)' -count $(BENCH_COUNT) -p 1 $$($(GO) list ./... | grep -v '/e2e') | tee $(BIN)/bench-new.txt
	@cd $(BIN) && $(TOOLS)/benchstat $$(ls bench-old.txt 2>/dev/null) bench-new.txt

.PHONY: compare
compare: ## Noria beside the limiters that people would pick instead, in one run of a quarter of an hour.
	cd e2e/compare && GOWORK=off $(GO) run .

##@ Code

.PHONY: format
format: tool-gofumpt ## Rewrite Go files as gofumpt wants them.
	$(TOOLS)/gofumpt -w .

.PHONY: lint
lint: tool-gofumpt tool-staticcheck ## gofumpt, go vet and staticcheck: quick.
	@unformatted=$$($(TOOLS)/gofumpt -l .); if [[ -n $$unformatted ]]; then \
		printf 'not formatted, run "make format":\n%s\n' "$$unformatted" >&2; exit 1; fi
	$(GO) vet ./...
	$(TOOLS)/staticcheck ./...

.PHONY: lint-all
lint-all: lint tool-golangci-lint ## lint and golangci-lint, which takes minutes to build.
	$(TOOLS)/golangci-lint run ./...

.PHONY: generate
generate: tool-buf tool-protoc-gen-go tool-protoc-gen-go-grpc ## Rewrite *.pb.go from the .proto files.
	cd transport && $(TOOLS)/node_modules/.bin/buf generate

.PHONY: check-generated
check-generated: ## Is *.pb.go what the .proto files say?
ifeq ($(shell command -v npm),)
	@echo 'check-generated: skipped, because npm, which brings buf, is not installed; CI has it'
else
	@$(MAKE) tool-buf tool-protoc-gen-go tool-protoc-gen-go-grpc
	@fresh=$$(mktemp -d); trap 'rm -rf "$$fresh"' EXIT; \
	(cd transport && $(TOOLS)/node_modules/.bin/buf lint && $(TOOLS)/node_modules/.bin/buf generate -o "$$fresh"); \
	(cd transport && find . -name '*.pb.go' | sort) | diff - <(cd "$$fresh" && find . -name '*.pb.go' | sort) && \
	(cd "$$fresh" && find . -name '*.pb.go') | while read -r file; do diff -u "transport/$$file" "$$fresh/$$file"; done || \
	{ echo 'generated code differs from its .proto files, run "make generate"' >&2; exit 1; }
	@echo 'check-generated: *.pb.go is what the .proto files say'
endif

##@ Ship

.PHONY: release
release: ## Archives for Linux and macOS with version, completions, lists of components and checksums, into dist.
	GO=$(GO) VERSION=$(VERSION) COMMIT=$(COMMIT) DATE=$(DATE) cmd/noria/deploy/release.sh dist

.PHONY: release-check
release-check: ## Build a release for this machine twice: is it the same, and all there?
	cd cmd/noria/deploy/check && GOWORK=off $(GO) test -count=1 -timeout 30m . -run TestRelease -release

.PHONY: deploy-update
deploy-update: ## Write the plain manifests anew, from the Helm chart with its defaults.
	cd cmd/noria/deploy/check && GOWORK=off $(GO) test . -run TestPlain -update

.PHONY: docker
docker: ## Build the image IMAGE, which is noria:local by default, with docker.
	docker build -f cmd/noria/deploy/docker/Dockerfile -t $(IMAGE) \
		--build-arg VERSION=$(VERSION) --build-arg COMMIT=$(COMMIT) --build-arg DATE=$(DATE) .

##@ Else

.PHONY: clean
clean: ## Remove what was built. Tools stay; rm -r .tools removes them.
	rm -rf $(BIN) dist e2e/artifacts
	find . -name '*.test' -type f -not -path './.tools/*' -delete

.PHONY: help
help: ## List all of this.
	@awk 'BEGIN { FS = ":.*## " } \
		/^##@ / { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  make %-16s %s\n", $$1, $$2 }' Makefile

# each-fuzz runs every fuzz target of the module for $(1), a time or a number of inputs, $(2) of them at once with $(3) workers each.
# A package is built once for all its targets. What a target says is printed when it ends.
define each-fuzz
built=$$(mktemp -d); trap 'rm -rf "$$built"' EXIT; number=0; kept=$$($(GO) env GOCACHE)/fuzz; \
$(GO) list -f '{{if or .TestGoFiles .XTestGoFiles}}{{.ImportPath}} {{.Dir}}{{end}}' ./... | while read -r package dir; do \
	targets=$$(cat "$$dir"/*_test.go | sed -nE 's/^func (Fuzz[A-Za-z0-9_]*)\(.*/\1/p'); \
	if [[ -z $$targets ]]; then continue; fi; \
	number=$$((number + 1)); $(GO) test -c -fuzz . -o "$$built/$$number.test" "$$package" </dev/null; \
	for target in $$targets; do echo "$$package $$dir $$built/$$number.test $$target"; done; \
done >"$$built/targets"; \
xargs -P $(2) -L 1 bash -c 'cd "$$1" || exit 255; status=0; \
	said=$$("$$2" -test.run "^$$" -test.fuzz "^$$3\$$" -test.fuzztime $(1) -test.fuzzminimizetime 100x -test.parallel $(3) \
		-test.fuzzcachedir "'"$$kept"'/$$0" </dev/null 2>&1) || status=1; \
	printf "fuzz %s %s\n%s\n" "$$0" "$$3" "$$said"; exit $$status' <"$$built/targets"
endef

# go-tool makes the target tool-NAME, which installs package $(2) at version $(3) as $(1), unless that is there already
# and was built by this Go: staticcheck and golangci-lint cannot read code for a newer Go than their own.
define go-tool
.PHONY: tool-$(1)
tool-$(1):
	@have=$$$$($$(GO) version -m $$(TOOLS)/$(1) 2>/dev/null || true); \
	if [[ $$$$have != *": $$$$($$(GO) env GOVERSION)"* ]] || ! grep -qE '^[[:space:]]mod[[:space:]][^[:space:]]+[[:space:]]$(3)' <<<"$$$$have"; then \
		echo 'installing $(1) $(3)'; GOBIN=$$(TOOLS) GOFLAGS=-buildvcs=false $$(GO) install $(2)@$(3); fi
endef
$(eval $(call go-tool,gofumpt,mvdan.cc/gofumpt,$(GOFUMPT_VERSION)))
$(eval $(call go-tool,staticcheck,honnef.co/go/tools/cmd/staticcheck,$(STATICCHECK_VERSION)))
$(eval $(call go-tool,benchstat,golang.org/x/perf/cmd/benchstat,$(BENCHSTAT_VERSION)))
$(eval $(call go-tool,protoc-gen-go,google.golang.org/protobuf/cmd/protoc-gen-go,$(PROTOC_GEN_GO_VERSION)))
$(eval $(call go-tool,protoc-gen-go-grpc,google.golang.org/grpc/cmd/protoc-gen-go-grpc,$(PROTOC_GEN_GO_GRPC_VERSION)))
$(eval $(call go-tool,grpcurl,github.com/fullstorydev/grpcurl/cmd/grpcurl,$(GRPCURL_VERSION)))
$(eval $(call go-tool,ghz,github.com/bojand/ghz/cmd/ghz,$(GHZ_VERSION)))
$(eval $(call go-tool,golangci-lint,github.com/golangci/golangci-lint/v2/cmd/golangci-lint,$(GOLANGCI_LINT_VERSION)))

.PHONY: tool-buf
tool-buf:
	@if [[ $$($(TOOLS)/node_modules/.bin/buf --version 2>/dev/null || true) != $(BUF_VERSION) ]]; then \
		echo 'installing buf $(BUF_VERSION)'; \
		npm install --silent --no-save --no-audit --no-fund --prefix $(TOOLS) @bufbuild/buf@$(BUF_VERSION); fi
