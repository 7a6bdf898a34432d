# Two commands for a newcomer: `make demo` and `make test`.  Each makes .venv and installs what it needs.

VENV := .venv
BIN := $(VENV)/bin
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11; do \
	$$p -c 'import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null \
	&& command -v $$p && break; done)

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo test lint types manifest pytest docs coverage format screenshots bench peers lock clean

help: ## show these lines
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z]+):.*## /  make \1\t/' | expand -t 20

demo: $(VENV)/.installed-all ## sort and review the built-in sample (without a display: write tables and pictures)
	$(BIN)/napari-diffraction demo

test: lint types manifest docs pytest ## everything that must hold before a change goes in

lint: $(VENV)/.installed-dev ## style, and that imports run downwards only
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/lint-imports

types: $(VENV)/.installed-dev ## mypy --strict
	$(BIN)/mypy

manifest: $(VENV)/.installed-dev ## the napari manifest
	$(BIN)/npe2 validate napari-diffraction --imports

docs: $(VENV)/.installed-dev ## build the documentation into docs/_build; warnings are errors
	$(BIN)/sphinx-build -W --keep-going -q -b html docs docs/_build/html

pytest: $(VENV)/.installed-dev ## the tests; a GUI test that cannot run counts as failed
	NAPARI_DIFFRACTION_NEED_GUI=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

coverage: $(VENV)/.installed-dev ## the tests, and which lines of the program they run
	NAPARI_DIFFRACTION_NEED_GUI=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --cov --cov-report=term $(TESTS)

format: $(VENV)/.installed-dev ## tidy up the sources
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

screenshots: $(VENV)/.installed-dev ## take the pictures of the documentation from the real program
	$(BIN)/python docs/screenshots.py

bench: $(VENV)/.installed-dev ## one table of speed, beside that of other programs (after `make peers`)
	$(BIN)/python benchmarks/bench.py $(if $(SCAN),--scan $(SCAN))

# They need Python 3.11 or 3.12, which uv finds or fetches.
peers: $(VENV)/.installed-dev ## install the programs that we are compared with, into .venv-peers
	$(BIN)/uv venv --allow-existing --python '>=3.11,<3.13' .venv-peers
	$(BIN)/uv pip install --python .venv-peers/bin/python -r benchmarks/peers/requirements.txt

lock: $(VENV)/.installed-dev ## choose the newest versions anew
	.ci/lock $(BIN) > requirements.lock.new
	mv requirements.lock.new requirements.lock

clean: ## remove the environment and whatever was built
	rm -rf $(VENV) build dist docs/_build docs/gallery .mypy_cache .ruff_cache .pytest_cache

# --- the environment: made once, and again when what is asked for changes -------------------------

$(VENV)/pyvenv.cfg:
	@test -n "$(PYTHON)" || { echo "Python 3.11, 3.12 or 3.13 is needed: install it, or name it with make PYTHON=..."; exit 1; }
	PYTHON=$(PYTHON) .ci/system-packages
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet uv || echo "no uv to be had: installing with pip, which is slower"

$(VENV)/.installed-all: pyproject.toml requirements.lock | $(VENV)/pyvenv.cfg
	.ci/install $(BIN) all
	@touch $@

$(VENV)/.installed-dev: pyproject.toml requirements.lock | $(VENV)/pyvenv.cfg
	.ci/install $(BIN) dev
	@touch $@ $(VENV)/.installed-all
