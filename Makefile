# Copyright 2026 The mmv_tf Authors.
# SPDX-License-Identifier: Apache-2.0
#
# Every target needs nothing run before it: those that need .venv make it first, from
# requirements.lock, or see in a moment that it is there. PYTHON=path chooses the Python.

PY := .venv/bin/python

.DEFAULT_GOAL := help
.PHONY: help setup quickstart test test-all lint style benchmark docs lock clean
# Handed over in the environment, so that a path may hold any character.
export FILM PYTHON TORCH

help:
	@echo 'make setup        make .venv (Python 3.11 to 3.13; PYTHON=path to choose)'
	@echo 'make quickstart   the whole job on a real film, in runs/quickstart (FILM=path: your copy of it)'
	@echo 'make test         lint, types and the quick tests'
	@echo 'make test-all     the same with the slow tests'
	@echo 'make lint         ruff and mypy'
	@echo 'make benchmark    speed and memory, in docs/measurements/performance.md (TORCH=path: a Python with PyTorch; ONLY=name)'
	@echo 'make docs         the documentation as a site, in build/docs'
	@echo 'make lock         choose new versions of everything and write requirements.lock'
	@echo 'make clean        remove what tools leave behind (not .venv, not runs/)'

setup:
	@sh tools/setup.sh

quickstart: setup
	@$(PY) -m mmv_tf quickstart $(if $(FILM),--video="$$FILM")

# One worker more than cores, since many tests wait for other processes.
WORKERS := $(shell expr $$(getconf _NPROCESSORS_ONLN) + 1)
# mypy uses one core for a minute or more, so that it runs beside the tests; it has the last word.
test: style
	@$(BESIDE_MYPY) $(PY) -m pytest -n $(WORKERS) --dist worksteal; $(THEN_MYPY)

test-all: style
	@$(BESIDE_MYPY) $(PY) -m pytest -n auto --dist worksteal -m ''; $(THEN_MYPY)

lint: style
	$(PY) -m mypy

style: setup
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

BESIDE_MYPY = said=$$(mktemp); $(PY) -m mypy >"$$said" 2>&1 & mypy=$$!; trap 'kill $$mypy' INT TERM;
THEN_MYPY = tests=$$?; wait $$mypy; types=$$?; cat "$$said"; rm -f "$$said"; \
	[ $$tests -eq 0 ] && [ $$types -eq 0 ]

benchmark: setup
	@$(PY) -m benchmarks $(if $(ONLY),--only=$(ONLY)) $(if $(TORCH),--torch_python="$$TORCH")

# Only its own tools, in .venv-docs: the reference is made from the sources without importing them.
# Not --quiet, which hides the warnings that strict mode fails on.
docs:
	@sh tools/setup.sh docs
	@NO_MKDOCS_2_WARNING=1 .venv-docs/bin/python -m mkdocs build
	@echo 'The documentation is build/docs/index.html.'

# uv writes locks for all Pythons, with hashes and without the address of any index.
LOCK := build/uv/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 \
	--generate-hashes --no-header --no-annotate
lock: setup
	@$(PY) -m pip install --quiet --upgrade --target build/uv uv
	@$(LOCK) $(foreach extra,test text io hub parquet beam search serve fast s3 gcs,--extra $(extra)) \
		--output-file requirements.lock pyproject.toml
	@$(PY) tools/requirements_of.py docs | $(LOCK) --output-file requirements-docs.lock -
	@echo 'Wrote requirements.lock and requirements-docs.lock: run make test.'

clean:
	rm -rf build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache
	find . -path ./.venv -prune -o -path ./runs -prune -o -name __pycache__ -type d -exec rm -rf {} +
