# rampmeter: one entry point for everything. `make help` lists the targets.

CARGO ?= cargo
# Measured traces and tables, if they are there: some checks hold the simulator against them.
export RAMPMETER_SHARED ?= $(abspath $(dir $(firstword $(MAKEFILE_LIST)))../shared)

# `make bench BENCH=quick` measures fewer sizes.
BENCH ?= all
BENCHES := --package rampmeter-bench
TARGET := $(or $(CARGO_TARGET_DIR),target)
FIGURES := RAMPMETER_BENCH=$(BENCH) \
    $(CARGO) run --release --locked --quiet $(BENCHES) --bin figures --

# The runner must be of the version that the benches are built with.
RUNNER := gungraun-runner $(shell \
    awk -F '"' '/^name = "gungraun-runner"$$/ { getline; print $$2 }' Cargo.lock)
COUNTS := $(TARGET)/instructions.jsonl
BASELINE := benches/instructions.toml

# Each Rust target once without and once with policy documents: both ship.
CORE := --package rampmeter
LINTS := -- --deny warnings

.DEFAULT_GOAL := help
.PHONY: help demo ablation test bench lint fmt clippy unit nostd deny shared
.PHONY: instructions instructions-update install header c c-docs py overhead abi-update fuzz test-integrations

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-19s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## one engine, rising load, policies side by side: prints a table, writes report.html
	$(CARGO) run --release --locked --package rampmeter-cli -- highway --report report.html

test: fmt clippy unit nostd c c-docs py instructions deny shared ## everything that must pass before a change is taken

ablation: ## the same traffic with one key of the policy changed at a time
	cd examples/ablation && $(CARGO) run --release --locked --package rampmeter-cli -- highway \
	    --load 0.9,1,1.2 --seeds 3 --show gains --policy rampmeter,$$(echo *.toml | tr ' ' ',')

bench: ## wall-clock of the hot paths next to a simple peer, and their budgets (BENCH=quick: less)
	RAMPMETER_BENCH=$(BENCH) $(CARGO) bench --locked $(BENCHES) --bench batch --bench outcome \
	    --bench share --bench route --bench gate --bench place --bench cycle
	@$(FIGURES) table $(TARGET)/criterion

instructions: ## instruction counts of the hot paths, held against the committed baseline
	@if ! command -v valgrind >/dev/null; then \
	    echo "valgrind is not installed: instruction counts not checked"; \
	elif [ "$$(gungraun-runner --version 2>/dev/null)" != "$(RUNNER)" ]; then \
	    echo "$(RUNNER) is not installed: instruction counts not checked"; \
	else \
	    $(MAKE) --no-print-directory $(COUNTS) && $(FIGURES) gate $(COUNTS) $(BASELINE); \
	fi

instructions-update: $(COUNTS) ## write that baseline anew
	@$(FIGURES) update $(COUNTS) $(BASELINE)

# Counted anew each time: cargo knows what has changed, make does not.
.PHONY: $(COUNTS)
$(COUNTS):
	@mkdir -p $(TARGET)
	$(CARGO) bench --locked $(BENCHES) --bench instructions -- \
	    --output-format=json --parallel=auto >$@

lint: fmt clippy deny ## formatting, lints, licences

fmt:
	$(CARGO) fmt --all --check
	$(CARGO) fmt --manifest-path tests/nostd/Cargo.toml --check
	$(CARGO) fmt --manifest-path tests/overhead/Cargo.toml --check

clippy:
	$(CARGO) clippy --workspace --all-targets --locked $(LINTS)
	$(CARGO) clippy $(CORE) --all-targets --locked $(LINTS)
	$(CARGO) clippy --manifest-path tests/nostd/Cargo.toml --release --locked $(LINTS)

# `--workspace` unites features, so that the core is tested with documents; then its rooms without.
unit:
	$(CARGO) build $(CORE) --no-default-features --locked
	$(CARGO) test --workspace --locked
	$(CARGO) test $(CORE) --locked --lib
	$(CARGO) test $(CORE) --locked --release --test allocation

nostd: ## the core without std, linked into a C program, and no allocation after construction
	tests/nostd/run.sh

install: ## the C library: headers, static and shared library, packages (PREFIX=, DESTDIR=, LIBDIR=)
	CARGO='$(CARGO)' packaging/install.sh

header: ## write include/rampmeter.h anew from its sources
	$(CARGO) run --quiet --locked --package rampmeter-header

c: ## the C ABI: header, layout, symbols, examples under the checkers, packages
	CARGO='$(CARGO)' tests/c/run.sh

c-docs: ## the C header as HTML in target/c-docs; fails on what is not documented
	@if command -v doxygen >/dev/null; then mkdir -p target && doxygen docs/Doxyfile; \
	else echo "doxygen is not installed: C reference not made"; fi

py: ## the Python wheel: every CPython here, style, types, integrations, source distribution
	tests/python/run.sh

overhead: ## nanoseconds and instructions that a call from C takes on top of the same from Rust
	CARGO='$(CARGO)' tests/overhead/run.sh

