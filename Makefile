.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help deps demo test check faults bench peers lock clean
PYTHON ?= python3
JOBS ?= 3
BIN := .venv/bin
unexport PYTHONDONTWRITEBYTECODE  # else each of the many processes compiles everything it imports

help:  ## show this list
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# Each set contains the one before it: runtime, demo, test, check. One .venv serves them all and only grows.
.venv/.uv: requirements/uv.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Landbridge needs Python 3.11 or newer: make PYTHON=python3.12 ...")'
	@echo "Making .venv" >&2
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements/uv.txt
	@touch $@

.venv/.%: requirements/%.txt requirements/peers.txt pyproject.toml .venv/.uv
	@echo "Installing the $* set into .venv" >&2
	@rm -f .venv/.demo .venv/.test .venv/.check
	@$(BIN)/uv pip sync --quiet --python $(BIN)/python --require-hashes --only-binary :all: requirements/uv.txt requirements/$*.txt
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --no-index --editable .
	@case $* in test|check) \
		$(BIN)/uv pip install --quiet --python $(BIN)/python --no-build-isolation --no-deps --require-hashes -r requirements/peers.txt;; esac
	@case $* in check) touch .venv/.demo .venv/.test;; test) touch .venv/.demo;; esac
	@touch $@

deps: .venv/.check  ## make .venv with everything a contributor needs

demo: .venv/.demo  ## run the whole story on this machine (ARGS="--json")
	@$(BIN)/landbridge demo $(ARGS)

test: .venv/.test  ## run the tests (ARGS="-k pull")
	@$(BIN)/python -m pytest -n $(JOBS) $(ARGS)

check: .venv/.check  ## format, lint, types, import contracts, documentation that runs
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python -m tests.docs_run

faults bench peers: .venv/.test
	@ONLY="$(ONLY)" N="$(N)" SEED="$(SEED)" JSON="$(JSON)" WRITE="$(WRITE)" $(BIN)/python -m tests.$@

faults: ## break it on purpose, count what was lost (ONLY=W01,F N=ci|medium|NUMBER JSON=file WRITE=1)
bench:  ## measure it (ONLY= N=smoke|medium|NUMBER JSON=file WRITE=1)
peers:  ## run it against servers that others wrote (ONLY= N= JSON=file)

lock: .venv/.uv  ## rewrite requirements/*.txt (ARGS=--upgrade)
	@$(BIN)/python requirements/lock.py $(ARGS)

clean:  ## remove .venv and what tools left behind
	@rm -rf .venv .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache build dist
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
