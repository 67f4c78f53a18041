# Every habit has a target. `make help` lists them.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
CLUSTER := tests/cluster
CACHE ?= $(or $(SECUREMODEL_CACHE),$(HOME)/.cache/securemodel)
VENV := .venv
PY := $(VENV)/bin
CHECKOUT := $(shell printf '%s' "$(CURDIR)" | sha256sum | cut -c1-8)
CARGO := CARGO_TARGET_DIR=$(CACHE)/target/$(CHECKOUT) cargo
# tests have a folder of their own: the player that they build is not the one that images are made of
CARGO_TEST := CARGO_PROFILE_RELEASE_LTO=off CARGO_TARGET_DIR=$(CACHE)/target/$(CHECKOUT)/tests cargo test --release --locked -q
PLAYER := --manifest-path worker_image/player/Cargo.toml
LOAD := --manifest-path tests/bench/load/Cargo.toml
FUZZ_CRATE := --manifest-path worker_image/player/fuzz/Cargo.toml
HOST := x86_64-unknown-linux-gnu
FUZZ := http frames agreement lists program shares
# one allocation may take 64 MB and the whole process 512, whatever an input claims; the longest input is 8 KB
FUZZ_LIMITS := -max_len=8192 -timeout=5 -malloc_limit_mb=64 -rss_limit_mb=512
MINUTES ?= 1
# one clock and one count of steps over all scripts (tests/cluster/env.sh)
ifndef SECUREMODEL_BEGAN
export SECUREMODEL_BEGAN := $(shell date +%s)
endif
export SECUREMODEL_STEPS := $(if $(filter demo,$(MAKECMDGOALS)),9,$(if $(filter up,$(MAKECMDGOALS)),8))
PYTHON_SOURCES := operator/src client/src worker_image/share/src tests examples

.PHONY: help demo test test-long unit e2e flaky lint style contracts types clippy chart check quick audit format bench fuzz sanitize up down build python clean golden version

help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /  make \1\t/' | expand -t 18

demo: up ## a bare machine to private predictions: cluster, operator, example model, a table of results
	@$(CLUSTER)/in $(PY)/python tests/cluster/demo.py

test: lint unit e2e ## everything, the end-to-end tests on a real cluster included

unit: build ## tests that need no cluster: Rust, Python, and three real players as processes
	$(CARGO_TEST) $(PLAYER)
	$(CARGO_TEST) $(PLAYER) -p securemodel-player --features audit --test keys
	$(CARGO_TEST) $(LOAD)
	@bash $(CLUSTER)/tfe-ops.sh
	$(PY)/pytest -q tests/unit tests/contract tests/trio tests/bench tests/repository

test-long: ## privacy tests with fresh seeds; minutes
	SECUREMODEL_LONG=1 $(CARGO_TEST) $(PLAYER) -p securemodel-mpc --lib -- --nocapture --test-threads=1 tests::exact tests::views tests::leaks tests::repeats

flaky: build ## every test file 20 times or for 10 minutes beside a busy machine; hours (FLAKY="--runs 3 peers trio", FLAKY=--help)
	@bash $(CLUSTER)/tfe-ops.sh
	@$(PY)/python tests/flaky.py $(FLAKY)

e2e: up ## end-to-end tests on the cluster
	@$(CLUSTER)/in $(PY)/pytest -q tests/e2e tests/cluster

lint: style contracts types clippy chart ## ruff, rustfmt, builds for any processor, import contracts, no circle of Rust modules, mypy, clippy, helm lint

style: python
	@! git grep -nE '(march|mtune|mcpu)=native|target-cpu=["]?nativ[e]' -- . || { echo "what is built here runs elsewhere: name the processor levels and choose at run time"; exit 1; }
	$(PY)/ruff check $(PYTHON_SOURCES)
	$(PY)/ruff format --check $(PYTHON_SOURCES)
	cargo fmt --all --check $(PLAYER) && cargo fmt --check $(LOAD) && cargo fmt --check $(FUZZ_CRATE)

contracts: python
	$(PY)/lint-imports
	$(PY)/python tests/repository/rust_circles.py worker_image/player tests/bench/load

