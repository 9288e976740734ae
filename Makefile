# What a person types. The stages, and what each depends on, are in dodo.py.
PYTHON ?= python3.11
BIN := .venv/bin
DOIT := $(BIN)/doit -n 2
# One thread per process: the pages run beside each other, and two threads at small batch sizes are slower than one.
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help book test zip pdf lint clean lock

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

book: .venv/installed  ## run the notebooks that changed, render the book: _build/html/index.html
	@$(DOIT) book

test: .venv/installed  ## render the book, then run every test
	@$(DOIT) test

zip: .venv/installed  ## the book as one file to hand on: _build/batchtime-book.zip
	@$(DOIT) zip

pdf: .venv/installed  ## the book on paper, printed by Chromium: _build/batchtime-book.pdf
	@$(DOIT) pdf

lint: .venv/installed  ## style, types, layers, spelling, prose
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/codespell
	@$(BIN)/proselint check --config .proselintrc.json book notebooks README.md CONTRIBUTING.md data/README.md

clean:  ## remove what the commands made, but not .venv and not recorded runs
	rm -rf _build book/runs data/cache/runs .doit.json

lock:  ## resolve the dependencies afresh into requirements.lock
	$(PYTHON) -m venv --clear _build/lock
	_build/lock/bin/pip install --quiet '.[book,dev]'
	@head -1 requirements.lock >_build/lock/fresh
	@# No local label such as +cpu: on every machine pip takes the build that is usual there.
	@_build/lock/bin/pip freeze --exclude batchtime | sed 's/+[a-z0-9.]*$$//' >>_build/lock/fresh
	mv _build/lock/fresh requirements.lock

# requirements.lock is the whole environment, so the package itself adds nothing to it.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' || \
		{ echo "Python 3.11 is needed; name yours: make $(MAKECMDGOALS) PYTHON=/path/to/python3.11"; exit 1; }
	@echo "Installing the environment into .venv (some minutes, once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/python -m pip install --quiet --requirement requirements.lock
	@$(BIN)/python -m pip install --quiet --no-deps --editable .
	@touch $@