test-integrations: ## what needs other people's software, from PyPI: Triton, Ray, vLLM (6 GB)
	CARGO='$(CARGO)' tests/triton/run.sh
	tests/ray/run.sh
	tests/vllm/run.sh

.PHONY: overhead-python overhead-vllm
overhead-python: ## what calls take from Python on top of the same from Rust (with a release wheel installed)
	python3 benches/python/overhead.py

overhead-vllm: ## the tests in vLLM, and what steering adds to a step of its scheduler
	tests/vllm/run.sh measure

fuzz: ## the C ABI under drawn calls for half an hour (FUZZ_SECONDS=, FUZZ_SEED=)
	CARGO='$(CARGO)' tests/c/fuzz.sh $(or $(FUZZ_SECONDS),1800) $(or $(FUZZ_SEED),1) verbose

.PHONY: tsan
tsan: ## how a poller hands snapshots over, under ThreadSanitizer (x86-64, rustc of rustup)
	CARGO='$(CARGO)' tests/c/tsan.sh

abi-update: header ## take the ABI as it is for the one that must not change
	CARGO='$(CARGO)' packaging/abi.sh

deny:
	@if $(CARGO) deny --version >/dev/null 2>&1; then \
	    $(CARGO) deny --locked --log-level error check bans licenses sources; \
	else \
	    echo "cargo-deny is not installed: licences and sources not checked"; \
	fi

# Say which it was: tests pass with and without the data, but they do not show the same.
shared:
	@if [ -d "$$RAMPMETER_SHARED/traces" ]; then \
	    echo "test: with shared data from $$RAMPMETER_SHARED"; \
	else \
	    echo "test: without shared data (none at $$RAMPMETER_SHARED): real-data checks not run"; \
	fi

# Peers at the best chunk for each load, and as engines ship them; measured traces if they are
# there, generated ones otherwise.
.PHONY: gains pressure clients routers routing placement-contest
COMMAND := $(CARGO) run --release --locked --package rampmeter-cli --
ENGINE := llama-3.1-8b
CODE_TRACE := $(wildcard $(RAMPMETER_SHARED)/traces/azure-llm-2023/AzureLLMInferenceTrace_code.csv)
CLIENTS_TRACE := $(wildcard $(RAMPMETER_SHARED)/traces/vtc/results_overload/FCFS.csv)
CODE := $(if $(CODE_TRACE),replay serving --trace $(CODE_TRACE):azure --engine $(ENGINE),\
    highway --preset code --engine $(ENGINE))
CLIENTS := $(if $(CLIENTS_TRACE),replay serving --trace $(CLIENTS_TRACE):vtc --engine $(ENGINE),\
    highway --engine $(ENGINE))
CHUNK := chunk=256/384/512/1024/2048
TUNED := fcfs+$(CHUNK),sarathi+$(CHUNK),vtc+$(CHUNK),priority+$(CHUNK),priority+triage+$(CHUNK)
GAINS := --load 0.6,0.8,0.9,1.0,1.2 --seeds 3 --show gains --policy $(TUNED),fcfs,rampmeter
COMMA := ,
EMPTY :=
SPACE := $(EMPTY) $(EMPTY)

gains: ## what the policy gains over tuned peers: chat with mix a, code with mix b, three seeds
	$(COMMAND) highway --preset chat --mix a $(GAINS)
	$(COMMAND) $(CODE) --mix b $(GAINS)

# 2,500 blocks are 40,000 tokens, a fifteenth of what the engine has.
pressure: ## a KV cache that is far too small: work done twice, by policy
	$(COMMAND) highway --preset chat --mix a --kv-blocks 2500 --load 0.9,1.3 --seeds 3 \
	    --show memory --policy $(subst $(SPACE),$(COMMA),$(strip \
	    fcfs past-future rampmeter $(sort $(wildcard examples/pressure/*.toml))))

clients: ## two clients in overload, one with twice the requests: service difference, and its bound
	$(COMMAND) $(CLIENTS) --mix pair --load 1.5 --show fairness \
	    --policy fcfs,vtc,vtc+output-cost=5,rampmeter,examples/ablation/credit-0.toml

routers: ## eight routers that tell each other what they served, beside one ledger for all
	$(CARGO) run --release --locked --package rampmeter-sim --example routers 60

routing: ## six routers in front of four replicas: prefixes, loads, a slow replica, a failing one
	$(CARGO) run --release --locked --package rampmeter-sim --example routers_contest

# SENSITIVITY="SEEDS NAME VALUE...": a constant of the default measure, and what it could be.
sensitivity: ## what the default measure of placement allocates with one of its constants changed
	tools/sensitivity.sh $(SENSITIVITY)

# CONTEST="SEEDS DAYS LIST FIRST_SEED TABLES": see the example.
placement-contest: ## placement and hold rules by load, on a cluster that interactive and batch work share
	$(CARGO) run --release --locked --package rampmeter-sim --example placement_contest $(CONTEST)
