# The commands of the project. `make demo` and `make test` install what is missing first.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c

# Everything that is built or downloaded lies in the cache, so that a fresh clone finds it again.
export STATEHOUSE_CACHE ?= $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/statehouse
export CARGO_TARGET_DIR ?= $(STATEHOUSE_CACHE)/target

# RocksDB is built once, by scripts/rocksdb, and linked by every build. Without these variables cargo compiles it.
export ROCKSDB_LIB_DIR ?= $(STATEHOUSE_CACHE)/rocksdb-11.8.1
export ROCKSDB_STATIC ?= 1
# Where scripts/rocksdb puts libclang if the system has none. An empty LIBCLANG_PATH would hide the system's.
cached_libclang := $(wildcard $(STATEHOUSE_CACHE)/libclang/clang/native)
ifneq ($(cached_libclang),)
export LIBCLANG_PATH ?= $(cached_libclang)
export BINDGEN_EXTRA_CLANG_ARGS ?= -I$(shell cc -print-file-name=include)
endif

STATEHOUSE := $(CARGO_TARGET_DIR)/release/statehouse

.PHONY: help setup servers build binary which demo test check unit examples integration soak soak-swaps bench fmt

help: ## shows this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

setup: ## installs what is missing for building the host and guests
	@scripts/setup

# What comes after set-up is another make: it sees what set-up has installed.
build: setup ## builds the release binary
	@$(MAKE) --no-print-directory binary

binary:
	@cargo build --release --locked -p statehouse-server

which: ## prints the release binary's path
	@echo $(STATEHOUSE)

demo: build ## the flights of 2013, from download to results
	@STATEHOUSE=$(STATEHOUSE) scripts/demo

test: setup ## everything that CI runs
	@$(MAKE) --no-print-directory check unit examples integration

check: ## formatting and lints
	cargo fmt --all --check
	cargo fmt --manifest-path tests/guests/Cargo.toml --check
	cargo fmt --manifest-path tests/ledgers/Cargo.toml --all --check
	cargo fmt --manifest-path bench/guest/Cargo.toml --check
	cargo clippy --locked --workspace --all-targets -- -D warnings

servers: ## installs the servers that tests of stores run against
	@scripts/servers

unit: servers ## unit tests, simulation and house rules
	cargo test --locked --workspace --exclude statehouse-tests
	cargo test --locked -p statehouse-tests --test sim --test tidy

examples: ## the examples' own tests, without wasm
	cargo fmt --manifest-path examples/wordcount/Cargo.toml --check
	cargo test --locked --manifest-path examples/wordcount/Cargo.toml
	cargo fmt --manifest-path examples/flights/Cargo.toml --check
	cargo test --locked --manifest-path examples/flights/Cargo.toml
	cargo fmt --manifest-path examples/nexmark/Cargo.toml --check
	cargo test --locked --manifest-path examples/nexmark/Cargo.toml

integration: ## the binary and real guests, end to end
	cargo build --locked -p statehouse-server
	cargo test --locked -p statehouse-tests --test it

soak: ## long simulation; SEED=… RUNS=… choose which
	STATEHOUSE_SIM_SEED=$(or $(SEED),1000000) STATEHOUSE_SIM_RUNS=$(or $(RUNS),20000) \
	  cargo test --locked --release -p statehouse-tests --no-default-features --test sim -- --nocapture

soak-swaps: setup ## many random swaps of a running job; SEED=… SWAPS=… choose which
	cargo build --locked -p statehouse-server
	STATEHOUSE_SWAPS_SEED=$(or $(SEED),1) STATEHOUSE_SWAPS=$(or $(SWAPS),1000) \
	  cargo test --locked -p statehouse-tests --test it -- --nocapture swaps::random

bench: build ## the figures of docs/benchmarks.md
	cargo bench --locked -p statehouse-state --bench heap
	cargo bench --locked -p statehouse-state --bench rocks
	cargo bench --locked -p statehouse-connectors --bench generator
	$(STATEHOUSE) bench boundary
	$(STATEHOUSE) bench sum --records 30000000 --keys 100000
	$(STATEHOUSE) bench sum --records 30000000 --keys 100000 --checkpoint-interval off
	$(STATEHOUSE) bench sum --records 30000000 --keys 100000 --parallelism 2
	$(STATEHOUSE) bench sum --records 30000000 --keys 5000000
	$(STATEHOUSE) bench sum --records 30000000 --keys 100000 --backend rocksdb
	$(STATEHOUSE) bench sum --records 10000000 --keys 5000000 --backend rocksdb --value-bytes 200
	$(STATEHOUSE) bench state
	$(STATEHOUSE) bench windows
	$(STATEHOUSE) bench windows --keys 10000 --density 20
	$(STATEHOUSE) bench checkpoint
	$(STATEHOUSE) bench swap --schema same
	$(STATEHOUSE) bench swap --schema changed
	$(STATEHOUSE) bench swap --state 1GB --schema changed --swaps 20
	cargo bench --locked -p statehouse-checkpoint --bench packs

fmt: ## formats everything
	cargo fmt --all
	cargo fmt --manifest-path examples/wordcount/Cargo.toml
	cargo fmt --manifest-path examples/flights/Cargo.toml
	cargo fmt --manifest-path examples/nexmark/Cargo.toml
	cargo fmt --manifest-path tests/guests/Cargo.toml
	cargo fmt --manifest-path tests/ledgers/Cargo.toml --all
	cargo fmt --manifest-path bench/guest/Cargo.toml