types: python
	$(PY)/mypy operator/src client/src worker_image/share/src

clippy:
	$(CARGO) clippy --release --locked -q --all-targets $(PLAYER) -- -D warnings
	$(CARGO) clippy --release --locked -q --all-targets $(LOAD) -- -D warnings

chart:
	@bash $(CLUSTER)/tools.sh && $(CLUSTER)/in helm lint --quiet charts/securemodel

check: python ## all that needs no cluster, no TensorFlow and no minutes: lint and the quick tests
	@source $(CLUSTER)/env.sh; for part in style contracts types clippy chart quick; do \
	    say "$$part"; \
	    $(MAKE) -s --no-print-directory $$part || die "$$part failed; 'make $$part' runs it alone"; \
	done; \
	say "all passed"

quick: python
	$(CARGO_TEST) $(PLAYER) --lib
	$(CARGO_TEST) $(LOAD)
	$(PY)/pytest -q tests/unit/operator tests/unit/client tests/unit/chart tests/repository tests/contract --ignore tests/contract/test_vectors.py

audit: ## licences, sources and known flaws of what we depend on; fails also if advisories could not be asked for (tests/repository/audit.sh)
	@bash tests/repository/audit.sh

format: python ## format Python and Rust
	$(PY)/ruff check --fix $(PYTHON_SOURCES)
	$(PY)/ruff format $(PYTHON_SOURCES)
	cargo fmt --all $(PLAYER) && cargo fmt $(LOAD) && cargo fmt $(FUZZ_CRATE)

bench: build ## latency, load, delays, cost, beside TF Encrypted; writes bench.jsonl (BENCH=--all, --report, "--only load", --cluster; docs/performance.md)
	@bash tests/bench/run.sh $(BENCH)

fuzz: ## coverage-guided fuzzing, MINUTES (1) a target; needs nightly Rust and cargo-fuzz (docs/testing.md)
	@cargo fuzz --version >/dev/null 2>&1 || { echo "cargo-fuzz is missing: cargo install cargo-fuzz --locked"; exit 1; }
	@for target in $(FUZZ); do \
	    mkdir -p $(CACHE)/fuzz/$$target; \
	    $(CARGO) +nightly fuzz run --fuzz-dir worker_image/player/fuzz $$target $(CACHE)/fuzz/$$target worker_image/player/fuzz/corpus/$$target \
	        -- -max_total_time=$$((60 * $(MINUTES))) $(FUZZ_LIMITS) -print_final_stats=1; \
	done

sanitize: ## the protocol under AddressSanitizer and its kernels under Miri; needs nightly Rust with the miri component
	RUSTFLAGS=-Zsanitizer=address $(CARGO) +nightly test --release --locked -q $(PLAYER) -p securemodel-mpc --lib --target $(HOST)
	RUSTFLAGS=-Ctarget-feature=+avx2 MIRIFLAGS=-Zmiri-disable-isolation PROPTEST_CASES=4 $(CARGO) +nightly miri test --locked -q $(PLAYER) -p securemodel-mpc --lib kernels

up: python ## a real cluster with the operator installed; kubeconfig in .cluster/kubeconfig
	@bash $(CLUSTER)/up.sh && bash $(CLUSTER)/images.sh && bash $(CLUSTER)/install.sh

down: ## delete the cluster (images stay cached)
	@bash $(CLUSTER)/down.sh

build: python ## the player's binary and the Python environment
	@bash $(CLUSTER)/player.sh

python:
	@bash $(CLUSTER)/python.sh

golden: python ## renew the golden files of the operator and the compiler, the table of layers, the chart's copy of the CRD, and the vectors of a changed program; look at the difference before you commit
	cp crds/securemodels.securemodel.dev.yaml charts/securemodel/crds/
	$(PY)/pytest -q tests/unit tests/contract --renew-golden

version: python ## tell the version, or set it in all its places: make version VERSION=1.2.3
	@$(PY)/python tests/repository/release_version.py $(VERSION)

clean: down ## delete the cluster and what was built in the checkout (the cache stays)
	rm -rf $(VENV) bench.jsonl .pytest_cache .mypy_cache .ruff_cache .hypothesis
