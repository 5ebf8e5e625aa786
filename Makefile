# The two commands that matter: make demo, make test. Each makes .venv first, once.
PYTHON ?= $(shell command -v python3.11 || echo python3)
BIN := .venv/bin
# The packages that start a bare `python` or `pip` must find ours.
export PATH := $(CURDIR)/$(BIN):$(PATH)
PACKAGES := schemas models serving components pipeline
CODE := $(PACKAGES) tests benchmarks tools deploy examples notebooks setup.py

.PHONY: help demo test test-long check env doctor lint format types lock clean

help:
	@echo 'make demo       train on digits, judge, publish, serve, and ask the served model'
	@echo 'make test       everything: lint, types, unit, contract and end-to-end tests'
	@echo 'make test-long  what takes too long for every change'
	@echo 'make check      lint, types and the fast tests'
	@echo 'make doctor     can this machine run Sightline?'
	@echo 'make lock       resolve the requirements anew'
	@echo 'make clean      remove the environment and what was built; runs and data stay'

env:
	@$(PYTHON) tools/environment.py

demo: env
	@$(BIN)/sightline run pipeline/configs/digits.yaml

test: lint types
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder -m 'not long'

test-long: env
	$(BIN)/python -m pytest -m long

check: lint types
	$(BIN)/python -m pytest -n 2 --dist loadfile -m 'not slow and not long' tests/unit tests/contract

lint: env
	$(BIN)/ruff check $(CODE)
	$(BIN)/ruff format --check --quiet $(CODE)

format: env
	$(BIN)/ruff check --fix --quiet $(CODE)
	$(BIN)/ruff format --quiet $(CODE)

types: env
	$(BIN)/mypy $(PACKAGES)

doctor: env
	@$(BIN)/sightline doctor

LOCK := .venv/bootstrap/bin/uv pip compile --python-version 3.11 \
  --python-platform x86_64-manylinux_2_40 --generate-hashes --no-header --no-annotate --quiet
lock: env
	$(LOCK) requirements/runtime.in -o requirements/runtime.txt
	$(LOCK) requirements/cuda.in -o requirements/cuda.txt
	$(LOCK) requirements/dev.in -o requirements/dev.txt
	$(LOCK) requirements/bootstrap.in -o requirements/bootstrap.txt
	$(LOCK) deploy/server/requirements.in -o deploy/server/requirements.txt

# What can be made again; runs and data are somebody's work.
clean:
	rm -rf .venv build
