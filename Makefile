# Every target does its own set-up: a virtual environment in .venv, and for the tests what apt-get has.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
PYTHON ?=
LIBRARY ?=
ARGS ?=
TESTS ?=
TREE ?= $(or $(TMPDIR),/tmp)/scanner-bench-tree

.PHONY: help run test lint faults bench clean

help: ## show this
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 18

run: library-named $(RUNTIME) ## LIBRARY=/path [ARGS="--quick ..."]: scan a library with the embedded defaults
	@echo "+ scanner run $$LIBRARY $(ARGS)" >&2
	@$(BIN)/scanner run "$$LIBRARY" $(ARGS)

test: $(DEV) ## every test, each service started privately [TESTS="tests/unit -k name"]
	@.ci/install-services
	$(BIN)/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $(TESTS)

faults: $(DEV) ## the tests in their full form: 30 kills, a million files (takes long)
	@.ci/install-services
	SCANNER_TEST_FULL=1 $(BIN)/python -m pytest $(TESTS)

lint: $(DEV) ## ruff, format, mypy --strict, the layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(DEV) ## 1.25 million files beside `find` [TREE=/path ARGS=...]; makes the tree once
	@.ci/install-services
	$(BIN)/python -m benchmarks.generate_tree "$(TREE)"
	$(BIN)/python -m benchmarks.scale "$(TREE)" $(ARGS)

clean: ## remove .venv and every cache (never a catalog, never the benchmark's tree)
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache build dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

export LIBRARY

.PHONY: library-named
library-named:
	@[ -n "$$LIBRARY" ] || { echo 'Which library? make run LIBRARY=/path/to/films' >&2; exit 2; }

$(BIN)/python:
	@python=$$(PYTHON="$(PYTHON)" .ci/find-python); echo "+ $$python -m venv $(VENV)" >&2; "$$python" -m venv $(VENV)

$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	@echo '+ installing scanner and what it needs into $(VENV)' >&2
	@$(PIP) install --upgrade 'pip>=25.1'
	@$(PIP) install --constraint constraints.txt --editable .
	@touch $@

$(DEV): $(RUNTIME)
	@echo '+ installing the development tools into $(VENV)' >&2
	@$(PIP) install --constraint constraints.txt --group dev
	@touch $@
