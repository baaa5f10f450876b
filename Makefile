# Every target calls `setup`; the commands run inside .venv. `make help` lists what a person uses.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOCKS := requirements/build.txt requirements/dev.txt
STAMP := $(VENV)/.installed-$(shell cat $(LOCKS) pyproject.toml | sha256sum | cut -c1-16)
COMPILE := $(BIN)/uv pip compile --generate-hashes --no-emit-index-url --no-header --no-annotate -q --python-version 3.11
CHECKS := check-format check-types check-tests
PURE_ROOMS := model runtimes analysis decision trial
PACKAGES := trimtab_api trimtab_operator trimtab_replay trimtab_cli trimtab_agent trimtab_engine

.PHONY: bench-compare rivals-sweep help setup lock generate format check check-format check-types check-tests check-loops coverage machine mutate test demo demo-controls cluster-up cluster-status cluster-down kubeconfig clean

help: ## list the targets
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/  \1|\2/' | column -t -s '|'

setup: $(STAMP) ## make .venv from the hash locks

$(STAMP):
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Trimtab needs Python 3.11 or newer; set PYTHON=...")'
	@echo "setup: installing the locked packages into $(VENV) (first time: a few minutes, 5 GB with torch)"
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install -q --disable-pip-version-check --require-hashes -r requirements/build.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --require-hashes -r requirements/dev.txt -r requirements/build.txt
	@$(BIN)/uv pip install -q --python $(BIN)/python --no-deps --no-build-isolation -e .
	@touch $@

lock: ## renew the hash locks from pyproject.toml
	@$(COMPILE) --group build -o requirements/build.txt
	@$(COMPILE) pyproject.toml --all-extras -o requirements/dev.txt
	@$(COMPILE) pyproject.toml --extra operator --extra agent -c requirements/dev.txt -o requirements/control.txt
	@$(COMPILE) pyproject.toml --extra engine -c requirements/dev.txt -o requirements/engine.txt
	@$(COMPILE) pyproject.toml --extra demo --no-deps -c requirements/dev.txt -o requirements/demo.txt
	@for rival in mosec litserve bentoml ray infinity onnx dynamo; do \
	    $(COMPILE) --excludes requirements/rivals/excluded.in requirements/rivals/$$rival.in \
	        -o requirements/rivals/$$rival.txt; \
	done

generate: setup ## write crds/*.yaml, the chart's copies and the generated reference pages
	@$(BIN)/python -m trimtab_api.generate
	@$(BIN)/python charts/sync_crds.py
	@$(BIN)/python charts/generate_reference.py

format: setup ## format the code
	@$(BIN)/ruff format -q . && $(BIN)/ruff check -q --fix .

check: setup ## format, lint, types, import contracts, unit tests (two minutes)
	@$(MAKE) --no-print-directory -j 2 --output-sync=target $(CHECKS)

check-format: setup
	@$(BIN)/ruff format -q --check .
	@$(BIN)/ruff check -q .

check-types: setup
	@$(BIN)/mypy $(addprefix -p ,$(PACKAGES)) -p dev -p bench
	@$(BIN)/lint-imports >/dev/null || $(BIN)/lint-imports

check-tests: setup
	@$(BIN)/pytest -q tests/unit tests/architecture

check-loops: setup
	@$(BIN)/pytest -q tests/loop tests/replay

coverage: setup ## every branch of the pure rooms is tested
	@$(BIN)/pytest -q $(addprefix tests/unit/,$(PURE_ROOMS)) $(addprefix --cov=trimtab_operator.,$(PURE_ROOMS)) \
	    --cov-branch --cov-report=term-missing:skip-covered --cov-fail-under=100

machine: setup ## the operator as a state machine for 10^5 steps (hours; goes on where it was stopped)
	@PYTHONPATH=tests $(BIN)/python -m loop.long_run

mutate: setup ## what share of small changes of the rooms that decide the unit tests notice (an hour or more; goes on)
	@$(BIN)/python -m dev.mutation

test: setup ## everything that runs on one machine, `check` among it; installs what it needs
	@$(MAKE) --no-print-directory -j 2 --output-sync=target check-loops $(CHECKS) coverage
	@$(BIN)/python -m dev.cluster up
	@$(BIN)/python -m dev.cluster images
	@$(BIN)/pytest tests $(addprefix --ignore=tests/,unit architecture loop replay)

demo: setup ## real cluster, real traffic, two policies; prints what happens and tables
	@$(BIN)/python -m dev.demo

demo-controls: setup ## the demo's tuning where it must not, or hardly, help; after `make demo`
	@$(BIN)/python -m dev.demo.controls

cluster-up: setup ## start the local Kubernetes
	@$(BIN)/python -m dev.cluster up

cluster-status: setup ## what runs of it
	@$(BIN)/python -m dev.cluster status

cluster-down: setup ## stop it and leave nothing behind
	@$(BIN)/python -m dev.cluster down

kubeconfig: setup ## print the path of its kubeconfig
	@$(BIN)/python -m dev.cluster kubeconfig

bench-compare: setup ## OLD=a.json NEW=b.json: fails where a figure lost over 5 % outside noise
	@$(BIN)/python -m bench.compare $(OLD) $(NEW)

rivals-sweep: setup ## choose the settings of every contender of bench.scaling anew, 32 tries each
	@$(BIN)/python -m bench.scaling.sweep

bench-%: setup ## one published figure, for example bench-footprint
	@$(BIN)/python -m bench.$*

clean: ## remove what builds left in the checkout
	@rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
