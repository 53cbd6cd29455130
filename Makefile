# Everything from a fresh clone: each target makes .venv as far as it needs it.
PYTHON ?= python3
BIN := .venv/bin
# Tests run in two processes: one leaves the second core idle, and more would need gigabytes.
SPREAD := --numprocesses=2 --dist=worksteal

.PHONY: train test test-lowest explain bench docs browser proof gpu-check lint

## train: GoogLeNet learns from 20,000 real images, one epoch; `$(BIN)/python googlenet.py` for all 60,000
train: .venv/.run
	$(BIN)/python googlenet.py --train-limit 20000 --epochs 1 --batch-size 64

## test: the whole test suite
test: .venv/.test
	$(BIN)/python -m pytest $(SPREAD)

## test-lowest: the tests again, with the lowest versions that setup.cfg allows, in .venv-lowest
test-lowest: .venv-lowest/.test
	.venv-lowest/bin/python -m pytest $(SPREAD)

## explain: one step of a fresh GoogLeNet as a page to walk through, explained/index.html
explain: .venv/.run
	$(BIN)/python googlenet.py explain

## bench: every kernel, verified and timed on GoogLeNet's shapes
bench: .venv/.test
	$(BIN)/python -m benchmarks kernels

## docs: the course as pages, in build/docs
docs: .venv/.docs
	$(BIN)/python -m sphinx -q -W -b html docs build/docs

## browser: Chromium, in which `make test` tries the explorer's pages; from Debian's or Ubuntu's packages, as root
browser:
	@command -v chromium chromium-browser google-chrome > /dev/null || { apt-get update -qq && \
		DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends chromium > /dev/null; }

## proof: what `make test` needs besides to prove the GPU path without a card: NVIDIA's compiler, CuPy, cuBLAS (600 MB)
proof: .venv/.proof

## gpu-check: all that only a machine with an NVIDIA card can show, in gpu-check.md; CuPy must be installed before
gpu-check: .venv/.test
	$(BIN)/python -m benchmarks gpu-check

## lint: style and types
lint: .venv/.lint
	$(BIN)/ruff check .
	$(BIN)/mypy

.venv/.python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and "minigrad needs Python 3.10 or newer; this is " + sys.version.split()[0] + ". Name another one: make PYTHON=python3.12 ...")'
	$(PYTHON) -m venv .venv
	@touch $@

.venv/.run: .venv/.python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

.venv/.test: .venv/.python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[test,torch]'
	@touch $@

.venv-lowest/.test: setup.cfg pyproject.toml
	$(PYTHON) -m venv .venv-lowest
	sed -En 's/^ +([A-Za-z0-9-]+) >= ([0-9.]+).*/\1==\2/p' setup.cfg > .venv-lowest/lowest.txt
	.venv-lowest/bin/python -m pip install --quiet -c .venv-lowest/lowest.txt -e '.[test,torch]'
	@touch $@

.venv/.docs: .venv/.python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[docs]'
	@touch $@

.venv/.proof: .venv/.python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[test,torch,proof]'
	@touch $@

.venv/.lint: .venv/.python setup.cfg pyproject.toml
	$(BIN)/python -m pip install --quiet -e '.[test,lint]'
	@touch $@
