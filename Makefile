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
PLAYER := --manifest-path worker_image/player/Cargo.toml
PYTHON_SOURCES := operator/src client/src worker_image/share/src tests examples

.PHONY: help demo test unit e2e lint format bench up down build python clean golden

help: ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 18

demo: up ## a bare machine to private predictions: cluster, operator, example model, a table of results
	@$(CLUSTER)/in $(PY)/python tests/cluster/demo.py

test: lint unit e2e ## everything, the end-to-end tests on a real cluster included

unit: build ## tests that need no cluster: Rust, Python, and three real players as processes
	$(CARGO) test --release --locked -q $(PLAYER)
	$(PY)/pytest -q tests/unit tests/contract tests/trio

e2e: up ## end-to-end tests on the cluster
	@$(CLUSTER)/in $(PY)/pytest -q tests/e2e

lint: python ## ruff, mypy, import contracts, clippy, rustfmt, helm lint
	$(PY)/ruff check $(PYTHON_SOURCES)
	$(PY)/ruff format --check $(PYTHON_SOURCES)
	$(PY)/mypy operator/src client/src worker_image/share/src
	$(PY)/lint-imports
	cargo fmt --check $(PLAYER)
	$(CARGO) clippy --release --locked -q --all-targets $(PLAYER) -- -D warnings
	@bash $(CLUSTER)/tools.sh && $(CLUSTER)/in helm lint --quiet charts/securemodel

format: python ## format Python and Rust
	$(PY)/ruff check --fix $(PYTHON_SOURCES)
	$(PY)/ruff format $(PYTHON_SOURCES)
	cargo fmt $(PLAYER)

bench: build ## latency, bytes and hops of three processes, client to client; writes bench.jsonl (BENCH=--cluster: also apply to Ready)
	$(PY)/python tests/bench/bench.py $(BENCH)

up: python ## a real cluster with the operator installed; kubeconfig in .cluster/kubeconfig
	@bash $(CLUSTER)/up.sh && bash $(CLUSTER)/images.sh && bash $(CLUSTER)/install.sh

down: ## delete the cluster (images stay cached)
	@bash $(CLUSTER)/down.sh

build: python ## the player's binary and the Python environment
	@bash $(CLUSTER)/player.sh

python: $(VENV)/.synced

$(VENV)/.synced: pyproject.toml uv.lock operator/pyproject.toml client/pyproject.toml worker_image/share/pyproject.toml
	@bash tests/cluster/python.sh
	@touch $@

golden: python ## renew the golden files of the planner and the compiler; look at the difference before you commit
	$(PY)/pytest -q tests/unit --renew-golden

clean: down ## delete the cluster and what was built in the checkout (the cache stays)
	rm -rf $(VENV) bench.jsonl .pytest_cache .mypy_cache .ruff_cache .hypothesis
