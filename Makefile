# What a person types. The stages, and what each depends on, are in dodo.py.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
# The first of these that is one of the Pythons that the book was tried with; or yours: make book PYTHON=/path/to/python3
PYTHON ?= $(shell for one in python3 python3.13 python3.12 python3.11; do \
	"$$one" -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null && echo "$$one" && break; done)
BIN := .venv/bin
DOIT := $(BIN)/doit -n 2
# One thread per process: the pages run beside each other, and two threads at small batch sizes are slower than one.
export OMP_NUM_THREADS ?= 1

# pip's many lines, as one for each twenty packages.
define TELL
awk '/^Collecting/ { if (++n % 20 == 0) { print "  " n " packages found"; fflush() } } \
/^Installing collected/ { print "  unpacking them"; fflush() } /^Successfully/ { print "  installed" }'
endef

.DEFAULT_GOAL := help
.PHONY: help book test full zip pdf lint clean lock

help:  ## list the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-6s %s\n", $$1, $$2 }' Makefile

book: .venv/installed  ## run the notebooks that changed, render the book: _build/html/index.html
	@$(DOIT) book

test: .venv/installed  ## render the book, then run the tests
	@$(DOIT) test

full: book  ## run what `make test` leaves out: the same promises in larger numbers
	@$(BIN)/python -m pytest -m full $(if $(SHARE),--share $(SHARE)) --numprocesses 2 --dist worksteal --durations 15

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

clean:  ## remove what the commands made, but neither .venv nor any run, recorded or your own
	rm -rf _build book/runs .doit.json

lock:  ## resolve the dependencies afresh into requirements.lock
	@$(PYTHON) -m venv --clear _build/lock
	@_build/lock/bin/pip install --quiet uv
	@_build/lock/bin/uv pip compile --quiet --universal --python-version 3.11 --extra book --extra dev --upgrade \
		--no-header --no-annotate --output-file _build/lock/fresh pyproject.toml
	@# What a build of torch for GPUs needs beside it comes with that build; where torch is one for the CPU, none of it.
	@{ head -2 requirements.lock; grep -vE '^(cuda|nvidia|triton)[a-z0-9-]*==' _build/lock/fresh; } >_build/lock/lock
	@mv _build/lock/lock requirements.lock

# requirements.lock is the whole environment, so the package itself adds nothing to it.
.venv/installed: requirements.lock pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed; name yours: make $(MAKECMDGOALS) PYTHON=/path/to/python3"; exit 1; }
	@echo "Installing the environment into .venv: $$(grep -c == requirements.lock) packages, some minutes, once"
	@$(PYTHON) -m venv .venv
	@PYTHONUNBUFFERED=1 $(BIN)/python -m pip install --progress-bar off --requirement requirements.lock | $(TELL)
	@$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@$(BIN)/python -c 'import torchvision' 2>/dev/null || $(BIN)/python .ci/mend_torchvision.py
	@touch $@
