# `make` lists the targets. `make ci` is the gate every change must pass.

GO     ?= go
PYTHON ?= python3
TOOL   := $(GO) tool -modfile=.ci/tools.mod

# Of `make bench`, `make fuzz`, `make chaos` and `make zero`: how often, which, how long.
COUNT         ?= 1
BENCH         ?= .
FUZZTIME      ?= 10s
CHAOS_SECONDS ?= 300
# Of `make bench-growth`: deployments:events.
GROWTH        ?= 1:10000,1000:10000,1:1000000,1000:1000000,100000:1000000

# Of `make bench-ceiling`: one load, or full.
CEILING       ?= one

# Of `make large`: bytes.
LARGE         ?= 2147483648

.DEFAULT_GOAL := help
.PHONY: help build test ci lint format generate bench bench-growth bench-ceiling large fuzz chaos zero fixtures compare interop python

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

build: ## build bin/slipway, static
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/slipway

test: ## run the tests
	$(GO) test ./...

ci: ## run the whole gate, as CI does
	.ci/run

lint: ## run the linters
	$(TOOL) golangci-lint run ./...

format: ## format the code
	$(TOOL) golangci-lint fmt ./...

generate: ## write again what is generated
	$(GO) generate ./...

bench: ## run the benchmarks; BENCH=regexp, COUNT=10 for benchstat
	$(GO) test -run '^$$' -bench '$(BENCH)' -benchmem -count $(COUNT) ./...

bench-growth: ## how cost grows with GROWTH=deployments:events,...; takes minutes and 10 GB of disk
	GROWTH=$(GROWTH) $(GO) test -run '^$$' -bench '^BenchmarkGrowth$$' -benchtime 1x -count $(COUNT) -timeout 0 ./cmd/slipway

bench-ceiling: ## the product against the bare loop of the same JetStream operations; CEILING=full for the table
	CEILING=$(CEILING) $(GO) test -run '^$$' -bench '^BenchmarkCeiling$$' -benchtime 1x -timeout 0 ./worker | grep -vE '^(PASS|ok|goos|goarch|pkg|cpu)'

large: ## memory and speed of an artifact of LARGE=2147483648 bytes; takes minutes and 10 GB of disk
	LARGE=$(LARGE) $(GO) test -run '^$$' -bench '^BenchmarkLarge$$' -benchtime 1x -count $(COUNT) -timeout 0 ./artifacts/bucket

fuzz: ## fuzz one target: PKG=./events TARGET=FuzzDecode FUZZTIME=5m
	$(GO) test -run '^$$' -fuzz '^$(TARGET)$$' -fuzztime $(FUZZTIME) $(PKG)

chaos: ## kill processes at random for CHAOS_SECONDS=300; CHAOS_SEED=n chooses as an earlier run did
	@log=$$(mktemp); trap 'rm -f "$$log"' EXIT; \
	CHAOS_SECONDS=$(CHAOS_SECONDS) CHAOS_SEED=$(CHAOS_SEED) $(GO) test -run '^TestChaos$$' -v -count=1 -timeout 0 ./cmd/slipway 2>&1 | tee "$$log"; \
	grep '^chaos: ' "$$log" | tail -n 1; grep -q '^ok' "$$log"

zero: ## replace models and kill prediction servers for CHAOS_SECONDS=300 while predictions go on: none may fail
	CHAOS_SECONDS=$(CHAOS_SECONDS) CHAOS_SEED=$(CHAOS_SEED) $(GO) test -run '^TestZeroInterruption$$' -v -count=1 -timeout 0 ./cmd/slipway

compare: ## time the runtimes against the XGBoost, LightGBM and ONNX Runtime that $(PYTHON) has
	$(PYTHON) serving/predict/xgboost/testdata/compare/compare.py
	$(PYTHON) serving/predict/lightgbm/testdata/compare/compare.py
	$(PYTHON) serving/predict/onnx/testdata/compare.py
	$(GO) test -run '^$$' -bench Run ./serving/predict/onnx

fixtures: ## write the model fixtures again with the libraries that $(PYTHON) has; see the scripts
	$(PYTHON) serving/predict/xgboost/testdata/generate.py
	$(PYTHON) serving/predict/lightgbm/testdata/generate.py
	$(PYTHON) serving/predict/onnx/testdata/sklearn_models.py
	$(PYTHON) serving/predict/onnx/testdata/runtime_models.py
	$(PYTHON) cmd/slipway/demo/train.py

interop: ## run the tests of contracts in git against git's own server
	SLIPWAY_TEST_GIT_HTTP_BACKEND="$$(git --exec-path)/git-http-backend" $(GO) test -count 1 ./contract/git

python: ## run the programs of examples/python against slipway up; VENV=folder keeps the environment they need
	CGO_ENABLED=0 $(GO) build -trimpath -o bin/ ./cmd/slipway
	$(PYTHON) examples/python/check.py bin/slipway $(VENV)
